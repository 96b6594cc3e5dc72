"""Choose where steps run and where results are kept.

Names are looked up when they are used: a command imports this package for its own module alone.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .activation import get_seamless_cache, init, set_stage, set_substage, set_workdir
    from .errors import ConfigurationError
    from .remote_clients import collect_remote_clients, set_remote_clients
    from .select import get_nparallel
    from .select import select_nparallel as set_nparallel
    from .workdir import get_workdir

__all__ = (
    "ConfigurationError",
    "collect_remote_clients",
    "get_nparallel",
    "get_seamless_cache",
    "get_workdir",
    "init",
    "set_nparallel",
    "set_remote_clients",
    "set_stage",
    "set_substage",
    "set_workdir",
)

_HOMES = {
    "ConfigurationError": ("errors", "ConfigurationError"),
    "collect_remote_clients": ("remote_clients", "collect_remote_clients"),
    "get_nparallel": ("select", "get_nparallel"),
    "get_seamless_cache": ("activation", "get_seamless_cache"),
    "get_workdir": ("workdir", "get_workdir"),
    "init": ("activation", "init"),
    "set_nparallel": ("select", "select_nparallel"),
    "set_remote_clients": ("remote_clients", "set_remote_clients"),
    "set_stage": ("activation", "set_stage"),
    "set_substage": ("activation", "set_substage"),
    "set_workdir": ("activation", "set_workdir"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    found = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found
