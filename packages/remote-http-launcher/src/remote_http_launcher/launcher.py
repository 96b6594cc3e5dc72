"""Start or reuse one service, and return how to reach it.

Order: the client state of an earlier call, when the very process that it names answers; the state on the target, when
that process lives, serves and is what was asked for; a new process. Whatever number of clients do this at once, the
lock on the target lets one process start, and all get the same answer (launch_service.py).

Invariants: nothing is adopted that does not prove to be the service: by its identity, or, when it gives none, by the
socket that listens; a service whose state may be of another machine is never started again; at most two starts a call.
"""

from __future__ import annotations

import os
import time

from .configuration import Configuration
from .connecting import PROBE_TIMEOUT_S, connect, handshake_port
from .directories import (
    client_directory,
)
from .errors import LauncherError, StateMalformed, StateMissing, UsageError
from .handshake import probe
from .handshake_url import handshake_url
from .launch_errors import (
    FilesUnusable,
    ServiceElsewhere,
    StartFailed,
    StartInterrupted,
    StartTimedOut,
)
from .progress import NoProgress, Progress
from .reuse import check_reuse, same_process
from .state_files import read_state, remove_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .executors import Executor
    from .target import Facts, Target

__all__ = ("run", "run_configuration")

REUSE_TRIES, REFUSED_TRIES, REUSE_PAUSE_S = 15, 3, 1.0  # a busy server is not a dead one
CONDA_NOT_INITIALISED = "CondaError: Run 'conda init' before 'conda activate'"
STARTS_MAX = 2


