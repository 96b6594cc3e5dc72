"""Start one service on this machine, exactly once for its key, and say how that ended.

Under the lock of the key: a state whose process lives is kept and nothing is started; one whose process may live on
another machine refuses; everything else gives way to a new process. The process is recorded before the lock is given
up, so whoever comes next finds it.

With a time to wait, the start is followed to its end here, by this machine's clock: a service that ends, says that it
failed, takes too long, or whose start is interrupted leaves no process, and a state `failed` with the cause and the
last lines of its log.
"""

from __future__ import annotations

import os
import time

from .child import quoted_words, start_child
from .directories import group_token_path, log_path, make_private_directory, server_directory
from .errors import LauncherError, StateMalformed, StateMissing
from .key_lock import KeyLock
from .launch_errors import LaunchRefused, ServiceElsewhere
from .processes import identity_of, liveness
from .state_files import SCHEMA, read_state, remove_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .child import Child
    from .launch_request import LaunchRequest

__all__ = ("LaunchOutcome", "launch", "process_label", "wait_for_start")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.004, 0.1
LOCK_TIMEOUT_S = 60.0
TAIL_LINES, TAIL_BYTES = 20, 8192  # of the log, kept in a failed state


class LaunchOutcome:
    """started: whether this call started it. state: what is recorded. process: None if not ours."""

    __slots__ = ("process", "started", "state")

    def __init__(self, state: dict[str, Any], *, started: bool, process: Child | None = None) -> None:
        self.state = state
        self.started = started
        self.process = process


def launch(request: LaunchRequest, *, replace: str | None = None) -> LaunchOutcome:
    """Start the service unless it lives; return once it is started, not once it is ready.

    replace: `PID:START_TIME` of a process that lives but does not serve; it is stopped first, if the state still
    names that very one. Raises LauncherError.
    """
    make = getattr(request.given_workdir, "create", None)  # from the guard: that very directory, not its name
    if make is not None:
        make()
    else:
        os.makedirs(request.workdir, exist_ok=True)
    if make is None and not os.path.isdir(request.workdir):
        raise LaunchRefused(f"workdir is no directory: {request.given_workdir!r}", key=request.key)
    make_private_directory(server_directory())
    with KeyLock(request.key, timeout_s=LOCK_TIMEOUT_S):
        found = _found(request.state_path)
        if found is not None and (kept := _kept(found, request, replace)) is not None:
            return LaunchOutcome(kept, started=False)
        return _start(request)


def process_label(state: dict[str, Any]) -> str:
    """Return `PID:START_TIME`, the argument for `replace`."""
    return f"{state.get('pid')}:{state.get('start_time')}"


