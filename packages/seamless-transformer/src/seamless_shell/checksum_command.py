"""seamless-checksum, seamless-checksum-file, seamless-checksum-index: checksums without any store."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = (
    "checksum_file_main",
    "checksum_index_main",
    "checksum_main",
    "stdin_checksum",
    "write_index_sidecars",
)

STDIN_READ_BYTES = 1024 * 1024
_COMPRESSION = "The content of a file that ends in .gz or .zst is decompressed first."


def checksum_main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-checksum."""
    argument = _argument(
        argv,
        "seamless-checksum",
        f"Print the checksum (SHA-256) of a file. {_COMPRESSION}",
        ("FILE", "the file; - is standard input, as it is"),
        [
            ("seamless-checksum data.csv.gz", "print the checksum of data.csv"),
            ("tar c folder | seamless-checksum -", "print the checksum of a stream"),
        ],
    )

    def body() -> None:
        if argument == "-":
            print(stdin_checksum())
        else:
            from .file_checksum import hash_file

            print(hash_file(argument).digest.hex())

    return _run("seamless-checksum", body)


def checksum_file_main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-checksum-file."""
    argument = _argument(
        argv,
        "seamless-checksum-file",
        f"Write the checksum (SHA-256) of FILE into FILE.CHECKSUM. {_COMPRESSION}",
        ("FILE", "the file; .gz or .zst is left out of the name of the checksum file"),
        [
            ("seamless-checksum-file data.csv", "write data.csv.CHECKSUM"),
            ("seamless-checksum-file data.csv.gz", "write the same data.csv.CHECKSUM"),
        ],
    )

    def body() -> None:
        from seamless_command.sidecars import write_checksum

        from .compression import split_compression
        from .file_checksum import hash_file

        write_checksum(split_compression(argument)[0], hash_file(argument).digest.hex())

    return _run("seamless-checksum-file", body)


def checksum_index_main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-checksum-index."""
    argument = _argument(
        argv,
        "seamless-checksum-index",
        "Write the checksums of all files in a directory into DIRECTORY.INDEX, and the checksum of that into "
        f"DIRECTORY.CHECKSUM. {_COMPRESSION}",
        ("DIRECTORY", "the directory; links in it are followed"),
        [
            ("seamless-checksum-index results", "write results.INDEX and results.CHECKSUM"),
            ("seamless-checksum-index results/", "do the same"),
        ],
    )

    def body() -> None:
        write_index_sidecars(argument)

    return _run("seamless-checksum-index", body)


def stdin_checksum() -> str:
    """Return the checksum of standard input, in constant memory."""
    import hashlib

    hasher = hashlib.sha256()
    while chunk := os.read(sys.stdin.fileno(), STDIN_READ_BYTES):
        hasher.update(chunk)
    return hasher.hexdigest()


def write_index_sidecars(path: str) -> None:
    """Index the directory and write both sidecars. Raises ShellError, OSError."""
    from seamless_command.errors import ShellError

    if not os.path.isdir(path):
        raise ShellError(f"{path!r} is not a directory")
    from seamless_command.sidecars import sidecar_target, write_checksum, write_index

    from .directory_index import index_directory

    target = sidecar_target(path)
    index = index_directory(path)
    write_index(target, index.content)
    write_checksum(target, index.digest.hex())


def _argument(
    argv: Sequence[str] | None,
    program: str,
    purpose: str,
    argument: tuple[str, str],
    examples: Sequence[tuple[str, str]],
) -> str:
    from seamless_command.command_parser import command_parser

    parser = command_parser(program, purpose, examples=examples)
    parser.add_argument("path", metavar=argument[0], help=argument[1])
    path: str = parser.parse_args(argv).path
    return path


# What is needed only after the command line is parsed is imported after it: `--help` takes half the time.


def _run(program: str, work: Callable[[], None]) -> int:
    """Do the work; errors are shown as these commands always have: `Error: <text>`."""
    from seamless_command.errors import ShellError
    from seamless_command.program import run_program

    def body(_: object) -> int:
        try:
            work()
        except BrokenPipeError:
            raise
        except ShellError as exc:
            print(f"Error: {exc.message}", file=sys.stderr)
            if exc.hint:
                print(f"hint:  {exc.hint}", file=sys.stderr)
            return 1
        except OSError as exc:
            print(f"Error: {exc}", file=sys.stderr)
            return 1
        return 0

    return run_program(program, body)
