"""The mixed stream: a container with at least one array, structure or bytes in it, as one buffer.

    94 "SEAMLESS-MIXED" | u8 length, "mixed-plain" | u32 length, form
    93 "SEAMLESS" | u64 length of J | u64 length of D | J | D

J is JSON: the offsets of the leaves in D, and the skeleton, which is the value with 0 for each leaf. D is
the leaves' bytes in C order, visited depth first, objects in sorted order of their keys' text.
`contracts/mixed-stream.md` has the table and an example.
"""

from __future__ import annotations

import itertools
import math
import struct
import sys
from typing import TYPE_CHECKING, Any

from .array_dtypes import check_array, unicode_refusal
from .checksum import Checksum
from .dialect_m import MAX_DEPTH, key_text, plain_scalar, refusal
from .json_writer import _Refused
from .mixed_form import (
    SCALAR_FORMS,
    dtype_of_form,
    form_of_array,
    form_of_bytes,
    form_of_list,
    form_of_void,
    read_shape,
    with_storage,
)
from .npy import array_bytes
from .parts import Part, Parts, join_parts

if TYPE_CHECKING:
    import numpy as np

__all__ = ("MAGIC", "mixed_stream_parts", "read_mixed_stream")

MAGIC = b"\x94SEAMLESS-MIXED"
STORAGE = b"mixed-plain"
DATA_MAGIC = b"\x93SEAMLESS"


# --- writing ---


def mixed_stream_parts(value: Any) -> Parts:
    """Return the mixed stream of a container; large contiguous arrays are not copied.

    Raises TypeError for what `mixed` cannot hold, ValueError for a container that holds itself or is
    nested deeper than dialect M goes.
    """
    import json

    try:
        form, _, skeleton, leaves = _describe(value, 1)
    except _Refused as refused:
        raise refusal(value, refused) from refused.__cause__
    except RecursionError:
        too_deep = _Refused("it is nested too deeply for what is left of Python's stack", too_deep=True)
        raise refusal(value, too_deep) from None
    offsets = [0]
    for leaf in leaves:
        offsets.append(offsets[-1] + len(leaf))
    form_text = json.dumps(form).encode("ascii")
    index_text = json.dumps([offsets, skeleton]).encode("ascii")
    head = b"".join(
        (
            MAGIC,
            bytes((len(STORAGE),)),
            STORAGE,
            struct.pack("<I", len(form_text)),
            form_text,
            DATA_MAGIC,
            struct.pack("<QQ", len(index_text), offsets[-1]),
            index_text,
        )
    )
    return _merge_small((head, *leaves))


def _merge_small(parts: tuple[Part, ...]) -> Parts:
    """Join runs of bytes parts, so that many small leaves do not make many parts."""
    merged: list[Part] = []
    run: list[bytes] = []
    for part in parts:
        if type(part) is bytes:
            run.append(part)
            continue
        if run:
            merged.append(b"".join(run))
            run = []
        merged.append(part)
    if run:
        merged.append(b"".join(run))
    return tuple(merged)


Described = tuple[Any, "str | None", Any, "list[Part]"]  # form, storage (None: plain), skeleton, leaves


def _describe(value: Any, level: int) -> Described:
    form = SCALAR_FORMS.get(type(value))
    if form is not None:
        return form, None, value, []
    if isinstance(value, (dict, list, tuple)):
        if level > MAX_DEPTH:
            raise _Refused(f"it is nested deeper than {MAX_DEPTH} levels", too_deep=True)
        return _describe_dict(value, level) if isinstance(value, dict) else _describe_list(value, level)
    leaf = _describe_leaf(value)
    if leaf is not None:
        return leaf
    scalar = plain_scalar(value)
    return SCALAR_FORMS[type(scalar)], None, scalar, []


def _describe_dict(value: dict[Any, Any], level: int) -> Described:
    forms: dict[str, Any] = {}
    skeleton: dict[str, Any] = {}
    leaves_of: dict[str, list[Part]] = {}
    key: object = None
    try:
        for key, item in value.items():
            name = key if type(key) is str else key_text(key)
            if name in forms:
                raise _Refused(f"it has two keys that are written as {name!r}; give all keys one type")
            form, storage, skeleton[name], leaves = _describe(item, level + 1)
            forms[name] = with_storage(form, storage)
            if leaves:
                leaves_of[name] = leaves
    except _Refused as refused:
        refused.path.append(key)
        raise
    if not forms:
        return {"type": "object"}, None, {}, []
    all_leaves = [leaf for name in sorted(leaves_of) for leaf in leaves_of[name]]
    return {"type": "object", "properties": forms}, _storage(all_leaves), skeleton, all_leaves


