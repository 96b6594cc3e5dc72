"""The handshake with a launcher: a JSON file that says `starting`, then `running` with a port, or `failed`.

The launcher starts the service with `--status-file F` and writes F (at least `"status": "starting"`); the service
waits for it, and replaces it as a whole: every other member is kept. It is not touched at the end: whether a
service lives is seen by its pid and its port. Format: interoperability notes in contracts/service-status-file.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .failures import StartFailed

__all__ = ("StatusFile",)

WAIT_S = 20.0
_POLL_S = 0.02
_MAX_BYTES = 16 * 1024 * 1024


class StatusFile:
    """One status file. path: None for a service that nobody launched: then everything here does nothing."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self.state: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """The launcher's name for this service: the file's name without `.json`; "" without file."""
        return "" if self.path is None else self.path.name.removesuffix(".json")

    @property
    def token_path(self) -> Path | None:
        """Where a launcher puts the token: beside the file."""
        return None if self.path is None else self.path.with_name(f"{self.key}.token")

    def wait(
        self,
        *,
        timeout_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> dict[str, Any]:
        """Wait until the launcher has written the file; return what it holds.

        Raises StartFailed when it does not come in time, or holds no JSON object; then it is left as it is.
        """
        if self.path is None:
            return self.state
        deadline = clock() + timeout_s
        while True:
            try:
                text = self._read()
                break
            except FileNotFoundError:
                if clock() >= deadline:
                    raise StartFailed(
                        f"The status file {self.path} did not appear within {timeout_s:g} s.",
                        hint="the launcher writes it; without a launcher leave --status-file out",
                    ) from None
            except OSError as exc:
                raise StartFailed(
                    f"The status file {self.path} cannot be read: {exc.strerror}.",
                    hint=f"check its owner and mode: ls -l {self.path}",
                ) from exc
            sleep(_POLL_S)
        self.state = self._parse(text)
        return self.state

    def running(self, port: int) -> None:
        """Say that the service answers on `port`."""
        self._replace({**self.state, "port": port, "status": "running"})

    def failed(self, failure: StartFailed) -> None:
        """Say that the service did not start, and why. Only before `running`, and only if the file was read."""
        if not self.state:
            return
        kept = {key: value for key, value in self.state.items() if key != "port"}
        error = {"message": failure.message, "hint": failure.hint}
        with contextlib.suppress(OSError):  # the log has it as well; there is nobody else to tell
            self._replace({**kept, "status": "failed", "error": error})

    def _read(self) -> bytes:
        assert self.path is not None
        with open(self.path, "rb") as file:
            return file.read(_MAX_BYTES)

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            state = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise StartFailed(
                f"The status file {self.path} holds no JSON: {text[:80]!r}.",
                hint="let the launcher write it anew",
            ) from exc
        if not isinstance(state, dict):
            raise StartFailed(
                f"The status file {self.path} holds no JSON object: {text[:80]!r}.",
                hint="let the launcher write it anew",
            )
        return state

    def _replace(self, state: dict[str, Any]) -> None:
        if self.path is None:
            return
        temporary = self.path.with_name(self.path.name + ".tmp")
        mode = 0o600
        with contextlib.suppress(OSError):
            mode = self.path.stat().st_mode & 0o777
        try:
            fd = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode
            )
            with open(fd, "w", encoding="utf-8") as file:
                file.write(json.dumps(state) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as exc:
            raise StartFailed(
                f"The status file {self.path} cannot be written: {exc.strerror}.",
                hint=f"check the space and the mode of {self.path.parent}",
            ) from exc
        self.state = state
