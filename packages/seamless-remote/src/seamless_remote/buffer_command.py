"""What seamless-resolve and seamless-fingertip share: which buffer is meant, and how it is delivered.

The bytes of the buffer are the answer, exactly as they are: in a file that is whole or absent, or on standard output.
Only a terminal is spared what is no text. What can be large passes through a file, so memory stays small, and nothing
that is not verified is ever shown.
"""

from __future__ import annotations

import os
import sys

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from seamless.checksum import Checksum
    from seamless.ports import BufferStore
    from seamless_command.messages import Messages
    from seamless_command.scope import Scope, Services

    from .remote_store import RemoteBufferStore

__all__ = (
    "EXIT_CODES",
    "add_buffer_options",
    "deliver",
    "deliver_bytes",
    "explain_services",
    "open_buffers",
    "require_cluster",
    "wanted_checksum",
)

EXIT_CODES = (
    (0, "done"),
    (1, "the buffer is nowhere, or something failed; nothing was written"),
    (2, "wrong usage"),
    (4, "a service does not answer"),
    (130, "interrupted; nothing was written"),
)
EXIT_UNREACHABLE = 4
WHOLE_BYTES = 32 * 1024 * 1024  # up to here a buffer for standard output is held in memory
_TEXT_CONTROLS = frozenset("\t\n\r\f\x1b")


def add_buffer_options(parser: argparse.ArgumentParser) -> None:
    """Add what both commands take."""
    from seamless_command.scope import add_scope_options

    parser.add_argument(
        "checksum",
        metavar="CHECKSUM",
        help="64 hexadecimal digits, or a file that holds them (X.CHECKSUM, or X beside it)",
    )
    add_scope_options(parser)
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.add_argument("--debug", action="store_true", help="say everything")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="write the buffer into FILE, which is whole or left as it was"
    )


def wanted_checksum(word: str) -> Checksum:
    """Return the checksum that the word is, or that the file of that name holds. Raises ShellError."""
    from seamless.checksum import Checksum

    try:
        return Checksum(word)
    except ValueError:
        pass
    from seamless_command.sidecars import SidecarInvalid, read_checksum

    for path in (word, f"{word}.CHECKSUM"):
        if os.path.isfile(path) and (path != word or os.path.getsize(path) < 65536):
            try:
                return Checksum(read_checksum(path))
            except SidecarInvalid as exc:
                if path != word:
                    raise ShellError(str(exc), hint=f"seamless-checksum-file {word} writes it anew") from None
    raise ShellError(
        f"{word!r} is no checksum: expected 64 hexadecimal digits, or a file that holds them",
        hint="seamless-checksum FILE prints the checksum of a file",
    )


def require_cluster(scope: Scope, action: str) -> None:
    """Raise ShellError unless there is something to look into."""
    from seamless_command.scope import provide_services

    provide_services(_connect)
    if not scope.has_cluster:
        raise ShellError(
            f"Cannot {action} without a cluster defined",
            hint="export SEAMLESS_CACHE=/path/to/cache, or select a cluster in seamless.profile.yaml",
        )


def open_buffers(scope: Scope) -> tuple[BufferStore, str]:
    """Return where buffers are, and how to call it; services are asked for buffers only."""
    services = scope.services
    if services is None:
        return scope.active.buffers, scope.active.location
    return services.store, services.location


def _connect() -> Services:
    from .command_services import CommandServices

    return CommandServices()


def explain_services(action: Callable[[], int]) -> int:
    """Run `action`; a service that does not answer becomes a message with exit code 4."""
    from .errors import RemoteError, ServiceLaunchFailed, ServiceTimedOut, ServiceUnreachable, WrongService

    try:
        return action()
    except ServiceLaunchFailed as exc:
        cause = f"{exc.cause}\n{exc.log_tail.rstrip()}" if exc.log_tail.strip() else exc.cause
        raise ShellError(cause, hint=exc.remedy or None, exit_code=EXIT_UNREACHABLE) from exc
    except (ServiceUnreachable, ServiceTimedOut, WrongService) as exc:
        raise ShellError(exc.cause, hint=exc.remedy or None, exit_code=EXIT_UNREACHABLE) from exc
    except RemoteError as exc:
        raise ShellError(exc.cause, hint=exc.remedy or None) from exc


def deliver(checksum: Checksum, store: BufferStore, output: str | None, messages: Messages) -> bool:
    """Write the buffer into the file, or to standard output; False, and nothing written, when the store lacks it."""
    if output is not None:
        return _to_file(checksum, store, output, messages)
    length = store.length(checksum) or 0
    if length <= WHOLE_BYTES:
        buffer = store.get(checksum)
        if buffer is None:
            return False
        deliver_bytes(buffer.parts, None)
        return True
    _spare_terminal()
    stored = store.path(checksum)
    if stored is not None:
        with open(stored, "rb") as file:
            deliver_bytes(_pieces(file), None)
        return True
    import tempfile

    with tempfile.TemporaryDirectory(prefix="seamless-") as folder:
        path = os.path.join(folder, "buffer")
        if not _to_file(checksum, store, path, messages):
            return False
        with open(path, "rb") as file:
            deliver_bytes(_pieces(file), None)
    return True


def deliver_bytes(parts: Iterable[bytes | memoryview], output: str | None) -> None:
    """Write the parts into the file, or to standard output. Raises ShellError for what is no text, on a terminal."""
    from seamless_command.raw_output import write_all

    if output is not None:
        from seamless_command.temporary_files import replace_file

        replace_file(output, lambda fd: write_all(fd, parts))
        return
    sys.stdout.flush()
    if sys.stdout.isatty():
        content = b"".join(parts)
        if not _is_text(content):
            raise _refusal()
        parts = (content,)
    write_all(sys.stdout.fileno(), parts)


def _to_file(checksum: Checksum, store: BufferStore, path: str, messages: Messages) -> bool:
    from seamless_command.temporary_files import open_temporary

    if os.path.isdir(path):
        raise ShellError(f"{path!r} is a directory", hint="give the name of a file")
    fd, probe = open_temporary(
        os.path.dirname(path)
    )  # a place that cannot be written is noticed before the transfer
    os.close(fd)
    os.unlink(probe)
    stored = store.path(checksum)
    if stored is not None:
        with open(stored, "rb") as file:
            deliver_bytes(_pieces(file), path)
        return True
    download = getattr(store, "download", None)
    if download is None:
        buffer = store.get(checksum)
        if buffer is None:
            return False
        deliver_bytes(buffer.parts, path)
        return True
    return _download(checksum, store, path, messages)  # type: ignore[arg-type] # it is the store of services


def _download(checksum: Checksum, store: RemoteBufferStore, path: str, messages: Messages) -> bool:
    from seamless_command.progress import byte_progress

    shown = sys.stderr is not None and sys.stderr.isatty() and messages.verbosity >= 0
    length = (store.length(checksum) or 0) if shown else 0
    with byte_progress(checksum.hex()[:12], length, quiet=not shown) as progress:
        return store.download(checksum, path, progress.advance)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(1 << 20):
        yield piece


def _spare_terminal() -> None:
    """Refuse to show tens of megabytes on a terminal, whatever they are."""
    if sys.stdout.isatty():
        raise _refusal()


def _refusal() -> ShellError:
    return ShellError(
        "this buffer is no text that a terminal could show; nothing was printed",
        hint="--output FILE writes it into a file, and so does > FILE",
    )


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return all(letter >= " " or letter in _TEXT_CONTROLS for letter in text)
