"""seamless-upload: store files and directories in the cache or in a buffer directory."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from seamless_command.messages import Messages

    from .uploading import UploadItem, UploadOptions

__all__ = ("main",)

PROGRAM = "seamless-upload"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-upload."""
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _upload(options, messages))


def _upload(options: argparse.Namespace, messages: Messages) -> int:
    from seamless_command.scope import scope_of

    from .destination import open_destination
    from .services import use_services
    from .uploading import prepare_items, upload_items

    messages.verbosity = -1 if options.quiet else options.verbose
    paths = _paths(options.paths)
    upload_options = _upload_options(options)
    use_services()
    scope = scope_of(options)
    with open_destination(scope, options.destination, action="upload", writable=True) as destination:
        items = prepare_items(paths, destination, incremental=options.incremental)
        upload_items(items, destination, upload_options, messages)
    if options.dry_run:
        _show_removals(items if options.move else [])
        return 0
    return _move(items, messages) if options.move else 0


def _show_removals(items: Sequence[UploadItem]) -> None:
    from .moving import files_to_remove

    for path in files_to_remove(items):
        print(f"would remove {path}")


def _move(items: Sequence[UploadItem], messages: Messages) -> int:
    from .moving import remove_originals

    kept = remove_originals(items)
    for path in kept[:10]:
        messages.say(-1, f"Kept {path!r}: it came or changed after it was uploaded")
    if len(kept) > 10:
        messages.say(-1, f"Kept {len(kept) - 10} more")
    return 1 if kept else 0


def _paths(words: Sequence[str]) -> list[str]:
    """Return what is to be uploaded; refuse options behind it, which are easily overlooked."""
    from seamless_command.errors import ShellError
    from seamless_command.sidecars import CHECKSUM_SUFFIX

    if words[:1] == ["--"]:
        words = words[1:]
    else:
        for word in words:
            if word.startswith("-"):
                raise ShellError(
                    f"Option {word} must be specified before upload targets",
                    hint=f"seamless-upload {word} ...; for a file of that name, ./{word}",
                )
    paths = [word for word in words if not word.endswith(CHECKSUM_SUFFIX)]
    if not words:
        raise ShellError(
            "There is nothing to upload: give files or directories", exit_code=2, hint=f"{PROGRAM} --help"
        )
    if "" in paths:
        raise ShellError("An empty word is no file or directory")
    return paths


def _upload_options(options: argparse.Namespace) -> UploadOptions:
    from seamless_command.errors import ShellError

    from .confirmation import answer_of
    from .uploading import UploadOptions

    if options.incremental and options.link != "hard":
        raise ShellError("--incremental requires --hardlink")
    if options.move and options.link == "symbolic":
        raise ShellError("--move would remove what --symlink leads to", hint="--hardlink, or --copy")
    existing = options.existing
    if options.move and existing == "skip":
        existing = "verify"  # nothing is removed on the word of an entry that nobody has looked into
    return UploadOptions(
        link=options.link,
        existing=existing,
        incremental=options.incremental,
        answer=answer_of(options),
        durable=options.move,
        dry_run=options.dry_run,
    )


def _parser() -> argparse.ArgumentParser:
    import argparse

    from seamless_command.command_parser import command_parser
    from seamless_command.scope import add_scope_options

    from .confirmation import add_confirmation_options

    parser = command_parser(
        PROGRAM,
        "Store files and directories in the cache (SEAMLESS_CACHE), or in a buffer directory. Writes X.CHECKSUM for "
        "each file X, and D.INDEX and D.CHECKSUM for each directory D. A .gz or .zst file is stored as it is and "
        "stands for its content: the suffix is left out of names, the checksum is that of the content. Words that end "
        "in .CHECKSUM are passed over.",
        examples=[
            ("seamless-upload data.csv images", "store a file and a directory in the cache"),
            (
                "seamless-upload --hardlink --destination /scratch/buffers *.fq.gz",
                "share the files with a directory",
            ),
        ],
        exit_codes=[
            (0, "everything is stored"),
            (1, "something could not be stored, or was kept by --move"),
            (2, "wrong usage"),
            (130, "interrupted; what is stored is whole"),
        ],
    )
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="say more; up to three times")
    parser.add_argument("-q", dest="quiet", action="store_true", help="say nothing but errors")
    add_scope_options(parser)
    parser.add_argument(
        "-m",
        "-mv",
        "--move",
        action="store_true",
        help="remove the originals once everything is durably stored and verified; what changed meanwhile is kept",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be stored, and removed by --move"
    )
    parser.add_argument(
        "--destination",
        metavar="DIR",
        help="store in this buffer directory, without any configuration; flat, unless it holds .HASHSERVER_PREFIX",
    )
    link = parser.add_mutually_exclusive_group()
    link.add_argument("--copy", dest="link", action="store_const", const=None, help="store copies (default)")
    link.add_argument(
        "--hardlink",
        dest="link",
        action="store_const",
        const="hard",
        help="store hard links: no space, no copying. WARNING: the file and the stored buffer are one. Never change "
        "the file in place (>>, rsync --inplace, an editor that overwrites): the buffer would be damaged, and count as "
        "absent. Its mode is left as it is; stored buffers are 0444, so chmod 444 FILE protects both.",
    )
    link.add_argument(
        "--symlink",
        dest="link",
        action="store_const",
        const="symbolic",
        help="store symbolic links. WARNING: besides, the buffer is lost when the file is moved or removed.",
    )
    parser.add_argument(
        "--incremental",
        action="store_true",
        help="with --hardlink: do not read a file again that is already the stored one by its checksum file",
    )
    existing = parser.add_mutually_exclusive_group()
    for name, text in (
        ("skip", "trust buffers that are stored already (default; --move verifies them)"),
        ("verify", "verify them, and fail if one is damaged"),
        ("repair", "verify them, put damaged ones aside (.quarantine) and store copies in their place"),
    ):
        existing.add_argument(f"--dest-{name}", dest="existing", action="store_const", const=name, help=text)
    parser.set_defaults(existing="skip")
    add_confirmation_options(parser)
    parser.add_argument(
        "paths", metavar="PATH", nargs=argparse.REMAINDER, help="files and directories, after the options"
    )
    return parser
