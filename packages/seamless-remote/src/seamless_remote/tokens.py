"""The token of a service: given as text, or kept in a file that may change while the client lives.

Invariant: the token is in no repr, message or log; it leaves this module only as a request header.
"""

from __future__ import annotations

import os

from .errors import ClientMisconfigured

__all__ = ("Token",)

MAX_TOKEN_BYTES = 4096


class Token:
    """A bearer token. text: the token itself. file: a path that holds it, read again when the server refuses.

    Neither: no token is sent. A file that cannot be read counts as no token: the server decides whether one is needed.
    Raises ClientMisconfigured for a token that cannot stand in a header.
    """

    __slots__ = ("_text", "file")

    def __init__(self, text: str | None = None, *, file: str | os.PathLike[str] | None = None) -> None:
        self.file = None if file is None else os.path.expanduser(os.fspath(file))
        self._text = None if text is None else _checked(text, "the token that was given")
        if self._text is None and self.file is not None:
            self._text = self._read()

    def header(self) -> bytes:
        """Return the header line, or nothing."""
        return b"" if self._text is None else b"Authorization: Bearer " + self._text.encode() + b"\r\n"

    def headers(self) -> dict[str, str]:
        """Return the header as a dictionary."""
        return {} if self._text is None else {"Authorization": f"Bearer {self._text}"}

    def refresh(self) -> bool:
        """Read the file again; True when the token is another one now."""
        if self.file is None:
            return False
        former, self._text = self._text, self._read()
        return self._text is not None and self._text != former

    def describe(self) -> str:
        """Say in words what is sent, without the token."""
        if self.file is not None:
            return (
                f"the token of {self.file} was sent"
                if self._text
                else f"no token could be read from {self.file}"
            )
        return "a token was sent" if self._text else "no token was sent"

    def __repr__(self) -> str:
        return f"<Token: {self.describe()}>"

    def __reduce__(self) -> tuple[object, ...]:
        if self.file is None and self._text is not None:
            raise TypeError("a token that was given as text is not handed on; use a token file")
        return (_from_file, (self.file,))

    def _read(self) -> str | None:
        assert self.file is not None
        try:
            with open(self.file, "rb") as file:
                content = file.read(MAX_TOKEN_BYTES + 1)
        except OSError:
            return None
        text = content.decode("latin-1").strip()
        return _checked(text, f"the content of {self.file}") if text else None


def _from_file(file: str | None) -> Token:
    return Token(file=file)


def _checked(text: str, what: str) -> str:
    if not text or len(text) > MAX_TOKEN_BYTES or any(not "!" <= letter <= "~" for letter in text):
        raise ClientMisconfigured(
            f"{what} cannot be a token: a token is one line of visible ASCII without blanks, at most "
            f"{MAX_TOKEN_BYTES} characters.",
            remedy="take the token file that belongs to the server, unchanged.",
        )
    return text
