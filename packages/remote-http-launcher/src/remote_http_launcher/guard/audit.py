"""Write down every decision of the guard: one line each, in a file of the launcher and in the system's log.

`server/rhl-guard.audit` (no name that a key could give a state or a log), mode 0600, at most twice 1 MiB: the file
before is kept as `rhl-guard.audit.1`. A line is one JSON object: time, pid, client, decision, helper, words, cause,
policy, role.

Secrets stay out: of an allowed command the keys, directories, options and numbers are written, of JSON only its size,
of a URL only scheme, host and path; of a refused one the helper, and the cause in our own words.
"""

from __future__ import annotations

import os
import time

from remote_http_launcher.keys import is_key
from remote_http_launcher.small_json import dumps

from .addresses import is_host
from .paths import ResolvedDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ("AuditLog", "system_log", "told")

NAME = "rhl-guard.audit"
SIZE_MAX = 1024 * 1024
LINE_MAX = 4000  # written by one call, so lines of two guards never mix
TOLD_WORDS_MAX = 40
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_SYSLOG_SOCKET = "/dev/log"


class AuditLog:
    """The log in one directory. to_system: hands a line to the system's log, None where there is none."""

    def __init__(
        self, directory: str, *, to_system: Callable[[str], None] | None = None, size_max: int = SIZE_MAX
    ) -> None:
        self.path = os.path.join(directory, NAME)
        self._to_system = to_system
        self._size_max = size_max

    def write(self, decision: str, environment: Mapping[str, str], **members: object) -> bool:
        """Write one line; return whether it stands anywhere."""
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "pid": os.getpid(),
            "client": _client(environment),
            "decision": decision,
            **{name: value for name, value in members.items() if value},
        }
        line = dumps(entry)
        if len(line) > LINE_MAX:
            line = dumps({**entry, "words": [f"({len(line)} characters)"]})
        in_system = self._in_system(line)
        return self._in_file(line) or in_system

    def _in_file(self, line: str) -> bool:
        from remote_http_launcher.directories import make_private_directory

        try:
            make_private_directory(os.path.dirname(self.path))
            descriptor = os.open(self.path, _APPEND, 0o600)
            try:
                written = os.write(descriptor, f"{line}\n".encode("ascii", "backslashreplace"))
                if os.fstat(descriptor).st_size > self._size_max:
                    self._turn(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return written > 0

    def _turn(self, descriptor: int) -> None:
        """Start a new file, unless another guard just did."""
        import fcntl

        fcntl.flock(
            descriptor, fcntl.LOCK_EX
        )  # of the old file; the next one to hold it sees that it has moved
        here = os.fstat(descriptor)
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return  # it has moved, and nobody has written since; the line stands all the same
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            os.rename(self.path, f"{self.path}.1")

    def _in_system(self, line: str) -> bool:
        if self._to_system is None:
            return False
        try:
            self._to_system(line)
        except OSError:
            return False
        return True


def system_log() -> Callable[[str], None] | None:
    """Return what hands a line to the system's log; None where there is none."""
    if not os.path.exists(_SYSLOG_SOCKET):
        return None
    import syslog

    def hand_over(line: str) -> None:
        syslog.openlog("rhl-guard", syslog.LOG_PID, syslog.LOG_AUTH)
        syslog.syslog(syslog.LOG_NOTICE, line)
        syslog.closelog()

    return hand_over


def told(words: Sequence[str]) -> list[str]:
    """Return the words of an allowed command as they may be written down."""
    shown: list[str] = []
    option = ""
    for word in words[:TOLD_WORDS_MAX]:
        shown.append(_told(word, option))
        option = word if word.startswith("--") else ""
    if len(words) > TOLD_WORDS_MAX:
        shown.append(f"({len(words) - TOLD_WORDS_MAX} more words)")
    return shown


def _told(word: str, option: str) -> str:
    if option in ("--parameters", "--meta"):
        return f"({len(word)} characters)"
    if isinstance(word, ResolvedDirectory):
        return word if word == word.path else f"{word} = {word.path}"
    if word.startswith(("http://", "https://")):
        return word.partition("?")[0].partition("#")[0]
    if word.startswith("/") or is_key(word) or is_host(word) or "::" in word:
        return word
    return f"({len(word)} characters)"


def _client(environment: Mapping[str, str]) -> str:
    address = environment.get("SSH_CONNECTION", "").partition(" ")[0]
    return address if is_host(address) else ""
