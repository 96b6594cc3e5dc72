"""seamless-download: write buffers of the cache or of a buffer directory into files and directories."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages

    from .destination import Destination
    from .download_targets import DownloadTarget, IndexedTarget
    from .downloading import DownloadOptions

__all__ = ("main",)

PROGRAM = "seamless-download"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-download."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _download(options, messages))


def _download(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import scope_of

    from .destination import open_destination
    from .download_targets import parse_targets, read_index
    from .services import use_services

    messages.verbosity = -1 if options.quiet else options.verbose
    download_options = _download_options(options)
    use_services()
    scope = scope_of(options)
    with open_destination(scope, options.destination, action="download", writable=False) as destination:
        targets = parse_targets(
            options.words,
            options.outputs,
            raw_are_directories=options.directory,
            form=options.compression,
        )
        if options.stdout:
            _print(targets, destination)
            return 0
        indices = [read_index(target, destination) for target in targets if target.is_directory]
        if options.index:
            _write_checksums(targets, indices, dry_run=options.dry_run)
        else:
            _write_files(targets, indices, destination, options, download_options, messages)
    return 0


def _write_files(
    targets: Sequence[DownloadTarget],
    indices: Sequence[IndexedTarget],
    destination: Destination,
    options: argparse.Namespace,
    download_options: DownloadOptions,
    messages: Messages,
) -> None:
    from seamless_command.sidecars import write_checksum, write_index

    from .downloading import download_files, wanted_files
    from .unlisted_entries import remove_entries

    wanted = wanted_files(targets, indices, options.compression)
    unlisted = [
        path
        for indexed in indices
        for path in _unlisted(
            indexed.target.path, [file.path for file in wanted if file.root == indexed.target.path], options
        )
    ]
    download_files(wanted, destination, download_options, messages, dry_run=options.dry_run)
    if options.dry_run:
        for path in unlisted:
            print(f"would remove {path}")
        return
    remove_entries(unlisted)
    if unlisted:
        messages.say(0, f"Removed {len(unlisted)} unlisted entries")
    for indexed in indices:
        write_index(indexed.target.path, indexed.content)
        write_checksum(indexed.target.path, indexed.target.digest.hex())


def _unlisted(root: str, listed: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return what --dest-rm removes; refuse to go on where it is not given and there is something."""
    from seamless_command.errors import ShellError

    from .unlisted_entries import demand_removable, unlisted_entries

    if options.dest_rm:
        demand_removable(root)
    found = unlisted_entries(root, [path[len(root) + 1 :] for path in listed])
    if found and not options.dest_rm:
        raise ShellError(
            f"Directory '{root}' contains {len(found)} unlisted entries; use --dest-rm to remove them",
            hint="--dest-rm --dry-run shows them",
        )
    return found


def _write_checksums(
    targets: Sequence[DownloadTarget], indices: Sequence[IndexedTarget], *, dry_run: bool
) -> None:
    """Write sidecars only: one for each file, and the index of each directory."""
    import os

    from seamless_command.sidecars import write_checksum, write_index

    if dry_run:
        return
    for target in targets:
        if not target.is_directory:
            write_checksum(target.path, target.digest.hex())
    for indexed in indices:
        for name, digest in indexed.files.items():
            path = f"{indexed.target.path}/{name}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_checksum(path, digest.hex())
        write_index(indexed.target.path, indexed.content)
        write_checksum(indexed.target.path, indexed.target.digest.hex())


def _print(targets: Sequence[DownloadTarget], destination: Destination) -> None:
    """Write the one buffer to standard output, byte by byte as it is."""
    from seamless_command.errors import ShellError

    from .buffer_output import copy_buffer

    if len(targets) != 1:
        raise ShellError("Cannot download and print multiple files to stdout")
    target = targets[0]
    if target.is_directory:
        raise ShellError("Cannot download and print directory to stdout")
    if not destination.directory.has(target.digest):
        raise ShellError(
            f"The buffer {target.digest.hex()} is not in {destination.name!r}",
            hint="upload it from where it is, or run the step again that made it",
        )
    sys.stdout.flush()
    stream = sys.stdout.buffer

    def write(piece: bytes | memoryview) -> None:
        stream.write(piece)

    copy_buffer(destination, target.digest, target.form, write, lambda n_bytes: None, verify_first=True)
    stream.flush()