def _describe_list(value: list[Any] | tuple[Any, ...], level: int) -> Described:
    types = set(map(type, value))
    if len(types) == 1 and types <= SCALAR_FORMS.keys():
        items = SCALAR_FORMS[types.pop()]
        form = {"type": "array", "items": items, "identical": True, "shape": [len(value)]}
        return form, None, list(value), []
    forms, storages, skeleton, all_leaves = [], [], [], []
    index = 0
    try:
        for index, item in enumerate(value):  # noqa: B007 (the error names the index)
            form, storage, item_skeleton, leaves = _describe(item, level + 1)
            forms.append(form)
            storages.append(storage)
            skeleton.append(item_skeleton)
            all_leaves.extend(leaves)
    except _Refused as refused:
        refused.path.append(index)
        raise
    return form_of_list(forms, storages), _storage(all_leaves), skeleton, all_leaves


def _storage(leaves: list[Part]) -> str | None:
    return "mixed-plain" if leaves else None


def _describe_leaf(value: Any) -> Described | None:
    """Return array, structure or bytes described, None for anything else."""
    if isinstance(value, bytes):
        content = bytes(value) or b"\0"
        return form_of_bytes(content), "pure-binary", 0, [content]
    np = sys.modules.get("numpy")
    if np is None or isinstance(value, Checksum) or not isinstance(value, (np.ndarray, np.void)):
        return None
    try:
        array = np.asarray(value) if isinstance(value, np.void) else value
        if array.dtype.kind == "U":
            raise unicode_refusal(array)
        check_array(array)
    except TypeError as exc:
        raise _Refused(str(exc)) from None
    form = form_of_void(value) if isinstance(value, np.void) else form_of_array(value)
    return form, "pure-binary", 0, [array_bytes(array)]


# --- reading ---


def read_mixed_stream(parts: Parts) -> Any:
    """Return the value of a mixed stream; its arrays are fresh and writeable.

    Raises ValueError naming the byte offset and what was expected there.
    """
    import json

    content = memoryview(join_parts(parts))
    position = _expect(content, 0, MAGIC)
    length, position = _read_int(content, position, 1)
    storage, position = _read(content, position, length, "the storage")
    if bytes(storage) != STORAGE:
        raise ValueError(
            f"malformed mixed stream: storage {bytes(storage)[:40]!r} at byte {position - length}; "
            f"expected {STORAGE!r}"
        )
    length, position = _read_int(content, position, 4)
    form_text, position = _read(content, position, length, "the form")
    position = _expect(content, position, DATA_MAGIC)
    index_length, position = _read_int(content, position, 8)
    data_length, position = _read_int(content, position, 8)
    index_text, position = _read(content, position, index_length, "offsets and skeleton")
    data, end = _read(content, position, data_length, "the data")
    if end != len(content):
        raise ValueError(
            f"malformed mixed stream: {len(content) - end} bytes follow byte {end}, where it should end"
        )
    try:
        form, index = json.loads(str(form_text, "ascii")), json.loads(str(index_text, "ascii"))
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"malformed mixed stream: form or skeleton is not JSON: {exc}") from None
    if not (isinstance(index, list) and len(index) == 2):
        raise ValueError("malformed mixed stream: offsets and skeleton are not a list of two")
    rebuilding = _Rebuilding(index[0], data)
    try:
        value = rebuilding.value(form, STORAGE.decode(), index[1], "value")
    except RecursionError:
        raise ValueError(
            "malformed mixed stream: it is nested too deeply for what is left of Python's stack"
        ) from None
    rebuilding.finish()
    return value


def _expect(content: memoryview, position: int, magic: bytes) -> int:
    found = bytes(content[position : position + len(magic)])
    if found != magic:
        raise ValueError(f"malformed mixed stream: {found!r} at byte {position}; expected {magic!r}")
    return position + len(magic)


def _read(content: memoryview, position: int, length: int, what: str) -> tuple[memoryview, int]:
    end = position + length
    if end > len(content):
        raise ValueError(
            f"malformed mixed stream: {what} at byte {position} should have {length} bytes, "
            f"but the buffer ends after {len(content) - position}"
        )
    return content[position:end], end


