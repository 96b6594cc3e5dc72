"""What can go wrong with a results database: one class per cause.

Every error has three machine-readable parts: `path` (the file concerned), `cause` (what was attempted,
what was found, what was expected) and `remedy` (what to do next). `str()` joins them. Errors that answer
a request of the reference's protocol carry its documented text as `reason`.
"""

from __future__ import annotations

__all__ = (
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
    "LockUnavailable",
    "NotADatabase",
    "RecordDiffers",
    "RecordHasOtherResult",
    "RecordMalformed",
    "ResultDiffersFromRecord",
    "ResultNotStored",
    "TransformationContested",
    "WriteBehindClosed",
    "WriteBehindFailed",
)


class DatabaseError(Exception):
    """Base class of the errors of the results database."""

    def __init__(self, cause: str, *, path: str = "", remedy: str = "") -> None:
        self.cause = cause
        self.path = path
        self.remedy = remedy
        super().__init__(cause)

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause


class DatabaseArgumentInvalid(DatabaseError, ValueError):
    """An argument is not a digest of 32 bytes, not text where text is due, or not a row."""


class DatabaseClosed(DatabaseError):
    """The database object was closed."""


class DatabaseDamaged(DatabaseError):
    """The file is a database whose pages or contents are wrong. Nothing was deleted."""


class DatabaseFull(DatabaseError):
    """No space or quota left. Nothing of the failed transaction is stored."""


class DatabaseIOError(DatabaseError):
    """The operating system or SQLite refused an operation for a reason that has no class of its own."""


class DatabaseLocked(DatabaseError):
    """Another program keeps the database locked beyond the deadline.

    pids: the processes that hold the lock, as far as this host can tell.
    """

    def __init__(self, cause: str, *, path: str = "", remedy: str = "", pids: tuple[int, ...] = ()) -> None:
        super().__init__(cause, path=path, remedy=remedy)
        self.pids = pids


class DatabaseMissing(DatabaseError, FileNotFoundError):
    """The file does not exist and may not be made."""

    def __str__(self) -> str:
        return DatabaseError.__str__(self)


class DatabaseReadOnly(DatabaseError):
    """Writing is not permitted: by `writable=False`, the file's mode, its directory or the file system."""


class DatabaseSchemaUnknown(DatabaseError):
    """A table has columns that belong to another version."""


class DatabaseUnsafeAfterFork(DatabaseError):
    """This process was forked in the middle of a database operation of another thread."""


class LockUnavailable(DatabaseError):
    """The file system refuses the locks that keep several processes apart."""


class NotADatabase(DatabaseError):
    """The file is something else than an SQLite database."""


class DatabaseConflict(DatabaseError):
    """What is stored disagrees with the request; nothing was changed.

    reason: the text which the reference's protocol documents for this cause.
    """

    reason = "Conflict"


class RecordMalformed(DatabaseError, ValueError):
    """An execution record lacks what every record must have."""

    reason = "Malformed PUT metadata request"


class TransformationContested(DatabaseConflict):
    """The transformation has irreproducible results: it takes no execution record any more."""

    reason = "Transformation already has irreproducible records"


class ResultDiffersFromRecord(DatabaseConflict):
    """The stored result is another one than the record's."""

    reason = "Transformation result does not match execution record result"


class RecordHasOtherResult(DatabaseConflict):
    """The stored record tells of another result."""

    reason = "Execution record result does not match stored metadata result"


class RecordDiffers(DatabaseConflict):
    """A record of the same result but other content is stored; records are written once."""

    reason = "Execution record already exists with different metadata"


class ResultNotStored(DatabaseConflict):
    """The contested result is not the stored one."""

    reason = "Transformation does not have the irreproducible result"


class WriteBehindClosed(DatabaseError):
    """The write-behind queue was closed."""


class WriteBehindFailed(DatabaseError):
    """Queued buffers and rows could not be made durable.

    n_rows, n_buffers: what is not durable; it is kept in memory and tried again.
    """

    def __init__(
        self, cause: str, *, path: str = "", remedy: str = "", n_rows: int = 0, n_buffers: int = 0
    ) -> None:
        super().__init__(cause, path=path, remedy=remedy)
        self.n_rows = n_rows
        self.n_buffers = n_buffers