def _download_options(options: argparse.Namespace) -> DownloadOptions:
    from seamless_command.errors import ShellError

    from .confirmation import answer_of
    from .downloading import DownloadOptions

    if options.incremental and options.link != "hard":
        raise ShellError("--incremental requires --hardlink")
    if options.stdout and options.outputs:
        raise ShellError("--stdout and -o exclude each other")
    return DownloadOptions(
        link=options.link,
        existing=None if options.existing == "repair" else options.existing,
        incremental=options.incremental,
        answer=answer_of(options),
    )


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser
    from seamless_command.scope import add_scope_options

    from .confirmation import add_confirmation_options

    parser = command_parser(
        PROGRAM,
        "Write buffers of the cache (SEAMLESS_CACHE), or of a buffer directory, into files. A word is a checksum, "
        "X.CHECKSUM, X.INDEX, or X when there is X.CHECKSUM beside it. It is a directory if there is X.INDEX. "
        "Everything is verified; a file that is there already is left if it holds the same, else replaced.",
        examples=[
            ("seamless-download results/", "write the files that results.INDEX lists"),
            ("seamless-download -o a.txt CHECKSUM", "write the buffer of that checksum into a.txt"),
        ],
        exit_codes=[
            (0, "everything is there"),
            (1, "something is missing or was refused; no file is half written"),
            (2, "wrong usage"),
            (130, "interrupted; no file is half written"),
        ],
    )
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="say more; up to three times")
    parser.add_argument("-q", dest="quiet", action="store_true", help="say nothing but errors")
    add_scope_options(parser)
    parser.add_argument(
        "--destination",
        metavar="DIR",
        help="read this buffer directory, without any configuration; flat, unless it holds .HASHSERVER_PREFIX",
    )
    link = parser.add_mutually_exclusive_group()
    link.add_argument("--copy", dest="link", action="store_const", const=None, help="write copies (default)")
    link.add_argument(
        "--hardlink",
        dest="link",
        action="store_const",
        const="hard",
        help="make hard links to the stored files, where they are stored in that form: no space, no copying. They are "
        "read-only; never change them in place, or the stored buffer is damaged",
    )
    link.add_argument(
        "--softlink",
        "--symlink",
        dest="link",
        action="store_const",
        const="symbolic",
        help="make symbolic links to the stored files; they lead nowhere once the store is cleaned",
    )
    existing = parser.add_mutually_exclusive_group()
    for name, text in (
        ("skip", "leave files that are there already, without looking into them"),
        ("verify", "fail if a file that is there already holds something else"),
        ("repair", "replace such a file (default)"),
    ):
        existing.add_argument(f"--dest-{name}", dest="existing", action="store_const", const=name, help=text)
    parser.add_argument(
        "--dest-rm",
        action="store_true",
        help="remove what is in the directory and not in its index, once everything else is done",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written and removed")
    add_confirmation_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        dest="outputs",
        metavar="OUTPUT",
        action="append",
        default=[],
        help="write there; the first -o is for the first word, and so on",
    )
    parser.add_argument("--stdout", action="store_true", help="write one file to standard output")
    parser.add_argument("--directory", action="store_true", help="checksums are those of directories")
    parser.add_argument(
        "--index",
        action="store_true",
        help="write only the index of directories and X.CHECKSUM for each file X",
    )
    parser.add_argument(
        "--incremental",
        action="store_true",
        help="with --hardlink: do not read a file that is the stored one already",
    )
    parser.add_argument(
        "--compression", choices=("zst", "gz"), help="compress every file, and append this suffix to its name"
    )
    parser.add_argument("words", metavar="WORD", nargs="+", help="checksums, files, directories")
    return parser
