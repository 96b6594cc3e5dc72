"""What a service implements, and what it is given."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from aiohttp import web

    from .activity import Activity
    from .logs import Log
    from .metrics import Metrics

__all__ = ("Service", "ServiceContext")

N_THREADS = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ServiceContext:
    """What a service is given when it starts.

    state: what its launcher said in the status file (`parameters`, `meta`, ...), {} when nobody launched it.
    key: the launcher's name for it.
    """

    def __init__(
        self, *, name: str, state: dict[str, Any], key: str, activity: Activity, metrics: Metrics, log: Log
    ) -> None:
        self.state = state
        self.key = key
        self.activity = activity
        self.metrics = metrics
        self.log = log
        self._threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix=f"{name}-worker")

    async def run_blocking(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function that may block in one of a few threads, and return its value."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Let go of the threads; what they run is waited for only when the process ends."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Service(Protocol):
    """One service. The kit answers `/healthcheck` and `/metrics`, checks tokens and counts; the rest comes here.

    name: word for it in identity, log and metrics. version: of the software. protocol: of the wire format.
    capabilities: what it offers beyond the protocol that its reference fixes.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    @property
    def capabilities(self) -> tuple[str, ...]: ...

    async def start(self, context: ServiceContext) -> None:
        """Open what is served. The socket listens already, and nothing is answered until this returns.

        Raises StartFailed.
        """
        ...

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. RequestRefused becomes the JSON error; ClientGone ends the connection."""
        ...

    async def stop(self) -> None:
        """Make everything durable and let go; called once, after the last request has ended."""
        ...
