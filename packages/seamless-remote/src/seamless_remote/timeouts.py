"""Limits of the clients, and every environment variable that this package reads.

A time limit is a number of seconds. Empty, `none`, `off`, `false`, or a number that is not positive mean
unlimited; what is no number counts as unset. The table in docs/reference/remote-clients.md is compared
with `VARIABLES` by a test. The variables are read when a client is made, not at import.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    "DEFAULT_CONNECT_S",
    "DEFAULT_HEALTHCHECK_S",
    "DEFAULT_MAX_INFLIGHT",
    "DEFAULT_READ_S",
    "VARIABLES",
    "Timeouts",
    "clients_allowed_in_worker",
    "debug_clients",
    "debug_database",
    "forwarded_clients_text",
    "max_inflight",
)

DEFAULT_CONNECT_S = 10.0
DEFAULT_READ_S = 1200.0  # a server may hash a large buffer before it sends the first byte
DEFAULT_HEALTHCHECK_S = 10.0
DEFAULT_MAX_INFLIGHT = 30

VARIABLES: tuple[tuple[str, str], ...] = (
    ("SEAMLESS_REMOTE_CONNECT_TIMEOUT", "10"),
    ("SEAMLESS_REMOTE_READ_TIMEOUT", "1200"),
    ("SEAMLESS_REMOTE_TOTAL_TIMEOUT", "none"),
    ("SEAMLESS_REMOTE_HEALTHCHECK_TIMEOUT", "10"),
    ("SEAMLESS_DATABASE_MAX_INFLIGHT", "30"),
    ("SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER", "off"),
    ("SEAMLESS_CLIENT_DEBUG", "off"),
    ("SEAMLESS_DEBUG_REMOTE_DB", "off"),
    ("SEAMLESS_REMOTE_CLIENTS", "unset"),
)
"""Name and default of each variable."""

_UNLIMITED = frozenset({"", "none", "off", "false"})


class Timeouts:
    """How long one request may take; None is unlimited.

    connect_s: until the connection stands. read_s: between two arrivals of bytes. total_s: the whole
    request. healthcheck_s: a whole healthcheck.
    """

    __slots__ = ("connect_s", "healthcheck_s", "read_s", "total_s")

    def __init__(
        self,
        *,
        connect_s: float | None = DEFAULT_CONNECT_S,
        read_s: float | None = DEFAULT_READ_S,
        total_s: float | None = None,
        healthcheck_s: float | None = DEFAULT_HEALTHCHECK_S,
    ) -> None:
        self.connect_s = connect_s
        self.read_s = read_s
        self.total_s = total_s
        self.healthcheck_s = healthcheck_s

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Timeouts:
        """Read the four variables."""
        return cls(
            connect_s=_seconds(environ, "SEAMLESS_REMOTE_CONNECT_TIMEOUT", DEFAULT_CONNECT_S),
            read_s=_seconds(environ, "SEAMLESS_REMOTE_READ_TIMEOUT", DEFAULT_READ_S),
            total_s=_seconds(environ, "SEAMLESS_REMOTE_TOTAL_TIMEOUT", None),
            healthcheck_s=_seconds(environ, "SEAMLESS_REMOTE_HEALTHCHECK_TIMEOUT", DEFAULT_HEALTHCHECK_S),
        )

    def for_healthcheck(self) -> Timeouts:
        """Return the limits of a healthcheck: its own total, nothing beyond it."""
        limit = self.healthcheck_s
        connect = self.connect_s if limit is None else min(limit, self.connect_s or limit)
        return Timeouts(connect_s=connect, read_s=limit, total_s=limit, healthcheck_s=limit)

    def __repr__(self) -> str:
        return f"Timeouts(connect_s={self.connect_s}, read_s={self.read_s}, total_s={self.total_s})"


def max_inflight(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return how many reads of a database may be under way at once; None is unlimited."""
    text = environ.get("SEAMLESS_DATABASE_MAX_INFLIGHT", "").strip()
    try:
        number = int(text)
    except ValueError:
        return DEFAULT_MAX_INFLIGHT
    return number if number > 0 else None


def clients_allowed_in_worker(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a worker process may have clients of its own."""
    return _is_on(environ, "SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER")


def debug_clients(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the life of connections is reported on stderr."""
    return _is_on(environ, "SEAMLESS_CLIENT_DEBUG")


def debug_database(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether each database request is reported on stderr."""
    return _is_on(environ, "SEAMLESS_DEBUG_REMOTE_DB")


def forwarded_clients_text(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the JSON of the clients that a parent process hands over; None when blank, or with a cache directory."""
    if environ.get("SEAMLESS_CACHE", "").strip():
        return None
    return environ.get("SEAMLESS_REMOTE_CLIENTS", "").strip() or None


def _seconds(environ: Mapping[str, str], name: str, default: float | None) -> float | None:
    text = environ.get(name)
    if text is None:
        return default
    text = text.strip().lower()
    if text in _UNLIMITED:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return default
    if seconds != seconds:  # not a number
        return default
    return seconds if 0 < seconds < 1e9 else None


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in ("1", "true", "yes")
