"""Buffer: bytes with a checksum. Immutable, and never aliasing memory that its maker can still change."""

from __future__ import annotations

from .checksum import Checksum
from .parts import (
    Part,
    Parts,
    digest_of_parts,
    join_parts,
    length_of_parts,
    snapshot_parts,
    write_file,
)

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

    from .checksum import TemporaryReference

__all__ = ("Buffer",)

CONTENT_CACHE_BYTES = 1 << 20  # joined content up to this size is kept; larger would double the memory


class Buffer:
    """The bytes of a value, and their checksum, computed once when asked for.

    Buffer(content): content is bytes or another Buffer.
    Buffer(value, celltype): the value is written as `celltype` says.
    checksum: what the content must hash to; ValueError if it does not.

    A large array is copied once, so that changing it afterwards does not change the buffer; not at all
    when its whole `.base` chain is read-only.
    """

    __slots__ = ("__weakref__", "_checksum", "_content", "_length", "_parts")
    _parts: Parts
    _length: int
    _content: bytes | None
    _checksum: Checksum | None

    def __init__(
        self,
        value: Any,
        celltype: str | None = None,
        *,
        checksum: Checksum | str | bytes | None = None,
    ) -> None:
        if isinstance(value, Checksum):
            raise TypeError(
                f"cannot make a Buffer from the Checksum {value.hex()}; to get the buffer behind it, "
                "write checksum.resolve()"
            )
        if celltype is not None:
            from .serialize import serialize_parts

            parts, aliases = serialize_parts(value, celltype)
            self._set_parts(snapshot_parts(parts) if aliases else parts)
        elif isinstance(value, Buffer):
            self._set_parts(value._parts)
            self._content = value._content
        elif isinstance(value, bytes):
            self._set_parts((value if type(value) is bytes else bytes(value),))
        else:
            raise TypeError(
                f"cannot make a Buffer from a {type(value).__name__} without a celltype; give bytes, or a "
                "celltype as second argument, for example Buffer(value, 'mixed')"
            )
        self._checksum = None
        if checksum is not None:
            expected = Checksum(checksum)
            if self.get_checksum() != expected:
                raise ValueError(
                    f"the content of {self._length} bytes has checksum {self._checksum}, not {expected} as given; "
                    "give the checksum of this very content, or none"
                )

    @classmethod
    def _from_parts(cls, parts: Parts, checksum: Checksum | None = None) -> Buffer:
        """Make a Buffer of parts that nobody will change; the checksum is trusted."""
        self = cls.__new__(cls)
        self._set_parts(parts)
        self._checksum = checksum
        return self

    def _set_parts(self, parts: Parts) -> None:
        self._parts = parts
        self._length = length_of_parts(parts)
        self._content = parts[0] if len(parts) == 1 and type(parts[0]) is bytes else None

    # --- content ---

    @property
    def parts(self) -> Parts:
        """The content as bytes and read-only contiguous memoryviews of bytes; nothing is copied."""
        return self._parts

    @property
    def content(self) -> bytes:
        """The content as bytes. Costs a copy when the buffer is held in several parts or in a memoryview."""
        if self._content is not None:
            return self._content
        content = join_parts(self._parts)
        if len(content) <= CONTENT_CACHE_BYTES:
            self._content = content
        return content

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True

    def __bytes__(self) -> bytes:
        return self.content

    def decode(self) -> str:
        """Return the content decoded as UTF-8."""
        return self.content.decode()

    def __repr__(self) -> str:
        name = "" if self._checksum is None else f" {self._checksum.hex()}"
        return f"<Buffer{name}, {self._length} bytes>"

    # --- identity ---

    @property
    def checksum(self) -> Checksum:
        """The checksum, if it has been computed; AttributeError if not (then call `get_checksum`)."""
        if self._checksum is None:
            raise AttributeError("the checksum of this Buffer has not been computed; call get_checksum()")
        return self._checksum

    def get_checksum(self) -> Checksum:
        """Return the checksum; the first call computes it and makes the buffer resolvable while it lives."""
        if self._checksum is None:
            from .buffer_cache import get_buffer_cache

            digest = digest_of_parts(self._parts)
            self._checksum = Checksum._from_digest(digest)
            get_buffer_cache().register(digest, self)
        return self._checksum

    async def get_checksum_async(self) -> Checksum:
        """Do as `get_checksum`, without blocking the event loop."""
        if self._checksum is None:
            import asyncio

            return await asyncio.to_thread(self.get_checksum)
        return self._checksum

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Buffer):
            return NotImplemented
        if self is other:
            return True
        return self._length == other._length and self.get_checksum() == other.get_checksum()

    def __hash__(self) -> int:
        return hash(self.get_checksum())

    def __copy__(self) -> Buffer:
        return self

    def __deepcopy__(self, memo: object) -> Buffer:
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        parts: tuple[Any, ...]
        if protocol >= 5 and self._content is None:
            import pickle

            parts = tuple(part if type(part) is bytes else pickle.PickleBuffer(part) for part in self._parts)
        else:
            parts = (self.content,)
        return _unpickle, (parts, self._checksum)

    # --- value ---

    def get_value(self, celltype: str) -> Any:
        """Return the value, read as `celltype` says; a fresh one each time (arrays: a read-only view)."""
        from .deserialize import deserialize

        return deserialize(self, celltype)

    async def get_value_async(self, celltype: str) -> Any:
        """Do as `get_value`, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.get_value, celltype)

    @classmethod
    async def from_async(
        cls,
        value: Any,
        celltype: str | None = None,
        *,
        checksum: Checksum | str | bytes | None = None,
    ) -> Buffer:
        """Do as `Buffer(...)`, without blocking the event loop. Do not change `value` meanwhile."""
        import asyncio

        return await asyncio.to_thread(lambda: cls(value, celltype, checksum=checksum))

    # --- files and stores ---

    @classmethod
    def load(cls, filename: str | PathLike[str]) -> Buffer:
        """Return the content of a file as it is."""
        with open(filename, "rb") as file:
            return cls(file.read())

    def save(self, filename: str | PathLike[str]) -> None:
        """Write the content to a file, which is whole or absent at any moment."""
        write_file(filename, self._parts)

    async def write(self) -> bool:
        """Upload to the active store; True on success, False when there is none."""
        import asyncio

        from . import resolution

        return bool(await asyncio.to_thread(resolution.write_buffer, self))

    # --- keeping it in memory ---

    def incref(self, scratch: bool = False) -> None:
        """Keep the buffer in memory until `decref`; scratch: never upload it."""
        from .buffer_cache import get_buffer_cache

        get_buffer_cache().incref(self.get_checksum().bytes(), self)
        if not scratch:
            self._offer()

    def decref(self) -> None:
        """Undo one `incref`."""
        self.get_checksum().decref()

    def tempref(
        self,
        interest: float = 128.0,
        fade_factor: float = 2.0,
        fade_interval: float = 2.0,
        scratch: bool = False,
    ) -> TemporaryReference:
        """Keep the buffer in memory for a while: see `Checksum.tempref`."""
        checksum = self.get_checksum()
        reference = checksum.tempref(interest, fade_factor, fade_interval, scratch=True)
        if not scratch:
            self._offer()
        return reference

    def _offer(self) -> None:
        """Give the buffer to the active store, which uploads it in its own time."""
        from . import resolution

        resolution.write_buffer(self)


def _unpickle(parts: tuple[Any, ...], checksum: Checksum | None) -> Buffer:
    read: list[Part] = []
    for part in parts:
        if type(part) is bytes:
            read.append(part)
        else:
            view = memoryview(part)
            read.append(view.cast("B") if view.readonly else bytes(view))
    return Buffer._from_parts(tuple(read), checksum)
