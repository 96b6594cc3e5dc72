"""The options of rhl-guard itself: which directories a key may name, and what it may do.

| policy | directories |
|---|---|
| `--data-roots FILE` | at or below one of the directories listed in FILE |
| `--clear-policy seamless` | those that hold `seamless.db` or `.HASHSERVER_PREFIX` |
| `--clear-policy marker:NAME` | those that hold a file NAME |
| `--permissive-paths` | any but those that no policy allows (`paths`) |

Without policy every helper that takes a directory is refused. Under a marker policy a service may be started on a
directory that is marked, new, or holds nothing but what services write: else a key could let a service put the marker
into a directory of somebody's files, and clear it afterwards.
"""

from __future__ import annotations

import os
import stat

from .paths import ResolvedDirectory, expanded_home, is_below, resolve, resolve_allowed
from .refusal import GuardMisconfigured, Refused
from .roles import role_named
from .seamless_entries import holds_only_seamless_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Policy", "policy_of", "read_roots")

ROOTS_FILE_SIZE_MAX = 64 * 1024
SEAMLESS_MARKERS = ("seamless.db", ".HASHSERVER_PREFIX")
SHARED_DIRECTORIES = ("/tmp", "/var/tmp", "/home")  # to work in, but their content is everybody's
NO_POLICY = (
    "configure rhl-guard with one path-policy flag: --data-roots FILE, --clear-policy seamless, "
    "--clear-policy marker:NAME, or --permissive-paths"
)


class Policy:
    """What a key may name and do; made by `policy_of`."""

    def __init__(
        self,
        *,
        roots: Sequence[str] = (),
        markers: Sequence[str] = (),
        permissive: bool = False,
        role: str = "all",
        own_directory: str = "",
    ) -> None:
        """own_directory: the launcher's, whose states, tokens and audit log no key may clear."""
        self.roots = tuple(roots)
        self.markers = tuple(markers)
        self.permissive = permissive
        self.role = role
        self._own = os.path.realpath(own_directory) if own_directory else ""

    @property
    def name(self) -> str:
        """The policy in one word, for the audit log; empty if there is none."""
        if self.roots:
            return "data-roots"
        return "marker" if self.markers else "permissive" if self.permissive else ""

    @property
    def only_seamless_data(self) -> bool:
        """Whether clearing may remove only what looks like data of Seamless."""
        return bool(self.markers)

    def require(self) -> None:
        """Raise Refused if there is no policy."""
        if not self.name:
            raise Refused(NO_POLICY)

    def data_directory(self, text: str, home: str) -> ResolvedDirectory:
        """Return a directory to be listed or cleared. Raises Refused."""
        return self._opened(self._allowed(text, home, marked=True, to_work_in=False), text)

    def working_directory(self, text: str, home: str) -> ResolvedDirectory:
        """Return a directory for a service to run in; a marker is not asked for. Raises Refused."""
        return self._opened(self._allowed(text, home, marked=False, to_work_in=True), text)

    def service_directory(self, text: str, home: str) -> ResolvedDirectory:
        """Return a directory for a service to keep its data in. Raises Refused."""
        directory = self._allowed(text, home, marked=False, to_work_in=False)
        unmarked = self.markers and directory.fd is not None and not self._is_marked(directory)
        if unmarked and not holds_only_seamless_data(directory):
            directory.close()
            raise Refused("a service would mark a directory of other files, or too large to tell", about=text)
        return self._opened(directory, text)

    def _allowed(self, text: str, home: str, *, marked: bool, to_work_in: bool) -> ResolvedDirectory:
        self.require()
        directory = resolve_allowed(text, home)
        try:
            if not to_work_in and directory.path in SHARED_DIRECTORIES:
                raise Refused("this directory is for everybody, and only to work in", about=text)
            if self._own and is_below(directory.path, self._own):
                raise Refused("path lies in the launcher's own directory", about=text)
            if self._own and not to_work_in and is_below(self._own, directory.path):
                raise Refused("path holds the launcher's own directory", about=text)
            if self.roots and not any(is_below(directory.path, root) for root in self.roots):
                raise Refused("path is outside configured --data-roots", about=text)
            if self.markers and marked and not self._is_marked(directory):
                raise Refused(
                    f"path does not contain required marker file ({', '.join(self.markers)})", about=text
                )
        except Refused:
            directory.close()
            raise
        return directory

    def _is_marked(self, directory: ResolvedDirectory) -> bool:
        return directory.fd is not None and any(_is_file(name, directory.fd) for name in self.markers)

    @staticmethod
    def _opened(directory: ResolvedDirectory, text: str) -> ResolvedDirectory:
        """Return it with a descriptor that can be read where the account may read it."""
        if directory.fd is None:
            return directory
        try:
            readable = directory.open()
        except PermissionError:
            return directory  # enough to work in
        except OSError as exc:
            directory.close()
            raise Refused(f"path cannot be opened ({exc.strerror})", about=text) from exc
        opened = ResolvedDirectory(str(directory), directory.path, readable)
        directory.close()
        return opened


