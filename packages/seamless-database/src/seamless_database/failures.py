"""What becomes of an error of the database: a documented text, or a JSON error that names the cause.

| error | status |
|---|---|
| RowMalformed | 400, its text |
| ResultNotStored | 404, its text |
| another DatabaseConflict | 409, its text |
| DatabaseLocked | 503 with Retry-After: who locks |
| DatabaseFull | 507 |
| any other | 500: the cause |

No path of the server leaves it: the database is called by the name of its file.
"""

from __future__ import annotations

import os
import re

from seamless_service.answers import RequestRefused
from seamless_service.failures import StartFailed
from seamless_store.database_errors import (
    DatabaseConflict,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    ResultNotStored,
    RowMalformed,
)
from seamless_store.errors import StoreError
from seamless_store.writer_lock import lock_holders

from .refusals import ProtocolRefusal

__all__ = ("not_started", "refusal_of", "waited_in_vain")

RETRY_AFTER_S = 2

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def refusal_of(error: StoreError) -> ProtocolRefusal | RequestRefused:
    """Return the answer for an error of the database."""
    if isinstance(error, RowMalformed):
        return ProtocolRefusal(400, f"ERROR: {error.reason}")
    if isinstance(error, DatabaseConflict):
        status = 404 if isinstance(error, ResultNotStored) else 409
        return ProtocolRefusal(status, f"ERROR: {error.reason}")
    if isinstance(error, DatabaseLocked):
        return _locked(error)
    status = 507 if isinstance(error, DatabaseFull) else 500
    message, hint = _without_folder(error.cause, error), _without_folder(error.remedy, error)
    return RequestRefused(status, _CAPITAL.sub("_", type(error).__name__).lower(), message, hint=hint)


def _locked(error: DatabaseLocked) -> RequestRefused:
    return RequestRefused(
        503,
        "database_locked",
        _without_folder(error.cause, error),
        hint=_without_folder(error.remedy, error),
        detail={"pids": list(error.pids)},
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def waited_in_vain(path: str, waited_s: float) -> RequestRefused:
    """Return the answer for a request that was under way for so long without coming to its turn or its end."""
    pids = lock_holders(path) or lock_holders(path + "-shm")
    who = f"locked by pid {', '.join(map(str, pids))}" if pids else "busy"
    return _locked(
        DatabaseLocked(
            f"The database was {who} for {waited_s:g} s. A write may still be carried out.",
            path=path,
            remedy="see what that process does (ps -fp PID) and stop it, or try again later.",
            pids=pids,
        )
    )


def not_started(error: DatabaseError) -> StartFailed:
    """Return why the server does not start."""
    return StartFailed(error.cause, hint=error.remedy)


def _without_folder(text: str, error: StoreError) -> str:
    folder = os.path.dirname(error.path)
    return text.replace(folder + os.sep, "").replace(folder, "its directory") if folder else text
