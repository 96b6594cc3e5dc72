"""Read, write and list state files: one JSON object each, `KEY.json`, mode 0600.

Invariants: a file under its name is complete, whatever is interrupted and however many write it at once; one that
cannot be read never hides the others. The format is in contracts/launcher-state-files.md.
"""

from __future__ import annotations

import os

from .errors import StateMalformed, StateMissing
from .keys import is_key
from .small_json import dumps, loads

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any  # the members of a state are JSON values

__all__ = ("list_states", "read_state", "remove_state", "state_text", "update_state", "write_state")

SIZE_MAX_BYTES = 4 * 1024 * 1024
SCHEMA = 1  # of the members that we add; a state without `schema` is another implementation's
SUFFIX = ".json"


def read_state(path: str) -> dict[str, Any]:
    """Return the state. Raises StateMissing, StateMalformed."""
    return _parse(_read(path), path)


def list_states(directory: str) -> list[tuple[str, dict[str, Any] | StateMalformed]]:
    """Return key and state of each file, by the name of the file; what cannot be read comes as its error.

    A directory that does not exist has none. Names that are no keys are not looked at.
    """
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    found: list[tuple[str, dict[str, Any] | StateMalformed]] = []
    for name in names:
        key = name[: -len(SUFFIX)]
        if not name.endswith(SUFFIX) or not is_key(key):
            continue
        try:
            found.append((key, read_state(os.path.join(directory, name))))
        except StateMissing:
            continue  # removed since it was listed
        except StateMalformed as exc:
            found.append((key, exc))
    return found


def state_text(state: Mapping[str, Any]) -> str:
    """Return the text of the file that stands for the state."""
    return dumps(dict(state), indent=2) + "\n"


def write_state(path: str, state: Mapping[str, Any]) -> None:
    """Put the state into place as a whole, durable when this returns, mode 0600. The directory must exist."""
    content = state_text(state).encode("ascii")
    temporary = f"{path}.{os.getpid()}-{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise
    _sync_directory(os.path.dirname(path) or ".")


def update_state(path: str, expected: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Change members of the state, unless it is of another process by now than the expected one.

    Returns whether it was changed; a state that is gone or malformed is left as it is.
    """
    try:
        state = read_state(path)
    except (StateMissing, StateMalformed):
        return False
    if any(state.get(name) != expected.get(name) for name in ("pid", "start_time", "boot_id", "host")):
        return False
    write_state(path, {**state, **changes})
    return True


def remove_state(path: str) -> bool:
    """Remove the file; return whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _read(path: str) -> bytes:
    key = os.path.basename(path)[: -len(SUFFIX)]
    try:  # a fifo or device in place of the file must not block
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise StateMissing(f"no state file for {key!r}", hint="rhl-ps --key", key=key) from None
    except OSError as exc:
        raise StateMalformed(f"cannot read {path}: {exc.strerror}", path=path, key=key) from exc
    try:
        pieces, n_bytes = [], 0
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
            n_bytes += len(piece)
            if n_bytes > SIZE_MAX_BYTES:
                raise StateMalformed(
                    f"state file has more than {SIZE_MAX_BYTES} bytes: {path}", path=path, key=key
                )
    except OSError as exc:
        raise StateMalformed(f"cannot read {path}: {exc.strerror}", path=path, key=key) from exc
    finally:
        os.close(descriptor)
    return b"".join(pieces)


def _parse(content: bytes, path: str) -> dict[str, Any]:
    key = os.path.basename(path)[: -len(SUFFIX)]
    hint = f"rhl-rm {key}, when no such service runs"
    try:
        state = loads(content.decode("utf-8"))
    except ValueError as exc:
        raise StateMalformed(f"malformed JSON in {path}: {exc}", path=path, hint=hint, key=key) from None
    if not isinstance(state, dict):
        raise StateMalformed(f"state file must contain a JSON object: {path}", path=path, hint=hint, key=key)
    return state


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems know no fsync of directories
    finally:
        os.close(descriptor)
