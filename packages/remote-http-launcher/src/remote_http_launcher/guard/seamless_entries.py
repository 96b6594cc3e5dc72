"""Tell what looks like data of Seamless from other files, by its name.

A buffer directory holds `<64 hex>` with what writers add to such a name, two-digit hexadecimal directories of
those, and `.HASHSERVER_PREFIX`; a results database is `seamless.db` with what SQLite and our servers add to that
name. Directories of subprojects and stages lie inside those of their project.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .paths import ResolvedDirectory

__all__ = ("holds_only_seamless_data", "looks_like_seamless_data")

DEPTH_MAX = 6  # project/subproject/STAGE-a/SUBSTAGE-b, then one of the hexadecimal directories
ENTRIES_MAX = 20_000  # more than this in one look is left to a person
PREFIXES = ("seamless.db-", "seamless.db.", ".seamless.db.", ".HASHSERVER_PREFIX-")
OWN_DIRECTORIES = (".quarantine", ".running")  # made by our own servers
HEX = frozenset("0123456789abcdef")
DIGEST_LENGTH = 64
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def looks_like_seamless_data(name: str, *, is_directory: bool) -> bool:
    """Whether an entry of a data directory has a name that Seamless gives."""
    if is_directory:
        return name in OWN_DIRECTORIES or (len(name) == 2 and HEX.issuperset(name))
    if name in ("seamless.db", ".HASHSERVER_PREFIX", ".LOCK") or name.startswith(PREFIXES):
        return True
    digest, rest = name[:DIGEST_LENGTH], name[DIGEST_LENGTH:]
    return len(digest) == DIGEST_LENGTH and HEX.issuperset(digest) and (not rest or rest[0] in ".-")


def holds_only_seamless_data(directory: ResolvedDirectory) -> bool:
    """Whether everything below looks like data of Seamless; False for a link, and when it cannot be told."""
    if directory.fd is None:
        return True
    try:
        return _look(directory.fd, depth=0, n_left=ENTRIES_MAX) >= 0
    except OSError:
        return False


def _look(directory: int, *, depth: int, n_left: int) -> int:
    """Return how many entries may still be looked at; -1 as soon as the answer is no."""
    readable = os.open(".", _READ, dir_fd=directory)
    try:
        with os.scandir(readable) as entries:
            for entry in entries:
                n_left -= 1
                if n_left < 0 or entry.is_symlink():
                    return -1
                if entry.is_dir(follow_symlinks=False):
                    if entry.name in OWN_DIRECTORIES:
                        continue
                    if depth == DEPTH_MAX:
                        return -1
                    deeper = os.open(entry.name, _READ, dir_fd=readable)
                    try:
                        n_left = _look(deeper, depth=depth + 1, n_left=n_left)
                    finally:
                        os.close(deeper)
                    if n_left < 0:
                        return -1
                elif not looks_like_seamless_data(entry.name, is_directory=False):
                    return -1
    finally:
        os.close(readable)
    return n_left
