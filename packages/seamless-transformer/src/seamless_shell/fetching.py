"""Write buffers of the store into files outside, each whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping

from seamless.checksum import Checksum
from seamless_command.errors import ShellError
from seamless_command.raw_output import write_all
from seamless_command.temporary_files import replace_file

from .file_checksum import hash_as

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless.active import ActiveSet

    from .confirmation import Answer

__all__ = ("checked_relative", "fetch_results", "missing_buffers")

_COPY_BYTES = 1 << 20


def missing_buffers(found: Mapping[str, str | dict[str, str]], active: ActiveSet) -> list[str]:
    """Return the checksums among the results whose buffers are in no store.

    found: name outside -> checksum of a file, or index of a directory.
    """
    hexes = [
        hex_ for value in found.values() for hex_ in ([value] if isinstance(value, str) else value.values())
    ]
    present = active.buffers.has_many([Checksum(hex_) for hex_ in hexes])
    return [hex_ for hex_, is_there in zip(hexes, present, strict=True) if not is_there]


def fetch_results(
    found: Mapping[str, str | dict[str, str]],
    active: ActiveSet,
    *,
    answer: Answer,
) -> None:
    """Write each file, and the files of each directory. What has the right content already is left alone.

    Asks when there is much to write. Raises ShellError for a path that leaves its directory and for a missing buffer.
    """
    from .confirmation import confirm_transfer

    wanted: dict[str, Checksum] = {}
    for local, value in found.items():
        if isinstance(value, str):
            wanted[local] = Checksum(value)
        else:
            for relative, hex_ in value.items():
                wanted[os.path.join(local, checked_relative(relative))] = Checksum(hex_)
    new = {path: checksum for path, checksum in wanted.items() if not _holds(path, checksum)}
    lengths = active.buffers.length_many(list(new.values()))
    gone = [
        f"{checksum} ({path})" for (path, checksum), n in zip(new.items(), lengths, strict=True) if n is None
    ]
    if gone:
        raise ShellError(
            f"the content of {len(gone)} result{'s' * (len(gone) != 1)} is nowhere: {', '.join(gone[:10])}",
            hint="--fingertip runs the command again",
        )
    confirm_transfer("download", len(new), sum(n or 0 for n in lengths), answer)
    for path, checksum in new.items():
        _write(path, checksum, active)


def checked_relative(path: str) -> str:
    """Return the path of a file in an index. Raises ShellError if it leads out of its directory."""
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ShellError(f"the index holds {path!r}, which is no path below a directory; nothing was written")
    return path


def _holds(path: str, checksum: Checksum) -> bool:
    """Whether the file is there with this content; a compressed one counts by the bytes that it has."""
    if os.path.isdir(path):
        raise ShellError(
            f"{path!r} is a directory, and would be replaced by a file", hint="remove it, or rename it"
        )
    return os.path.isfile(path) and hash_as(path, None).digest == checksum.bytes()


def _write(path: str, checksum: Checksum, active: ActiveSet) -> None:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    stored = active.buffers.path(checksum)
    if stored is not None:
        replace_file(path, lambda fd: _copy(str(stored), fd))
        return
    buffer = active.buffers.get(checksum)
    if buffer is None:
        raise ShellError(f"the content {checksum} of {path!r} is gone from the store")
    replace_file(path, lambda fd: write_all(fd, buffer.parts))


def _copy(source: str, target: int) -> None:
    with open(source, "rb") as file:
        while piece := file.read(_COPY_BYTES):
            write_all(target, [piece])
