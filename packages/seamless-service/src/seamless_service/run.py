"""Run a service from its options to its end.

Order: status file, port, access, the service's own start, `running`. Whatever fails before `running` is written to
the status file with its cause. SIGINT, SIGTERM, SIGHUP and inactivity end it alike: no new connections, requests under
way are answered, the service makes everything durable, exit code 0. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping

from .access import Access, decide_access
from .activity import Activity
from .binding import listen
from .cors import Cors
from .failures import StartFailed
from .http_server import HttpServer
from .identity import identity
from .logs import Log, open_log
from .metrics import Metrics
from .options import EventLoop, ServiceOptions
from .service import Service, ServiceContext
from .status_file import StatusFile

__all__ = ("run_service",)

DRAIN_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_service(
    service: Service,
    options: ServiceOptions,
    *,
    environ: Mapping[str, str] = os.environ,
    drain_s: float = DRAIN_S,
) -> int:
    """Serve until a signal or inactivity ends it. Returns the exit code: 0, or 1 if it did not start."""
    log = open_log(service.name, options.log_format)
    status = StatusFile(options.status_file)
    try:
        status.wait()
        listener = listen(options.host, options.ports)
    except StartFailed as exc:
        return _not_started(exc, status, log)
    with contextlib.closing(listener):
        runner = _Runner(service, options, environ, status, listener, log, drain_s)
        try:
            loop = _new_loop(options.event_loop)
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(runner.run())
                loop.run_until_complete(loop.shutdown_asyncgens())
            finally:
                _cancel_what_is_left(loop)
                asyncio.set_event_loop(None)
                loop.close()
        except StartFailed as exc:
            return _not_started(exc, status, log)
    return 0


def _cancel_what_is_left(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def _not_started(failure: StartFailed, status: StatusFile, log: Log) -> int:
    status.failed(failure)
    log.error("not started", message=failure.message, hint=failure.hint)
    return 1


def _new_loop(kind: EventLoop) -> asyncio.AbstractEventLoop:
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError as exc:
            if kind == "uvloop":
                raise StartFailed("uvloop is not installed.", hint="pip install uvloop") from exc
        else:
            loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
            return loop
    return asyncio.new_event_loop()


class _Runner:
    def __init__(
        self,
        service: Service,
        options: ServiceOptions,
        environ: Mapping[str, str],
        status: StatusFile,
        listener: socket.socket,
        log: Log,
        drain_s: float,
    ) -> None:
        self._service = service
        self._options = options
        self._environ = environ
        self._status = status
        self._listener = listener
        self._log = log
        self._drain_s = drain_s
        self._activity = Activity()
        self._end_asked = asyncio.Event()
        self._why = ""

    async def run(self) -> None:
        service, options, status = self._service, self._options, self._status
        self._listen_to_signals()
        access = decide_access(options, status, self._environ)
        metrics = Metrics(service.name)
        context = ServiceContext(
            name=service.name,
            state=status.state,
            key=status.key,
            activity=self._activity,
            metrics=metrics,
            log=self._log,
        )
        metrics.gauge("requests_running", "Requests under way", lambda: self._activity.n_running)
        try:
            await service.start(context)
            try:
                await self._serve(access, metrics)
            finally:
                await service.stop()
        finally:
            context.close()
        self._log.event("ended", why=self._why)

    async def _serve(self, access: Access, metrics: Metrics) -> None:
        service, options, status = self._service, self._options, self._status
        http = HttpServer(
            service,
            identity=identity(
                service=service.name,
                version=service.version,
                protocol=service.protocol,
                capabilities=service.capabilities,
                key=status.key,
            ),
            access=access,
            activity=self._activity,
            metrics=metrics,
            log=self._log,
            cors=Cors(options.cors_origins),
            log_all=options.access_log,
        )
        server = await asyncio.get_running_loop().create_server(http.protocol_factory, sock=self._listener)
        try:
            host, port = self._listener.getsockname()[:2]
            status.running(port)
            if access.note:
                self._log.warning("no token", message=access.note)
            self._log.event(
                "listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}", pid=os.getpid()
            )
            await self._until_end()
        finally:
            server.close()
            await http.close(self._drain_s)

    async def _until_end(self) -> None:
        timeout_s = self._options.timeout_s
        while not self._end_asked.is_set():
            if timeout_s is None:
                await self._end_asked.wait()
                return
            left_s = timeout_s - self._activity.idle_s()
            if left_s <= 0:
                self._why = f"no request for {timeout_s:g} s"
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._end_asked.wait(), left_s)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._end, number)

    def _end(self, number: signal.Signals) -> None:
        if self._end_asked.is_set():
            self._log.warning("ended at once", why=f"a second signal ({number.name})")
            sys.stderr.flush()
            os._exit(128 + number)
        self._why = number.name
        self._end_asked.set()
