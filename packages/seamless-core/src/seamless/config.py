"""The front door `seamless.config`: the public names of the package `seamless_config`, loaded when they are used."""

from __future__ import annotations

try:
    import seamless_config
except ModuleNotFoundError as exc:
    if exc.name != "seamless_config":
        raise
    raise ModuleNotFoundError(
        "seamless.config needs the package seamless-config: pip install seamless-config",
        name=exc.name,
    ) from None

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless_config import (
        collect_remote_clients,
        get_nparallel,
        init,
        select_record,
        set_nparallel,
        set_remote_clients,
        set_stage,
        set_substage,
        set_workdir,
    )

__all__ = (
    "collect_remote_clients",
    "get_nparallel",
    "init",
    "select_record",
    "set_nparallel",
    "set_remote_clients",
    "set_stage",
    "set_substage",
    "set_workdir",
)


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(seamless_config, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
