"""seamless-queue: run the steps that `seamless-run --qsub` put into a file; seamless-queue-finish: that was all."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence

from seamless_command.command_parser import command_parser
from seamless_command.errors import ShellError
from seamless_command.program import EXIT_INTERRUPTED, run_program
from seamless_command.scope import add_scope_options, require_configuration, scope_of

from .queue_file import QueueFile, queue_path

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from concurrent.futures import Future
    from typing import Any

    from seamless.active import ActiveSet
    from seamless_command.messages import Messages

    from .prepare import PreparedStep

__all__ = ("finish_main", "queue_main", "submit")

POLL_S = 0.05


def submit(step: PreparedStep, options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Append a step, whose inputs are stored, to the queue file."""
    from .bash_quotes import quote_words
    from .transfer_limits import transfer_limits

    limits = transfer_limits("download")
    record = {
        "queue_command": "SUBMIT",
        "original_command": f"seamless-run {quote_words(arguments)}",
        "transformation_checksum": step.digest.hex(),
        "transformation_dict": step.transformation,
        "result_targets": step.targets,
        "params": {
            "undo": False,
            "scratch": options.scratch,
            "workdir": os.getcwd(),
            "download": not (options.no_download or options.scratch),
            "auto_confirm": options.answer or "no",
            "capture_stdout": "STDOUT" in step.targets,
            "max_download_size": limits.max_bytes,
            "max_download_files": limits.max_files,
        },
    }
    with QueueFile(queue_path()) as queue:
        queue.append(record)


def queue_main(argv: Sequence[str] | None = None) -> int:
    """Run the steps of the queue until it is finished; return the exit code."""
    parser = command_parser(
        "seamless-queue",
        "Run the steps that seamless-run --qsub puts into the queue file, until seamless-queue-finish.",
        examples=[("seamless-queue &", "run what is queued, and what will be")],
        exit_codes=[(0, "the queue was finished"), (1, "failed"), (2, "wrong usage"), (130, "interrupted")],
    )
    parser.add_argument("-q", dest="quiet", action="store_true", help="say nothing but errors")
    add_scope_options(parser)
    return run_program("seamless-queue", lambda messages: _queue(parser.parse_args(argv), messages))


def finish_main(argv: Sequence[str] | None = None) -> int:
    """Say that the queue is complete, and wait until it is done; return the exit code."""
    parser = command_parser(
        "seamless-queue-finish",
        "Tell seamless-queue that no more steps will come, and wait until it has run them all.",
        examples=[("seamless-queue-finish", "wait for everything that was submitted")],
    )
    return run_program("seamless-queue-finish", lambda messages: _finish(parser.parse_args(argv)))


def _finish(_options: argparse.Namespace) -> int:
    path = queue_path()
    with QueueFile(path) as queue:
        had_file = queue.append_eof()
    while had_file and os.path.exists(path):
        time.sleep(POLL_S)
    return 0


def _queue(options: argparse.Namespace, messages: Messages) -> int:
    from concurrent.futures import ThreadPoolExecutor

    messages.verbosity = -1 if options.quiet else 0
    scope = scope_of(options)
    require_configuration(scope, messages)
    if not scope.has_cluster:
        raise ShellError(
            "seamless-queue requires a cluster", hint="export SEAMLESS_CACHE=/path/to/cache, for one"
        )
    active = scope.active
    stop = threading.Event()
    running: list[Future[None]] = []
    with QueueFile(queue_path()) as queue, ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            is_finished = False
            while not is_finished:
                for record in queue.read_new():
                    if record.get("queue_command") == "EOF":
                        is_finished = True
                    else:
                        running.append(pool.submit(_run_record, record, active, messages, stop))
                if not is_finished:
                    time.sleep(POLL_S)
            for each in running:
                each.result()
        except KeyboardInterrupt:
            stop.set()
            return EXIT_INTERRUPTED
        active.buffers.flush()
        queue.delete()
    return 0


def _run_record(record: dict[str, Any], active: ActiveSet, messages: Messages, stop: threading.Event) -> None:
    """Run one step and write its results; what goes wrong is said, the others go on."""
    from concurrent.futures import CancelledError

    from seamless.errors import SeamlessError, StepError

    name = str(record.get("original_command", "a step"))
    try:
        _run_step(record, active, stop)
    except StepError as exc:
        messages.error(f"{name} failed:\n{exc.user_traceback.rstrip()}")
    except CancelledError:
        messages.say(0, f"canceled: {name}")
    except (SeamlessError, OSError, KeyError, TypeError, ValueError) as exc:
        messages.error(f"{name}: {type(exc).__name__}: {exc}")
    else:
        messages.say(0, f"done: {name}")


def _run_step(record: dict[str, Any], active: ActiveSet, stop: threading.Event) -> None:
    from seamless.checksum import Checksum
    from seamless.step import StepOutput
    from seamless_transformer.stored_step import run_transformation

    from .run_results import write_results

    parameters = record["params"]
    result = active.results.get(Checksum(record["transformation_checksum"]))
    buffer = None if result is None else active.buffers.get(result)
    if buffer is None and not (result is not None and parameters["scratch"]):
        finished = run_transformation(
            record["transformation_dict"],
            active=active,
            scratch=bool(parameters["scratch"]),
            cancelled=stop.is_set,
            output=StepOutput(stdout=lambda piece: None, stderr=_show),
        )
        buffer = finished.buffer
    if parameters["scratch"] or buffer is None:
        return
    folder = str(parameters["workdir"])
    targets = {
        target: os.path.join(folder, local or target) for target, local in record["result_targets"].items()
    }
    write_results(
        buffer.get_value("plain"),
        targets,
        active,
        download=bool(parameters["download"]),
        answer="yes" if parameters["auto_confirm"] == "yes" else "no",
    )


def _show(piece: bytes) -> None:
    sys.stderr.buffer.write(piece)
    sys.stderr.buffer.flush()
