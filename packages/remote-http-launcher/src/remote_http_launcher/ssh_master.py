"""One connection for each SSH host, shared by all calls and processes of a user.

Where the user's own ssh configuration has a ControlMaster, that is used as it is. Else one is kept here: a socket in
the runtime directory, made under a lock so that many callers make one handshake, and ended by ssh itself when nobody
has used it for a while.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import threading

from .directories import runtime_directory
from .ssh_errors import SshConnectionCut, SshFailed, ssh_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("SshMaster", "ssh_master")

PERSIST_S = 300
CONNECT_TIMEOUT_S = 10
ALIVE_INTERVAL_S = 15
_SOCKET_PATH_MAX = 104 - 18  # ssh makes the socket under a longer name first
_QUESTION_TIMEOUT_S = 20.0
_NEVER_ASK = ("-T", "-o", "BatchMode=yes")
_masters: dict[str, SshMaster] = {}
_masters_lock = threading.Lock()


class SshMaster:
    """The shared connection to one host; get it from `ssh_master`.

    options: for every call of ssh to that host. is_ours: whether the connection is kept here.
    slots_path: of the files that count the calls (ssh_slots.py).
    """

    def __init__(self, host: str) -> None:
        self.host = host
        settings = _effective_settings(host)
        self.options = list(_NEVER_ASK)
        if settings.get("connecttimeout", "none") in ("none", "0"):
            self.options += ["-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        if settings.get("serveraliveinterval", "0") == "0":
            self.options += ["-o", f"ServerAliveInterval={ALIVE_INTERVAL_S}"]
        self.own_options = list(self.options)  # for a connection that is not shared
        path = _path(host, settings)
        self.slots_path = f"{path}.slot"
        self.socket_path = ""
        if (
            settings.get("controlmaster", "false") in ("false", "no")
            and settings.get("controlpath", "none") == "none"
        ):
            self.socket_path = _socket_path(path)
        self.is_ours = bool(self.socket_path)
        if self.is_ours:
            self.options += ["-o", "ControlMaster=no", "-o", f"ControlPath={self.socket_path}"]
        self.own_options += ["-o", "ControlMaster=no", "-o", "ControlPath=none"]
        self._lock = threading.Lock()

    def ensure(self) -> None:
        """Have a connection; do nothing if there is one. Raises SshFailed and its kinds."""
        if not self.is_ours or _answers(self.socket_path):
            return
        with self._lock, _locked(f"{self.socket_path}.lock"):
            if not _answers(self.socket_path):
                self._start()

    def close(self) -> None:
        """End the connection, for all who share it."""
        if self.is_ours and _answers(self.socket_path):
            _run(["ssh", *self.options, "-O", "exit", "--", self.host])
        for path in (self.socket_path, f"{self.socket_path}.lock"):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket_path)  # of a master that is gone
        # The options that come first count. Its stderr is a file: a pipe would stay open as long as the master lives.
        words = ["ssh", "-o", "ControlMaster=yes", "-o", f"ControlPersist={PERSIST_S}", *self.options]
        code, said = _run([*words, "-N", "-f", "--", self.host])
        if code != 0:
            raise ssh_error(self.host, said)
        if not _answers(self.socket_path):
            raise SshFailed(
                f"ssh to {self.host!r} gave no shared connection at {self.socket_path}: {said.strip()[-300:]}",
                hint=f"ssh -v {self.host} true",
                host=self.host,
                stderr=said,
            )


def ssh_master(host: str) -> SshMaster:
    """Return the shared connection to the host, the same object each time. Raises SshFailed if there is no ssh."""
    with _masters_lock:
        found = _masters.get(host)
        if found is None:
            found = _masters[host] = SshMaster(host)
        return found


def _renew_after_fork() -> None:
    global _masters_lock
    _masters_lock = threading.Lock()
    _masters.clear()


os.register_at_fork(after_in_child=_renew_after_fork)


def _effective_settings(host: str) -> dict[str, str]:
    """Return what the user's ssh configuration says about the host, names in lower case."""
    import subprocess

    try:
        done = subprocess.run(
            ["ssh", "-G", "--", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_QUESTION_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise SshFailed(
            "the program ssh is not installed here", hint="install the OpenSSH client", host=host
        ) from None
    except subprocess.TimeoutExpired:
        raise SshFailed(f"ssh -G {host} does not end", hint="see ~/.ssh/config", host=host) from None
    if done.returncode != 0:
        raise ssh_error(host, done.stderr.decode(errors="replace"))
    pairs = (line.partition(" ") for line in done.stdout.decode(errors="replace").splitlines())
    return {name: value for name, _, value in pairs}


def _path(host: str, settings: dict[str, str]) -> str:
    """Return the path in the runtime directory that is the host's as it is reached now."""
    names = ("hostname", "user", "port", "identityfile", "proxyjump", "proxycommand", "hostkeyalias")
    text = "\n".join([host, *(settings.get(name, "") for name in names)])
    return os.path.join(runtime_directory(), hashlib.sha256(text.encode()).hexdigest()[:16])


def _socket_path(path: str) -> str:
    """Return where the socket goes; "" if the path is too long for one: then every call connects by itself."""
    return path if len(os.fsencode(path)) <= _SOCKET_PATH_MAX and "%" not in path else ""


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(path)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # held for one handshake, which ConnectTimeout bounds
        yield
    finally:
        os.close(fd)


def _run(words: list[str]) -> tuple[int, str]:
    """Run ssh; return its exit code and what it said. What it leaves in the background keeps no pipe of ours."""
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                timeout=3 * CONNECT_TIMEOUT_S,
                check=False,
                start_new_session=True,  # an interrupt of one client must not end what all share
            )
        except subprocess.TimeoutExpired:
            host = words[-1]
            raise SshConnectionCut(
                f"ssh to {host!r} did not come up within {3 * CONNECT_TIMEOUT_S} s",
                hint=f"ssh -v {host} true",
                host=host,
            ) from None
        said.seek(0)
        return done.returncode, said.read(65536).decode(errors="replace")
