"""The first files of a project: what they say, and where they go. Existing files are never changed."""

from __future__ import annotations

import os
import re

from seamless_config.cluster import parse_clusters
from seamless_config.cluster_files import read_cluster_files
from seamless_config.errors import ConfigurationError
from seamless_config.names import name_problem
from seamless_config.project_files import PROJECT_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ("FirstFiles", "first_project_name")

DEFAULT_NAME = "project"
DIRECTORY = re.compile(r"[A-Za-z0-9@_./~-]+")  # what a launcher takes as a directory
PROJECT_TEXT = """\
# What every copy of this project shares: commit this file.
# Each entry is a command; seamless-config-check checks them.

# The project's name is part of the path of all that it stores.
- project: {project}

# Read the files of the parent directory as well, before these:
# - inherit_from_parent
"""
PROFILE_TEXT = """\
# Where you run this project, and where its results are kept: yours, not to be committed.

{clusters}# The cluster whose services keep buffers and results.
- cluster: {cluster}

# Where steps run: in this process. Others: spawn (worker processes), remote (the cluster's job server).
- execution: process

# What holds only in one stage, which keeps results of its own:
# - stage prod:
#   - cluster: mycluster
#   - execution: remote
"""
CLUSTER_TEXT = """\
{name}:
  type: local
  workers: {workers}
  frontends:
  - hashserver: {{bufferdir: {directory}/buffers}}
    database: {{database_dir: {directory}/results}}
"""
CLUSTER_HEAD = "# Clusters by name. This one is your own machine.\nlocal_cluster: {name}\n"
INLINE_HEAD = "# A cluster: your own machine. Other projects do not see it.\n- clusters:\n"


def first_project_name(directory: str) -> str:
    """Return a name for the project in a directory, after the directory's own."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", os.path.basename(os.path.abspath(directory))).strip("-.")
    return DEFAULT_NAME if name_problem("project", name) else name


class FirstFiles:
    """What is to be written. cluster_directory: of buffers and results. inline: define the cluster in the profile."""

    def __init__(
        self, directory: str, *, cluster_directory: str, inline: bool = False, project: str | None = None
    ) -> None:
        self.directory = os.path.abspath(directory)
        self.cluster_directory = cluster_directory.rstrip("/") or "/"
        self.inline = inline
        self.project = project or first_project_name(directory)
        if problem := name_problem("project", self.project):
            raise ConfigurationError(f"{problem}.", remedy="Give another one: --project NAME")
        if not DIRECTORY.fullmatch(self.cluster_directory):
            raise ConfigurationError(
                f"the directory {self.cluster_directory!r} cannot be served: its name has other characters than "
                "letters, digits and any of '@_./~-'.",
                remedy="Give another one: --cluster-dir DIR",
            )
        if self.cluster_directory[0] not in "/~":
            self.cluster_directory = os.path.abspath(self.cluster_directory)

    def write(self, *, force: bool = False) -> list[str]:
        """Write what is not there; return what was done, a sentence each. Raises ConfigurationError.

        force: files of the project that are there are replaced; the former is kept as `NAME.old`.
        """
        names = [os.path.join(self.directory, name) for name in PROJECT_FILES]
        there = [name for name in names if os.path.lexists(name)]
        if len(there) == len(names) and not force:
            raise ConfigurationError(
                f"{self.directory} has both files already; nothing was written.",
                remedy="Check them with: seamless-config-check. To replace them, and keep the old ones: --force",
            )
        clusters, local = parse_clusters(
            read_cluster_files()
        )  # before anything is written: they may be wrong
        done: list[str] = []
        if force:
            for name in there:
                os.replace(name, f"{name}.old")
                done.append(f"kept {name}.old, as it was")
        _write_new(names[0], PROJECT_TEXT.format(project=self.project), done)
        if os.path.lexists(names[1]):
            done.append(f"{names[1]} is there already: it stays as it is")
        else:
            self._write_profile(names[1], clusters, local, done)
        self._ignore_profile(done)
        return done

    def _write_profile(self, path: str, clusters: Container[str], local: str | None, done: list[str]) -> None:
        inline = ""
        if self.inline:
            cluster = _unused("local", clusters)
            inline = INLINE_HEAD + _indented(self._definition(cluster)) + "\n"
        elif local is not None:
            cluster = local
            done.append(f"cluster {local!r} is there already, as local cluster: it is used")
        else:
            cluster = _unused("local", clusters)
            self._define_cluster(cluster, done)
        _write_new(path, PROFILE_TEXT.format(cluster=cluster, clusters=inline), done)

    def _define_cluster(self, name: str, done: list[str]) -> None:
        """Define the cluster in the home directory, in a file of its own."""
        base = os.path.join(os.path.expanduser("~"), ".seamless")
        path = os.path.join(base, "clusters.yaml")
        if os.path.lexists(path):
            path = os.path.join(base, "clusters", f"{name}.yaml")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write_new(path, CLUSTER_HEAD.format(name=name) + "\n" + self._definition(name), done)

    def _definition(self, name: str) -> str:
        return CLUSTER_TEXT.format(name=name, workers=os.cpu_count() or 1, directory=self.cluster_directory)

    def _ignore_profile(self, done: list[str]) -> None:
        """Add the profile to .gitignore, when the directory is in a git repository."""
        directory = self.directory
        while not os.path.exists(os.path.join(directory, ".git")):
            parent = os.path.dirname(directory)
            if parent == directory:
                return
            directory = parent
        for folder in {self.directory, directory}:
            if PROJECT_FILES[1] in _lines(os.path.join(folder, ".gitignore")):
                return
        path = os.path.join(self.directory, ".gitignore")
        lines = _lines(path)
        gap = "\n" if lines and not _ends_with_newline(path) else ""
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{gap}{PROJECT_FILES[1]}\n")
        done.append(f"added {PROJECT_FILES[1]} to {path}")


def _unused(name: str, clusters: Container[str]) -> str:
    number = 1
    found = name
    while found in clusters:
        number += 1
        found = f"{name}{number}"
    return found


def _write_new(path: str, text: str, done: list[str]) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        done.append(f"{path} is there already: it stays as it is")
    else:
        done.append(f"wrote {path}")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line.strip().lstrip("/") for line in file]
    except FileNotFoundError:
        return []


def _ends_with_newline(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read().endswith(b"\n")
