"""Buffers in the memory of this process, within limits.

Weak part: any buffer whose checksum was computed is found while somebody holds it.
Strong part: buffers that were used lately, least recently used first out, and buffers that are
referenced (`incref`, `tempref`), which stay until the hard limit.

Limits, in bytes of content:
- soft (default: 5 GiB, at most a quarter of the machine's memory): above it, buffers that nobody
  references are dropped, large ones before small ones;
- hard (default: 50 GiB, at most half of the machine's memory): above it, referenced buffers that a store
  holds are dropped too, and if that is not enough the new buffer is refused with BufferCacheFull.
Set them with `SEAMLESS_MEMORY_SOFT_LIMIT` and `SEAMLESS_MEMORY_HARD_LIMIT` (bytes, or with a suffix K, M, G, T)
or `get_buffer_cache().set_limits(...)`.

Invariant: a key always maps to a buffer that hashes to it, because only buffers that computed or verified
their checksum are registered, and the content of a buffer never changes.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import SeamlessError

if TYPE_CHECKING:
    from .buffer import Buffer

__all__ = ("BufferCache", "BufferCacheFull", "get_buffer_cache", "parse_size")

GIB = 1 << 30
SOFT_LIMIT_VARIABLE = "SEAMLESS_MEMORY_SOFT_LIMIT"
HARD_LIMIT_VARIABLE = "SEAMLESS_MEMORY_HARD_LIMIT"
SOFT_LIMIT_BYTES = 5 * GIB
HARD_LIMIT_BYTES = 50 * GIB
LARGE_BYTES = 64 * 1024  # buffers above this are dropped first: code and transformation texts survive longer
INTEREST_FLOOR = 1 / 128  # a tempref whose interest has faded below this no longer holds its buffer
_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class BufferCacheFull(SeamlessError, MemoryError):
    """The hard memory limit is reached and nothing that is held may be dropped.

    Remedy: raise the limit (`SEAMLESS_MEMORY_HARD_LIMIT`), drop references (`Checksum.decref`), or configure a
    store (`SEAMLESS_CACHE=DIR`) so that buffers can be read back.
    """


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "512M", "1.5G" or "1000000". Raises ValueError."""
    stripped = text.strip().upper().removesuffix("IB").removesuffix("B")
    suffix = stripped[-1:] if stripped[-1:] in "KMGT" else ""
    try:
        size = float(stripped.removesuffix(suffix)) * _SUFFIXES[suffix]
        if not 0 < size < float("inf"):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is no size: expected a positive number of bytes, optionally followed by K, M, G or T"
        ) from None
    return int(size)


@dataclass(slots=True)
class _TempRef:
    interest: float
    fade_factor: float
    fade_interval: float
    refreshed_at: float

    def current_interest(self, now: float) -> float:
        return float(self.interest / self.fade_factor ** ((now - self.refreshed_at) / self.fade_interval))


