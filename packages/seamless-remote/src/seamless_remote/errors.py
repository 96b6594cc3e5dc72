"""What can go wrong between a client and its service: one class per cause.

Every error has fields to act on: `service` and `url` (where), `cause` (what was attempted, what came, how
often and how long it was tried) and `remedy` (what to do next). `str()` joins cause and remedy. No token is
ever in them.

Transport errors are also aiohttp's `ClientConnectionError`, because existing code catches that, but only when
aiohttp is imported: nobody can name the class otherwise, and the light client must not pay for it.
"""

from __future__ import annotations

import sys

from seamless.errors import SeamlessError

__all__ = (
    "ActivationError",
    "AnswerDamaged",
    "CapabilityMissing",
    "ClientMisconfigured",
    "ClientRestartRequiredError",
    "DamagedBufferWarning",
    "ForwardedClientsInvalid",
    "LauncherMissing",
    "ReadOnlyClient",
    "RemoteClientsForbidden",
    "RemoteError",
    "RequestFailed",
    "ServiceLaunchFailed",
    "ServiceTimedOut",
    "ServiceUnreachable",
    "TokenRefused",
    "TransportError",
    "WrongService",
)

SHOWN_BODY_CHARACTERS = 500

_combined: dict[type, type] = {}


class RemoteError(SeamlessError):
    """Base class of the errors of remote clients."""

    def __init__(self, cause: str, *, service: str = "", url: str = "", remedy: str = "") -> None:
        self.cause = cause
        self.service = service
        self.url = url
        self.remedy = remedy
        super().__init__(cause)

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (_plain_class(type(self)), self.args, self.__dict__))


class TransportError(RemoteError):
    """Base class of what goes wrong on the way to a service and back."""

    def __new__(cls, *args: object, **fields: object) -> TransportError:
        return super().__new__(_with_aiohttp(cls), *args)


class ServiceUnreachable(TransportError):
    """A service does not answer: connections are refused or reset, or its host is unknown.

    Remedy: look whether the service runs (`seamless-service-ps`) and read its log (`seamless-service-logs`).
    """


class ServiceTimedOut(TransportError):
    """A service did not answer within the limit.

    Remedy: read the log of the service; if it only needs longer, raise the variable that the message names.
    """


class AnswerDamaged(TransportError):
    """A service answered with something that is truncated, no HTTP, or not what was asked for.

    Remedy: look whether the address is that of the service, and whether something stands between.
    """


class RequestFailed(TransportError):
    """A service answered with an error status. `status` and `body` (at most its first 64 KiB) are what it said.

    Remedy: the body says what the service missed; its log says more.
    """

    def __init__(
        self,
        cause: str,
        *,
        status: int,
        body: str = "",
        service: str = "",
        url: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(cause, service=service, url=url, remedy=remedy)
        self.status = status
        self.body = body


class TokenRefused(RequestFailed):
    """A service wants a token, or another one than it was given (status 401 or 403).

    Remedy: give the client the token file of the server (it is beside the server's status file).
    """


class WrongService(RemoteError, RuntimeError):
    """The port answers, but as another service.

    Remedy: correct the address; the message names what answered and what was expected.
    """


class ReadOnlyClient(RemoteError, AttributeError):
    """Something was to be written through a client that is read-only.

    Remedy: define the client with `readonly=False`, for a server that was started with `--writable`.
    """


class ClientRestartRequiredError(RemoteError, RuntimeError):
    """The storage behind a service is busy; the client has let go of its connections and may be used again.

    Remedy: repeat the call; if it persists, read the log of the service.
    """


class ClientMisconfigured(RemoteError, ValueError):
    """A client has no address, or one that cannot be used.

    Remedy: give it `url="http://HOST:PORT"`, or for a folder of buffers `directory=PATH`.
    """


class RemoteClientsForbidden(RemoteError, RuntimeError):
    """A worker process wants a client of its own; workers fetch and upload through their parent.

    Remedy: fetch in the parent process, or set `SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER=1`.
    """


class LauncherMissing(RemoteError, RuntimeError):
    """A service is to be launched, but nothing in this process knows how.

    Remedy: install and initialise seamless-config, which provides the launcher, or define an extern client.
    """


class ActivationError(RemoteError, RuntimeError):
    """The clients that were asked for cannot be activated: an unknown name, or one twice.

    Remedy: the message lists what is defined.
    """


class CapabilityMissing(RemoteError, NotImplementedError):
    """The server does not offer what is asked, and there is no other way to obtain it.

    Remedy: serve the data with a newer server; the message names the capability.
    """


class ForwardedClientsInvalid(RemoteError, ValueError):
    """The list of clients that another process handed over (`SEAMLESS_REMOTE_CLIENTS`) cannot be used.

    Remedy: unset the variable, or write what `collect_remote_clients` returns, as JSON.
    """


class ServiceLaunchFailed(RemoteError):
    """A service that is needed does not run, and could not be started.

    service, cluster: which. host: where, None for this machine. layer: the part that failed (`ssh`, `conda`, `service`,
    `reuse`, ...). log_tail: the last lines of its log, "" if there is none.

    Remedy: correct what the message names; `seamless-service-logs` shows the whole log.
    """

    def __init__(
        self,
        cause: str,
        *,
        service: str,
        cluster: str,
        host: str | None,
        layer: str,
        log_tail: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(cause, service=service, remedy=remedy)
        self.cluster = cluster
        self.host = host
        self.layer = layer
        self.log_tail = log_tail

    def __str__(self) -> str:
        tail = f"\nLast lines of its log:\n{self.log_tail.rstrip()}\n" if self.log_tail.strip() else " "
        return (
            f"{self.cause}{tail}Remedy: {self.remedy}" if self.remedy else f"{self.cause}{tail.rstrip(' ')}"
        )


class DamagedBufferWarning(UserWarning):
    """A server sent bytes that are not the buffer, twice; it counts as not having the buffer.

    Remedy: check the disk of that server, remove the damaged file and upload the buffer again.
    """


def _with_aiohttp(cls: type[TransportError]) -> type[TransportError]:
    """Return `cls`, mixed with aiohttp's ClientConnectionError when aiohttp is imported."""
    aiohttp = sys.modules.get("aiohttp")
    base = getattr(aiohttp, "ClientConnectionError", None)  # None while aiohttp is being imported
    if base is None or issubclass(cls, base):
        return cls
    combined = _combined.get(cls)
    if combined is None:
        combined = type(cls.__name__, (cls, base), {"__module__": cls.__module__, "__doc__": cls.__doc__})
        _combined[cls] = combined
    return combined


def _plain_class(cls: type[RemoteError]) -> type[RemoteError]:
    return next((plain for plain, combined in _combined.items() if combined is cls), cls)


def _rebuild(cls: type[RemoteError], args: tuple[object, ...], fields: dict[str, object]) -> RemoteError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
