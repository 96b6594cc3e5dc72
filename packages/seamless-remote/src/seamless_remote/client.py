"""What the clients of all services share: address, token, first contact, retries, and errors that explain.

Life: made -> first use (launched clients launch here) -> GET /healthcheck tells whether the right service
answers and what it can do -> used -> `restart()` forgets connections and identity, so that the next call
begins anew. After a failed attempt a client restarts by itself: another server may have taken the place of the
one that went.

Thread-safe. A process that is marked as a worker has no clients unless SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER says so.
"""

from __future__ import annotations

import os
import threading
import weakref

from seamless.lifecycle import ensure_open, is_worker, register_close_hook

from .background import run_blocking
from .error_answers import StatusRefused, said
from .errors import (
    AnswerDamaged,
    ClientMisconfigured,
    ClientRestartRequiredError,
    ReadOnlyClient,
    RemoteClientsForbidden,
    RequestFailed,
    ServiceTimedOut,
    ServiceUnreachable,
    TokenRefused,
    TransportError,
    WrongService,
)
from .http_message import ExchangeFailed
from .identity import Identity, parse_identity
from .keepalive import close_all_clients, keep_alive
from .light_http import LightClient, Response
from .retrying import Retrying
from .timeouts import Timeouts, clients_allowed_in_worker, debug_clients
from .tokens import Token

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from .http_message import FileBody, PartsBody

    T = TypeVar("T")

__all__ = (
    "Client",
    "check_clients_allowed",
    "close_all_clients",
    "inspect_extern_clients",
    "inspect_launched_clients",
)

ERROR_BODY_BYTES = 64 * 1024
HEALTH_BODY_BYTES = 64 * 1024
_BUSY = "device or resource busy"

_made: weakref.WeakSet[Client] = weakref.WeakSet()


def check_clients_allowed() -> None:
    """Raise RemoteClientsForbidden in a worker process."""
    if is_worker() and not clients_allowed_in_worker():
        raise RemoteClientsForbidden(
            "Remote clients are not available in child processes: this process is a worker.",
            remedy="fetch in the parent process, or set SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER=1.",
        )


