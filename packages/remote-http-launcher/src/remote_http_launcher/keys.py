"""The name of a service on its host: it is also the stem of its files."""

from __future__ import annotations

from .errors import KeyInvalid

__all__ = ("check_key", "is_key")

N_CHARACTERS_MAX = 200  # a file name has 255 bytes, and suffixes follow
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_key(text: str) -> bool:
    """Whether the text may be a key."""
    return 0 < len(text) <= N_CHARACTERS_MAX and _CHARACTERS.issuperset(text)


def check_key(text: str) -> str:
    """Return the key as it is. Raises KeyInvalid."""
    if not is_key(text):
        raise KeyInvalid(
            f"invalid key {text[: N_CHARACTERS_MAX + 1]!r} (only letters, digits, . _ - allowed)", key=text
        )
    return text
