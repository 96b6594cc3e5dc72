"""Steps that are never computed twice: checksums, buffers, and the way to the rest of Seamless.

>>> from seamless import Buffer
>>> Buffer("hello", "text").get_checksum().hex()[:16]
'5891b5b522d5df08'
"""

from __future__ import annotations

from .buffer import Buffer
from .checksum import Checksum
from .errors import CacheMissError
from .lifecycle import close, ensure_open, is_worker, register_close_hook, set_is_worker

__all__ = (
    "Buffer",
    "CacheMissError",
    "Checksum",
    "close",
    "ensure_open",
    "is_worker",
    "register_close_hook",
    "set_is_worker",
)
