"""The client of seamless-database: one endpoint, JSON requests; GET reads, PUT writes.

Each coroutine of the public interface has a synchronous twin `..._sync`, which imports neither asyncio nor aiohttp.
Reads are bounded by SEAMLESS_DATABASE_MAX_INFLIGHT. Every request may be repeated: the writes are idempotent.
A checksum that a server returns is checked to be one; anything else is AnswerDamaged.
"""

from __future__ import annotations

import threading

from seamless.checksum import Checksum, is_checksum_text

from .background import run_blocking
from .bulk import call_each
from .client import Client
from .errors import AnswerDamaged, CapabilityMissing, RequestFailed
from .http_message import PartsBody
from .timeouts import debug_database, max_inflight

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .light_http import Response

__all__ = ("DatabaseClient",)

MANY = 10_000
ANSWER_LIMIT_BYTES = 256 * 1024 * 1024
LINE_LIMIT_BYTES = 64 * 1024
_DIFFERENT_RECORD = "already exists with different metadata"


class DatabaseClient(Client):
    """Results of transformations behind a seamless-database server. Set `url` before the first use."""

    service = "database"
    identities = ("database", "seamless-database")

    def __init__(self, readonly: bool) -> None:
        super().__init__(readonly)
        self._max_inflight = max_inflight()
        self._reads: threading.BoundedSemaphore | None = None
        self._after_fork()

    def _after_fork(self) -> None:
        super()._after_fork()
        if self._max_inflight is not None:
            self._reads = threading.BoundedSemaphore(self._max_inflight)

    # --- the interface of coroutines ---

    async def get_transformation_result(self, tf_checksum: Checksum | str) -> Checksum | None:
        """Return the result of a transformation, or None."""
        return await run_blocking(self.get_transformation_result_sync, tf_checksum)

    async def get_rev_transformations(self, result_checksum: Checksum | str) -> list[Checksum] | None:
        """Return the transformations with this result, or None."""
        return await run_blocking(self.get_rev_transformations_sync, result_checksum)

    async def get_execution_record(self, tf_checksum: Checksum | str) -> dict[str, Any] | None:
        """Return the execution record of a transformation, or None."""
        return await run_blocking(self.record_sync, tf_checksum)

    async def get_bucket_probe(self, bucket_kind: str, label: str) -> dict[str, Any] | None:
        """Return the current probe of a bucket, or None."""
        return await run_blocking(self.get_bucket_probe_sync, bucket_kind, label)

    async def get_irreproducible_records(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str | None = None
    ) -> list[dict[str, Any]] | None:
        """Return the contested results of a transformation, or None."""
        return await run_blocking(self.get_irreproducible_records_sync, tf_checksum, result_checksum)

    async def set_transformation_result(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str
    ) -> None:
        """Set or overwrite the result of a transformation."""
        await run_blocking(self.set_transformation_result_sync, tf_checksum, result_checksum)

    async def set_execution_record(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str, record: dict[str, Any]
    ) -> bool | None:
        """Store an execution record; False when another one is stored already."""
        return await run_blocking(self.set_execution_record_sync, tf_checksum, result_checksum, record)

    async def set_bucket_probe(
        self,
        bucket_kind: str,
        label: str,
        bucket_checksum: Checksum | str,
        freshness_tokens: dict[str, Any],
        captured_at: str,
    ) -> None:
        """Store the current probe of a bucket."""
        await run_blocking(
            self.set_bucket_probe_sync, bucket_kind, label, bucket_checksum, freshness_tokens, captured_at
        )

    async def undo_transformation_result(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str
    ) -> bool:
        """Declare a result irreproducible."""
        return await run_blocking(self.undo_transformation_result_sync, tf_checksum, result_checksum)

    # --- reading ---

    def get_transformation_result_sync(self, tf_checksum: Checksum | str) -> Checksum | None:
        request = f'{{"type": "transformation", "checksum": "{_hex(tf_checksum)}"}}'
        body = self._read(request)
        return None if body is None else self._checksum(body)

    def transformation_many_sync(self, tf_checksums: Sequence[Checksum | str]) -> list[Checksum | None]:
        """Return the results of many transformations, in order; one request per 10,000 where the server can."""
        if len(tf_checksums) < 2 or not self.can("transformation_many"):
            return self._one_by_one(tf_checksums)
        results: list[Checksum | None] = []
        for start in range(0, len(tf_checksums), MANY):
            asked = [_hex(checksum) for checksum in tf_checksums[start : start + MANY]]
            answer = self._read_json({"type": "transformation_many", "checksums": asked})
            if not isinstance(answer, list) or len(answer) != len(asked):
                raise self._damaged("a list of as many results as were asked for", answer)
            results += [None if item is None else self._checksum(item) for item in answer]
        return results

    def _one_by_one(self, tf_checksums: Sequence[Checksum | str]) -> list[Checksum | None]:
        asked = list(dict.fromkeys(_hex(checksum) for checksum in tf_checksums))
        found = call_each(self.get_transformation_result_sync, asked)
        results = dict(zip(asked, found, strict=True))
        return [results[_hex(checksum)] for checksum in tf_checksums]

    def get_rev_transformations_sync(self, result_checksum: Checksum | str) -> list[Checksum] | None:
        answer = self._read_json({"type": "rev_transformations", "checksum": _hex(result_checksum)})
        if answer is None:
            return None
        if not isinstance(answer, list):
            raise self._damaged("a list of checksums", answer)
        return [self._checksum(item) for item in answer]

    def reverse_sync(self, result_checksum: Checksum | str) -> list[Checksum]:
        """Return the transformations that have this result now, oldest first, each once.

        A server of the earlier implementation also lists repeats, and transformations whose result was overwritten.
        """
        listed = list(dict.fromkeys(self.get_rev_transformations_sync(result_checksum) or ()))
        if not listed or self.can("transformation_insert"):
            return listed
        result = Checksum(result_checksum)
        return [
            tf
            for tf, now in zip(listed, self.transformation_many_sync(listed), strict=True)
            if now is not None and now == result
        ]

    def record_sync(self, tf_checksum: Checksum | str) -> dict[str, Any] | None:
        """Return the execution record of a transformation, or None."""
        return self._object({"type": "metadata", "checksum": _hex(tf_checksum)})

    def get_bucket_probe_sync(self, bucket_kind: str, label: str) -> dict[str, Any] | None:
        return self._object({"type": "bucket_probe", "bucket_kind": bucket_kind, "label": label})

    def get_irreproducible_records_sync(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str | None = None
    ) -> list[dict[str, Any]] | None:
        request = {"type": "irreproducible", "checksum": _hex(tf_checksum)}
        if result_checksum is not None:
            request["result"] = _hex(result_checksum)
        answer = self._read_json(request)
        if answer is None or (isinstance(answer, list) and all(isinstance(item, dict) for item in answer)):
            return answer
        raise self._damaged("a list of records", answer)

    def export_sync(self) -> Iterator[tuple[Checksum, Checksum]]:
        """Yield every (transformation, result), oldest first, in bounded memory. Raises CapabilityMissing."""
        if not self.can("export"):
            raise CapabilityMissing(
                f"the {self.service} at {self.url} cannot list its results (it lacks the capability 'export').",
                service=self.service,
                url=self.url or "",
                remedy="serve the file with a newer seamless-database, or read it with `sqlite3`.",
            )
        from .exporting import export_lines

        return export_lines(self)

    # --- writing ---

    def set_transformation_result_sync(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str
    ) -> None:
        self._write(
            {"type": "transformation", "checksum": _hex(tf_checksum), "value": _hex(result_checksum)},
            "set a result",
        )

    def set_execution_record_sync(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str, record: dict[str, Any]
    ) -> bool | None:
        request = {
            "type": "metadata",
            "checksum": _hex(tf_checksum),
            "result": _hex(result_checksum),
            "value": record,
        }
        try:
            self._write(request, "store an execution record")
        except RequestFailed as exc:
            if exc.status == 409 and _DIFFERENT_RECORD in exc.body:
                return False
            raise
        return None

    def set_bucket_probe_sync(
        self,
        bucket_kind: str,
        label: str,
        bucket_checksum: Checksum | str,
        freshness_tokens: dict[str, Any],
        captured_at: str,
    ) -> None:
        request = {
            "type": "bucket_probe",
            "bucket_kind": bucket_kind,
            "label": label,
            "bucket_checksum": _hex(bucket_checksum),
            "freshness_tokens": freshness_tokens,
            "captured_at": captured_at,
        }
        self._write(request, "store a bucket probe")

    def undo_transformation_result_sync(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str
    ) -> bool:
        request = {"type": "irreproducible", "checksum": _hex(tf_checksum), "result": _hex(result_checksum)}
        self._write(request, "contest a result")
        return True

    def contest_sync(self, tf_checksum: Checksum | str, result_checksum: Checksum | str) -> None:
        """Declare a result irreproducible. Raises ResultConflict when another one is stored."""
        try:
            self.undo_transformation_result_sync(tf_checksum, result_checksum)
        except RequestFailed as exc:
            if exc.status not in (404, 409):
                raise
            from seamless.errors import ResultConflict

            raise ResultConflict(
                f"{_hex(result_checksum)} is not the stored result of {_hex(tf_checksum)}: {exc.cause}"
            ) from exc

    def insert_sync(
        self,
        tf_checksum: Checksum | str,
        result_checksum: Checksum | str,
        record: dict[str, Any] | None = None,
    ) -> Checksum:
        """Insert the result if there is none, with its record, and return the result that stands.

        With a server of the earlier implementation the insertion is a look-up, then a write that overwrites, then a
        second look-up. What is lost: when two clients insert different results between each other's look-ups, the later
        one replaces the earlier one, which its writer may have returned already; and a crash can leave a
        result without record.
        """
        if self.can("transformation_insert"):
            self._require_writable("insert a result")
            request = {
                "type": "transformation_insert",
                "checksum": _hex(tf_checksum),
                "value": _hex(result_checksum),
                "record": record,
            }
            return self._checksum(self._write(request, "insert a result"))
        self._require_writable("insert a result")
        standing = self.get_transformation_result_sync(tf_checksum)
        if standing is not None:
            return standing
        self.set_transformation_result_sync(tf_checksum, result_checksum)
        if record is not None:
            self._record_by_fallback(tf_checksum, result_checksum, record)
        return self.get_transformation_result_sync(tf_checksum) or Checksum(result_checksum)

    def _record_by_fallback(
        self, tf_checksum: Checksum | str, result_checksum: Checksum | str, record: dict[str, Any]
    ) -> None:
        try:
            self.set_execution_record_sync(tf_checksum, result_checksum, record)
        except RequestFailed as exc:
            if exc.status != 409:  # a conflict: the record of a result that does not stand is not wanted
                raise

    def insert_many_sync(
        self, rows: Sequence[tuple[Checksum | str, Checksum | str, dict[str, Any] | None]]
    ) -> list[Checksum]:
        """Do as `insert_sync` for many rows, in one transaction per 10,000 where the server can."""
        if len(rows) < 2 or not self.can("transformation_insert_many"):
            return call_each(lambda row: self.insert_sync(*row), rows)
        standing: list[Checksum] = []
        for start in range(0, len(rows), MANY):
            sent = [[_hex(tf), _hex(result), record] for tf, result, record in rows[start : start + MANY]]
            import json

            body = self._write({"type": "transformation_insert_many", "rows": sent}, "insert results")
            try:
                answer = json.loads(body)
            except (ValueError, RecursionError) as exc:
                raise self._damaged("a list of results", body) from exc
            if not isinstance(answer, list) or len(answer) != len(sent):
                raise self._damaged("a list of as many results as rows", answer)
            standing += [self._checksum(item) for item in answer]
        return standing

    # --- the one endpoint ---

    def _read(self, request: str) -> bytes | None:
        if debug_database():
            _report(self, "GET", request)
        body = PartsBody((request.encode(),))
        if self._reads is None:
            return self._request("GET", "/", _body_or_none, body=body, accept=(404,))
        with self._reads:
            return self._request("GET", "/", _body_or_none, body=body, accept=(404,))

    def _read_json(self, request: dict[str, Any]) -> Any:
        import json

        body = self._read(json.dumps(request))
        if body is None:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise self._damaged("JSON", body) from exc

    def _object(self, request: dict[str, Any]) -> dict[str, Any] | None:
        answer = self._read_json(request)
        if answer is None or isinstance(answer, dict):
            return answer
        raise self._damaged("a JSON object", answer)

    def _write(self, request: dict[str, Any], what: str) -> bytes:
        self._require_writable(what)
        import json

        text = json.dumps(request)
        if debug_database():
            _report(self, "PUT", text)
        return self._request("PUT", "/", _body, body=PartsBody((text.encode(),)))

    def _checksum(self, text: object) -> Checksum:
        if isinstance(text, bytes):
            text = text.decode("latin-1").strip().strip('"')
        if isinstance(text, str) and is_checksum_text(text.lower()):
            return Checksum(text)
        raise self._damaged("a checksum", text)

    def _damaged(self, expected: str, got: object) -> AnswerDamaged:
        return AnswerDamaged(
            f"{self.service} at {self.url} answered {str(got)[:120]!r} where {expected} was expected.",
            service=self.service,
            url=self.url or "",
            remedy="look whether this is the address of a seamless-database.",
        )


def _hex(checksum: Checksum | str) -> str:
    return (checksum if isinstance(checksum, Checksum) else Checksum(checksum)).hex()


def _body(response: Response) -> bytes:
    return response.read(ANSWER_LIMIT_BYTES)


def _body_or_none(response: Response) -> bytes | None:
    if response.status == 404:
        response.read_start(LINE_LIMIT_BYTES)
        return None
    return response.read(ANSWER_LIMIT_BYTES)


def _report(client: DatabaseClient, method: str, request: str) -> None:
    import sys

    shown = request if len(request) <= 300 else request[:297] + "..."
    print(f"seamless-remote: {method} {client.url}/ {shown}", file=sys.stderr)
