"""How much is uploaded or downloaded without asking, and how sizes are written.

Sizes are decimal: 1 kB is 1000 bytes. The limits are read from the environment (SEAMLESS_MAX_UPLOAD_FILES,
SEAMLESS_MAX_UPLOAD_SIZE, SEAMLESS_MAX_DOWNLOAD_FILES, SEAMLESS_MAX_DOWNLOAD_SIZE).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from seamless_command.errors import ShellError

if TYPE_CHECKING:
    from typing import Literal

__all__ = ("TransferLimits", "human_size", "parse_size", "transfer_limits")

DEFAULT_FILES = {"upload": 400, "download": 2000}
DEFAULT_SIZE = {"upload": "100 MB", "download": "500 MB"}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class TransferLimits(NamedTuple):
    """What goes without asking: so many files and so many bytes, both inclusive."""

    max_files: int
    max_bytes: int


def transfer_limits(direction: Literal["upload", "download"]) -> TransferLimits:
    """Return the limits of the environment. Raises ShellError, which names the variable, for a wrong value."""
    files_variable = f"SEAMLESS_MAX_{direction.upper()}_FILES"
    size_variable = f"SEAMLESS_MAX_{direction.upper()}_SIZE"
    text = os.environ.get(files_variable, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ShellError(
            f"{files_variable} is {text!r}; expected a number of files", hint=f"export {files_variable}=400"
        )
    size_text = os.environ.get(size_variable, "").strip() or DEFAULT_SIZE[direction]
    try:
        max_bytes = parse_size(size_text)
    except ValueError as exc:
        raise ShellError(
            f"{size_variable}: {exc}", hint=f'export {size_variable}="{DEFAULT_SIZE[direction]}"'
        ) from None
    return TransferLimits(int(text) if text else DEFAULT_FILES[direction], max_bytes)


def parse_size(text: str) -> int:
    """Return a size in bytes: a number, then perhaps B, kB, MB, GB, TB or PB in any case. Raises ValueError.

    >>> parse_size("100 MB"), parse_size("1.5GB"), parse_size("1000")
    (100000000, 1500000000, 1000)
    """
    number = text.strip().rstrip("kKmMgGtTpPbB")
    unit = text.strip()[len(number) :].upper()
    units = {"": 0, **{name.upper(): power for power, name in enumerate(_UNITS)}}
    units |= {name[0]: power for name, power in units.items() if len(name) == 2}
    try:
        if not set(number.strip()) <= set("0123456789."):
            raise ValueError
        return int(float(number) * 1000 ** units[unit])
    except (ValueError, KeyError):
        raise ValueError(
            f"{text!r} is no size; expected a number and a unit, such as '100 MB' or '1.5GB'"
        ) from None


def human_size(n_bytes: int) -> str:
    """Return a size as it is shown: two decimals and a decimal unit.

    >>> human_size(6), human_size(1500), human_size(2_500_000)
    ('6.00 B', '1.50 kB', '2.50 MB')
    """
    size = float(n_bytes)
    for unit in _UNITS[:-1]:
        if round(size, 2) < 1000:
            return f"{size:.2f} {unit}"
        size /= 1000
    return f"{size:.2f} {_UNITS[-1]}"