def policy_of(arguments: Sequence[str], home: str, *, own_directory: str = "") -> Policy:
    """Return the policy that the options stand for. Raises GuardMisconfigured for the least mistake.

    own_directory: the launcher's, which no key may name.
    """
    given: dict[str, str] = {}
    ahead = list(arguments)[::-1]
    while ahead:
        option, equals, value = ahead.pop().partition("=")
        if option not in ("--data-roots", "--clear-policy", "--permissive-paths", "--role"):
            raise GuardMisconfigured(f"unknown rhl-guard option: {option}")
        if option in given:
            raise GuardMisconfigured(f"{option} is given twice")
        if option == "--permissive-paths":
            if equals:
                raise GuardMisconfigured(f"{option} takes no value")
        elif not equals:
            if not ahead or ahead[-1].startswith("--"):
                raise GuardMisconfigured(f"{option} requires a value")
            value = ahead.pop()
        if not value and option != "--permissive-paths":
            raise GuardMisconfigured(f"{option} requires a value")
        given[option] = value
    if len(given.keys() - {"--role"}) > 1:
        raise GuardMisconfigured(
            "--data-roots, --clear-policy, and --permissive-paths are mutually exclusive"
        )
    return Policy(
        roots=read_roots(given["--data-roots"], home) if "--data-roots" in given else (),
        markers=_markers(given["--clear-policy"]) if "--clear-policy" in given else (),
        permissive="--permissive-paths" in given,
        role=role_named(given.get("--role", "all")),
        own_directory=own_directory,
    )


def read_roots(path: str, home: str) -> tuple[str, ...]:
    """Return the directories listed in the file, resolved. Raises GuardMisconfigured."""
    shown, path = path, expanded_home(path, home)
    if not path.startswith("/"):
        raise GuardMisconfigured(f"--data-roots takes an absolute path, not {shown!r}")
    try:
        with open(path, "rb") as file:
            content = file.read(ROOTS_FILE_SIZE_MAX + 1)
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as exc:
        raise GuardMisconfigured(f"could not read --data-roots file {shown!r}: {exc}") from exc
    if len(content) > ROOTS_FILE_SIZE_MAX:
        raise GuardMisconfigured(f"--data-roots file {shown!r} is larger than {ROOTS_FILE_SIZE_MAX} bytes")
    if mode & stat.S_IWOTH:
        raise GuardMisconfigured(
            f"--data-roots file {shown!r} may be written by everybody; chmod o-w {shown}"
        )
    roots = []
    for number, line in enumerate(os.fsdecode(content).splitlines(), start=1):
        root = line.strip()
        if not root or root.startswith("#"):
            continue
        expanded = expanded_home(root, home)
        if not expanded.startswith("/"):
            raise GuardMisconfigured(
                f"--data-roots entry on line {number} is not absolute after ~ expansion: {root!r}"
            )
        try:
            directory = resolve(expanded)
        except (Refused, ValueError, OSError) as exc:
            raise GuardMisconfigured(f"--data-roots entry on line {number} cannot be used: {exc}") from exc
        roots.append(directory.path)
        directory.close()
    if not roots:
        raise GuardMisconfigured("--data-roots file does not contain any usable roots")
    return tuple(roots)


def _markers(value: str) -> tuple[str, ...]:
    if value == "seamless":
        return SEAMLESS_MARKERS
    kind, _, name = value.partition(":")
    if kind != "marker":
        raise GuardMisconfigured("--clear-policy must be 'seamless' or 'marker:NAME'")
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        raise GuardMisconfigured("--clear-policy marker:NAME requires a simple marker filename")
    return (name,)


def _is_file(name: str, directory: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory).st_mode)
    except OSError:
        return False
