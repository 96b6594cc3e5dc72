"""Choose where steps run and where results are kept.

Nothing is imported until it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .activation import (
        change_stage,
        get_seamless_cache,
        init,
        select_record,
        set_stage,
        set_substage,
        set_workdir,
    )
    from .errors import ConfigurationError
    from .extern_clients import set_remote_clients, set_remote_clients_from_env
    from .remote_clients import collect_remote_clients
    from .select import get_nparallel
    from .select import select_nparallel as set_nparallel
    from .workdir import get_workdir

__all__ = (
    "ConfigurationError",
    "change_stage",
    "collect_remote_clients",
    "get_nparallel",
    "get_seamless_cache",
    "get_workdir",
    "init",
    "select_record",
    "set_nparallel",
    "set_remote_clients",
    "set_remote_clients_from_env",
    "set_stage",
    "set_substage",
    "set_workdir",
)

_HOMES = {
    "ConfigurationError": "errors",
    "change_stage": "activation",
    "collect_remote_clients": "remote_clients",
    "get_nparallel": "select",
    "get_seamless_cache": "activation",
    "get_workdir": "workdir",
    "init": "activation",
    "select_record": "activation",
    "set_nparallel": "select",
    "set_remote_clients": "extern_clients",
    "set_remote_clients_from_env": "extern_clients",
    "set_stage": "activation",
    "set_substage": "activation",
    "set_workdir": "activation",
}
_OTHER_NAMES = {"set_nparallel": "select_nparallel"}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{home}", __name__), _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