def run(config: Mapping[str, Any], *, connection_dir: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Have the service run, and return the client state: at least `hostname` and `port`.

    config: see Configuration. connection_dir: where the client state goes, instead of the usual directory.
    Raises LauncherError, a class for each cause.
    """
    return run_configuration(Configuration.from_mapping(config), connection_dir=connection_dir)


def run_configuration(
    config: Configuration,
    *,
    connection_dir: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    quiet: bool = False,
    on_start: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Do what `run` does, for a checked configuration. executor: instead of the one that fits the configuration.

    quiet: the caller tells how it ended; only warnings are shown, and on a terminal a moving line, which stays as
    `ready` or `not ready`. on_start: called once when the service does not run and is about to be started.
    """
    progress = Progress(
        config.key,
        config.log_level,
        log_file=config.log_file,
        debug_log_file=config.debug_log_file,
        quiet=quiet,
    )
    is_ready = False
    try:
        directory = client_directory() if connection_dir is None else os.path.abspath(connection_dir)
        found = _Launch(config, directory, progress, executor, on_start).run()
        is_ready = True
        return found
    except LauncherError as exc:
        progress.error(exc.message)
        raise
    except OSError as exc:
        error = FilesUnusable.of(config.key, exc)
        progress.error(error.message)
        raise error from exc
    finally:
        progress.close(is_ready=is_ready)


class _Launch:
    """One call of `run`."""

    def __init__(
        self,
        config: Configuration,
        directory: str,
        progress: NoProgress,
        executor: Executor | None,
        on_start: Callable[[], None] | None,
    ) -> None:
        self.config = config
        self.path = os.path.join(directory, config.key + ".json")
        self.progress = progress
        self._executor = executor
        self._on_start = on_start
        self._facts: Facts | None = None
        self.n_starts = 0

    def run(self) -> dict[str, Any]:
        found = self._local_check()
        if found is not None:
            self.progress.phase("done", "reused-local")
            return found
        state, token = self._service()
        mapping = connect(self.config, self.path, state, token, self.progress)
        self.progress.phase("done", "launched" if self.n_starts else "reused-remote")
        return mapping

    # ---- what this machine knows

    def _local_check(self) -> dict[str, Any] | None:
        """Return the client state if the very process that it names answers there, and is what is asked for."""
        try:
            state = read_state(self.path)
        except StateMissing:
            self.progress.phase("local_check", "missing")
            return None
        except StateMalformed:
            self.progress.phase("local_check", "malformed")
            return None
        result = self._local_result(state)
        self.progress.phase("local_check", result)
        if result == "stale":
            remove_state(self.path)
        return state if result == "reused" else None

    def _local_result(self, state: dict[str, Any]) -> str:
        config = self.config
        if state.get("status") == "stale":
            return "stale"
        host, port = state.get("hostname"), handshake_port(config, state)
        if not isinstance(host, str) or port is None:
            return "malformed"
        identity, launched = state.get("identity"), state.get("launched")
        if not isinstance(identity, dict) or not isinstance(launched, dict):
            return "unverified"  # its target can tell
        if config.tunnel != ("tunneled-host" in state) or (
            state.get("tunneled-host") != config.ssh_hostname
            if config.tunnel
            else host != (config.hostname or host)
        ):
            return "stale"
        try:
            found = probe(handshake_url(host, port, config.handshake), PROBE_TIMEOUT_S)
        except UsageError:
            return "malformed"  # no name of a host
        answers = found.is_healthy or (config.handshake is None and found.status is not None)
        if not answers or found.identity is None or not same_process(found.identity, identity, config.key):
            return "stale"
        for difference in check_reuse(config, launched):
            self.progress.warn(difference)
        return "reused"

    # ---- what the target knows

    def _target(self) -> Target:
        from .executors import LocalExecutor
        from .target import Target

        executor = self._executor
        if executor is None and self.config.ssh_hostname is not None and not self.config.is_local:
            from .ssh import SshExecutor

            executor = SshExecutor(self.config.ssh_hostname)
        self.progress.phase("connect", "local" if executor is None else executor.name)
        return Target(self.config, executor or LocalExecutor())

    def _service(self) -> tuple[dict[str, Any], str | None]:
        """Return state and token of the running service."""
        target = self._target()
        facts = target.look()
        self.progress.phase(
            "remote_check", "missing" if facts.status == "absent" else f"found:{facts.status}"
        )
        if facts.status == "starting" and facts.liveness in ("alive", "unknown"):
            facts = self._wait(target, facts)
        replace = None
        if facts.status == "running":
            replace = self._validate(target, facts)
            if replace is None:
                facts = self._facts or facts
                for difference in check_reuse(self.config, facts.state):
                    self.progress.warn(difference)
                return facts.state, facts.token
            self.progress.phase("stale_cleanup", "process does not serve")
        elif facts.liveness == "unknown" and facts.status == "starting":
            raise self._elsewhere(facts)
        elif facts.status not in ("absent", "running"):
            self.progress.phase("stale_cleanup", facts.status)
        return self._start(target, facts, replace)

    def _wait(self, target: Target, facts: Facts) -> Facts:
        """Wait for a start that somebody else began; raise when it fails, unless it was interrupted."""
        self.progress.begin("wait_for_start")
        found = target.look(self.config.start_timeout_s)
        self.progress.phase("wait_for_start", found.status)
        if found.status == "failed" and _error_of(found.state).get("kind") != "interrupted":
            raise self._start_failed(found.state, found.log)
        if found.status == "starting" and found.liveness == "alive":
            raise self._too_slow(found.log)
        return found

    def _too_slow(self, log: str) -> StartTimedOut:
        return StartTimedOut(
            f"{self.config.key!r} was being started by another client and is not ready after "
            f"{self.config.start_timeout_s:g} s; it was left alone",
            hint="wait for it, or raise start_timeout",
            host=self.config.hostname,
            key=self.config.key,
            log_tail=log,
        )

    def _validate(self, target: Target, facts: Facts) -> str | None:
        """Return None if the running process serves as it should, else its label, to be replaced."""
        from .launch_service import process_label

        for attempt in range(REUSE_TRIES):
            problem = self._problem(facts)
            if not problem:
                self.progress.phase("remote_validate", "ok")
                self._facts = facts
                return None
            is_stranger = problem == "identity-failed"
            if is_stranger or attempt + 1 >= (REUSE_TRIES if facts.port_open else REFUSED_TRIES):
                break
            time.sleep(REUSE_PAUSE_S)
            facts = target.look()
            if facts.status != "running":
                return process_label(facts.state)  # it has ended meanwhile: nothing of it is left to replace
        self.progress.phase("remote_validate", problem)
        if facts.liveness == "unknown":
            raise self._elsewhere(facts)
        return process_label(facts.state)

    def _problem(self, facts: Facts) -> str:
        """Return what is wrong with a service that is said to run; "" if nothing is."""
        if not facts.port_open:
            return "port-failed"
        found = facts.handshake or {}
        identity = found.get("identity")
        if identity is not None and not same_process(identity, facts.state, self.config.key):
            return "identity-failed"
        if identity is None and found.get("listens") is False:
            return "identity-failed"
        if identity is None and facts.liveness == "unknown":
            return "identity-failed"
        status = found.get("status")
        if self.config.handshake is not None and not (isinstance(status, int) and 200 <= status < 300):
            return "handshake-failed"
        return ""

    def _start(self, target: Target, facts: Facts, replace: str | None) -> tuple[dict[str, Any], str | None]:
        config = self.config
        if self._on_start is not None:
            self._on_start()
        setup: dict[str, Any] = {}
        if config.conda is not None:
            self.progress.begin("conda_setup")
            setup = target.prepare_conda()
            self.progress.phase("conda_setup", "ok")
        status_file = f"{facts.directory}/{config.key}.json"
        while True:
            self.progress.begin("launch")
            self.n_starts += 1
            try:
                started, state, token = target.launch(status_file, replace=replace)
            except KeyboardInterrupt:
                self._abandon(target)
                raise
            self.progress.phase("launch", "started" if started else "found one")
            self.progress.phase("wait_for_start", str(state.get("status")))
            if state.get("status") == "running":
                if not started:
                    self.n_starts -= 1
                    for difference in check_reuse(config, state):
                        self.progress.warn(difference)
                return state, token
            if state.get("status") == "starting":
                raise self._too_slow("")
            error = self._start_failed(state, "")
            self.progress.detail(error.log_tail)
            is_conda = CONDA_NOT_INITIALISED in error.log_tail and setup.get("conda_source", "") is None
            is_other = isinstance(error, StartInterrupted) and not started
            if self.n_starts >= STARTS_MAX or not (is_conda or is_other):
                raise error
            if is_conda:
                setup = target.refresh_conda()

    def _abandon(self, target: Target) -> None:
        """After an interrupt over a connection that the helper does not see: stop what was only starting."""
        if target.executor.host is None:
            return  # the helper was told, and has stopped it
        try:
            if target.look().status == "starting":
                target.stop()
        except LauncherError as exc:
            self.progress.warn(f"what was being started could not be stopped: {exc.message}")

    def _start_failed(self, state: Mapping[str, Any], log: str) -> StartFailed:
        config, error = self.config, _error_of(state)
        kind = {"timeout": StartTimedOut, "interrupted": StartInterrupted}.get(
            str(error.get("kind")), StartFailed
        )
        where = "" if config.hostname is None else f" on {config.hostname}"
        cause = str(error.get("message") or "The service ended before it was ready.")
        hint = error.get("hint")
        tail = error.get("log_tail")
        return kind(
            f"{config.key!r} did not start{where}: {cause}",
            hint=hint if isinstance(hint, str) else f"rhl-logs {config.key}",
            host=config.hostname,
            key=config.key,
            log_tail=tail if isinstance(tail, str) and tail else log,
        )

    def _elsewhere(self, facts: Facts) -> ServiceElsewhere:
        other = facts.state.get("host") or "another machine"
        return ServiceElsewhere(
            f"the state of {self.config.key!r} is of process {facts.state.get('pid')} on {other!r}; {facts.host!r} "
            "cannot tell whether it lives, and it does not answer from there",
            hint=f"ssh {other} rhl-ps; when nothing runs there: rhl-rm {self.config.key} --server",
            host=str(other),
            key=self.config.key,
        )


def _error_of(state: Mapping[str, Any]) -> dict[str, Any]:
    error = state.get("error")
    return error if isinstance(error, dict) else {}
