"""`X.FUTURE`: another command is making X at this moment. Who needs X waits for it.

The file holds `<transformation checksum>.<result>`. Its maker touches it every 30 s and removes it at the end; one that
was not touched for 120 s was left behind by a command that was killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import threading
    from types import TracebackType

__all__ = ("FUTURE_SUFFIX", "FutureFiles", "wait_for_future")

FUTURE_SUFFIX = ".FUTURE"
TOUCH_EVERY_S = 30.0
STALE_AFTER_S = 120.0
_POLL_S = 0.05


class FutureFiles:
    """Announces the results of a command while it runs: a context manager, which removes what `announce` made.

    targets: `{result in the working directory: name outside}`.
    """

    def __init__(self, tf_hex: str, targets: Mapping[str, str]) -> None:
        self._contents = {local + FUTURE_SUFFIX: f"{tf_hex}.{target}" for target, local in targets.items()}
        self._made: dict[str, int | None] = {}  # path -> inode; None: about to be made
        self._end: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FutureFiles:
        return self  # nothing is made before the interpreter is bound to call __exit__

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from seamless_worker.held_signals import HeldSignals

        signals = HeldSignals()
        try:
            if self._end is not None and self._thread is not None:
                self._end.set()
                if self._thread.ident is not None:
                    self._thread.join()
            self._remove()
        finally:
            signals.release()

    def announce(self) -> None:
        """Make the files, and the directories that are missing for them; keep them fresh from now on."""
        for path, content in self._contents.items():
            folder = os.path.dirname(path)
            if folder:
                os.makedirs(folder, exist_ok=True)
            self._made[path] = None
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
                self._made[path] = os.fstat(file.fileno()).st_ino
        if self._contents:
            import threading

            self._end = threading.Event()
            self._thread = threading.Thread(target=self._touch, name="seamless-shell-future", daemon=True)
            self._thread.start()

    def _touch(self) -> None:
        assert self._end is not None
        while not self._end.wait(TOUCH_EVERY_S):
            for path in list(self._made):
                try:
                    os.utime(path)
                except OSError:  # somebody removed it: then nobody waits
                    continue

    def _remove(self) -> None:
        for path, inode in self._made.items():
            try:
                if inode is None or os.stat(path).st_ino == inode:  # else another command announces it now
                    os.unlink(path)
            except OSError:
                continue
        self._made.clear()


def wait_for_future(path: str, say: Callable[[int, str], None]) -> None:
    """Return when no command is making the file or directory `path`, which may be at once.

    Raises ShellError when the command that was making it has died.
    """
    future = path.rstrip("/") + FUTURE_SUFFIX
    is_said = False
    while True:
        try:
            age_s = time.time() - os.stat(future).st_atime
        except OSError:
            return
        if age_s > STALE_AFTER_S:
            raise ShellError(
                f"{future} was not touched for {age_s:.0f} s: the command that was making "
                f"{os.path.basename(path)!r} has been killed.",
                hint=f"run that command again, or: rm {_quoted(future)}",
            )
        if not is_said:
            is_said = True
            say(0, f"Waiting for future {path}")
        time.sleep(_POLL_S)


def _quoted(path: str) -> str:
    from .bash_quotes import quote_word

    return quote_word(path)
