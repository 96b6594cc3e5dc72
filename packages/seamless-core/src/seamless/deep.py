"""Deep structures: containers of checksums, whose leaves are buffers of their own.

`deepcell`: dicts and lists, nested as one likes, of checksums of `mixed` buffers.
`folder`, `deepfolder`: one dict from relative path to the checksum of a file's bytes.

The structure itself, the *index*, is stored as dialect P. A str is a checksum exactly when it has 64
lower-case hexadecimal digits. `contracts/deep-structures.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from .checksum import Checksum, is_checksum_text
from .dialect_p import MAX_DEPTH

if TYPE_CHECKING:
    from .buffer import Buffer

__all__ = ("DEEP_CELLTYPES", "check_path", "checksums_of", "pack", "unpack", "validate_index")

DEEP_CELLTYPES = ("deepcell", "deepfolder", "folder")

Leaf = TypeVar("Leaf")


def pack(value: Any, celltype: str) -> tuple[Any, list[Buffer]]:
    """Return the index of a deep value, and the buffers of its leaves, each once.

    A Checksum, a Buffer and a str of 64 lower-case hexadecimal digits are leaves that exist already; a
    Buffer is among the returned ones. Other leaves are written as `mixed` (deepcell) or as `bytes`
    (folders). The index is a value of `celltype`: `Buffer(index, celltype)`.
    Raises TypeError for a value that is no container and for a leaf that cannot be written, ValueError
    for a path that leaves its folder, and for a container that holds itself.
    """
    leaf_celltype = _leaf_celltype(celltype)
    buffers: dict[Checksum, Buffer] = {}

    def pack_leaf(leaf: Any, where: str) -> str:
        from .buffer import Buffer

        if isinstance(leaf, Checksum):
            return leaf.hex()
        if isinstance(leaf, str) and is_checksum_text(leaf):
            return str(leaf)
        if isinstance(leaf, Buffer):
            buffer = leaf
        else:
            try:
                buffer = Buffer(leaf, leaf_celltype)
            except (TypeError, ValueError) as exc:
                kind = TypeError if isinstance(exc, TypeError) else ValueError
                raise kind(f"cannot pack {where} into a {celltype}: {exc}") from exc
        return buffers.setdefault(buffer.get_checksum(), buffer).get_checksum().hex()

    index = _map(value, celltype, pack_leaf)
    return index, list(buffers.values())


def unpack(index: Any, celltype: str, read_leaf: Callable[[Checksum], Leaf]) -> Any:
    """Return the index with each checksum replaced by what `read_leaf` returns for it.

    With `lambda checksum: checksum` this is what a `deepcell` or `deepfolder` pin receives. Raises as
    `validate_index`.
    """

    def unpack_leaf(leaf: Any, where: str) -> Leaf:
        return read_leaf(_checksum_of(leaf, where, celltype))

    return _map(index, celltype, unpack_leaf)


def validate_index(index: Any, celltype: str) -> None:
    """Raise TypeError or ValueError, naming the place, when `index` is no index of this celltype."""
    unpack(index, celltype, lambda checksum: checksum)


def checksums_of(index: Any, celltype: str = "deepcell") -> list[Checksum]:
    """Return the checksums in an index, in its order, each once. Raises as `validate_index`."""
    found: dict[Checksum, None] = {}
    unpack(index, celltype, lambda checksum: found.setdefault(checksum))
    return list(found)


def check_path(path: object) -> str:
    """Return `path` if it stays inside the folder it is relative to; raise TypeError or ValueError if not."""
    if not isinstance(path, str):
        raise TypeError(f"the name of a file in a folder is a str such as 'dir/file.txt', not {path!r}")
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"the name {path!r} does not stay inside its folder; expected a relative path such as "
            "'dir/file.txt', without empty parts, '.' and '..'"
        )
    return path


def _leaf_celltype(celltype: str) -> str:
    if celltype not in DEEP_CELLTYPES:
        raise TypeError(f"{celltype!r} is no deep celltype; expected one of {', '.join(DEEP_CELLTYPES)}")
    return "mixed" if celltype == "deepcell" else "bytes"


def _checksum_of(leaf: Any, where: str, celltype: str) -> Checksum:
    if isinstance(leaf, Checksum):
        return leaf
    if isinstance(leaf, str) and is_checksum_text(leaf):
        return Checksum._from_digest(bytes.fromhex(leaf))
    raise TypeError(
        f"{where} of the {celltype} is {str(leaf)[:80]!r} ({type(leaf).__name__}); expected a checksum: "
        "64 lower-case hexadecimal digits"
    )


def _map(value: Any, celltype: str, function: Callable[[Any, str], Any]) -> Any:
    """Return the structure with `function(leaf, where)` for each leaf."""
    _leaf_celltype(celltype)
    if celltype == "deepcell":
        if not isinstance(value, (dict, list, tuple)):
            raise TypeError(
                f"a deepcell is a dict or list of values, not {type(value).__name__}; wrap it in a list"
            )
        return _map_nested(value, "value", 1, function)
    if not isinstance(value, dict):
        raise TypeError(
            f"a {celltype} is a dict from relative path to content, not {type(value).__name__}; "
            "for example {'dir/file.txt': b'...'}"
        )
    return {path: function(leaf, f"value[{path!r}]") for path, leaf in _files(value, celltype)}


def _files(value: dict[Any, Any], celltype: str) -> Iterator[tuple[str, Any]]:
    for path, leaf in value.items():
        if isinstance(leaf, dict):
            raise TypeError(
                f"value[{path!r}] of the {celltype} is a dict; a folder is flat: write the path as "
                f"{f'{path}/name'!r}"
            )
        yield check_path(path), leaf


def _map_nested(value: Any, where: str, level: int, function: Callable[[Any, str], Any]) -> Any:
    if not isinstance(value, (dict, list, tuple)):
        return function(value, where)
    if level > MAX_DEPTH:
        raise ValueError(
            f"the deepcell is nested deeper than {MAX_DEPTH} levels, or a container in it holds itself"
        )
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise TypeError(
                    f"{where} has the key {key!r} ({type(key).__name__}); keys of a deepcell are str"
                )
        return {
            key: _map_nested(item, f"{where}[{key!r}]", level + 1, function) for key, item in value.items()
        }
    return [_map_nested(item, f"{where}[{i}]", level + 1, function) for i, item in enumerate(value)]