def wait_for_start(
    request: LaunchRequest,
    outcome: LaunchOutcome,
    wait_s: float,
    *,
    is_interrupted: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Wait until the service runs or has failed, at most `wait_s`; return its state, `failed` if it did not come up.

    is_interrupted: asked again and again; true counts as an interrupt.
    A start of somebody else is only watched: it is not ended when the time is over or the wait is interrupted.
    """
    state, path = outcome.state, request.state_path
    deadline = clock() + wait_s
    pause_s = FIRST_PAUSE_S
    try:
        while True:
            if is_interrupted is not None and is_interrupted():
                raise KeyboardInterrupt
            ended = _has_ended(outcome, path)  # asked before the state is read: its last word counts
            state = _latest(path, state)
            if state.get("status") in ("running", "failed"):
                break
            if ended is not None:
                return _fail(
                    request, state, f"The service ended before it was ready{ended}.", "ended", outcome
                )
            if clock() >= deadline:
                if not outcome.started:
                    return state  # whoever started it decides how long that may take
                cause = f"The service was not ready within {wait_s:g} s; it was stopped."
                return _fail(request, state, cause, "timeout", outcome)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.2, LONGEST_PAUSE_S)
    except KeyboardInterrupt:
        if outcome.started:
            _fail(
                request, state, "The start was interrupted; the service was stopped.", "interrupted", outcome
            )
        raise
    if state.get("status") == "failed":
        error = state.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        hint = error.get("hint") if isinstance(error, dict) else None
        return _fail(
            request, state, str(message or "The service said that it failed."), "failed", outcome, hint=hint
        )
    return state


def _found(path: str) -> dict[str, Any] | None:
    try:
        return read_state(path)
    except (StateMissing, StateMalformed):
        return None


def _kept(found: dict[str, Any], request: LaunchRequest, replace: str | None) -> dict[str, Any] | None:
    """Return the state if its process stays, None if a new one is to be started."""
    if found.get("dry_run") is True or found.get("status") not in ("running", "starting"):
        return None
    alive = liveness(found, request.state_path)
    if alive == "unknown":
        raise ServiceElsewhere(
            f"the state of {request.key!r} is of process {found.get('pid')} on host {found.get('host')!r}; whether it "
            f"lives cannot be told from {os.uname().nodename!r}",
            hint=f"ssh {found.get('host') or 'HOST'} rhl-ps; when nothing runs there: rhl-rm {request.key} --server",
            host=str(found.get("host") or "") or None,
            key=request.key,
        )
    if alive == "alive" and replace is not None and replace == process_label(found):
        from .stopping_start import end_start

        if not end_start(found, request.state_path):
            raise LauncherError(
                f"process {found.get('pid')} of {request.key!r} does not serve and could not be stopped",
                hint=f"rhl-stop {request.key}",
                layer="launch",
                key=request.key,
            )
        return None
    return found if alive == "alive" else None


def _start(request: LaunchRequest) -> LaunchOutcome:
    log_file = log_path(request.key)
    if os.path.exists(log_file):
        os.replace(log_file, log_path(request.key, previous=True))
    log = os.open(
        log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        words = [getattr(word, "path", word) for word in request.words]  # as the guard has resolved it
        directory = getattr(request.given_workdir, "fd", None)
        if directory is not None:
            os.fchdir(directory)  # this process goes nowhere else any more
        if request.conda_env is not None:
            from .conda import activation, read_conda_cache

            words = activation(request.conda_env, words, read_conda_cache())
        shared = _prepare_token(request, "." if directory is not None else request.workdir)
        remove_state(request.state_path)  # a service must not take the state of the one before for its own
        state: dict[str, Any] = {
            "workdir": request.given_workdir,
            "log": log_file,
            "command": quoted_words(request.words),
            "uid": os.getuid(),
        }
        try:
            process = start_child(words, request.workdir if directory is None else ".", log)
        except OSError as exc:
            message = f"{words[0]} cannot be started: {exc.strerror or exc}"
            error = {
                "message": message,
                "hint": f"install it on {os.uname().nodename}, on the PATH of ssh commands",
            }
            write_state(
                request.state_path, {**state, "status": "failed", **_additions(request), "error": error}
            )
            raise LaunchRefused(message, hint=error["hint"], key=request.key) from exc
        try:
            state.update(pid=process.pid, status="starting", **_additions(request))
            state.update(identity_of(process.pid), schema=SCHEMA, auth=request.auth)
            if shared is not None:
                state["token_file"] = shared
            write_state(request.state_path, state)
        except BaseException:
            process.kill()
            raise
    finally:
        os.close(log)
    return LaunchOutcome(state, started=True, process=process)


def _additions(request: LaunchRequest) -> dict[str, Any]:
    found = {
        "network_interface": request.network_interface,
        "parameters": request.parameters,
        "meta": request.meta,
    }
    return {name: value for name, value in found.items() if value is not None}


def _prepare_token(request: LaunchRequest, workdir: str) -> str | None:
    """Make a new token for the new process; return where a group finds it, if one shares it."""
    from .tokens import make_token, remove_token

    remove_token(group_token_path(request.key))  # of the process before
    if request.auth == "none":
        remove_token(request.token_path)
        return None
    token = make_token(request.token_path)
    if request.auth != "group":
        return None
    from .group_tokens import share_token

    return share_token(request.key, token, workdir)


def _latest(path: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state in the file if it is still that of this process."""
    found = _found(path)
    return state if found is None or found.get("pid") != state.get("pid") else found


def _has_ended(outcome: LaunchOutcome, path: str) -> str | None:
    """Return how the process ended, in words to append; None while it lives."""
    if outcome.process is not None:
        code = outcome.process.poll()
        if code is None:
            return None
        if code < 0:
            import signal

            try:
                return f", by {signal.Signals(-code).name}"
            except ValueError:
                return f", by signal {-code}"
        return f", with exit code {code}"
    return "" if liveness(outcome.state, path) == "dead" else None


def _fail(
    request: LaunchRequest,
    state: dict[str, Any],
    message: str,
    kind: str,
    outcome: LaunchOutcome,
    *,
    hint: object = None,
) -> dict[str, Any]:
    from .stopping_start import end_start

    end_start(state, request.state_path)
    if outcome.process is not None:
        outcome.process.poll()
    error = {
        "message": message,
        "hint": hint if isinstance(hint, str) and hint else f"rhl-logs {request.key}",
        "kind": kind,
        "log_tail": _log_tail(request),
    }
    kept = {name: value for name, value in state.items() if name != "port"}
    failed = {**kept, "status": "failed", "error": error}
    with KeyLock(request.key, timeout_s=LOCK_TIMEOUT_S):
        found = _found(request.state_path)
        if found is None or found.get("pid") == state.get("pid"):
            write_state(request.state_path, failed)
    return failed


def _log_tail(request: LaunchRequest) -> str:
    from .errors import TokenUnusable
    from .tail import last_lines
    from .tokens import Redactor, read_token

    try:
        token = read_token(request.token_path)
    except TokenUnusable:
        token = None
    try:
        content = last_lines(log_path(request.key), TAIL_LINES, size_max_bytes=TAIL_BYTES)
    except OSError:
        return ""
    redactor = Redactor(token)
    return (redactor.feed(content) + redactor.rest()).decode("utf-8", "replace")
