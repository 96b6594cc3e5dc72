"""The token of a service: one word in `KEY.token` beside its state, mode 0600. A group shares it in group_tokens.py.

It is never printed but by a helper that was asked for it; what helpers print of logs is passed through a Redactor.
"""

from __future__ import annotations

import os
import stat

from .errors import TokenUnusable

__all__ = ("Redactor", "make_token", "read_token", "remove_token", "token_path")

N_RANDOM_BYTES = 32
N_CHARACTERS_MIN = 16
N_CHARACTERS_MAX = 4096
REDACTED = b"[token]"


def token_path(state_path: str) -> str:
    """Return where the token of the service with this state file lies."""
    return state_path.removesuffix(".json") + ".token"


def make_token(path: str) -> str:
    """Write a new token into the file, whole, over any other, and return it."""
    token = os.urandom(N_RANDOM_BYTES).hex()
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(descriptor, f"{token}\n".encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        remove_token(temporary)
        raise
    return token


def read_token(path: str) -> str | None:
    """Return the token, None if there is no file. Raises TokenUnusable if others may read it, or it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise TokenUnusable(f"cannot read the token {path}: {exc.strerror}") from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o037:
            raise TokenUnusable(
                f"{path} is no private file (mode {stat.S_IMODE(found.st_mode):o}); others may know the token",
                hint=f"rm {path}, and launch the service again",
            )
        content = os.read(descriptor, N_CHARACTERS_MAX + 2)
    finally:
        os.close(descriptor)
    word = content.removesuffix(b"\n")
    if not N_CHARACTERS_MIN <= len(word) <= N_CHARACTERS_MAX or any(not 32 < byte < 127 for byte in word):
        raise TokenUnusable(f"{path} holds no token", hint=f"rm {path}, and launch the service again")
    return word.decode("ascii")


def remove_token(path: str) -> None:
    """Remove the file, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class Redactor:
    """Replaces a token in a stream of bytes, also where it is cut between two pieces. token: None replaces nothing."""

    __slots__ = ("_held", "_token")

    def __init__(self, token: str | None) -> None:
        self._token = (token or "").encode("ascii")
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what can be shown; what may be the beginning of the token is held back."""
        if not self._token:
            return piece
        text = (self._held + piece).replace(self._token, REDACTED)
        n_held = next(
            (
                n
                for n in range(min(len(text), len(self._token) - 1), 0, -1)
                if self._token.startswith(text[-n:])
            ),
            0,
        )
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def rest(self) -> bytes:
        """Return what was held back, at the end of the stream."""
        held, self._held = self._held, b""
        return held
