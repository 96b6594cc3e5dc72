"""Start a program as the leader of a session of its own, with a log for its output and nothing to read.

Without the module `subprocess`, whose import costs a helper 20 ms of a launch. The working directory of this process
becomes that of the child: whoever calls is a helper, which does nothing else afterwards.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Child", "quoted_words", "start_child")

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_")
_SIGPIPE, _SIGXFSZ = 13, 25  # which Python ignores; the module signal costs 5 ms


class Child:
    """A process that this one started. exit_code: None while it runs, negative for the signal that ended it."""

    __slots__ = ("exit_code", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit_code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.exit_code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None  # somebody else waits for children here; whether it lives is seen otherwise
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def kill(self) -> None:
        """End it at once, and wait for that."""
        if self.poll() is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)


def start_child(words: Sequence[str], directory: str, log: int) -> Child:
    """Start it. log: descriptor for what it writes. Raises OSError when there is no such program."""
    os.chdir(directory)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    defaults = [_SIGPIPE, _SIGXFSZ]
    try:
        pid = os.posix_spawnp(
            words[0], list(words), os.environ, file_actions=actions, setsid=True, setsigdef=defaults
        )
    except NotImplementedError:  # no sessions in this system's posix_spawn
        import subprocess

        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        process.returncode = 0  # waited for by Child
        pid = process.pid
    return Child(pid)


def quoted_words(words: Sequence[str]) -> str:
    """Return what `shlex.join` returns, without its import."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if word and _PLAIN.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"
