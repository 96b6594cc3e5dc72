"""Run a bash step: inputs as files and variables, the command, the RESULT it leaves.

Each run has a temporary directory of its own as the command's working directory; the process's own working
directory is never touched, so any number of commands run at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seamless.checksum import Checksum
from seamless.deserialize import deserialize
from seamless.errors import SeamlessError, StepError
from seamless.step import StepOutcome

from .bash_files import RESULT_NAME, InputFileError, write_inputs
from .bash_result import read_result
from .command import FinishedCommand, _CommandCancelled, run_command
from .command_output import CommandOutput
from .errors import SeamlessStreamTransformationError
from .pins import PinValueError, code_text, input_pins
from .usage import usage_of_command

if TYPE_CHECKING:
    from seamless.step import StepRequest

    from .running import RunningStep

__all__ = ("SECRET_VARIABLES", "CondaMissing", "StoredInputChanged", "run_bash")

BASH = "/bin/bash"
DIRECTORY_PREFIX = "seamless-bash-transformer"
SECRET_VARIABLES = ("SEAMLESS_TOKEN", "HASHSERVER_TOKEN", "DATABASE_TOKEN", "JOBSERVER_TOKEN")  # prefixes
_MAX_ARGUMENT_BYTES = 100_000  # Linux takes 128 KiB in one argument; a longer script goes through a file

# One line, so that the line numbers in bash's messages are the author's.
# The trap looks for jobs only if one was ever started, which saves a process in the usual case.
_PROLOGUE = (
    'set -u -e; trap \'if [ -n "${!-}" ]; then '
    'for _job in $(jobs -p); do kill "$_job" 2>/dev/null || :; done; fi\' EXIT; '
)
_CONDA = 'set +u; source "$_SEAMLESS_CONDA_SH"; conda activate "$_SEAMLESS_CONDA_ENV"; set -u; '


class CondaMissing(RuntimeError):
    """The step needs a conda environment, and there is no usable conda here.

    Remedy: install conda where the step runs, or set `CONDA_ROOT` to the directory of a complete installation.
    """


class StoredInputChanged(SeamlessError):
    """The command wrote into an input file that belongs to the buffer store.

    Remedy: let the command copy the file before it changes it, then run the step again that produced the buffer.
    """


def run_bash(request: StepRequest, step: RunningStep) -> StepOutcome:
    """Run the step; the contract is `run_step`'s."""
    command = code_text(request, request.transformation["code"][2]).rstrip("\n")
    environment = _base_environment()
    prologue = _PROLOGUE
    conda_environment = _conda_environment(request)
    if conda_environment is not None:
        prologue += _CONDA
    # the name first, so that an interrupt inside mkdir finds it in `finally`
    directory = Path(tempfile.gettempdir(), DIRECTORY_PREFIX + os.urandom(8).hex())
    failure: Exception
    try:
        directory.mkdir(mode=0o700)
        try:
            if conda_environment is not None:
                environment["_SEAMLESS_CONDA_SH"] = str(_conda_script(environment))
                environment["_SEAMLESS_CONDA_ENV"] = conda_environment
            inputs = write_inputs(input_pins(request.transformation), request, directory)
        except (InputFileError, PinValueError, CondaMissing) as exc:
            failure = exc
        else:
            environment.update(inputs.variables)
            finished = _run(prologue + command + "\n", directory, environment, request, step)
            changed = inputs.changed_links()
            if changed:
                raise StoredInputChanged(
                    f"the command of step {request.tf_checksum} changed its input {changed[0]!r}, a file of "
                    "the buffer store; that buffer is damaged now. Let the command copy the file first."
                )
            if finished.returncode == 0:
                celltype = request.transformation["__output__"][1]
                try:
                    result, attachments = read_result(directory, celltype)
                except (TypeError, ValueError) as exc:
                    failure = _stream_error(str(exc), command, step)
                else:
                    usage = usage_of_command(finished.wall_s, finished.rusage)
                    return StepOutcome(result, usage, attachments)
            else:
                failure = _stream_error(
                    f"Return code {finished.returncode}", command, step, returncode=finished.returncode
                )
    finally:
        _remove(directory)
    raise _step_error(failure, step) from None


