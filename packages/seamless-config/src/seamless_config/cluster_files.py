"""Read the cluster files of the home folder."""

from __future__ import annotations

import os

from .errors import ConfigurationFileInvalid
from .yaml_nodes import MappingNode, read_yaml

__all__ = ("cluster_file_names", "read_cluster_files")


def cluster_file_names() -> list[str]:
    """Return `~/.seamless/clusters.yaml` and `~/.seamless/clusters/*.yaml`, sorted, as far as they exist."""
    base = os.path.join(os.path.expanduser("~"), ".seamless")
    names = [os.path.join(base, "clusters.yaml")]
    directory = os.path.join(base, "clusters")
    try:
        names += [
            os.path.join(directory, name) for name in sorted(os.listdir(directory)) if name.endswith(".yaml")
        ]
    except (FileNotFoundError, NotADirectoryError):
        pass
    return [name for name in names if os.path.isfile(name)]


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
            )
        found.append(node)
    return found
