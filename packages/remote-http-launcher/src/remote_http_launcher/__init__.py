"""Start, reuse, tunnel and stop an HTTP service on any host that SSH reaches.

`run(config)` has the service run and says how to reach it. The helpers rhl-* are in `helpers`, each a command of its
own that needs the standard library only.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from .configuration import Configuration
    from .errors import LauncherError
    from .launcher import run

__all__ = ("Configuration", "LauncherError", "run")

_HOMES = {"Configuration": "configuration", "LauncherError": "errors", "run": "launcher"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
