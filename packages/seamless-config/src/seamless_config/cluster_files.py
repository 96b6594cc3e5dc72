"""Read the cluster files of the home folder."""

from __future__ import annotations

import os

from .errors import ConfigurationError, ConfigurationFileInvalid
from .places import Place
from .yaml_nodes import MappingNode
from .yaml_reader import file_exists, read_yaml

__all__ = ("cluster_file_names", "read_cluster_files")


def cluster_file_names() -> list[str]:
    """Return `~/.seamless/clusters.yaml` and what is called `~/.seamless/clusters/*.yaml`, sorted.

    The first may not be there. Raises ConfigurationFileInvalid when the directory cannot be read.
    """
    base = os.path.join(os.path.expanduser("~"), ".seamless")
    directory = os.path.join(base, "clusters")
    names: list[str] = []
    try:
        names = [name for name in sorted(os.listdir(directory)) if name.endswith(".yaml")]
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as exc:
        raise ConfigurationFileInvalid(
            f"the directory cannot be read: {exc.strerror}.",
            place=Place(directory),
            remedy=f"Check it with: ls -ld {directory}",
        ) from exc
    return [os.path.join(base, "clusters.yaml"), *(os.path.join(directory, name) for name in names)]


def read_cluster_files(problems: list[ConfigurationError] | None = None) -> list[MappingNode]:
    """Return the content of each file. Raises ConfigurationFileInvalid.

    problems: gets what is wrong with a file, instead of it being raised; the file is left out then.
    """
    found = []
    try:
        names = cluster_file_names()
    except ConfigurationError as exc:
        if problems is None:
            raise
        problems.append(exc)
        return []
    for name in names:
        try:
            node = _read(name)
        except ConfigurationError as exc:
            if problems is None:
                raise
            problems.append(exc)
            continue
        if node is not None:
            found.append(node)
    return found


def _read(name: str) -> MappingNode | None:
    node = read_yaml(name) if file_exists(name) else None
    if node is None or isinstance(node, MappingNode):
        return node
    raise ConfigurationFileInvalid(
        f"a cluster file must be a mapping from names to definitions, not {node.describe()}.",
        place=node.place,
        remedy="Write 'NAME:' and below it, indented, the fields of the cluster.",
    )
