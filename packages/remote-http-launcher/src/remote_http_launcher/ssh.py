"""Run helpers on another host, over OpenSSH and the user's own ssh configuration.

Every call is one command for the host's shell: the PATH that finds a conda base, the helper, its quoted words. Nothing
is asked for, stdin is closed, the connection is shared (ssh_master.py), and few run at once for a host (ssh_slots.py).
A host without helpers gets them in one file (bootstrap.py), once.
"""

from __future__ import annotations

from .executors import TIMEOUT_S, Answer, communicate, start_hint
from .ssh_errors import HelperMissing, HelperTooOld, SshConnectionCut, SshFailed, ssh_error
from .ssh_master import ssh_master
from .ssh_slots import slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("SshExecutor",)

PATH_PREFIX = "PATH=$HOME/miniforge3/bin:$HOME/miniconda3/bin:$PATH"
_SSH_FAILED = 255
_UNKNOWN_TO_GUARD = (
    "not in whitelist",
    "unknown helper",
    "has not got",
)  # any other refusal is of its policy


class SshExecutor:
    """Runs helpers on one host. may_bootstrap: whether a host without helpers gets them."""

    def __init__(self, host: str, *, may_bootstrap: bool = True) -> None:
        self.host: str | None = host
        self.name = f"SSHExecutor[{host}]"
        self._host = host
        self._may_bootstrap = may_bootstrap
        self._bootstrapped = ""  # path of the helpers' file on the host
        self._prefix = PATH_PREFIX
        self.n_calls = 0

    def call(
        self, helper: str, arguments: Sequence[str], stdin: bytes = b"", timeout_s: float = TIMEOUT_S
    ) -> Answer:
        """Run the helper; return its answer. Raises SshFailed and its kinds, HelperMissing, HelperTooOld."""
        if not self._bootstrapped:
            answer = self.run([helper, *arguments], stdin, timeout_s)
            if self._prefix == PATH_PREFIX and _knows_no_prefix(answer):
                self._prefix = f"env {PATH_PREFIX}"
                answer = self.run([helper, *arguments], stdin, timeout_s)
            if not _is_missing(answer, helper):
                self._check_age(helper, answer)
                return answer
            if not self._may_bootstrap:
                raise self.missing(helper)
            from .bootstrap import install

            self._bootstrapped = install(self)
        return self.run(["python3", "-I", "-S", self._bootstrapped, helper, *arguments], stdin, timeout_s)

    def run(self, words: Sequence[str], stdin: bytes = b"", timeout_s: float = TIMEOUT_S) -> Answer:
        """Run any command; return its answer. Raises SshFailed and its kinds."""
        import shlex
        import subprocess

        master = ssh_master(self._host)
        master.ensure()
        command = f"{self._prefix} {shlex.join(words)}"
        with slot(master.slots_path, self._host):
            self.n_calls += 1
            try:
                started = subprocess.Popen(
                    ["ssh", *master.options, "--", self._host, command],
                    stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            except OSError as exc:
                raise SshFailed(
                    f"ssh to {self._host!r} cannot be run: {exc.strerror}",
                    hint=start_hint(exc),
                    host=self._host,
                ) from exc
            with started as process:
                try:
                    stdout, stderr = communicate(process, stdin, timeout_s)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise SshConnectionCut(
                        f"{words[0]} on {self._host!r} gave no answer within {timeout_s:g} s",
                        hint=f"ssh {self._host} {words[0]} --help",
                        host=self._host,
                    ) from None
                except BaseException:
                    process.kill()
                    raise
        answer = Answer(process.returncode, stdout, stderr)
        if answer.exit_code == _SSH_FAILED:
            if not answer.stderr.strip():  # the shared connection was there, and went away without a word
                answer.stderr = "connection closed"
            raise ssh_error(self._host, answer.stderr)
        return answer

    def missing(self, helper: str, why: str = "") -> HelperMissing:
        """Return the error that says that the host has no helpers."""
        return HelperMissing(
            f"{helper} is not installed on {self._host!r}, as ssh commands see it{why}",
            hint=f"on {self._host}: pip install remote-http-launcher, into the system Python or conda's base",
            host=self._host,
        )

    def _check_age(self, helper: str, answer: Answer) -> None:
        """Raise HelperTooOld where a guard or a helper of another version does not know what it is asked."""
        said = answer.stderr
        is_refused = answer.exit_code == 1 and said.startswith("rhl-guard:") and helper in said
        unknown = (is_refused and any(words in said for words in _UNKNOWN_TO_GUARD)) or (
            answer.exit_code == 2 and ("unrecognized arguments" in said or "unknown option" in said)
        )
        if unknown:
            raise HelperTooOld(
                f"the helpers of {self._host!r} do not know what this version asks for: {said.strip()[-300:]}",
                hint=f"on {self._host}: pip install --upgrade remote-http-launcher",
                host=self._host,
            )


def _knows_no_prefix(answer: Answer) -> bool:
    """Tell whether the shell took the assignment before the command for the command, as csh and tcsh do."""
    said = answer.stderr
    return answer.exit_code != 0 and said.startswith("PATH=") and "command not found" in said.lower()


def _is_missing(answer: Answer, helper: str) -> bool:
    said = answer.stderr.lower()
    return answer.exit_code == 127 or (
        answer.exit_code != 0 and helper in said and ("command not found" in said or ": not found" in said)
    )
