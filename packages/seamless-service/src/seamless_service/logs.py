"""The log of a service, on stderr: one line an event, for people (`key=value`) or for programs (JSON).

No header and no body is ever logged, so no token is.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

from .options import LogFormat

__all__ = ("Log", "open_log")


class Log:
    """Where a service writes what happened. Thread-safe.

    >>> import io
    >>> target = io.StringIO()
    >>> open_log("hashserver", "text", target).event("listening", port=8080, path="a b")
    >>> print(target.getvalue().partition(" ")[2], end="")
    info hashserver listening port=8080 path="a b"
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def event(self, event: str, **fields: Any) -> None:
        """Log that something happened as it should."""
        self.logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: Any) -> None:
        """Log what somebody should look at."""
        self.logger.warning(event, extra={"fields": fields})

    def error(self, event: str, *, exc: BaseException | None = None, **fields: Any) -> None:
        """Log a failure, with the traceback of `exc`."""
        self.logger.error(event, exc_info=exc, extra={"fields": fields})


def open_log(service: str, log_format: LogFormat, target: TextIO | None = None) -> Log:
    """Return the log of a service, and send what libraries log at level warning and above there too."""
    handler = logging.StreamHandler(target or sys.stderr)
    handler.setFormatter(_Formatter(service, log_format))
    logger = logging.getLogger("seamless_service")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for name in ("aiohttp", "asyncio", "seamless_store"):
        library = logging.getLogger(name)
        library.handlers[:] = [handler]
        library.propagate = False
        library.setLevel(logging.WARNING)
    return Log(logger)


class _Formatter(logging.Formatter):
    def __init__(self, service: str, log_format: LogFormat) -> None:
        super().__init__()
        self._service = service
        self._as_json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.name != "seamless_service":
            fields = {"message": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = self.formatException(record.exc_info)
        event = record.msg if record.name == "seamless_service" else "library"
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        level = record.levelname.lower()
        if self._as_json:
            line = {"time": when, "level": level, "service": self._service, "event": str(event), **fields}
            return json.dumps(line, default=str)
        traceback = fields.pop("traceback", None)
        words = [when, level, self._service, str(event)]
        words += [f"{name}={_word(value)}" for name, value in fields.items()]
        return " ".join(words) + (f"\n{traceback}" if traceback else "")


def _word(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and not any(character in text for character in ' "=')
    return text if plain and text else json.dumps(text)
