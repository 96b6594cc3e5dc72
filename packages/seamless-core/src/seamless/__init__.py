"""Steps that are never computed twice: checksums, buffers, and the way to the rest of Seamless.

>>> from seamless import Buffer
>>> Buffer("hello", "text").get_checksum().hex()[:16]
'5891b5b522d5df08'
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would be the most expensive import of a command
if TYPE_CHECKING:
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

_HOMES = {"Buffer": "buffer", "CacheMissError": "errors", "Checksum": "checksum"}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: a command that only looks a result up needs few of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{_HOMES.get(name, 'lifecycle')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
