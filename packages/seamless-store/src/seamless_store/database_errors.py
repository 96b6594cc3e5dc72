"""What can go wrong with a results database: one class per cause.

They have the parts of every StoreError: `path`, `cause`, `remedy`. Errors that answer
a request of the reference's protocol carry its documented text as `reason`.
"""

from __future__ import annotations

from .errors import StoreError

__all__ = (
    "BucketProbeMalformed",
    "BufferInfoMalformed",
    "DatabaseArgumentInvalid",
    "DatabaseClosed",
    "DatabaseConflict",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseFull",
    "DatabaseIOError",
    "DatabaseLocked",
    "DatabaseMissing",
    "DatabaseReadOnly",
    "DatabaseSchemaUnknown",
    "DatabaseUnsafeAfterFork",
    "ExpressionMalformed",
    "ExpressionRefused",
    "LockUnavailable",
    "NotADatabase",
    "RecordDiffers",
    "RecordHasOtherResult",
    "RecordMalformed",
    "ResultDiffersFromRecord",
    "ResultNotStored",
    "RowMalformed",
    "SemanticPairMalformed",
    "TransformationContested",
    "WouldWait",
    "WriteBehindClosed",
    "WriteBehindFailed",
)


class DatabaseError(StoreError):
    """Base class of the errors of the results database."""


class DatabaseArgumentInvalid(DatabaseError, ValueError):
    """An argument is not text where text is due, not bytes, or not a row.

    Remedy: pass what the message asks for.
    """


class DatabaseClosed(DatabaseError):
    """The database object was closed.

    Remedy: open it again.
    """


class DatabaseDamaged(DatabaseError):
    """The file is a database whose pages or contents are wrong. Nothing was deleted.

    Remedy: copy the file aside, then restore a backup or run `sqlite3 FILE .recover`.
    """


class DatabaseFull(DatabaseError):
    """No space or quota left. Nothing of the failed transaction is stored.

    Remedy: free space or raise the quota (`df -h DIRECTORY`).
    """


class DatabaseIOError(DatabaseError):
    """The operating system or SQLite refused an operation for a reason that has no class of its own.

    Remedy: look at the kernel's messages (`dmesg`), the disk and the permissions.
    """


class DatabaseLocked(DatabaseError):
    """Another program keeps the database locked beyond the deadline.

    pids: the processes that hold the lock, as far as this host can tell.

    Remedy: see what the named process does (`ps -fp PID`) and stop it, or wait.
    """

    def __init__(self, cause: str, *, path: str = "", remedy: str = "", pids: tuple[int, ...] = ()) -> None:
        super().__init__(cause, path=path, remedy=remedy)
        self.pids = pids


class DatabaseMissing(DatabaseError):
    """The file does not exist and may not be made.

    Remedy: check the directory, or open it once with writable=True.
    """


class DatabaseReadOnly(DatabaseError):
    """Writing is not permitted: by `writable=False`, the file's mode, its directory or the file system.

    Remedy: open it with writable=True as a user who may write the file and its directory.
    """


class DatabaseSchemaUnknown(DatabaseError):
    """A table has columns that belong to another version.

    Remedy: use the version of Seamless that made the file, or another directory.
    """


class DatabaseUnsafeAfterFork(DatabaseError):
    """This process was forked in the middle of a database operation of another thread.

    Remedy: start worker processes with the spawn method, or fork while the database is idle.
    """


class LockUnavailable(DatabaseError):
    """The file system refuses the locks that keep several processes apart.

    Remedy: mount the file system with locks, or put the cache on a local disk behind a server.
    """


class NotADatabase(DatabaseError):
    """The file is something else than an SQLite database.

    Remedy: check the path; if this should be the database, restore a copy.
    """


class DatabaseConflict(DatabaseError):
    """Base class of disagreements between what is stored and what is asked; nothing was changed.

    reason: the text which the reference's protocol documents for this cause.
    """

    reason = "Conflict"


class RowMalformed(DatabaseError, ValueError):
    """Base class of refusals of what a table cannot hold; nothing was changed.

    reason: the text which the reference's protocol documents for this cause.
    """

    reason = "Malformed request"


class RecordMalformed(RowMalformed):
    """An execution record lacks what every record must have.

    Remedy: send a JSON object with schema_version, tf_checksum and result_checksum.
    """

    reason = "Malformed PUT metadata request"


class BufferInfoMalformed(RowMalformed):
    """What is to be known about a buffer is no object, or a member of it has the wrong type.

    Remedy: send an object with an integer `length` and booleans `is_...`.
    """

    reason = "Malformed PUT buffer info request"


class SemanticPairMalformed(RowMalformed):
    """A celltype or subcelltype is missing or no text.

    Remedy: name both.
    """

    reason = "Malformed semantic-to-syntactic request"


class ExpressionMalformed(RowMalformed):
    """A path is no list, or a celltype no text.

    Remedy: name the path and both celltypes; the path to the whole buffer is [].
    """

    reason = "Malformed expression request"


class ExpressionRefused(RowMalformed):
    """A path or a celltype is longer than its column, or the path leads into a celltype without parts.

    Remedy: nothing is to be done; such an expression is evaluated again when it is needed.
    """

    reason = "Malformed expression request (constraint violation)"


class BucketProbeMalformed(RowMalformed):
    """A member of a probe is missing, empty or of the wrong type, or its kind is unknown.

    Remedy: send bucket_kind, label, bucket_checksum, captured_at and freshness_tokens.
    """

    reason = "Malformed PUT bucket_probe request"


class TransformationContested(DatabaseConflict):
    """The transformation has irreproducible results: it takes no execution record any more.

    Remedy: read its contested results (`irreproducible`).
    """

    reason = "Transformation already has irreproducible records"


class ResultDiffersFromRecord(DatabaseConflict):
    """The stored result is another one than the record's.

    Remedy: use the stored result, or contest it if it is wrong.
    """

    reason = "Transformation result does not match execution record result"


class RecordHasOtherResult(DatabaseConflict):
    """The stored record tells of another result.

    Remedy: use the result that the record tells of, or contest that one.
    """

    reason = "Execution record result does not match stored metadata result"


class RecordDiffers(DatabaseConflict):
    """A record of the same result but other content is stored; records are written once.

    Remedy: nothing is to be done; the first record stays.
    """

    reason = "Execution record already exists with different metadata"


class ResultNotStored(DatabaseConflict):
    """The contested result is not the stored one.

    Remedy: contest the stored result, if that is the wrong one.
    """

    reason = "Transformation does not have the irreproducible result"


class WouldWait(DatabaseError):
    """What must be done at once cannot: the file is locked or not open yet, or another process has claimed the key.

    Remedy: ask again on a thread that may wait.
    """


class WriteBehindClosed(DatabaseError):
    """The write-behind queue was closed.

    Remedy: open the cache again.
    """


class WriteBehindFailed(DatabaseError):
    """Queued buffers and rows could not be made durable.

    n_rows, n_buffers: what is not durable; it is kept in memory and tried again.

    Remedy: remove the cause, then call `flush()` again.
    """

    def __init__(
        self, cause: str, *, path: str = "", remedy: str = "", n_rows: int = 0, n_buffers: int = 0
    ) -> None:
        super().__init__(cause, path=path, remedy=remedy)
        self.n_rows = n_rows
        self.n_buffers = n_buffers
