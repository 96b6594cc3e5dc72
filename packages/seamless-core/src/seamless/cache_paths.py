"""What the environment says of where results are kept: `SEAMLESS_CACHE`, else `SEAMLESS_REMOTE_CLIENTS`.

Below the directory of `SEAMLESS_CACHE` there is one for each project and stage.
"""

from __future__ import annotations

import os

__all__ = ("CACHE_VARIABLE", "DATABASE_NAME", "cache_root", "forwarded_clients", "working_directory")

CACHE_VARIABLE = "SEAMLESS_CACHE"
CLIENTS_VARIABLE = "SEAMLESS_REMOTE_CLIENTS"
NO_CLIENTS = ("", "{}", '{"database":[],"buffer":[]}', '{"buffer":[],"database":[]}')  # as JSON is written
DATABASE_NAME = "seamless.db"
DEFAULT_PROJECT = "__TOPLEVEL__"


def cache_root() -> str | None:
    """Return the directory of `SEAMLESS_CACHE`, absolute, `~` expanded; None when unset or blank."""
    text = os.environ.get(CACHE_VARIABLE, "").strip()
    return os.path.join(os.getcwd(), os.path.expanduser(text)) if text else None  # noqa: PTH109, PTH111


def forwarded_clients() -> str | None:
    """Return `SEAMLESS_REMOTE_CLIENTS`, the services that another process hands over; None when it names none.

    It counts only without `SEAMLESS_CACHE`.
    """
    text = os.environ.get(CLIENTS_VARIABLE, "").strip()
    return None if "".join(text.split()) in NO_CLIENTS or cache_root() is not None else text


def working_directory(
    root: str, project: str | None = None, subproject: str | None = None, stage: str | None = None
) -> str:
    """Return the directory that holds the buffers and the database.

    >>> working_directory("/c"), working_directory("/c", "p", "q", "s")
    ('/c/__TOPLEVEL__', '/c/p/q/STAGE-s')
    """
    parts = [root, project or DEFAULT_PROJECT]
    if subproject is not None:
        parts.append(subproject)
    if stage is not None:
        parts.append(f"STAGE-{stage}")
    return "/".join(parts)
