"""Who may ask: bearer tokens, and when a service may go without one.

| token file | address | launched by | answer |
|---|---|---|---|
| there | any | anyone | the token is demanded |
| none | loopback | anyone | open |
| none | another | nobody, or a launcher of ours | refused to start; `--auth none` opens it |
| none | another | a launcher without tokens (no `schema` in its state) | `SEAMLESS_AUTH` decides; unset: open, logged |

`--auth token` and `--auth group` demand a token file, `--auth none` ignores one. A launcher of ours may say the same in
its state (`auth`), for a service that is started without `--auth`.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .binding import is_loopback
from .failures import StartFailed
from .options import ServiceOptions
from .status_file import StatusFile

__all__ = ("AUTH_VARIABLE", "Access", "decide_access")

AUTH_VARIABLE = "SEAMLESS_AUTH"
_MODES = ("token", "group", "none")
_TOKEN_MIN, _TOKEN_MAX = 16, 4096  # characters


@dataclass(frozen=True)
class Access:
    """Whether a token is demanded. note: one line for the log, "" when there is nothing unusual."""

    token: bytes | None = None
    note: str = ""

    def __repr__(self) -> str:
        return f"Access({'open' if self.token is None else 'token'})"

    def refusal(self, authorization: str | None) -> tuple[int, str] | None:
        """Return None if a request with this Authorization header may pass, else status and reason."""
        if self.token is None:
            return None
        if not authorization:
            return 401, "no token was sent"
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return 401, "the Authorization header is not of the form 'Bearer TOKEN'"
        if hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token):
            return None
        return 403, "the token is another one than the service's"


def decide_access(options: ServiceOptions, status: StatusFile, environ: Mapping[str, str]) -> Access:
    """Decide by the options, the launcher's state and the address. Raises StartFailed."""
    state = status.state
    auth: str | None = options.auth
    source = f"--auth {auth}"
    if auth is None and "schema" in state and state.get("auth") in _MODES:
        auth = state["auth"]
        source = f"auth: {auth} of the launcher"
    if auth is None and state and "schema" not in state:
        auth = environ.get(AUTH_VARIABLE, "").strip().lower() or "none"
        source = f"{AUTH_VARIABLE}={auth}" if environ.get(AUTH_VARIABLE) else "its default"
        if auth not in _MODES:
            raise StartFailed(
                f"{AUTH_VARIABLE} is {environ[AUTH_VARIABLE]!r}.", hint=f"expected one of {', '.join(_MODES)}"
            )
        if auth == "none":
            open_note = f"open to whoever reaches {options.host}: the launcher knows no tokens ({source})"
            return Access(note="" if is_loopback(options.host) else open_note)
    if auth == "none":
        note = "" if is_loopback(options.host) else f"open to whoever reaches {options.host} ({source})"
        return Access(note=note)
    path = Path(options.token_file) if options.token_file is not None else status.token_path
    if path is not None and (options.token_file is not None or auth is not None or path.exists()):
        return Access(token=_read_token(path, may_be_shared=auth == "group"))
    if auth is not None:
        raise StartFailed(
            f"{source} was asked for, and there is no token file.", hint="name one with --token-file"
        )
    if is_loopback(options.host):
        return Access()
    raise StartFailed(
        f"Refused to listen on {options.host} without a token: whoever reaches this machine could read and write.",
        hint="give --token-file F with a token of at least 16 characters; or listen on 127.0.0.1; or, if everybody who "
        "reaches the port may do everything, say so: --auth none",
    )


def _read_token(path: Path, *, may_be_shared: bool) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise StartFailed(
                    f"The token file {path} is not a regular file.", hint="name a file with one line"
                )
            _check_mode(path, found.st_mode, may_be_shared=may_be_shared)
            token = file.read(_TOKEN_MAX + 2).strip()
    except OSError as exc:
        raise StartFailed(
            f"The token file {path} cannot be read: {exc.strerror}.",
            hint=f"make one: (umask 077; python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {path})",
        ) from exc
    if not _TOKEN_MIN <= len(token) <= _TOKEN_MAX or any(byte <= 32 or byte >= 127 for byte in token):
        raise StartFailed(
            f"The token in {path} is not one word of {_TOKEN_MIN} to {_TOKEN_MAX} printable ASCII characters.",
            hint=f"make one: (umask 077; python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > {path})",
        )
    return token


def _check_mode(path: Path, mode: int, *, may_be_shared: bool) -> None:
    open_to = mode & (0o037 if may_be_shared else 0o077)
    if open_to:
        wanted = "0640" if may_be_shared else "0600"
        more = "" if may_be_shared else ", or share it with its group: --auth group"
        raise StartFailed(
            f"The token file {path} has mode {stat.S_IMODE(mode):04o}: others may read or change the token.",
            hint=f"chmod {wanted} {path}{more}",
        )
