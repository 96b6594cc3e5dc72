"""The options of seamless-run. They end at the first word of the command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seamless_command.command_parser import command_parser
from seamless_command.errors import ShellError
from seamless_command.scope import add_scope_options

from .confirmation import add_confirmation_options, answer_of

__all__ = ("parse_run_options", "run_parser")

DESCRIPTION = (
    "Run a command as a step: its inputs are found, its outputs kept, and the second time it answers at once."
)
EXAMPLES = (
    ("seamless-run cat a.txt", "the content of a.txt is an input"),
    ("seamless-run -c 'sort a.txt | uniq > out.txt'", "a whole command line; out.txt is the result"),
)
EXIT_CODES = (
    (0, "done"),
    (1, "wrong input or set-up; or the command's own code"),
    (2, "wrong usage; or the command's own code"),
    (130, "interrupted"),
)
_VARIABLE_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_VARIABLE_REST = _VARIABLE_START + "0123456789"


def run_parser(program: str = "seamless-run") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(program, DESCRIPTION, examples=EXAMPLES, exit_codes=EXIT_CODES)
    parser.usage = "%(prog)s [options] command [argument ...]\n       %(prog)s [options] -c 'command line'"
    say = parser.add_argument_group("what is said")
    say.add_argument("-v", dest="verbosity", action="count", default=0, help="say more; up to -vvv")
    say.add_argument("-q", dest="quiet", action="store_true", help="say nothing but errors")
    say.add_argument(
        "--quiet-command", action="store_true", help="do not show what the command writes while it runs"
    )
    add_scope_options(parser)

    guess = parser.add_argument_group("which words are inputs")
    guess.add_argument(
        "-g1", action="store_true", help="a word with a file extension need not be an existing file"
    )
    guess.add_argument(
        "-g2", action="store_true", help="a word without a file extension may be an existing file"
    )
    directory = guess.add_mutually_exclusive_group()
    directory.add_argument("-w", dest="directory", metavar="DIR", help="inputs lie below DIR")
    directory.add_argument(
        "-W", dest="directory", action="store_const", const="/", help="inputs lie anywhere (-w /)"
    )
    mapping = guess.add_mutually_exclusive_group()
    mapping.add_argument(
        "-ms",
        dest="mapping",
        action="store_const",
        const="strip",
        default="literal",
        help="the command sees files without their directories",
    )
    mapping.add_argument(
        "-mx",
        dest="mapping",
        action="store_const",
        const="extension",
        help="the command sees files as file1.EXT, file2.EXT, ...",
    )
    guess.add_argument(
        "-i",
        "--input",
        dest="inputs",
        metavar="PATH",
        action="append",
        default=[],
        help="one more input file or directory; repeatable",
    )
    guess.add_argument(
        "-I",
        "--input-file",
        dest="input_files",
        metavar="FILE",
        action="append",
        default=[],
        help="more inputs, listed in FILE, one per line; repeatable",
    )
    guess.add_argument(
        "--primary",
        type=int,
        default=1,
        metavar="N",
        help="look for inputs in the N-th command of the line instead of the first",
    )

    command = parser.add_argument_group("the command")
    command.add_argument(
        "-c", dest="line", action="store_true", help="the single argument is a whole command line"
    )
    command.add_argument(
        "--var",
        dest="variables",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="$NAME in the command; part of the step's identity; repeatable",
    )
    command.add_argument(
        "--metavar",
        dest="metavariables",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="$NAME in the command; its value is no part of the identity (number of threads, ...)",
    )
    command.add_argument(
        "--prologue",
        dest="prologues",
        metavar="CMD",
        action="append",
        default=[],
        help="put 'CMD;' before the command; not searched for inputs; repeatable",
    )

    result = parser.add_argument_group("the result")
    result.add_argument(
        "-cp",
        "--capture",
        dest="captures",
        metavar="FILE[:LOCAL]",
        action="append",
        default=[],
        help="a file or directory that the command makes is a result, kept as LOCAL; ':LOCAL' is its stdout",
    )
    result.add_argument(
        "-nd", "--no-download", action="store_true", help="write only the checksums of results"
    )
    result.add_argument(
        "--scratch", action="store_true", help="keep only the checksum of the result; implies --no-download"
    )
    result.add_argument(
        "--fingertip", action="store_true", help="run again if the result is known, but its content is gone"
    )
    add_confirmation_options(parser)

    where = parser.add_argument_group("where it runs")
    where.add_argument("--local", action="store_true", help="run here, whatever the configuration says")
    where.add_argument(
        "--conda",
        "--conda-env",
        "--conda-environment",
        dest="conda",
        metavar="ENV",
        help="run in this conda environment",
    )
    where.add_argument(
        "--docker", "--docker-image", dest="docker", metavar="IMAGE", help="note this container image"
    )
    where.add_argument("--node", metavar="NODE", help="run on this node (Dask only)")
    where.add_argument(
        "--direct-print", action="store_true", help="have a remote executor print to its own log at once"
    )

    dry = parser.add_argument_group("not running it")
    dry.add_argument("--dry", "--dry-run", action="store_true", help="prepare the step, do not run it")
    dry.add_argument("-j", "--write-job", dest="job", metavar="DIR", help="with --dry: write a job directory")
    dry.add_argument("--upload", action="store_true", help="with --dry: store inputs and job")
    dry.add_argument(
        "--write-remote-job", metavar="DIR", help="with --dry: have the executor write a job directory"
    )
    dry.add_argument(
        "--qsubmit", "--qsub", dest="queue", action="store_true", help="append the step to a queue file"
    )
    dry.add_argument("--undo", action="store_true", help="not supported")
    parser.add_argument("--force", action="store_true", help=argparse.SUPPRESS)  # of seamless-probe
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def parse_run_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Added members: `variables` and `metavariables` as dicts, `verbosity` from -1 to 3. Exits with 2 on wrong usage.
    Raises ShellError for options that do not go together.
    """
    options = run_parser().parse_args(arguments)
    options.verbosity = -1 if options.quiet else min(options.verbosity, 3)
    options.answer = answer_of(options)
    options.variables = _assignments("--var", options.variables)
    options.metavariables = _assignments("--metavar", options.metavariables)
    for name in options.metavariables:
        if name.startswith("META__"):
            raise ShellError(
                f"Invalid --metavar '{name}={options.metavariables[name]}': name must not start with META__"
            )
        if name in options.variables:
            raise ShellError(f"Variable {name!r} is given both with --var and with --metavar")
    if options.undo:
        raise ShellError(
            "NotImplementedError: Undo is not supported in seamless-transformer yet",
            hint="remove what the step wrote by hand; its result stays in the cache",
        )
    if options.job is not None and not options.dry:
        raise ShellError("-j/--write-job requires --dry")
    if options.write_remote_job is not None and not options.dry:
        raise ShellError("--write-remote-job requires --dry")
    if options.upload and not options.dry:
        raise ShellError("--upload requires --dry")
    if options.queue and options.dry:
        raise ShellError("--qsubmit and --dry cannot be used together")
    if options.force:
        raise ShellError("--force belongs to seamless-probe")
    if options.node is not None:
        raise ShellError("--node is only supported for remote daskserver execution")
    if options.primary < 1:
        raise ShellError(f"--primary {options.primary}: commands are counted from 1")
    return options


def _assignments(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ShellError(f"Invalid {option} '{text}': expected NAME=VALUE")
        if not name or name[0] not in _VARIABLE_START or any(char not in _VARIABLE_REST for char in name):
            raise ShellError(
                f"Invalid {option} '{text}': variable name '{name}' must match [A-Za-z_][A-Za-z0-9_]*"
            )
        if found.setdefault(name, value) != value:
            raise ShellError(f"Variable '{name}' specified multiple times with different values")
    return found
