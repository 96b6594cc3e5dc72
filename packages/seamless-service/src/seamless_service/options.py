"""The options that all services have, and their values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = (
    "AuthMode",
    "EventLoop",
    "LogFormat",
    "ServiceOptions",
    "add_service_options",
    "given_option",
    "positive_seconds",
)

AuthMode = Literal["token", "group", "none"]
LogFormat = Literal["text", "json"]
EventLoop = Literal["auto", "uvloop", "asyncio"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServiceOptions:
    """What is asked of a service on its command line.

    ports: the candidates, inclusive; None: a free port from 49152 to 65535. timeout_s: stop after so many seconds
    without a request, None: never. auth: None leaves the choice to what is found (see `access`).
    """

    host: str = LOOPBACK
    ports: tuple[int, int] | None = None
    status_file: str | None = None
    timeout_s: float | None = None
    auth: AuthMode | None = None
    token_file: str | None = None
    cors_origins: tuple[str, ...] = ()
    log_format: LogFormat = "text"
    access_log: bool = False
    event_loop: EventLoop = "auto"

    @classmethod
    def of(cls, namespace: argparse.Namespace) -> ServiceOptions:
        """Return the options from what a parser with `add_service_options` made."""
        ports = None
        if namespace.port is not None:
            ports = (namespace.port, namespace.port)
        elif namespace.port_range is not None:
            ports = (namespace.port_range[0], namespace.port_range[1])
        return cls(
            host=namespace.host,
            ports=ports,
            status_file=namespace.status_file,
            timeout_s=namespace.timeout,
            auth=namespace.auth,
            token_file=namespace.token_file,
            cors_origins=tuple(namespace.cors_origin),
            log_format=namespace.log_format,
            access_log=namespace.access_log,
            event_loop=namespace.event_loop,
        )


def add_service_options(parser: argparse.ArgumentParser, *, default_host: str = LOOPBACK) -> None:
    """Add the options of every service."""
    group = parser.add_argument_group("service")
    ports = group.add_mutually_exclusive_group()
    ports.add_argument(
        "--port", type=_port, metavar="N", help="port to listen on (default: a free one from 49152 on)"
    )
    ports.add_argument(
        "--port-range",
        type=_port,
        nargs=2,
        metavar=("A", "B"),
        help="listen on a free port from A to B, both included",
    )
    group.add_argument(
        "--host", default=default_host, metavar="H", help=f"address to listen on (default: {default_host})"
    )
    group.add_argument(
        "--status-file", metavar="F", help="report port and status there, as a launcher expects it"
    )
    group.add_argument(
        "--timeout",
        type=positive_seconds,
        metavar="S",
        help="stop after S seconds without a request (default: never)",
    )
    group.add_argument(
        "--auth",
        choices=("token", "group", "none"),
        help="token: demand the bearer token of the token file; group: the same, and the file may be readable by its "
        "group; none: serve whoever reaches the port. Default: token where there is a token file, else none, which is "
        "refused on another address than loopback",
    )
    group.add_argument(
        "--token-file",
        metavar="F",
        help="file with the bearer token, mode 0600 (default: beside the status file, KEY.token)",
    )
    group.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin in (may be repeated; default: none)",
    )
    group.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="form of the log on stderr"
    )
    group.add_argument(
        "--access-log", action="store_true", help="log every request (default: refused, failed and slow ones)"
    )
    group.add_argument(
        "--event-loop", choices=("auto", "uvloop", "asyncio"), default="auto", help=argparse.SUPPRESS
    )


def positive_seconds(text: str) -> float:
    """Return the number of seconds, which is above 0; for the `type` of an option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")


def given_option(arguments: Sequence[str], name: str) -> str | None:
    """Return the value of an option in arguments that may be wrong otherwise; for errors of usage.

    The handshake wants the cause of a failure in the status file even when the command line cannot be parsed.
    """
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(name + "="):
            return argument[len(name) + 1 :]
    return None
