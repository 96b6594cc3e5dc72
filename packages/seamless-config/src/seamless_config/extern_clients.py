"""Services that another process hands over: to a worker, or to a command that a program starts."""

from __future__ import annotations

import os

from .errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = (
    "check_clients_not_set",
    "remote_clients_are_set",
    "set_remote_clients",
    "set_remote_clients_from_env",
)

SCHEDULER_VARIABLE = "SEAMLESS_DASK_SCHEDULER"

_are_set = False


def set_remote_clients(clients: Mapping[str, Any], in_remote: bool = False) -> None:
    """Use exactly the services that another process collected, from now on; an empty mapping means memory.

    in_remote: take their addresses as seen from the cluster. What was handed over stays: `init`, `set_stage` and
    `set_workdir` raise afterwards. Raises ForwardedClientsInvalid, and ConfigurationError after `init`; nothing has
    changed then.
    """
    global _are_set
    from seamless.active import replace_active
    from seamless.embedded import memory_set
    from seamless.lifecycle import ensure_open
    from seamless_remote.forwarding import set_remote_clients as use
    from seamless_remote.remote_set import make_remote_set

    from . import activation

    ensure_open("configuration")
    if activation.is_initialised():
        raise ConfigurationError(
            "set_remote_clients() was called after init(): steps may be under way already.",
            remedy="Call set_remote_clients() first, and init() not at all.",
        )
    use(clients, in_remote)
    replace_active(make_remote_set() if any(clients.values()) else memory_set())
    _are_set = True


def set_remote_clients_from_env(include_dask: bool = False) -> bool:
    """Use the services of SEAMLESS_REMOTE_CLIENTS, as seen from the cluster; False when it is unset.

    Also False when SEAMLESS_CACHE is set, which decides. Raises ForwardedClientsInvalid for what cannot be used, and
    ConfigurationError after `init`, and for a Dask scheduler (SEAMLESS_DASK_SCHEDULER) with `include_dask`.
    """
    from seamless_remote.timeouts import forwarded_clients_text

    text = forwarded_clients_text()
    if text is None:
        return False
    if include_dask and os.environ.get(SCHEDULER_VARIABLE, "").strip():
        raise ConfigurationError(
            f"{SCHEDULER_VARIABLE} names a Dask scheduler, to which this version cannot connect yet.",
            remedy=f"Unset {SCHEDULER_VARIABLE}.",
        )
    from seamless_remote.forwarding import parse_remote_clients

    set_remote_clients(parse_remote_clients(text), in_remote=True)
    return True


def remote_clients_are_set() -> bool:
    """Whether `set_remote_clients` has chosen the services."""
    return _are_set


def check_clients_not_set(function: str) -> None:
    """Raise ConfigurationError if `set_remote_clients` has chosen the services."""
    if _are_set:
        raise ConfigurationError(
            f"{function}() was called after set_remote_clients(): the services are chosen already, and stay.",
            remedy=f"Leave {function}() out where set_remote_clients() is called.",
        )
