"""The last words of a service: the end of its log, bounded and without its token."""

from __future__ import annotations

import os

from .directories import log_path, server_directory

__all__ = ("log_tail",)

N_LINES = 20
N_BYTES = 8192


def log_tail(key: str, n_lines: int = N_LINES) -> str:
    """Return the last lines of the log, "" if there is none. Whatever equals the service's token is replaced."""
    try:
        with open(log_path(key), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - N_BYTES))
            content = file.read(N_BYTES)
    except OSError:
        return ""
    if size > N_BYTES:
        content = content.partition(b"\n")[2] or content
    lines = content.decode("utf-8", "replace").splitlines()[-n_lines:]
    text = "\n".join(lines)
    token = _token(key)
    return text.replace(token, "(token)") if token else text


def _token(key: str) -> str:
    try:
        with open(os.path.join(server_directory(), key + ".token"), "rb") as file:
            token = file.read(4096).strip().decode("ascii", "replace")
    except OSError:
        return ""
    return token if len(token) >= 16 else ""