class BufferCache:
    """Thread-safe map from digest to Buffer with limits. See the module docstring."""

    def __init__(
        self,
        *,
        soft_bytes: int | None = None,
        hard_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._weak: weakref.WeakValueDictionary[bytes, Buffer] = weakref.WeakValueDictionary()
        self._small: OrderedDict[bytes, Buffer] = OrderedDict()
        self._large: OrderedDict[bytes, Buffer] = OrderedDict()
        self._referenced: dict[bytes, Buffer] = {}
        self._size_bytes = 0  # of the three strong maps together
        self._refs: dict[bytes, int] = {}
        self._temprefs: dict[bytes, _TempRef] = {}
        self._is_stored: Callable[[bytes], bool] = lambda digest: False
        memory = _physical_memory_bytes()
        self._soft = soft_bytes if soft_bytes is not None else min(SOFT_LIMIT_BYTES, memory // 4)
        self._hard = hard_bytes if hard_bytes is not None else min(HARD_LIMIT_BYTES, memory // 2)
        self._check_limits(self._soft, self._hard)

    # limits

    @property
    def soft_limit_bytes(self) -> int:
        return self._soft

    @property
    def hard_limit_bytes(self) -> int:
        return self._hard

    @property
    def size_bytes(self) -> int:
        """Content bytes that the cache itself keeps alive."""
        return self._size_bytes

    def set_limits(self, *, soft_bytes: int | None = None, hard_bytes: int | None = None) -> None:
        """Set one or both limits and drop at once what exceeds them.

        Raises ValueError, or BufferCacheFull when referenced buffers do not fit; then the limits stay as they were.
        """
        soft = self._soft if soft_bytes is None else soft_bytes
        hard = self._hard if hard_bytes is None else hard_bytes
        self._check_limits(soft, hard)
        with self._lock:
            former = self._soft, self._hard
            self._soft, self._hard = soft, hard
            try:
                self._evict(0)
            except BufferCacheFull:
                self._soft, self._hard = former
                raise

    @staticmethod
    def _check_limits(soft: int, hard: int) -> None:
        for name, value in (("soft", soft), ("hard", hard)):
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise ValueError(f"the {name} memory limit is a positive number of bytes, not {value!r}")
        if soft > hard:
            raise ValueError(f"the soft memory limit ({soft} bytes) is above the hard one ({hard} bytes)")

    def set_stored_check(self, is_stored: Callable[[bytes], bool]) -> None:
        """Say how to learn that a store holds a buffer, so that it may be dropped under the hard limit."""
        self._is_stored = is_stored

    # look-up

    def get(self, digest: bytes) -> Buffer | None:
        with self._lock:
            buffer = self._small.get(digest)
            if buffer is not None:
                self._small.move_to_end(digest)
                return buffer
            buffer = self._large.get(digest)
            if buffer is not None:
                self._large.move_to_end(digest)
                return buffer
            buffer = self._referenced.get(digest)
            return self._weak.get(digest) if buffer is None else buffer

    def register(self, digest: bytes, buffer: Buffer) -> None:
        """Make the buffer findable while somebody holds it; adopt it if the digest is referenced."""
        with self._lock:
            if digest not in self._refs and digest not in self._temprefs:
                self._weak[digest] = buffer
                return
        self.add(digest, buffer)

    def add(self, digest: bytes, buffer: Buffer) -> None:
        """Keep the buffer as recently used, or as referenced if it is. Raises BufferCacheFull."""
        size = len(buffer)
        with self._lock:
            if digest in self._small or digest in self._large or digest in self._referenced:
                return
            if digest in self._refs or digest in self._temprefs:
                if not self._make_room(digest, buffer):
                    return
                self._referenced[digest] = buffer
            else:
                if size > self._soft:  # would push out everything else and still not fit
                    self._weak[digest] = buffer
                    return
                (self._large if size > LARGE_BYTES else self._small)[digest] = buffer
            self._size_bytes += size
            if self._size_bytes > self._soft:
                self._evict(0)

    # references

    def incref(self, digest: bytes, buffer: Buffer | None = None) -> None:
        """Hold the buffer, now or from when it is registered, until as many `decref`.

        Raises BufferCacheFull; then it is not referenced.
        """
        with self._lock:
            count = self._refs.get(digest, 0)
            self._refs[digest] = count + 1
            try:
                self._promote(digest, buffer)
            except BufferCacheFull:
                if count:
                    self._refs[digest] = count
                else:
                    del self._refs[digest]
                raise

    def decref(self, digest: bytes) -> None:
        """Undo one `incref`; without effect when there is none."""
        with self._lock:
            count = self._refs.get(digest, 0)
            if count > 1:
                self._refs[digest] = count - 1
            elif count == 1:
                del self._refs[digest]
                self._demote(digest)

    def tempref(
        self,
        digest: bytes,
        buffer: Buffer | None = None,
        *,
        interest: float = 128.0,
        fade_factor: float = 2.0,
        fade_interval: float = 2.0,
    ) -> None:
        """Hold the buffer for a while: its interest divides by `fade_factor` every `fade_interval` seconds.

        A second tempref refreshes the first and only raises its parameters. Raises BufferCacheFull; then it is not
        held.
        """
        if interest < 0 or fade_factor <= 1 or fade_interval <= 0:
            raise ValueError(
                f"a tempref needs interest >= 0, fade_factor > 1 and fade_interval > 0, not {interest!r}, "
                f"{fade_factor!r}, {fade_interval!r}"
            )
        with self._lock:
            ref = self._temprefs.get(digest)
            now = self._clock()
            if ref is None:
                self._temprefs[digest] = _TempRef(interest, fade_factor, fade_interval, now)
            else:
                ref.interest = max(ref.interest, interest)
                ref.fade_factor = max(ref.fade_factor, fade_factor)
                ref.fade_interval = max(ref.fade_interval, fade_interval)
                ref.refreshed_at = now
            try:
                self._promote(digest, buffer)
            except BufferCacheFull:
                if ref is None:
                    self._temprefs.pop(digest, None)
                raise

    def drop_tempref(self, digest: bytes) -> None:
        with self._lock:
            if self._temprefs.pop(digest, None) is not None:
                self._demote(digest)

    def refcount(self, digest: bytes) -> int:
        """Return the number of references, a tempref counting one."""
        with self._lock:
            return self._refs.get(digest, 0) + (digest in self._temprefs)

    # internals, lock held

    def _promote(self, digest: bytes, buffer: Buffer | None) -> None:
        if digest in self._referenced:
            return
        held = self._small.pop(digest, None)
        if held is None:
            held = self._large.pop(digest, None)
        if held is None:
            held = buffer if buffer is not None else self._weak.get(digest)
            if held is None or not self._make_room(digest, held):
                return
            if digest not in self._refs and digest not in self._temprefs:  # a tempref that had faded already
                self._weak[digest] = held
                return
            self._size_bytes += len(held)
        self._referenced[digest] = held
        if self._size_bytes > self._soft:
            self._evict(0)

    def _make_room(self, digest: bytes, buffer: Buffer) -> bool:
        """Make room for a referenced buffer. False: there is none, and it can be read again. Else raises."""
        if self._size_bytes + len(buffer) > self._soft:
            try:
                self._evict(len(buffer))
            except BufferCacheFull:
                if not self._is_stored(digest):
                    raise
                self._weak[digest] = buffer
                return False
        return True

    def _demote(self, digest: bytes) -> None:
        if digest in self._refs or digest in self._temprefs:
            return
        buffer = self._referenced.pop(digest, None)
        if buffer is not None:
            (self._large if len(buffer) > LARGE_BYTES else self._small)[digest] = buffer
            if self._size_bytes > self._soft:
                self._evict(0)

    def _evict(self, incoming_bytes: int) -> None:
        """Get below the soft limit if that is possible, and below the hard one or raise."""
        for recent in (self._large, self._small):
            while recent and self._size_bytes + incoming_bytes > self._soft:
                self._drop(recent, next(iter(recent)))
        if self._size_bytes + incoming_bytes <= self._soft:
            return
        now = self._clock()
        for digest, ref in list(self._temprefs.items()):
            if ref.current_interest(now) < INTEREST_FLOOR:
                del self._temprefs[digest]
                if digest in self._referenced and digest not in self._refs:
                    self._drop(self._referenced, digest)
        if self._size_bytes + incoming_bytes <= self._hard:
            return
        for digest in list(self._referenced):
            if self._is_stored(digest):
                self._drop(self._referenced, digest)
                if self._size_bytes + incoming_bytes <= self._hard:
                    return
        raise BufferCacheFull(
            f"buffers of {self._size_bytes + incoming_bytes} bytes would be held in memory, above the hard limit of "
            f"{self._hard} bytes, and none may be dropped: all are referenced and no store holds them. Raise "
            "SEAMLESS_MEMORY_HARD_LIMIT, drop references, or configure a store (SEAMLESS_CACHE=DIR)."
        )

    def _drop(self, strong: dict[bytes, Buffer], digest: bytes) -> None:
        buffer = strong.pop(digest)
        self._size_bytes -= len(buffer)
        self._weak[digest] = buffer


def _physical_memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # a platform that cannot tell: keep the documented defaults
        return 4 * HARD_LIMIT_BYTES


_cache: BufferCache | None = None
_cache_lock = threading.Lock()


def get_buffer_cache() -> BufferCache:
    """Return the one buffer cache of this process."""
    global _cache
    cache = _cache
    if cache is None:
        with _cache_lock:
            cache = _cache
            if cache is None:
                soft = _limit_from_environment(SOFT_LIMIT_VARIABLE)
                hard = _limit_from_environment(HARD_LIMIT_VARIABLE)
                if hard is not None and soft is None:
                    soft = min(SOFT_LIMIT_BYTES, hard)
                cache = _cache = BufferCache(soft_bytes=soft, hard_bytes=hard)
    return cache


def _limit_from_environment(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        return parse_size(text)
    except ValueError as exc:
        raise ValueError(f"{variable}: {exc}") from None
