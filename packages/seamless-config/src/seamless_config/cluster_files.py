"""Read the cluster files of the home folder."""

from __future__ import annotations

import os

from .errors import ConfigurationFileInvalid
from .places import Place
from .yaml_nodes import MappingNode
from .yaml_reader import file_exists, read_yaml

__all__ = ("cluster_file_names", "read_cluster_files")


def cluster_file_names() -> list[str]:
    """Return `~/.seamless/clusters.yaml` and `~/.seamless/clusters/*.yaml`, sorted, as far as they exist.

    Raises ConfigurationFileInvalid for what is there and cannot be read.
    """
    base = os.path.join(os.path.expanduser("~"), ".seamless")
    names = [os.path.join(base, "clusters.yaml")]
    directory = os.path.join(base, "clusters")
    try:
        names += [
            os.path.join(directory, name) for name in sorted(os.listdir(directory)) if name.endswith(".yaml")
        ]
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as exc:
        raise ConfigurationFileInvalid(
            f"the directory cannot be read: {exc.strerror}.",
            place=Place(directory),
            remedy=f"Check it with: ls -ld {directory}",
        ) from exc
    return [name for name in names if file_exists(name)]


def read_cluster_files() -> list[MappingNode]:
    """Return the content of each file. Raises ConfigurationFileInvalid."""
    found = []
    for name in cluster_file_names():
        node = read_yaml(name)
        if node is None:
            continue
        if not isinstance(node, MappingNode):
            raise ConfigurationFileInvalid(
                f"a cluster file must be a mapping from names to definitions, not {node.describe()}.",
                place=node.place,
                remedy="Write 'NAME:' and below it, indented, the fields of the cluster.",
            )
        found.append(node)
    return found
