"""Check project files and cluster files: all of them, and every entry, not only up to the first error. Pure reading."""

from __future__ import annotations

import os

from seamless_config.cluster import LOCAL_CLUSTER, parse_clusters
from seamless_config.cluster_files import read_cluster_files
from seamless_config.commands import commands_of
from seamless_config.configuration import CACHE_ORIGIN, read_configuration
from seamless_config.errors import ConfigurationError
from seamless_config.project_files import PROJECT_FILES, ProjectFiles, read_project_files
from seamless_config.yaml_nodes import ListNode, MappingNode, Node

from .checking_use import check_use
from .reports import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("check_directory",)


def check_directory(
    directory: str,
    *,
    stage: str | None = None,
    substage: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Report:
    """Return what is wrong with the configuration of a directory. Reads files, touches nothing.

    Blocks of all stages are looked into; whether what is selected can be used is asked for `stage` and `substage`.
    """
    report = Report(os.path.abspath(directory), stage, substage)
    if not os.path.isdir(directory):
        report.error(
            ConfigurationError(
                f"there is no directory {report.directory}.", remedy="Name a directory that exists."
            )
        )
        return report
    _check_environment(report, environ)
    problems: list[ConfigurationError] = []
    files = read_project_files(directory, problems)
    tables = read_cluster_files(problems)
    for problem in problems:
        report.error(problem)
    report.files = [*(table.place.file for table in tables if table.place is not None), *files.names]
    inline = _check_commands(files, report)
    _check_clusters([*tables, *inline], report)
    if not files.nodes and not problems:
        report.warn(
            f"there is no {' and no '.join(PROJECT_FILES)} in {report.directory}.",
            remedy="Write a first one with: seamless-config-init",
        )
    _check_tracking(files, report)
    if not report.errors:
        _check_whole(report, environ)
    return report


def _check_environment(report: Report, environ: Mapping[str, str]) -> None:
    if environ.get(CACHE_ORIGIN, "").strip():
        report.warn(
            f"{CACHE_ORIGIN} is set: programs use that directory, and none of these files.",
            remedy=f"To use the files: unset {CACHE_ORIGIN}",
        )
    home = os.path.expanduser("~")
    if not os.path.isdir(home):
        report.warn(
            f"the home directory {home!r} does not exist: no cluster files are found there.",
            remedy="Set HOME to your home directory.",
        )


def _stages_of(node: Node) -> set[str]:
    """Return the names of all stage blocks, nested ones too."""
    found: set[str] = set()
    for item in node.items if isinstance(node, ListNode) else ():
        if isinstance(item, MappingNode) and len(item.entries) == 1:
            key, block = item.entries[0]
            if isinstance(key.value, str) and key.value.startswith("stage ") and isinstance(block, ListNode):
                found |= {key.value[len("stage ") :].strip(), *_stages_of(block)}
    return found


def _check_commands(files: ProjectFiles, report: Report) -> list[MappingNode]:
    """Check each entry for each stage; return the tables of clusters that count for the stage of the report."""
    tables: list[MappingNode] = []
    for _, node in files.nodes:
        whole = isinstance(node, ListNode) and len(node.items) > 0
        parts: list[Node | None] = (
            [ListNode([item], item.place) for item in node.items]
            if isinstance(node, ListNode) and whole
            else [node]
        )
        for part in parts:
            if report.is_full:
                return tables
            stages = {None, report.stage} | (set() if part is None else _stages_of(part))
            for stage in sorted(stages, key=str):
                try:
                    commands = commands_of(part, stage)
                except ConfigurationError as exc:
                    report.error(exc)
                    continue
                if stage == report.stage:
                    tables += [command.argument for command in commands if command.name == "clusters"]
    return tables


def _check_clusters(tables: list[MappingNode], report: Report) -> None:
    seen: dict[object, MappingNode] = {}
    for table in tables:
        for key, node in table.entries:
            if report.is_full:
                return
            if key.value == LOCAL_CLUSTER:
                continue
            try:
                parse_clusters([MappingNode([(key, node)], table.place)])
            except ConfigurationError as exc:
                report.error(exc)
            before = seen.get(key.value)
            if before is not None and before.place is not None:
                report.warn(
                    f"cluster {key.value!r} replaces the one of the same name in {before.place.file}.",
                    place=key.place,
                )
            seen[key.value] = table


def _check_tracking(files: ProjectFiles, report: Report) -> None:
    """Warn of a profile that git tracks: it is one person's, and may name hosts and directories."""
    for name in files.names:
        directory, base = os.path.split(name)
        if base != PROJECT_FILES[1] or not _has_repository(directory):
            continue
        import shutil
        import subprocess

        git = shutil.which("git")
        if git is None:
            return
        words = [git, "-C", directory, "ls-files", "--", base]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return
        if done.returncode == 0 and done.stdout.strip():
            report.warn(
                f"{name} is tracked by git; it is meant for one person.",
                remedy=f"git rm --cached {base} && echo {base} >> .gitignore",
            )


def _has_repository(directory: str) -> bool:
    while not os.path.exists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return False
        directory = parent
    return True


def _check_whole(report: Report, environ: Mapping[str, str]) -> None:
    without_cache = {name: value for name, value in environ.items() if name != CACHE_ORIGIN}
    try:
        found = read_configuration(
            report.directory, stage=report.stage, substage=report.substage, environ=without_cache
        )
    except ConfigurationError as exc:
        report.error(exc)
        return
    report.configuration = found
    for hint in found.hints:
        report.warn(hint)
    check_use(found, report)
