"""Look up one result and read one small buffer, for a process that wants to know and then ends.

Opening the engine costs such a process most of its time. This module makes nothing, repairs nothing and waits for
nothing: whatever is not simple (a lock, a journal to roll back, a compressed or damaged file) is answered with None,
which means "ask the engine", never "not there".
"""

from __future__ import annotations

import os

__all__ = ("SELECT_RESULT", "read_small", "stored_result")

SELECT_RESULT = "SELECT result FROM transformation WHERE checksum = ?"
MAX_SMALL_BYTES = 16 * 1024 * 1024
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
_PATIENCE_MS = 20


def stored_result(database: str, transformation: bytes) -> bytes | None:
    """Return the result of this transformation in the database file. Only what is committed is seen."""
    if not os.path.exists(database):  # noqa: PTH110 (pathlib costs such a process 8 ms)
        return None
    import apsw

    try:
        connection = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_PATIENCE_MS)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            rows = connection.execute(SELECT_RESULT, (transformation.hex(),)).fetchall()
        finally:
            connection.close()
    except apsw.Error:
        return None
    try:
        return bytes.fromhex(str(rows[0][0])) if rows else None
    except ValueError:  # not written by us: let the engine complain
        return None


def read_small(directory: str, digest: bytes) -> bytes | None:
    """Return a buffer of at most MAX_SMALL_BYTES from its plain file, verified."""
    import hashlib

    name = digest.hex()
    content = _read(f"{directory}/{name[:2]}/{name}")
    if content is None:  # the flat layout
        content = _read(f"{directory}/{name}")
    return content if content is not None and hashlib.sha256(content).digest() == digest else None


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return None
    try:
        size = os.fstat(fd).st_size
        return os.read(fd, size) if size <= MAX_SMALL_BYTES else None
    except OSError:  # a directory, a failing disk
        return None
    finally:
        os.close(fd)
