"""What the launcher asks of the machine where a service runs, in calls of helpers; here or over SSH alike."""

from __future__ import annotations

from .conda import is_listed, parse_setup
from .configuration import Configuration
from .handshake_url import handshake_url
from .launch_errors import CondaEnvironmentMissing, CondaUnavailable, HelperFailed, LaunchRefused
from .small_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from .executors import Answer, Executor

    _T = TypeVar("_T")

__all__ = ("Facts", "Target")

CALL_S = 30.0  # beyond what the helper itself may wait
CONDA_S = 500.0  # rhl-cache-conda: eight runs of a shell, each with a limit of its own
LOG_LINES = 20


class Facts:
    """What is known of the service on its machine.

    status: derived; `absent` without state. liveness: alive, dead, unknown or None. directory: of the states there.
    """

    def __init__(self, answer: dict[str, Any], key: str) -> None:
        found = answer["services"][key]
        self.directory: str = answer["directory"]
        self.host: str = answer["host"]
        self.status: str = found["status"]
        self.liveness: str | None = found["liveness"]
        self.state: dict[str, Any] = found["state"] or {}
        self.port_open: bool | None = found["port_open"]
        self.handshake: dict[str, Any] | None = found["handshake"]
        self.error: str | None = found["error"]
        self.token: str | None = found.get("token")
        self.log: str = found.get("log") or ""


class Target:
    """The machine of one launch."""

    def __init__(self, config: Configuration, executor: Executor) -> None:
        self.config = config
        self.executor = executor

    def look(self, wait_s: float = 0.0) -> Facts:
        """Return what is known; wait_s: until it runs or cannot any more. Raises HelperFailed and what SSH raises."""
        config = self.config
        path = (
            handshake_url("x", 1, config.handshake).partition("x:1")[2]
            if config.handshake
            else "/healthcheck"
        )
        port_name = (config.handshake.port_name if config.handshake else None) or "port"
        if self.executor.host is None:
            from .looking import look

            answer = look(
                [config.key],
                wait_s,
                ("running", "failed") if wait_s else (),
                handshake=path,
                port_name=port_name,
                n_log_lines=LOG_LINES,
                with_token=True,
            )
            return Facts(answer, config.key)
        words = [
            config.key,
            "--handshake",
            path,
            "--port-name",
            port_name,
            "--tail",
            str(LOG_LINES),
            "--with-token",
        ]
        if wait_s:
            words += ["--wait", f"{wait_s:.3f}", "--want", "running,failed"]
        said = self._call("rhl-look", words, wait_s + CALL_S)
        return self._understood("rhl-look", said, lambda found: Facts(found, config.key))

    def launch(self, status_file: str, *, replace: str | None) -> tuple[bool, dict[str, Any], str | None]:
        """Start it and wait until it runs or has failed; return whether this call started it, its state, its token."""
        config = self.config
        words = [
            "--key",
            config.key,
            "--workdir",
            config.workdir,
            "--network-interface",
            config.network_interface,
        ]
        words += ["--wait", f"{config.start_timeout_s:g}", "--auth", config.auth]
        if config.conda is not None:
            words += ["--conda-env", config.conda]
        if config.file_parameters is not None:
            words += ["--parameters", dumps(config.file_parameters)]
        if config.meta is not None:
            words += ["--meta", dumps(config.meta)]
        if replace is not None:
            words += ["--replace", replace]
        words += ["--", *config.words(status_file)]
        answer = self.executor.call(
            "rhl-launch-service", words, timeout_s=config.start_timeout_s + 2 * CALL_S
        )
        if answer.exit_code not in (0, 1) or not answer.stdout.strip():
            raise self._refused(answer)
        return self._understood(
            "rhl-launch-service",
            answer.stdout,
            lambda found: (bool(found["started"]), dict(found["state"]), found["token"]),
        )

    def stop(self) -> None:
        """Stop it."""
        self._call("rhl-stop", [self.config.key], 2 * CALL_S)

    def prepare_conda(self) -> dict[str, Any]:
        """Return what is known of conda there, the environment included; its list is made anew at most once.

        Raises CondaUnavailable, CondaEnvironmentMissing.
        """
        environment = self.config.conda or ""
        setup = self._conda_setup()
        if setup is not None and is_listed(environment, setup):
            return setup
        setup = self.refresh_conda()
        if not is_listed(environment, setup):
            raise CondaEnvironmentMissing(
                f"The conda environment {environment!r} is not listed in the conda cache for "
                f"{self.executor.name} after running rhl-cache-conda.",
                hint=f"there are: {', '.join(path.rpartition('/')[2] for path in setup['envs']) or 'none'}",
                host=self.executor.host,
                key=self.config.key,
            )
        return setup

    def refresh_conda(self) -> dict[str, Any]:
        """Have conda looked for again, and return what was found. Raises CondaUnavailable."""
        answer = self.executor.call("rhl-cache-conda", [], timeout_s=CONDA_S)
        setup = self._conda_setup() if answer.exit_code == 0 else None
        if setup is None:
            raise CondaUnavailable(
                f"Conda is not available on {self.executor.host or 'this machine'}: "
                f"{answer.stderr.strip().removeprefix('rhl-cache-conda: ')[-300:] or 'its cache cannot be read'}",
                hint="run `conda init bash` there, then rhl-cache-conda",
                host=self.executor.host,
                key=self.config.key,
            )
        return setup

    def _conda_setup(self) -> dict[str, Any] | None:
        answer = self.executor.call("rhl-conda-info", [])
        if answer.exit_code != 0:
            return None
        try:
            return parse_setup(answer.stdout, "rhl-conda-info")
        except CondaUnavailable:
            return None

    def _call(self, helper: str, words: Sequence[str], timeout_s: float) -> bytes:
        answer = self.executor.call(helper, words, timeout_s=timeout_s)
        if answer.exit_code != 0:
            raise self._failed(helper, answer)
        return answer.stdout

    def _understood(self, helper: str, said: bytes, read: Callable[[Any], _T]) -> _T:
        try:
            return read(loads(said.decode()))
        except (ValueError, KeyError, TypeError) as exc:
            raise HelperFailed(
                f"the answer of {helper} on {self.executor.host or 'this machine'} cannot be understood: "
                f"{said[:200]!r}",
                hint="have the same version of remote-http-launcher on both machines",
                host=self.executor.host,
                stderr=str(exc),
            ) from exc

    def _failed(self, helper: str, answer: Answer) -> HelperFailed:
        prefix = "" if self.executor.host is None else f"ssh {self.executor.host} "
        return HelperFailed(
            f"{helper} failed: {answer.stderr.strip()[-1000:] or f'exit code {answer.exit_code}'}",
            hint=f"{prefix}{helper} --help",
            host=self.executor.host,
            exit_code=answer.exit_code,
            stderr=answer.stderr,
        )

    def _refused(self, answer: Answer) -> HelperFailed | LaunchRefused:
        if answer.exit_code != 1:
            return self._failed("rhl-launch-service", answer)
        message, _, hint = answer.stderr.strip().partition("\nhint:")
        return LaunchRefused(
            f"rhl-launch-service failed: {message.removeprefix('rhl-launch-service: ').removeprefix('rhl: ')[-1000:]}",
            hint=hint.strip() or None,
            host=self.executor.host,
            key=self.config.key,
        )
