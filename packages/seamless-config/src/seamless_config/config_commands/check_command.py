"""seamless-config-check: check the project files and cluster files of a directory without using them."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages

    from seamless_config.errors import ConfigurationError

    from .reports import Report

__all__ = ("main",)

PROGRAM = "seamless-config-check"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-config-check."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _check(options, messages))


def _check(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.errors import ShellError

    from seamless_config.select import checked_name

    from .checking import check_directory

    if options.schema_paths:
        _print_schemas()
        return 0
    stage, colon, substage = (options.stage or "").partition(":")
    if colon and not stage:
        raise ShellError(
            f"--stage {options.stage} names no stage",
            hint="--stage STAGE or --stage STAGE:SUBSTAGE",
            exit_code=2,
        )
    report = check_directory(
        options.directory, stage=checked_name("stage", stage), substage=checked_name("substage", substage)
    )
    if options.json:
        import json

        print(json.dumps(report.as_json(), sort_keys=True))
    else:
        _print(report)
    return 1 if report.errors else 0


def _print(report: Report) -> None:
    from .reports import write_lines

    lines = []
    for kind, problems in (("error", report.errors), ("warning", report.warnings)):
        lines += [_told(kind, problem) + "\n" for problem in problems]
    for launch in report.services:
        host = "" if launch["host"] is None else f" on {launch['host']}"
        lines.append(f"{launch['service']}{host} in {launch['workdir']}, as {launch['key']}")
    more = " or more" if report.is_full else ""
    counts = f"{_counted(len(report.errors), 'error')}{more}, {_counted(len(report.warnings), 'warning')}"
    write_lines([*lines, f"{_counted(len(report.files), 'file')} read: {counts}"])


def _told(kind: str, problem: ConfigurationError) -> str:
    where = "" if problem.place is None else f"{problem.place}: "
    shown = "" if problem.place is None else problem.place.shown()
    lines = [f"{kind}: {where}{problem.cause}", shown, f"hint:  {problem.remedy}" if problem.remedy else ""]
    return "\n".join(line for line in lines if line)


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _print_schemas() -> None:
    from seamless_config.schemas import schema_path

    for kind in ("seamless", "clusters"):
        print(schema_path(kind))


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser

    parser = command_parser(
        PROGRAM,
        "Check the project files of a directory and the cluster files of the home directory: every entry, whether "
        "what is selected exists, and whether each service could be launched. Nothing is started or changed.",
        examples=[
            (PROGRAM, "check the current directory"),
            (f"{PROGRAM} --stage prod:gpu --json", "what counts in a stage, for a program to read"),
        ],
        exit_codes=(
            (0, "usable; there may be warnings"),
            (1, "there are errors"),
            (2, "wrong usage"),
            (130, "interrupted"),
        ),
        distribution="seamless-config",
    )
    parser.add_argument(
        "directory", nargs="?", default=".", metavar="DIR", help="default: the current directory"
    )
    parser.add_argument("--stage", metavar="STAGE[:SUBSTAGE]", help="check what counts in this stage")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--schema-paths",
        action="store_true",
        help="print where the JSON schemas of project files and of cluster files are, for an editor, and end",
    )
    return parser
