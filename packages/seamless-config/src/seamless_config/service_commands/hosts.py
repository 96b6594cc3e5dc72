"""The machines where services run: call a helper there, on several of them at once, and say in words why one failed.

Helpers of this machine are those of this installation, whatever PATH is. Another machine is reached over SSH and must
have helpers of its own: nothing is installed there.
"""

from __future__ import annotations

import sys

from remote_http_launcher.errors import LauncherError
from remote_http_launcher.launch_errors import HelperFailed
from remote_http_launcher.small_json import loads

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from remote_http_launcher.executors import Answer, Executor

    T = TypeVar("T")

__all__ = ("Host", "exit_code_of", "explain", "on_all", "said_by")

SSH_FAILED = 255
COMMAND_NOT_FOUND = 127
PROBE = "ssh {host} 'PATH=$HOME/miniforge3/bin:$HOME/miniconda3/bin:$PATH' rhl-ps --json"


class Host:
    """One machine. name: how ssh calls it, None for this machine."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._executor: Executor | None = None

    def __repr__(self) -> str:
        return f"Host({self.name!r})"

    @property
    def label(self) -> str:
        """Its name, for messages."""
        return self.name or "this machine"

    @property
    def at(self) -> str:
        """Its name as the end of a message; nothing for this machine."""
        return f" (on {self.name})" if self.name else ""

    @property
    def executor(self) -> Executor:
        """What runs helpers there."""
        if self._executor is None:
            if self.name is None:
                from remote_http_launcher.executors import LocalExecutor

                self._executor = LocalExecutor()
            else:
                from remote_http_launcher.ssh import SshExecutor

                self._executor = SshExecutor(self.name, may_bootstrap=False)
        return self._executor

    def call(self, helper: str, arguments: Sequence[str], timeout_s: float) -> Answer:
        """Run the helper and return its answer, also when it failed. Raises LauncherError when it could not run."""
        answer = self.executor.call(helper, arguments, timeout_s=timeout_s)
        if answer.exit_code == 1 and f"{helper}: unknown flag(s)" in answer.stderr:
            raise self._too_old(answer.stderr)
        return answer

    def rows(self, helper: str, arguments: Sequence[str], timeout_s: float) -> list[dict[str, Any]]:
        """Return the JSON objects that the helper prints. Raises HelperFailed when it failed."""
        answer = self.call(helper, arguments, timeout_s)
        if answer.exit_code != 0:
            raise self._failed(helper, answer)
        rows = []
        for line in answer.stdout.splitlines():
            try:
                row = loads(line.decode("utf-8"))
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise HelperFailed(
                    f"the answer of {helper} on {self.label} cannot be understood: {line[:200]!r}",
                    hint="have the same version of remote-http-launcher on both machines",
                    host=self.name,
                    exit_code=answer.exit_code,
                )
            rows.append(row)
        return rows

    def stream(self, helper: str, arguments: Sequence[str]) -> tuple[int, str]:
        """Run the helper, its standard output being ours; return exit code and what it said on standard error.

        Raises SshFailed and its kinds, HelperMissing, HelperTooOld.
        """
        code, said = self._run(self._words(helper, arguments))
        if self.name is not None:
            if code != 0 and said.startswith("PATH=") and "command not found" in said.lower():
                # csh and tcsh take an assignment before a command for the command
                code, said = self._run(self._words(helper, arguments, through="env "))
            if code == SSH_FAILED:
                from remote_http_launcher.ssh_errors import ssh_error

                raise ssh_error(self.name, said or "connection closed")
            if code == COMMAND_NOT_FOUND or (code != 0 and said.lower().startswith(f"{helper}: command not")):
                raise self._missing(helper)
        if code == 1 and f"{helper}: unknown flag(s)" in said:
            raise self._too_old(said)
        return code, said

    def _run(self, words: list[str]) -> tuple[int, str]:
        import subprocess

        sys.stdout.flush()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            said = process.communicate()[1].decode("utf-8", "replace")
        except BaseException:
            process.terminate()
            process.communicate()
            raise
        return process.returncode, said

    def _words(self, helper: str, arguments: Sequence[str], *, through: str = "") -> list[str]:
        if self.name is None:
            from remote_http_launcher.executors import helper_module, own_process

            return own_process(helper_module(helper), arguments)
        import shlex

        from remote_http_launcher.ssh import PATH_PREFIX
        from remote_http_launcher.ssh_master import ssh_master

        master = ssh_master(self.name)
        master.ensure()
        command = f"{through}{PATH_PREFIX} {shlex.join([helper, *arguments])}"
        return ["ssh", *master.options, "--", self.name, command]

    def _missing(self, helper: str) -> LauncherError:
        from remote_http_launcher.ssh import SshExecutor

        return SshExecutor(str(self.name)).missing(helper)

    def _too_old(self, said: str) -> LauncherError:
        from remote_http_launcher.ssh_errors import HelperTooOld

        return HelperTooOld(
            f"the helpers of {self.label} do not know what this version asks for: {said.strip()[-300:]}",
            hint=f"on {self.label}: pip install --upgrade remote-http-launcher",
            host=self.name,
        )

    def _failed(self, helper: str, answer: Answer) -> HelperFailed:
        message, hint = said_by(helper, answer.stderr)
        return HelperFailed(
            f"{helper} failed on {self.label}: {message or f'exit code {answer.exit_code}'}",
            hint=hint,
            host=self.name,
            exit_code=answer.exit_code,
            stderr=answer.stderr,
        )


def said_by(helper: str, stderr: str) -> tuple[str, str | None]:
    """Return message and hint of what a helper said on standard error."""
    message, _, hint = stderr.strip().partition("\nhint:")
    for speaker in (helper, "rhl"):
        message = message.removeprefix(f"{speaker}: ")
    return message.strip()[-2000:], hint.strip() or None


def on_all(hosts: Sequence[Host], action: Callable[[Host], T]) -> list[T | LauncherError]:
    """Do something on all hosts at once; return what came of it, or the error, in the order of the hosts."""
    found: list[T | LauncherError] = [LauncherError("interrupted") for _ in hosts]

    def one(at: int) -> None:
        try:
            found[at] = action(hosts[at])
        except LauncherError as exc:
            found[at] = exc
        except OSError as exc:
            found[at] = LauncherError(f"{hosts[at].label} could not be asked: {exc}", host=hosts[at].name)

    if len(hosts) == 1:
        one(0)
        return found
    from threading import Thread

    threads = [Thread(target=one, args=(at,), name=f"service-host-{at}") for at in range(len(hosts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def explain(error: LauncherError) -> tuple[str, str | None]:
    """Return what failed and why, and what to do about it.

    | what was seen | cause | what to do |
    |---|---|---|
    | no such helper, although conda's base was looked at too | not installed there | install it there |
    | unknown host, refused, no answer | the name or the network | `ssh_hostname` of the frontend |
    | the key or the host key was not accepted | ssh itself | `ssh HOST true` must work |
    """
    from remote_http_launcher.ssh_errors import HelperMissing, SshHostUnknown, SshRefused, SshUnreachable

    hint = error.hint
    if isinstance(error, HelperMissing):
        hint = f"{hint}; then try: {PROBE.format(host=error.host)}"
    elif isinstance(error, (SshHostUnknown, SshRefused, SshUnreachable)):
        hint = f"{hint}; if ssh works under another name, set it as ssh_hostname of the frontend"
    return error.message, hint


def exit_code_of(error: LauncherError) -> int:
    """Return the exit code for a failed call: that of ssh, of the helper, or of the shell that misses it; else 1."""
    from remote_http_launcher.ssh_errors import HelperMissing, SshFailed

    if isinstance(error, SshFailed):
        return SSH_FAILED
    if isinstance(error, HelperFailed) and error.exit_code > 0:
        return error.exit_code
    return COMMAND_NOT_FOUND if isinstance(error, HelperMissing) else 1
