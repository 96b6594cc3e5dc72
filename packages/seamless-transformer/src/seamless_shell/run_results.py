"""Bring the results of a command out of the store: its files, its directories, and their sidecar files."""

from __future__ import annotations

import os
from collections.abc import Mapping

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless.active import ActiveSet

    from .confirmation import Answer

__all__ = ("results_by_target", "rewrite_sidecars", "write_results")


def results_by_target(
    index: Mapping[str, str], targets: Mapping[str, str]
) -> dict[str, str | dict[str, str]]:
    """Return what the step gave for each target: a checksum (a file), or an index (a directory).

    index: relative path -> checksum, the result of the step. Raises ShellError for a target without result.
    """
    found: dict[str, str | dict[str, str]] = {}
    for target in targets:
        if target in index:
            found[target] = index[target]
            continue
        prefix = target + "/"
        below = {path[len(prefix) :]: checksum for path, checksum in index.items() if path.startswith(prefix)}
        if not below:
            raise ShellError(f"No result for {target!r} was returned")
        found[target] = below
    return found


def write_results(
    index: Mapping[str, str],
    targets: Mapping[str, str],
    active: ActiveSet,
    *,
    download: bool,
    answer: Answer,
) -> None:
    """Write `X.CHECKSUM` (and `X.INDEX` for a directory) of each result X, and with `download` X itself.

    Each file appears whole or not at all; a file that has the right content is left alone.
    """
    found = results_by_target(index, targets)
    _write_sidecars(found, targets)
    if download:
        from .fetching import fetch_results

        fetch_results({local: found[target] for target, local in targets.items()}, active, answer=answer)


def rewrite_sidecars(content: bytes, targets: Mapping[str, str], *, download: bool) -> bool:
    """Write the sidecar files of a result whose files are all there already; False, and nothing is done, if not.

    content: the index of the result. download: whether the files themselves are wanted.
    """
    import json

    found = results_by_target(json.loads(content), targets)
    for target, local in targets.items() if download else ():
        value = found[target]
        files = (
            {local: value} if isinstance(value, str) else {f"{local}/{name}": v for name, v in value.items()}
        )
        if not all(_holds(path, checksum) for path, checksum in files.items()):
            return False
    _write_sidecars(found, targets)
    return True


def _holds(path: str, checksum_hex: str) -> bool:
    from .file_checksum import hash_as

    try:
        return hash_as(path, None).digest.hex() == checksum_hex
    except (OSError, ShellError):  # missing, no plain file, or being written: to be fetched
        return False


def _write_sidecars(found: Mapping[str, str | dict[str, str]], targets: Mapping[str, str]) -> None:
    from seamless_command.sidecars import write_checksum

    for target, local in targets.items():
        folder = os.path.dirname(local)
        if folder:
            os.makedirs(folder, exist_ok=True)
        value = found[target]
        if isinstance(value, str):
            write_checksum(local, value)
        else:
            _write_index(local, value)


def _write_index(local: str, index: dict[str, str]) -> None:
    import hashlib

    from seamless.dialect_p import dumps
    from seamless_command.sidecars import write_checksum, write_index

    content = dumps(index)
    write_index(local, content)
    write_checksum(local, hashlib.sha256(content).hexdigest())
