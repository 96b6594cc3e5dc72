"""The exceptions of the core, one class per cause.

Every message names what was attempted, the offending value, what was expected and what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from .checksum import Checksum

__all__ = ("CacheMissError", "FileChanged", "ResultConflict", "SeamlessClosed", "SeamlessError", "StepError")


class SeamlessError(Exception):
    """Base class of what Seamless raises on its own account."""


class CacheMissError(SeamlessError, KeyError):
    """No buffer for this checksum is in memory or in any configured store.

    Remedy: run the step again that produced the buffer, or configure the store that holds it
    (`SEAMLESS_CACHE=DIR`, or a cluster).
    """

    def __init__(self, checksum: Checksum | str, message: str | None = None) -> None:
        self.checksum = checksum
        self.message = message or (
            f"no buffer with checksum {checksum} is in memory or in any configured store. "
            "If a step produced it, run that step again; if another machine holds it, configure its store "
            "(SEAMLESS_CACHE=DIR or a cluster)."
        )
        super().__init__(checksum)

    def __str__(self) -> str:
        return self.message


class FileChanged(SeamlessError):
    """A file does not hold the buffer that it held when it was hashed. Nothing untrue was stored.

    path: the file. checksum: what it was to hold.

    Remedy: wait until nobody writes to the file, then try again.
    """

    def __init__(self, path: str, checksum: Checksum, detail: str) -> None:
        super().__init__(
            f"{path!r} changed after it was hashed: it does not hold the buffer {checksum} any more. {detail}"
        )
        self.path = path
        self.checksum = checksum
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.path, self.checksum, self.detail))


class ResultConflict(SeamlessError):
    """The stored result of a transformation is another one than the caller says.

    Remedy: look up the result again, and contest the one that is stored now.
    """


class SeamlessClosed(SeamlessError, RuntimeError):
    """`seamless.close()` was called; nothing can run any more.

    Remedy: call `seamless.close()` only at the end of the program; then start a new process.
    """


class StepError(SeamlessError):
    """A step ran and failed. `exception` is what its code raised.

    user_traceback: the lines of the step's own code (file, line, source), ending with the exception.
    stdout, stderr: what the step printed, the last part of it when it was long.

    Remedy: correct the step at the line that `user_traceback` shows last, then run it again: a failure is not cached.
    """

    def __init__(
        self,
        exception: BaseException | None,
        user_traceback: str,
        *,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        self.exception = exception
        self.user_traceback = user_traceback
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(user_traceback)