class Client:
    """Base of the clients of the services. Set `url` before the first use, and `token` where the server wants one."""

    service = "service"
    """What the service is called in messages."""
    identities: tuple[str, ...] = ()
    """The names under which the service may identify itself."""

    def __init__(self, readonly: bool) -> None:
        ensure_open("remote clients")  # only here: what is pending when Seamless closes is still uploaded
        check_clients_allowed()
        self.readonly = bool(readonly)
        self.url: str | None = None
        self.token = Token()
        self.timeouts = Timeouts.from_environment()
        self._http: LightClient | None = None
        self._identity: Identity | None = None
        self._initialized = False
        self._lock = threading.RLock()
        _made.add(self)
        register_close_hook(close_all_clients)

    def __repr__(self) -> str:
        mode = "read-only" if self.readonly else "writable"
        return f"<{type(self).__name__} {self.url or 'without address'}, {mode}>"

    # --- first contact ---

    def ensure_initialized_sync(self, *, skip_healthcheck: bool = False) -> None:
        """Launch if need be, and look who answers. Raises what a request raises, and WrongService."""
        if not self._initialized:
            if skip_healthcheck:
                with self._lock:
                    self._open()
                    self._initialized = True
                keep_alive(self)
            else:
                self._attempt(lambda: None)

    async def healthcheck(self) -> None:
        """Raise unless the service answers that it is well."""
        await run_blocking(self.healthcheck_sync)

    def healthcheck_sync(self) -> None:
        """Do as `healthcheck`, for callers without an event loop."""
        self.restart()
        self.ensure_initialized_sync()

    def restart(self) -> None:
        """Let go of connections and of what is known about the server; the next call begins anew."""
        with self._lock:
            self._initialized = False
            self._identity = None
            if self._http is not None:
                self._http.close()
        if debug_clients():
            self._debug("restarted")

    def ping(self) -> None:
        """Ask for the server's health, whatever comes of it."""
        http = self._http
        if not self._initialized or http is None:
            return
        try:
            with http.open("GET", "/healthcheck", timeouts=self.timeouts.for_healthcheck()) as response:
                response.read_start(HEALTH_BODY_BYTES)
        except ExchangeFailed:
            pass

    def can(self, capability: str) -> bool:
        """Tell whether the server offers something beyond the common protocol."""
        if self._identity is None:
            self._attempt(self._learn)
        identity = self._identity
        return identity is not None and identity.can(capability)

    def _init(self) -> None:
        """Obtain the address; launched clients launch here."""

    def _validate(self) -> None:
        if not self.url:
            raise ClientMisconfigured(
                f"the client of the {self.service} has no address.",
                service=self.service,
                remedy="set its url.",
            )

    def _open(self) -> None:
        check_clients_allowed()
        self._init()
        if self.url is not None:
            self.url = self.url.rstrip("/")
        self._validate()
        if self.url and (self._http is None or self._http.endpoint.url != self.url):
            self._http = LightClient(self.url, timeouts=self.timeouts)

    def _begin(self) -> None:
        """Do the first contact once. Raises ExchangeFailed and what is for good."""
        check_clients_allowed()
        if self._initialized:
            return
        with self._lock:
            if not self._initialized:
                self._open()
                self._learn()
                self._initialized = True
        keep_alive(self)
        if debug_clients():
            self._debug(f"initialised, {self._identity!r}")

    def _learn(self) -> None:
        if self._http is None:
            self._identity = Identity()
            return
        headers = {"Accept": "application/json"}
        limits = self.timeouts.for_healthcheck()
        with self._http.open("GET", "/healthcheck", headers=headers, timeouts=limits) as response:
            body = response.read_start(HEALTH_BODY_BYTES)
            if response.status >= 300:
                raise StatusRefused(response.status, body, response.headers)
            try:
                identity = parse_identity(body, response.headers)
            except (ValueError, RecursionError) as exc:
                raise ExchangeFailed("damaged", f"its healthcheck answer cannot be read ({exc})") from exc
        if identity.service and identity.service not in self.identities:
            raise WrongService(
                f"{self.url} answers as {identity.service!r}, not as {self.service}.",
                service=self.service,
                url=self.url or "",
                remedy="correct the address, or stop the service that has taken this port.",
            )
        self._identity = identity

    # --- requests ---

    def _request(
        self,
        method: str,
        target: str,
        handler: Callable[[Response], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: PartsBody | FileBody | None = None,
        accept: tuple[int, ...] = (),
    ) -> T:
        """Send a request, again where that can heal, and return what `handler` makes of the answer.

        accept: error statuses that `handler` understands.
        """

        def exchange() -> T:
            http = self._http
            assert http is not None, "a request to a client without address"
            token = self.token.header()
            with http.open(method, target, headers=headers, token=token, body=body) as response:
                if not 200 <= response.status < 300 and response.status not in accept:
                    raise StatusRefused(
                        response.status, response.read_start(ERROR_BODY_BYTES), response.headers
                    )
                return handler(response)

        return self._attempt(exchange)

    def _attempt(self, action: Callable[[], T]) -> T:
        retrying = Retrying()
        refreshed = False
        while True:
            try:
                self._begin()
                return action()
            except StatusRefused as exc:
                if exc.status in (401, 403) and not refreshed and self.token.refresh():
                    refreshed = True
                    continue
                wait_s = exc.retry_after_s if exc.status == 503 else None
                if wait_s is not None and retrying.may_retry(after_s=wait_s):
                    continue
                raise self._explain_status(exc, retrying) from None
            except ExchangeFailed as exc:
                if exc.kind == "source":
                    raise
                self._lost()
                if exc.heals and retrying.may_retry():
                    continue
                raise self._explain(exc, retrying) from exc

    def _explain_status(
        self, failed: StatusRefused, retrying: Retrying
    ) -> RequestFailed | ClientRestartRequiredError:
        text = failed.body.decode("utf-8", "replace")
        message, hint = said(text, failed.headers)
        where = f"{self.service} at {self.url}"
        if _BUSY in text.lower():
            self.restart()
            return ClientRestartRequiredError(
                f"{where} answered {failed.status}: {message}", service=self.service, url=self.url or ""
            )
        if failed.status in (401, 403):
            return TokenRefused(
                f"{where} refuses the request with status {failed.status}: {message} ({self.token.describe()}).",
                status=failed.status,
                body=text,
                service=self.service,
                url=self.url or "",
                remedy=hint
                or "give the client the token file of the server, it is beside the server's status file.",
            )
        tries = "" if retrying.attempts == 1 else f" ({retrying.describe()})"
        return RequestFailed(
            f"{where} answered with Error {failed.status}: {message}{tries}",
            status=failed.status,
            body=text,
            service=self.service,
            url=self.url or "",
            remedy=hint or f"read the log of the {self.service}.",
        )

    def _explain(self, failed: ExchangeFailed, retrying: Retrying) -> TransportError:
        where = f"{self.service} at {self.url}"
        tried = retrying.describe()
        fields: dict[str, str] = {"service": self.service, "url": self.url or ""}
        diagnosis = self._diagnosis()
        after = f" {diagnosis}" if diagnosis else ""
        if failed.kind in ("timeout", "connect-timeout"):
            variable = (
                "SEAMLESS_REMOTE_CONNECT_TIMEOUT"
                if failed.kind == "connect-timeout"
                else "the limit named above"
            )
            return ServiceTimedOut(
                f"{where} did not answer in time: {failed.detail} ({tried}).{after}",
                remedy=f"look whether the service is overloaded or hangs; if it only needs longer, raise {variable}.",
                **fields,
            )
        if failed.kind in ("damaged", "too-large", "truncated"):
            return AnswerDamaged(
                f"{where} sent an answer that cannot be used: {failed.detail} ({tried}).{after}",
                remedy="look whether this is the address of the service, and read its log.",
                **fields,
            )
        return ServiceUnreachable(
            f"{where} does not answer: {failed.detail} ({tried}).{after}",
            remedy=self._remedy()
            or "look whether the service runs (seamless-service-ps), and read its log (seamless-service-logs).",
            **fields,
        )

    def _lost(self) -> None:
        """Begin anew after a failure on the way; launched clients ask their launcher again."""
        self.restart()

    def _diagnosis(self) -> str:
        """Say what is known about the service from elsewhere; launched clients ask their launcher."""
        return ""

    def _remedy(self) -> str:
        """Say what to type when the service is gone; launched clients know its name."""
        return ""

    def _require_writable(self, what: str) -> None:
        if self.readonly:
            raise ReadOnlyClient(
                f"cannot {what}: the client of the {self.service} at {self.url} is read-only.",
                service=self.service,
                url=self.url or "",
                remedy="define the client with readonly=False, for a server that was started with --writable.",
            )

    def _after_fork(self) -> None:
        """Have locks that nobody holds; the threads that may have held them are not in the child."""
        self._lock = threading.RLock()

    def _debug(self, text: str) -> None:
        import sys
        import traceback

        frames = traceback.extract_stack(limit=6)[:-2]
        stack = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        print(
            f"seamless-remote: {self!r}: {text} [{threading.current_thread().name}] {stack}", file=sys.stderr
        )


def inspect_extern_clients(clients: Mapping[str, Client]) -> list[dict[str, Any]]:
    """Describe extern clients: name, readonly, url, directory."""
    return [{"name": name, **_description(client)} for name, client in clients.items()]


def inspect_launched_clients(clients: Mapping[tuple[Any, ...], Client]) -> list[dict[str, Any]]:
    """Describe launched clients: where they belong, readonly, and once they are launched url and directory."""
    names = ("cluster", "project", "subproject", "stage")
    return [
        {**dict(zip(names, key[1:], strict=True)), **_description(client)} for key, client in clients.items()
    ]


def _description(client: Client) -> dict[str, Any]:
    return {"readonly": client.readonly, "url": client.url, "directory": getattr(client, "directory", None)}


def _renew_locks() -> None:
    for client in list(_made):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