def _read_int(content: memoryview, position: int, n_bytes: int) -> tuple[int, int]:
    field, end = _read(content, position, n_bytes, "a length")
    return int.from_bytes(field, "little"), end


class _Rebuilding:
    """Walk form and skeleton together and take the leaves from the data, in order."""

    def __init__(self, offsets: Any, data: memoryview) -> None:
        if (
            not isinstance(offsets, list)
            or any(type(offset) is not int for offset in offsets)
            or offsets[:1] != [0]
            or offsets[-1] != len(data)
            or any(a > b for a, b in itertools.pairwise(offsets))
        ):
            raise ValueError(
                f"malformed mixed stream: offsets {str(offsets)[:80]}; expected to rise from 0 to {len(data)}"
            )
        self._offsets: list[int] = offsets
        self._data = data
        self._n_read = 0

    def finish(self) -> None:
        n_leaves = len(self._offsets) - 1
        if self._n_read != n_leaves:
            raise ValueError(
                f"malformed mixed stream: {n_leaves} leaves in the data, but {self._n_read} in the form"
            )

    def value(self, form: Any, storage: str | None, skeleton: Any, where: str) -> Any:
        if storage == "pure-binary":
            return self._leaf(form, where)
        if storage is None:
            return skeleton
        if storage != "mixed-plain" or not isinstance(form, dict):
            raise ValueError(f"malformed mixed stream: {where} has the storage {str(storage)[:40]!r}")
        if form.get("type") == "object":
            return self._object(form, skeleton, where)
        if form.get("type") == "array":
            return self._array(form, skeleton, where)
        raise ValueError(f"malformed mixed stream: {where} has the type {str(form.get('type'))[:40]!r}")

    def _object(self, form: dict[str, Any], skeleton: Any, where: str) -> dict[str, Any]:
        properties = form.get("properties")
        if (
            not isinstance(properties, dict)
            or not isinstance(skeleton, dict)
            or properties.keys() != skeleton.keys()
        ):
            raise ValueError(f"malformed mixed stream: form and skeleton of {where} have other keys")
        values = {
            key: self.value(child, _storage_of(child), skeleton[key], f"{where}[{key!r}]")
            for key, child in sorted(properties.items())
        }
        return {key: values[key] for key in skeleton}

    def _array(self, form: dict[str, Any], skeleton: Any, where: str) -> list[Any]:
        items = form.get("items")
        if not isinstance(skeleton, list) or form.get("shape") != [len(skeleton)]:
            raise ValueError(f"malformed mixed stream: form and skeleton of {where} have other lengths")
        if form.get("identical") is True:
            items = [items] * len(skeleton)
        if not isinstance(items, list) or len(items) != len(skeleton):
            raise ValueError(f"malformed mixed stream: the form of {where} lacks a form for each item")
        return [
            self.value(child, _storage_of(child), item, f"{where}[{index}]")
            for index, (child, item) in enumerate(zip(items, skeleton, strict=True))
        ]

    def _leaf(self, form: Any, where: str) -> Any:
        import numpy as np

        if self._n_read + 1 >= len(self._offsets):
            raise ValueError(f"malformed mixed stream: no data for the leaf {where}")
        start, end = self._offsets[self._n_read : self._n_read + 2]
        self._n_read += 1
        if not isinstance(form, dict):
            raise ValueError(f"malformed mixed stream: the leaf {where} has the form {str(form)[:80]}")
        is_structure = form.get("type") == "object"
        dtype = dtype_of_form(form if is_structure else form.get("items"), where)
        try:
            shape = [] if is_structure else read_shape(form.get("shape"))
        except ValueError as exc:
            raise ValueError(f"malformed mixed stream: the leaf {where}: {exc}") from None
        expected_bytes = math.prod(shape) * dtype.itemsize
        if end - start != expected_bytes:
            raise ValueError(
                f"malformed mixed stream: the leaf {where} has {end - start} bytes (from byte {start} of the "
                f"data); expected {expected_bytes} for dtype {dtype} and shape {shape}"
            )
        try:
            array: np.ndarray[Any, Any] = np.zeros(shape, dtype)
        except (ValueError, MemoryError) as exc:
            raise ValueError(f"malformed mixed stream: the leaf {where}: {exc}") from None
        if expected_bytes:
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(self._data[start:end], np.uint8)
        return array[()] if is_structure else array


def _storage_of(form: Any) -> str | None:
    storage = form.get("storage") if isinstance(form, dict) else None
    return storage if storage is None else str(storage)
