"""The front door `seamless.config`: the public names of the package `seamless_config`."""

from __future__ import annotations

try:
    from seamless_config import (
        collect_remote_clients,
        get_nparallel,
        init,
        set_nparallel,
        set_remote_clients,
        set_stage,
        set_substage,
        set_workdir,
    )
except ModuleNotFoundError as exc:
    if exc.name != "seamless_config":
        raise
    raise ModuleNotFoundError(
        "seamless.config needs the package seamless-config: pip install seamless-config",
        name=exc.name,
    ) from None

__all__ = (
    "collect_remote_clients",
    "get_nparallel",
    "init",
    "set_nparallel",
    "set_remote_clients",
    "set_stage",
    "set_substage",
    "set_workdir",
)
