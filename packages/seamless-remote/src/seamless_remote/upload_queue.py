"""Upload buffers behind the caller's back: queued, deduplicated, in batches, bounded in memory, never forgotten.

`put` returns at once; a background thread sends what has queued up a moment later. `flush` sends on the caller's own
thread and returns when everything that was put before has been acknowledged. A batch that is cheap to send is sent as
it is; for a larger one the server is asked first what it lacks.

Invariant: a buffer leaves the queue only when every server has acknowledged it. What could not be sent is kept and
tried again: by the background thread after a pause, by each `flush` and by `close`, which raise UploadFailed. What is
left when the program ends is reported on standard error.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref

from seamless.errors import SeamlessError

from .errors import RequestFailed

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from typing import Protocol

    from seamless.buffer import Buffer
    from seamless.checksum import Checksum

    class _BufferWriter(Protocol):
        """What the queue needs of a client; `BufferClient` offers it."""

        url: str | None

        def has_many_sync(self, checksums: Sequence[Checksum]) -> list[bool]: ...

        def write_many_sync(self, buffers: Sequence[Buffer]) -> None: ...


__all__ = ("UploadFailed", "UploadQueue")

DELAY_S = 0.005  # how long the first of a batch waits for company
MAX_PENDING_BYTES = 256 * 1024 * 1024
MAX_PENDING_ITEMS = 10_000
BATCH_BYTES = 32 * 1024 * 1024  # the server takes 64 MiB at once
BATCH_ITEMS = 5_000  # the server takes 10,000
ASK_FROM_BYTES = 64 * 1024  # below, sending is as cheap as asking what is there
FIRST_PAUSE_S = 1.0  # before the background thread tries again what failed; doubles
LAST_PAUSE_S = 60.0
STALL_S = 30.0  # how long nothing may be acknowledged before close() gives up
SLOWEST_BYTES_PER_S = 1_000_000  # ... and how much longer for what is under way
SHOWN_CHECKSUMS = 3
_REFUSED = (400, 413)  # the server refuses something in the batch; the rest of it may be fine


class UploadFailed(SeamlessError):
    """Buffers could not be uploaded. They are kept in memory, and tried again with the next upload.

    n_buffers: how many. checksums: of the first ones. where: the addresses of the servers. cause: the first error.

    Remedy: remove the cause, which the message names (a server that is down, a full disk), then call `flush()` or
    run the step again.
    """

    def __init__(self, n_buffers: int, checksums: Sequence[Checksum], where: str, cause: str) -> None:
        shown = ", ".join(checksum.hex() for checksum in checksums[:SHOWN_CHECKSUMS])
        more = ", ..." if n_buffers > SHOWN_CHECKSUMS else ""
        super().__init__(
            f"{n_buffers} buffer{'s' * (n_buffers != 1)} ({shown}{more}) could not be uploaded to {where}; "
            f"{'they are' if n_buffers != 1 else 'it is'} kept in memory and tried again. Cause: {cause}"
        )
        self.n_buffers = n_buffers
        self.checksums = tuple(checksums[:SHOWN_CHECKSUMS])
        self.where = where
        self.cause = cause

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.n_buffers, self.checksums, self.where, self.cause))


class UploadQueue:
    """A queue before one or more servers, each of which gets every buffer; safe for many threads."""

    def __init__(
        self,
        writers: Iterable[_BufferWriter],
        *,
        delay_s: float = DELAY_S,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        max_pending_items: int = MAX_PENDING_ITEMS,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._writers = tuple(writers)
        self._delay_s = delay_s
        self._max_pending_bytes = max_pending_bytes
        self._max_pending_items = max_pending_items
        self._first_pause_s = first_pause_s
        self._reported = False  # close() has raised: the caller knows, and nothing is tried again at exit
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)  # a batch was sent, or failed
        self._sender = threading.Lock()  # who holds it sends; the others wait for it or go on
        self._queued: dict[bytes, Buffer] = {}
        self._sending: dict[bytes, Buffer] = {}
        self._pending_bytes = 0  # queued and sending
        self._n_acknowledged = 0
        self._n_failures = 0
        self._last_failure: UploadFailed | None = None
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def where(self) -> str:
        """The addresses of the servers."""
        return " and ".join(writer.url or "?" for writer in self._writers)

    # Putting

    def put(self, buffers: Iterable[Buffer]) -> None:
        """Queue the buffers. When too much is pending this sends some first; UploadFailed if that fails."""
        for buffer in buffers:
            digest = buffer.get_checksum().bytes()
            while not self._try_put(digest, buffer):
                failed = self._send_some()
                if failed:
                    raise self._failure(next(iter(failed.values())), failed)

    def _try_put(self, digest: bytes, buffer: Buffer) -> bool:
        size = len(buffer)
        with self._mutex:
            if digest in self._queued or digest in self._sending:
                return True
            n_pending = len(self._queued) + len(self._sending)
            if n_pending and (
                self._pending_bytes + size > self._max_pending_bytes or n_pending >= self._max_pending_items
            ):
                return False
            self._queued[digest] = buffer
            self._pending_bytes += size
            self._reported = False
            if self._thread is None:
                self._start_thread()
        if not self._work.is_set():
            self._work.set()
        return True

    def pending(self, digest: bytes) -> Buffer | None:
        """Return the buffer if it waits to be acknowledged."""
        buffer = self._queued.get(digest)
        if buffer is None:
            buffer = self._sending.get(digest)
            if buffer is None and self._queued:  # it may have been put back between the two looks
                buffer = self._queued.get(digest)
        return buffer

    # Sending

    def flush(self) -> None:
        """Return when everything that was put has been acknowledged; UploadFailed when that cannot be.

        What a server refuses does not keep back the rest.
        """
        with self._mutex:
            wanted = [*self._sending, *self._queued]
        failed: dict[bytes, Exception] = {}
        remaining = wanted
        while remaining:
            newly = self._send_some(failed)
            failed.update(newly)
            if not all(map(_is_refusal, newly.values())):
                break  # nobody answers: the rest would fail as well
            remaining = [digest for digest in self._still_pending(remaining) if digest not in failed]
        kept = self._still_pending(wanted) if failed else []
        if kept:
            cause = next((failed[digest] for digest in kept if digest in failed), None)
            raise self._failure(cause or next(iter(failed.values())), kept)

    def close(self, *, stall_s: float = STALL_S) -> None:
        """Flush and end the background thread. Idempotent.

        Raises UploadFailed, also when nothing is acknowledged for `stall_s`; what is left can be flushed again.
        """
        try:
            self._flush_in_background(stall_s)
        except UploadFailed:
            self._reported = True
            raise
        with self._mutex:
            thread, self._thread = self._thread, None
        self._work.set()
        self._hurry.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._delay_s + 1.0)

    def _flush_in_background(self, stall_s: float) -> None:
        """Do as `flush`, but leave a server that hangs to the background thread: the program wants to end."""
        with self._changed:
            thread, n_failures = self._thread, self._n_failures
            if not (self._queued or self._sending):
                return
            if thread is not None and thread.is_alive():
                self._hurry.set()
                self._work.set()
                n_acknowledged, deadline_s = -1, 0.0
                while self._queued or self._sending:
                    if self._n_failures != n_failures and self._last_failure is not None:
                        raise self._last_failure
                    if self._n_acknowledged != n_acknowledged:
                        n_acknowledged = self._n_acknowledged
                        in_flight_s = self._pending_bytes / SLOWEST_BYTES_PER_S
                        deadline_s = time.monotonic() + stall_s + in_flight_s
                    if time.monotonic() >= deadline_s:
                        error = TimeoutError(f"nothing was acknowledged for {stall_s:g} s")
                        raise self._failure(error, [*self._sending, *self._queued])
                    self._changed.wait(max(0.0, deadline_s - time.monotonic()))
                return
        self.flush()

    def _send_some(self, skipped: Container[bytes] = ()) -> dict[bytes, Exception]:
        """Send one batch, after whatever another thread is sending; return what failed, which is kept."""
        with self._sender:
            batch = self._take(skipped)
            failed: dict[bytes, Exception] | None = None
            try:
                failed = self._send(batch) if batch else {}
            finally:  # interrupted: nothing of it counts as sent
                self._settle(batch, batch if failed is None else failed)
        return failed

    def _take(self, skipped: Container[bytes]) -> dict[bytes, Buffer]:
        batch: dict[bytes, Buffer] = {}
        size = 0
        with self._mutex:
            for digest, buffer in self._queued.items():
                if digest in skipped:
                    continue
                if batch and (size + len(buffer) > BATCH_BYTES or len(batch) >= BATCH_ITEMS):
                    break
                batch[digest] = buffer
                size += len(buffer)
            self._sending = batch
            for digest in batch:
                del self._queued[digest]
        return batch

    def _settle(self, batch: dict[bytes, Buffer], failed: Iterable[bytes]) -> None:
        kept = {digest: batch[digest] for digest in failed}
        with self._changed:
            if kept:
                self._queued = {**kept, **self._queued}
            self._sending = {}
            for digest, buffer in batch.items():
                if digest not in kept:
                    self._pending_bytes -= len(buffer)
                    self._n_acknowledged += 1
            self._changed.notify_all()

    def _still_pending(self, digests: Iterable[bytes]) -> list[bytes]:
        with self._mutex:
            return [digest for digest in digests if digest in self._queued or digest in self._sending]

    def _send(self, batch: dict[bytes, Buffer]) -> dict[bytes, Exception]:
        """Give the batch to every server; return what failed, and why."""
        failed: dict[bytes, Exception] = {}
        for writer in self._writers:
            try:
                _upload(writer, list(batch.values()))
            except Exception as exc:  # raised by whoever flushes
                if _is_refusal(exc) and len(batch) > 1:
                    failed.update(_upload_singly(writer, batch))
                else:
                    failed.update(dict.fromkeys(batch, exc))
        return failed

    def _failure(self, cause: Exception, digests: Iterable[bytes]) -> UploadFailed:
        from seamless.checksum import Checksum

        checksums = [Checksum(digest) for digest in digests]
        error = UploadFailed(len(checksums), checksums, self.where, str(cause) or type(cause).__name__)
        error.__cause__ = cause
        return error

    # The background thread

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="seamless-upload", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends: flush() sends
            self._thread = None

    def _run(self) -> None:
        me = threading.current_thread()
        pause_s = self._delay_s
        while True:
            self._work.wait()
            self._hurry.wait(pause_s)
            with self._mutex:
                if self._thread is not me:
                    return
                self._hurry.clear()
                if not self._queued:
                    self._work.clear()
                    pause_s = self._delay_s
                    continue
            try:
                self.flush()
                pause_s = self._delay_s
            except UploadFailed as exc:
                pause_s = self._first_pause_s if pause_s <= self._delay_s else min(2 * pause_s, LAST_PAUSE_S)
                _warn(f"{exc} Next try in {pause_s:g} s.")
                with self._changed:
                    self._last_failure = exc
                    self._n_failures += 1
                    self._changed.notify_all()

    # The end of the program

    def end(self) -> None:
        """Close; report on standard error what could not be uploaded. Called when the interpreter ends."""
        cause = ""
        if not self._reported:
            try:
                self.close()
            except UploadFailed as exc:
                cause = f" Cause: {exc.cause}"
        lost = [*self._sending, *self._queued]
        if lost:
            shown = ", ".join(digest.hex() for digest in lost[:SHOWN_CHECKSUMS])
            print(
                f"seamless: {len(lost)} buffers ({shown}{', ...' if len(lost) > SHOWN_CHECKSUMS else ''}) were never "
                f"uploaded to {self.where}; they are lost with this process.{cause}",
                file=sys.stderr,
            )


def _warn(text: str) -> None:
    import logging  # costs a command 5 ms

    logging.getLogger(__name__).warning("%s", text)


def _upload(writer: _BufferWriter, buffers: list[Buffer]) -> None:
    if sum(map(len, buffers)) > ASK_FROM_BYTES:
        present = writer.has_many_sync([buffer.get_checksum() for buffer in buffers])
        buffers = [buffer for buffer, is_there in zip(buffers, present, strict=True) if not is_there]
    if buffers:
        writer.write_many_sync(buffers)


def _upload_singly(writer: _BufferWriter, batch: dict[bytes, Buffer]) -> dict[bytes, Exception]:
    failed: dict[bytes, Exception] = {}
    broken: Exception | None = None
    for digest, buffer in batch.items():
        if broken is None:
            try:
                _upload(writer, [buffer])
            except Exception as exc:  # kept, and raised by whoever flushes
                failed[digest] = exc
                broken = None if _is_refusal(exc) else exc
        else:
            failed[digest] = broken
    return failed


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, RequestFailed) and error.status in _REFUSED


_live: weakref.WeakSet[UploadQueue] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """Forget the queues: they are the parent's, which sends them."""
    for queue in list(_live):
        queue._reset()


def _at_exit() -> None:
    for queue in list(_live):
        queue.end()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
