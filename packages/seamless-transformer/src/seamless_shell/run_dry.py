"""seamless-run without running: `--dry`, with a job directory, with an upload."""

from __future__ import annotations

import os

from seamless_command.errors import ShellError

from .run_inputs import StepInputs

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages
    from seamless_command.scope import Scope

    from .prepare import PreparedStep

__all__ = ("prepare_only",)


def prepare_only(
    step: PreparedStep,
    options: argparse.Namespace,
    scope: Scope,
    messages: Messages,
    arguments: Sequence[str],
) -> int:
    """Do what `--dry` or `--qsub` asks for; return the exit code. Raises ShellError.

    arguments: of seamless-run, as the queue shows them.
    """
    if options.write_remote_job is not None:
        raise ShellError(
            "--write-remote-job needs an executor on another machine; here the steps run in this process",
            hint="-j DIR writes the job directory here",
        )
    if options.job is not None and os.path.lexists(options.job):
        raise ShellError(f"Output job directory '{options.job}' already exists")
    inputs = StepInputs(step, scope.active)
    inputs.upload(messages, answer=options.answer)
    if options.upload or options.queue:
        inputs.store_small()
        scope.active.buffers.flush()
    if options.job is not None:
        _write_job(step, options.job, checksum_only=options.upload)
        print(step.digest.hex())
    if options.queue:
        from .queue_command import submit

        submit(step, options, arguments)
    return 0


def _write_job(step: PreparedStep, directory: str, *, checksum_only: bool) -> None:
    """Write the job directory, which appears whole or not at all."""
    from seamless.dialect_p import dumps

    files: dict[str, bytes] = {}
    if checksum_only:
        files["transformation.json.CHECKSUM"] = step.digest.hex().encode()
    else:
        files["transformation.json"] = step.text
        files["command.txt"] = step.code.encode()
        if step.environment is not None:
            files["env.json"] = dumps(step.environment)
    beside = {key: value for key, value in step.transformation.items() if key == "__meta__"}
    if beside:
        files["dunder.json"] = dumps(beside)
    temporary = f"{directory.rstrip('/')}.part-{os.getpid()}"
    os.mkdir(temporary)
    try:
        for name, content in files.items():
            with open(os.path.join(temporary, name), "xb") as file:
                file.write(content)
        os.rename(temporary, directory)
    except BaseException:
        for name in os.listdir(temporary):
            os.unlink(os.path.join(temporary, name))
        os.rmdir(temporary)
        raise
