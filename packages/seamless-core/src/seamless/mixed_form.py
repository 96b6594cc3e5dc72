"""The form of a mixed value: what each part of it is, in the words of the mixed stream's header.

A form is `"integer"`, `"number"`, `"string"`, `"boolean"`, `"null"`, or an object that describes a dict,
a list or an array. `contracts/mixed-stream.md` has the grammar. Forms of arrays are turned back into
dtypes here too, bounded: a form can announce anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = (
    "SCALAR_FORMS",
    "dtype_form",
    "dtype_of_form",
    "form_of_array",
    "form_of_bytes",
    "form_of_list",
    "form_of_void",
    "read_shape",
    "scalar_form",
    "with_storage",
)

Form = Any  # str, or dict[str, Any] as JSON has it

SCALAR_FORMS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}

MAX_AXES = 64


def scalar_form(value: Any) -> str:
    """Return the form of None, a bool, int, float or str."""
    return SCALAR_FORMS[type(value)]


def form_of_list(forms: list[Form], storages: list[str | None]) -> dict[str, Any]:
    """Return the form of a list whose items have these forms and storages (None: plain)."""
    if not forms:
        return {"type": "array", "items": None, "identical": True, "shape": [0]}
    first, first_storage = forms[0], storages[0]
    identical = all(storage == first_storage for storage in storages) and all(form == first for form in forms)
    items: Any
    if identical:
        items = with_storage(first, first_storage)
    else:
        items = [with_storage(form, storage) for form, storage in zip(forms, storages, strict=True)]
    return {"type": "array", "items": items, "identical": identical, "shape": [len(forms)]}


def with_storage(form: Form, storage: str | None) -> Form:
    """Return the form as a child: with its storage as last key, unless it is plain."""
    return form if storage is None else {**form, "storage": storage}


def form_of_array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return the form of an array leaf, with its strides unless they are the canonical ones.

    An array without elements has strides of zeros, whatever NumPy says: they depend on its release.
    """
    shape = [int(length) for length in array.shape]
    form = {"type": "array", "items": dtype_form(array.dtype), "identical": True, "shape": shape}
    strides = [int(stride) for stride in array.strides] if array.size else [0] * len(shape)
    contiguous = array.flags.c_contiguous and strides == _canonical_strides(shape, array.dtype.itemsize)
    form["contiguous"] = bool(contiguous)
    if not contiguous:
        form["strides"] = strides
    return form


def _canonical_strides(shape: list[int], itemsize: int) -> list[int]:
    strides = []
    stride = itemsize
    for length in reversed(shape):
        strides.append(stride)
        stride *= length
    return strides[::-1]


def form_of_bytes(content: bytes) -> dict[str, Any]:
    """Return the form of a bytes leaf: a zero-dimensional S array."""
    items = {"type": "string", "bytesize": len(content) or 1}
    return {"type": "array", "items": items, "identical": True, "shape": [], "contiguous": True}


def form_of_void(value: np.void) -> dict[str, Any]:
    """Return the form of one structure."""
    return dtype_form(value.dtype)


def dtype_form(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the form of one array element. The dtype must have passed `check_dtype`."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {
            "type": "tuple",
            "items": dtype_form(base),
            "identical": True,
            "shape": [int(n) for n in shape],
        }
    if dtype.names is not None:
        assert dtype.fields is not None
        properties = {name: dtype_form(dtype.fields[name][0]) for name in dtype.names}
        return {
            "type": "object",
            "properties": properties,
            "bytesize": dtype.itemsize,
            "order": list(dtype.names),
        }
    if dtype.kind == "b":
        return {"type": "boolean", "bytesize": dtype.itemsize}
    if dtype.kind in "iu":
        return {"type": "integer", "bytesize": dtype.itemsize, "unsigned": dtype.kind == "u"}
    if dtype.kind == "f":
        return {"type": "number", "bytesize": dtype.itemsize}
    return {"type": "string", "bytesize": dtype.itemsize}


def dtype_of_form(form: Form, where: str) -> np.dtype[Any]:
    """Return the dtype that an element form describes. Raises ValueError naming `where`."""
    import numpy as np

    try:
        return _dtype_of_form(form)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise ValueError(
            f"malformed mixed stream: {where} has the element form {str(form)[:200]}, which is no dtype of "
            f"NumPy {np.__version__} on this machine ({exc})"
        ) from None


def _dtype_of_form(form: Form) -> np.dtype[Any]:
    import numpy as np

    kind = form["type"]
    if kind == "tuple":
        return np.dtype((_dtype_of_form(form["items"]), tuple(read_shape(form["shape"]))))
    if kind == "object":
        properties, order = form["properties"], form["order"]
        if sorted(order) != sorted(properties):
            raise ValueError("its order does not name its properties")
        structure = np.dtype([(name, _dtype_of_form(properties[name])) for name in order], align=True)
        if structure.itemsize != form["bytesize"]:
            raise ValueError(f"C's alignment gives it {structure.itemsize} bytes")
        return structure
    bytesize = form["bytesize"]
    if type(bytesize) is not int or bytesize < 1:
        raise ValueError(f"bytesize is {bytesize!r}")
    if kind == "boolean":
        code = f"b{bytesize}"
    elif kind == "integer":
        code = f"{'u' if form['unsigned'] else 'i'}{bytesize}"
    elif kind == "number":
        code = f"f{bytesize}"
    elif kind == "string":
        code = f"S{bytesize}"
    else:
        raise ValueError(f"its type is {kind!r}")
    dtype = np.dtype(code)
    if dtype.itemsize != bytesize:
        raise ValueError(f"{code} has {dtype.itemsize} bytes")
    return dtype


def read_shape(shape: Any) -> list[int]:
    """Return `shape` if it is a list of lengths; raise ValueError if not."""
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_AXES
        or any(type(n) is not int or n < 0 for n in shape)
    ):
        raise ValueError(f"shape is {str(shape)[:80]}; expected at most {MAX_AXES} lengths")
    return shape
