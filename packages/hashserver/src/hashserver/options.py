"""The options of the hashserver, and the environment variables that are their defaults.

| option | variable | default |
|---|---|---|
| DIRECTORY | HASHSERVER_DIRECTORY | |
| --writable, --no-writable | HASHSERVER_WRITABLE | off |
| --layout | HASHSERVER_LAYOUT | as the directory has it; a new one: prefix |
| --extra-dirs | HASHSERVER_EXTRA_DIRS | none |
| --hash-algorithm | HASHSERVER_HASH_ALGORITHM | sha-256 |
| --lock-timeout | HASHSERVER_LOCK_TIMEOUT | 120 |
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeVar

from seamless_service.options import add_service_options, positive_seconds
from seamless_store.layout import LayoutName

__all__ = ("HashserverOptions", "UsageError", "make_parser", "parse_options")

_D = TypeVar("_D")
_T = TypeVar("_T")

_EPILOG = """\
examples:
  hashserver /data/buffers --writable --port 8000
  hashserver . --extra-dirs "/archive/a; /archive/b" --status-file server.json --timeout 600

exit codes: 0 ended by a signal or by inactivity; 1 not started (the cause is on stderr and in the status file);
2 wrong usage
"""


class UsageError(Exception):
    """The command line, or a variable that stands in for an option, is wrong.

    Remedy: `hashserver --help`.
    """


@dataclass(frozen=True)
class HashserverOptions:
    """What is served, and how. layout: None as the directory has it."""

    directory: str
    writable: bool = False
    layout: LayoutName | None = None
    extra_directories: tuple[str, ...] = ()
    hash_algorithm: Literal["sha-256", "sha3-256"] = "sha-256"
    lock_timeout_s: float = 120.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def make_parser(environ: Mapping[str, str] = os.environ) -> argparse.ArgumentParser:
    """Return the parser of the command line. Raises UsageError for a variable that has a wrong value."""
    parser = _Parser(
        prog="hashserver",
        description="Serve a directory of buffers over HTTP.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    directory = environ.get("HASHSERVER_DIRECTORY") or None
    parser.add_argument(
        "directory",
        metavar="DIRECTORY",
        nargs="?" if directory else None,
        default=directory,
        help="the directory of buffers; must exist",
    )
    parser.add_argument(
        "--writable",
        action=argparse.BooleanOptionalAction,
        default=_variable(environ, "HASHSERVER_WRITABLE", _flag, False),
        help="accept uploads",
    )
    parser.add_argument(
        "--layout",
        type=_layout,
        metavar="prefix|flat",
        default=_variable(environ, "HASHSERVER_LAYOUT", _layout, None),
        help="layout of DIRECTORY (default: as it is; prefix if it is new)",
    )
    parser.add_argument(
        "--extra-dirs",
        type=_directories,
        metavar="D1;D2",
        default=_variable(environ, "HASHSERVER_EXTRA_DIRS", _directories, ()),
        help="directories to read from as well, separated by semicolons; never written to",
    )
    parser.add_argument(
        "--hash-algorithm",
        type=_algorithm,
        metavar="sha-256|sha3-256",
        default=_variable(environ, "HASHSERVER_HASH_ALGORITHM", _algorithm, "sha-256"),
        help="what makes the checksums (default: sha-256)",
    )
    parser.add_argument(
        "--lock-timeout",
        type=positive_seconds,
        metavar="S",
        default=_variable(environ, "HASHSERVER_LOCK_TIMEOUT", positive_seconds, 120.0),
        help="age at which another writer's lock file counts as stale (default: 120)",
    )
    from importlib.metadata import version

    parser.add_argument("--version", action="version", version=f"hashserver {version('hashserver')}")
    add_service_options(parser)
    return parser


def parse_options(namespace: argparse.Namespace) -> HashserverOptions:
    """Return the options from what the parser made."""
    return HashserverOptions(
        directory=namespace.directory,
        writable=namespace.writable,
        layout=namespace.layout,
        extra_directories=namespace.extra_dirs,
        hash_algorithm=namespace.hash_algorithm,
        lock_timeout_s=namespace.lock_timeout,
    )


def _variable(environ: Mapping[str, str], name: str, read: Callable[[str], _T], default: _D) -> _T | _D:
    text = environ.get(name, "")
    if not text.strip():
        return default
    try:
        return read(text)
    except argparse.ArgumentTypeError as exc:
        raise UsageError(f"{name}: {exc}") from exc


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of true, false, 1, 0") from None


def _layout(text: str) -> LayoutName:
    if text == "prefix" or text == "flat":
        return "prefix" if text == "prefix" else "flat"
    raise argparse.ArgumentTypeError(f"{text!r} is not a layout; expected prefix or flat")


def _algorithm(text: str) -> Literal["sha-256", "sha3-256"]:
    if text == "sha-256" or text == "sha3-256":
        return "sha-256" if text == "sha-256" else "sha3-256"
    raise argparse.ArgumentTypeError(f"{text!r} is not a hash algorithm; expected sha-256 or sha3-256")


def _directories(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())
