"""The celltypes: how a value is written as a buffer, and what a buffer is read as.

A celltype is never part of a buffer's identity: the same bytes under two celltypes are one buffer.
"""

from __future__ import annotations

__all__ = ("ALIASES", "CELLTYPES", "check_celltype")

CELLTYPES = (
    "binary",
    "mixed",
    "text",
    "python",
    "ipython",
    "plain",
    "yaml",
    "str",
    "bytes",
    "int",
    "float",
    "bool",
    "checksum",
)
"""The thirteen celltypes of a buffer."""

ALIASES = ("deepcell", "deepfolder", "folder", "module")
"""Celltypes that are written and read exactly as `plain`."""

_VALID = frozenset(CELLTYPES + ALIASES)


def check_celltype(name: object) -> str:
    """Return `name` if it is a celltype or an alias; raise TypeError naming the valid ones if not."""
    if isinstance(name, str) and name in _VALID:
        return name
    nearest = ""
    if isinstance(name, str):
        import difflib

        close = difflib.get_close_matches(name.lower(), sorted(_VALID), n=1)
        if close:
            nearest = f" Did you mean {close[0]!r}?"
    raise TypeError(
        f"unknown celltype {name!r}; expected one of {', '.join(CELLTYPES)}, "
        f"or {', '.join(ALIASES)}.{nearest}"
    )
