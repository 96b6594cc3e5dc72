"""The name of a buffer: the SHA-256 of its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .buffer import Buffer

__all__ = ("Checksum",)


class Checksum:
    """SHA-256 of a buffer. Immutable, hashable, always truthy.

    Accepts a Checksum, 64 hexadecimal digits (any case, blanks ignored) or 32 bytes.
    """

    __slots__ = ("_digest", "_hex")
    _digest: bytes
    _hex: str | None

    def __init__(self, checksum: Checksum | str | bytes) -> None:
        self._hex = None
        if isinstance(checksum, Checksum):
            self._digest = checksum._digest
            self._hex = checksum._hex
        elif isinstance(checksum, bytes):
            if len(checksum) != 32:
                raise ValueError(f"a checksum has 32 bytes, not {len(checksum)}")
            self._digest = checksum
        elif isinstance(checksum, str):
            self._digest = bytes.fromhex(checksum)
            if len(self._digest) != 32:
                raise ValueError(f"a checksum has 64 hexadecimal digits, not {len(checksum)}: {checksum!r}")
        else:
            raise TypeError(f"a checksum is 64 hexadecimal digits or 32 bytes, not {type(checksum).__name__}")

    def hex(self) -> str:
        if self._hex is None:
            self._hex = self._digest.hex()
        return self._hex

    def bytes(self) -> bytes:
        return self._digest

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return repr(self.hex())

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Checksum):
            return self._digest == other._digest
        return NotImplemented

    def resolve(self, celltype: str | None = None) -> Buffer | Any:
        raise NotImplementedError
