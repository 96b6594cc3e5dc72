"""The name of a buffer: the SHA-256 of its bytes."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

__all__ = ("Checksum", "TemporaryReference", "is_checksum_text")

_LOWER_HEX = frozenset("0123456789abcdef")


def is_checksum_text(text: str) -> bool:
    """Return whether `text` is exactly 64 lower-case hexadecimal digits.

    This is the one rule by which a plain str counts as a checksum (in a pin, in a deep structure).
    """
    return len(text) == 64 and _LOWER_HEX.issuperset(text)


class Checksum:
    """SHA-256 of a buffer. Immutable, hashable, always truthy.

    Accepts a Checksum, 64 hexadecimal digits (any case, blanks between the bytes ignored) or 32 bytes.
    Raises TypeError for another type, ValueError for other text or another length.

    >>> Checksum("AA " * 32).hex() == "aa" * 32
    True
    """

    __slots__ = ("_digest", "_hex")
    _digest: bytes
    _hex: str | None

    def __init__(self, checksum: Checksum | str | bytes) -> None:
        self._hex = None
        if isinstance(checksum, Checksum):
            self._digest = checksum._digest
            self._hex = checksum._hex
        elif isinstance(checksum, str):
            self._digest = _parse_hex(checksum)
        elif isinstance(checksum, bytes):
            if len(checksum) != 32:
                raise ValueError(f"a checksum has 32 bytes, not {len(checksum)}")
            self._digest = checksum if type(checksum) is bytes else bytes(checksum)
        else:
            raise TypeError(
                f"a checksum is made from a Checksum, 64 hexadecimal digits or 32 bytes, "
                f"not from {type(checksum).__name__}"
            )

    @classmethod
    def _from_digest(cls, digest: bytes) -> Checksum:
        """Make a Checksum from 32 bytes that are known to be right; no check."""
        self = cls.__new__(cls)
        self._digest = digest
        self._hex = None
        return self

    # --- what it is ---

    def hex(self) -> str:
        """Return the 64 lower-case hexadecimal digits."""
        if self._hex is None:
            self._hex = self._digest.hex()
        return self._hex

    def bytes(self) -> bytes:
        """Return the 32 bytes."""
        return self._digest

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return repr(self.hex())

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        """Compare with a Checksum, hexadecimal text or 32 bytes.

        Malformed text or bytes: ValueError. None: TypeError, because it is nearly always a result that is
        missing. A bool compares truth; everything else is unequal.
        """
        if isinstance(other, Checksum):
            return self._digest == other._digest
        if isinstance(other, (str, bytes)):
            return self._digest == Checksum(other)._digest
        if other is None:
            raise TypeError("cannot compare a Checksum with None; write `is None`")
        if isinstance(other, bool):
            return other
        return False

    def __lt__(self, other: object) -> bool:
        return self._digest < _comparable(other)

    def __gt__(self, other: object) -> bool:
        return self._digest > _comparable(other)

    def __copy__(self) -> Checksum:
        return self

    def __deepcopy__(self, memo: object) -> Checksum:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Checksum._from_digest, (self._digest,)

    # --- files ---

    @classmethod
    def load(cls, filename: str | PathLike[str]) -> Checksum:
        """Read a checksum file; `.CHECKSUM` is added to the name when it is absent.

        Raises FileNotFoundError, or ValueError when the file holds something else.
        """
        path = _checksum_path(filename)
        with open(path, "rb") as file:
            content = file.read(1024)
        try:
            return cls(content.decode("ascii").strip())
        except ValueError as exc:
            raise ValueError(
                f"{path} does not hold a checksum (64 hexadecimal digits and a newline) but {content[:80]!r}"
            ) from exc

    def save(self, filename: str | PathLike[str]) -> None:
        """Write the checksum and a newline; `.CHECKSUM` is added to the name when it is absent."""
        from .parts import write_file

        write_file(_checksum_path(filename), (self.hex().encode() + b"\n",))

    # --- the buffer behind it ---

    def resolve(self, celltype: str | None = None) -> Any:
        """Return the Buffer, or its value with a celltype. Raises CacheMissError when nobody has it."""
        from . import resolution

        return resolution.resolve(self, celltype)

    async def resolution(self, celltype: str | None = None) -> Any:
        """Do as `resolve`, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.resolve, celltype)

    def fingertip_sync(self, celltype: str | None = None) -> Any:
        """Do as `resolve`; when nobody has the buffer, compute it again from a step that gave it."""
        from . import resolution

        return resolution.fingertip(self, celltype)

    async def fingertip(self, celltype: str | None = None) -> Any:
        """Do as `fingertip_sync`, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.fingertip_sync, celltype)

    def find(self) -> Any:
        """Not offered: see `resolve`."""
        raise NotImplementedError("Checksum.find() is not offered; use resolve() or fingertip_sync()")

    # --- keeping the buffer in memory ---

    def incref(self, scratch: bool = False) -> None:
        """Keep the buffer in memory until `decref`; scratch: never upload it."""
        from .buffer_cache import get_buffer_cache

        get_buffer_cache().incref(self._digest)
        if not scratch:
            self._offer()

    def decref(self) -> None:
        """Undo one `incref`."""
        from .buffer_cache import get_buffer_cache

        get_buffer_cache().decref(self._digest)

    def tempref(
        self,
        interest: float = 128.0,
        fade_factor: float = 2.0,
        fade_interval: float = 2.0,
        scratch: bool = False,
    ) -> TemporaryReference:
        """Keep the buffer in memory for a while: interest fades by `fade_factor` each `fade_interval` s.

        scratch: never upload it. `clear()` of the returned reference ends it early.
        """
        from .buffer_cache import get_buffer_cache

        get_buffer_cache().tempref(
            self._digest, interest=interest, fade_factor=fade_factor, fade_interval=fade_interval
        )
        if not scratch:
            self._offer()
        return TemporaryReference(self)

    def _offer(self) -> None:
        """Give the buffer, if it is in memory, to the active store, which uploads it in its own time."""
        from . import resolution
        from .buffer_cache import get_buffer_cache

        buffer = get_buffer_cache().get(self._digest)
        if buffer is not None:
            resolution.write_buffer(buffer)


class TemporaryReference:
    """What `tempref` returns: a hold on a buffer that fades by itself."""

    __slots__ = ("checksum",)

    def __init__(self, checksum: Checksum) -> None:
        self.checksum = checksum

    def clear(self) -> None:
        """Let go at once."""
        from .buffer_cache import get_buffer_cache

        get_buffer_cache().drop_tempref(self.checksum.bytes())


def _parse_hex(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise ValueError(f"a checksum has 64 hexadecimal digits, not {shown!r} ({len(text)} characters)")
    return digest


def _comparable(other: object) -> bytes:
    if isinstance(other, Checksum):
        return other._digest
    if isinstance(other, (str, bytes)):
        return Checksum(other)._digest
    raise NotImplementedError(f"cannot order a Checksum and {type(other).__name__}")


def _checksum_path(filename: str | PathLike[str]) -> str:
    path = os.fspath(filename)
    return path if path.endswith(".CHECKSUM") else path + ".CHECKSUM"
