"""Clients of servers that live in memory and fail on command: what the ports need of a client, without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from seamless import Buffer, Checksum
from seamless.errors import FileChanged, ResultConflict

from seamless_remote.errors import RequestFailed, ServiceUnreachable

__all__ = ("BufferServerInMemory", "DatabaseInMemory")


class BufferServerInMemory:
    """A client of a buffer server; `failing` makes what each request raises, or None."""

    url = "http://fake:1"

    def __init__(self) -> None:
        self.buffers: dict[bytes, bytes] = {}
        self.requests: list[tuple[str, int]] = []
        self.failing: Callable[[str], Exception | None] = lambda request: None
        self.gate: threading.Event | None = None
        self.entered = threading.Event()
        self.refused: set[bytes] = set()

    def _request(self, name: str, n_items: int) -> None:
        self.requests.append((name, n_items))
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        error = self.failing(name)
        if error is not None:
            raise error

    def fail(self, status: int | None = None) -> None:
        """Let every request fail: with this status, or as unreachable."""

        def make(request: str) -> Exception:
            if status is not None:
                return RequestFailed(f"answered {status}", status=status, service="hashserver", url=self.url)
            return ServiceUnreachable("connection refused", service="hashserver", url=self.url)

        self.failing = make

    def heal(self) -> None:
        self.failing = lambda request: None

    def get_many_sync(self, checksums: Sequence[Checksum]) -> list[Buffer | None]:
        self._request("get", len(checksums))
        contents = [self.buffers.get(checksum.bytes()) for checksum in checksums]
        return [None if content is None else Buffer(content) for content in contents]

    def has_many_sync(self, checksums: Sequence[Checksum]) -> list[bool]:
        self._request("has", len(checksums))
        return [checksum.bytes() in self.buffers for checksum in checksums]

    def length_many_sync(self, checksums: Sequence[Checksum]) -> list[int | None]:
        self._request("length", len(checksums))
        contents = [self.buffers.get(checksum.bytes()) for checksum in checksums]
        return [None if content is None else len(content) for content in contents]

    def write_many_sync(self, buffers: Sequence[Buffer]) -> None:
        self._request("write", len(buffers))
        for buffer in buffers:
            if buffer.get_checksum().bytes() in self.refused:
                raise RequestFailed("too large", status=413, service="hashserver", url=self.url)
        for buffer in buffers:
            self.buffers[buffer.get_checksum().bytes()] = buffer.content

    def write_file_sync(self, checksum: Checksum, path: str, form: str | None) -> None:
        self._request("file", 1)
        with open(path, "rb") as file:
            content = file.read()
        if form is not None:
            from seamless_store.compressed import decompressed
            from seamless_store.errors import CompressedStreamInvalid

            try:
                content = b"".join(decompressed("gz" if form == "gz" else "zst", [content], name=path))
            except CompressedStreamInvalid:
                content = b"no"
        if Buffer(content).get_checksum() != checksum:
            raise FileChanged(path, checksum, "The server says: Incorrect checksum")
        self.buffers[checksum.bytes()] = content

    def promise_sync(self, checksum: Checksum) -> None:
        self._request("promise", 1)


class DatabaseInMemory:
    """A client of a database server; `before_insert` is called when rows arrive."""

    url = "http://fake:2"

    def __init__(self) -> None:
        self.results: dict[Checksum, Checksum] = {}
        self.order: list[Checksum] = []
        self.records: dict[Checksum, dict[str, Any]] = {}
        self.inserts: list[int] = []
        self.lookups = 0
        self.before_insert: Callable[[Sequence[Any]], None] = lambda rows: None
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def get_transformation_result_sync(self, tf: Checksum) -> Checksum | None:
        self._check()
        self.lookups += 1
        return self.results.get(tf)

    def transformation_many_sync(self, tfs: Sequence[Checksum]) -> list[Checksum | None]:
        self._check()
        self.lookups += 1
        return [self.results.get(tf) for tf in tfs]

    def reverse_sync(self, result: Checksum) -> list[Checksum]:
        self._check()
        return [tf for tf in self.order if tf in self.results and self.results[tf] == result]

    def record_sync(self, tf: Checksum) -> dict[str, Any] | None:
        self._check()
        return self.records.get(tf)

    def insert_many_sync(
        self, rows: Sequence[tuple[Checksum, Checksum, dict[str, Any] | None]]
    ) -> list[Checksum]:
        self._check()
        self.before_insert(rows)
        self.inserts.append(len(rows))
        with self._lock:
            for tf, result, record in rows:
                if tf not in self.results:
                    self.results[tf] = result
                    self.order.append(tf)
                if record is not None and self.results[tf] == result:
                    self.records.setdefault(tf, record)
            return [self.results[tf] for tf, _, _ in rows]

    def contest_sync(self, tf: Checksum, result: Checksum) -> None:
        self._check()
        stored = self.results.get(tf)
        if stored is not None and stored != result:
            raise ResultConflict(f"the stored result of {tf} is {stored}")
        self.results.pop(tf, None)
        self.records.pop(tf, None)
