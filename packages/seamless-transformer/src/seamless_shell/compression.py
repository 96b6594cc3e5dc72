"""Which files are compressed: those whose name ends in `.gz` or `.zst`.

A compressed file stands for its content: the suffix is no part of the logical name, and the checksum is that of
the decompressed bytes. So a plain file and its compressed copies are one object.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless_store.layout import Form

__all__ = ("split_compression",)


def split_compression(name: str) -> tuple[str, Form | None]:
    """Return the name without its compression suffix, and the compression, None for a plain file.

    A file that is called `.gz` and nothing else is a plain file.

    >>> split_compression("data/a.txt.gz"), split_compression("data/a.txt"), split_compression("data/.zst")
    (('data/a.txt', 'gz'), ('data/a.txt', None), ('data/.zst', None))
    """
    if name.endswith(".gz") and _has_stem(name[:-3]):
        return name[:-3], "gz"
    if name.endswith(".zst") and _has_stem(name[:-4]):
        return name[:-4], "zst"
    return name, None


def _has_stem(stem: str) -> bool:
    return bool(stem) and not stem.endswith("/")
