"""Choose where steps run and where results are kept."""

from __future__ import annotations

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
