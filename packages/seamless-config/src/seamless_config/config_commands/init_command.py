"""seamless-config-init: write the first files of a project, and a cluster that is this machine."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages

__all__ = ("main",)

PROGRAM = "seamless-config-init"
CLUSTER_DIRECTORY = "~/.seamless/local"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-config-init."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _write(options, messages))


def _write(options: argparse.Namespace, messages: Messages) -> int:
    import os

    from seamless_command.errors import ShellError

    from .first_files import FirstFiles
    from .reports import write_lines

    if not os.path.isdir(options.directory):
        raise ShellError(f"there is no directory {options.directory!r}", hint=f"mkdir {options.directory}")
    files = FirstFiles(
        options.directory,
        cluster_directory=options.cluster_dir,
        inline=options.inline,
        project=options.project,
    )
    done = files.write(force=options.force)
    write_lines(done)
    return 0


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser

    parser = command_parser(
        PROGRAM,
        "Write a first seamless.yaml and seamless.profile.yaml, with comments, and define a cluster that is this "
        "machine, in the home directory, unless there is one. Files that are there stay as they are. In a git "
        "repository the profile is added to .gitignore.",
        examples=[
            (PROGRAM, "set up the current directory"),
            (
                f"{PROGRAM} --cluster-dir /data/seamless --inline DIR",
                "keep results there, for the project in DIR only",
            ),
        ],
        exit_codes=(
            (0, "done"),
            (1, "nothing was written, or something failed"),
            (2, "wrong usage"),
            (130, "interrupted"),
        ),
        distribution="seamless-config",
    )
    parser.add_argument(
        "directory", nargs="?", default=".", metavar="DIR", help="default: the current directory"
    )
    parser.add_argument(
        "--cluster-dir",
        metavar="DIR",
        default=CLUSTER_DIRECTORY,
        help=f"where the new cluster keeps buffers and results; default: {CLUSTER_DIRECTORY}",
    )
    parser.add_argument("--project", metavar="NAME", help="default: the name of the directory")
    parser.add_argument("--inline", action="store_true", help="define the cluster in seamless.profile.yaml")
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the files of the project; the former are kept as NAME.old",
    )
    return parser