def _run(
    script: str, directory: Path, environment: Mapping[str, str], request: StepRequest, step: RunningStep
) -> FinishedCommand:
    """Run the script. Raises CancelledError when the request is cancelled meanwhile."""
    output = CommandOutput(request.output, step, directory / RESULT_NAME)

    def run(arguments: list[str]) -> FinishedCommand:
        finished = run_command(
            arguments,
            directory=directory,
            environment=environment,
            cancelled=request.cancelled,
            take_stdout=output.take_stdout,
            take_stderr=output.take_stderr,
            look=output.look,
        )
        output.finish(succeeded=finished.returncode == 0)
        return finished

    encoded = script.encode()
    try:
        if len(encoded) <= _MAX_ARGUMENT_BYTES:
            return run([BASH, "-c", script])
        with tempfile.NamedTemporaryFile(prefix=DIRECTORY_PREFIX, suffix=".sh") as file:
            file.write(encoded)
            file.flush()
            return run([BASH, file.name])
    except _CommandCancelled:
        from concurrent.futures import CancelledError

        raise CancelledError(
            f"step {request.tf_checksum} was cancelled and its command was stopped"
        ) from None
    finally:
        output.close()


def _base_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(SECRET_VARIABLES)}


def _conda_environment(request: StepRequest) -> str | None:
    """Return the name of the conda environment that the step asks for."""
    checksum = request.transformation.get("__env__")
    if not checksum:
        return None
    specification = deserialize(request.read_buffer(Checksum(checksum)), "plain")
    name = specification.get("conda_environment")
    return None if name is None else str(name)


def _conda_script(environment: Mapping[str, str]) -> Path:
    """Return the file that makes `conda activate` known to a shell."""
    root = environment.get("CONDA_ROOT")
    if not root:
        root = _conda_info_base(environment)
    script = Path(root) / "etc" / "profile.d" / "conda.sh"
    if not script.is_file():
        raise CondaMissing(
            f"the step asks for a conda environment, but conda in {root} has no {script.relative_to(root)}: "
            "set CONDA_ROOT to the directory of a complete conda installation"
        )
    return script


def _conda_info_base(environment: Mapping[str, str]) -> str:
    import subprocess

    try:
        found = subprocess.run(
            ["conda", "info", "--base"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise CondaMissing(
            "the step asks for a conda environment, but CONDA_ROOT is not set and `conda info --base` fails "
            f"({exc}): install conda on this machine, or set CONDA_ROOT"
        ) from None
    return found.stdout.strip()


def _stream_error(
    reason: str, command: str, step: RunningStep, *, returncode: int | None = None
) -> SeamlessStreamTransformationError:
    return SeamlessStreamTransformationError(
        reason, command, returncode=returncode, stderr=step.printed("stderr")
    )


def _step_error(failure: Exception, step: RunningStep) -> StepError:
    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
    text = str(failure)
    if not isinstance(failure, SeamlessStreamTransformationError):
        text = f"{type(failure).__name__}: {text}"
    return StepError(
        failure, text.rstrip("\n") + "\n", stdout=step.printed("stdout"), stderr=step.printed("stderr")
    )


def _remove(directory: Path) -> None:
    """Remove the directory, whatever permissions the command has left in it."""

    def make_writable(_function: Any, path: str, _error: Any) -> None:
        try:
            if Path(path) != directory:  # what is around the directory is not ours
                Path(path).parent.chmod(0o700)
            if Path(path).is_dir() and not Path(path).is_symlink():
                Path(path).chmod(0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink(missing_ok=True)
        except OSError:
            return  # reported below

    if not directory.exists():
        return
    shutil.rmtree(directory, onerror=make_writable)
    if directory.exists():
        import logging

        logging.getLogger(__name__).warning("cannot remove the working directory of a step: %s", directory)
