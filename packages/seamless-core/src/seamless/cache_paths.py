"""Where the embedded cache keeps what: `SEAMLESS_CACHE`, and below it a directory for each project and stage."""

from __future__ import annotations

import os

__all__ = ("CACHE_VARIABLE", "DATABASE_NAME", "cache_root", "working_directory")

CACHE_VARIABLE = "SEAMLESS_CACHE"
DATABASE_NAME = "seamless.db"
DEFAULT_PROJECT = "__TOPLEVEL__"


def cache_root() -> str | None:
    """Return the directory of `SEAMLESS_CACHE`, absolute, `~` expanded; None when unset or blank."""
    text = os.environ.get(CACHE_VARIABLE, "").strip()
    return os.path.join(os.getcwd(), os.path.expanduser(text)) if text else None  # noqa: PTH109, PTH111


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
