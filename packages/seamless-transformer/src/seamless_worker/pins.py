"""The inputs of a step: which pins it has, and the value of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from seamless.checksum import Checksum
from seamless.deserialize import deserialize
from seamless.errors import CacheMissError

if TYPE_CHECKING:
    from pathlib import Path

    from seamless.step import StepRequest

__all__ = ("Pin", "PinValueError", "code_text", "input_pins", "pin_path", "pin_value", "read_index")


class PinValueError(ValueError):
    """The buffer of an argument cannot be read with the celltype of its pin.

    Remedy: declare the celltype with which the producer of the buffer wrote it: `step.celltypes.NAME = 'bytes'` takes
    any buffer.
    """


class Pin(NamedTuple):
    """One input: its name inside the step, and the buffer behind it."""

    name: str
    celltype: str
    subcelltype: str | None
    checksum: Checksum | None
    filesystem_mode: str | None = None  # file, directory or None
    filesystem_optional: bool = True
    filesystem_celltype: str | None = None


def input_pins(transformation: Mapping[str, Any]) -> list[Pin]:
    """Return the pins that carry inputs, in the order of the dictionary: all but the code."""
    renamed: Mapping[str, str] = transformation.get("__as__") or {}
    formats: Mapping[str, Any] = transformation.get("__format__") or {}
    pins = []
    for name, entry in transformation.items():
        if name[:2] == "__" or name == "code":
            continue
        celltype, subcelltype, checksum_hex = entry
        checksum = None if checksum_hex is None else Checksum(checksum_hex)
        if name in formats:
            filesystem = formats[name].get("filesystem") or {}
            pins.append(
                Pin(
                    renamed.get(name, name),
                    celltype,
                    subcelltype,
                    checksum,
                    filesystem.get("mode"),
                    bool(filesystem.get("optional", False)),
                    formats[name].get("celltype"),
                )
            )
        else:
            pins.append(Pin(renamed.get(name, name), celltype, subcelltype, checksum))
    return pins


def code_text(request: StepRequest, code_checksum: str) -> str:
    """Return the source text of the step; `__code_text__` helps out when its buffer is nowhere."""
    try:
        return request.read_buffer(Checksum(code_checksum)).decode()
    except CacheMissError:
        text = request.transformation.get("__code_text__")
        if not isinstance(text, str):
            raise
        return text


def pin_path(pin: Pin, request: StepRequest) -> Path | None:
    """Return the file or directory that holds the input, for pins that ask for one.

    Raises CacheMissError when a pin insists on a file (mode `file`, not optional) and there is none.
    """
    if pin.filesystem_mode is None or pin.checksum is None:
        return None
    path: Path | None = request.read_path(pin.checksum) if request.read_path is not None else None
    if path is not None and path.is_dir() == (pin.filesystem_mode == "directory"):
        return path
    if pin.filesystem_mode == "file" and not pin.filesystem_optional:
        raise CacheMissError(
            pin.checksum,
            f"argument {pin.name!r} must be a file, but no configured buffer directory on this machine holds "
            f"its buffer {pin.checksum}. Configure one, or declare the file as optional.",
        )
    return None


def pin_value(pin: Pin, request: StepRequest) -> Any:  # Any: a step's argument is whatever was passed
    """Return the value that a Python step sees under the pin's name."""
    checksum = pin.checksum
    if checksum is None:
        return None
    celltype = pin.celltype
    if celltype == "bytes":
        return request.read_buffer(checksum)
    if celltype in ("deepcell", "deepfolder"):
        return read_index(pin, celltype, request)
    if celltype == "folder":
        index = read_index(pin, celltype, request)
        return {name: request.read_buffer(leaf) for name, leaf in index.items()}
    buffer = request.read_buffer(checksum)
    try:
        return deserialize(buffer, celltype)
    except (TypeError, ValueError) as exc:
        raise PinValueError(
            f"argument {pin.name!r} (buffer {checksum}) cannot be read with celltype {celltype!r}: {exc}. "
            "Declare the celltype with which its producer wrote it."
        ) from None


def read_index(pin: Pin, celltype: str, request: StepRequest) -> Any:  # Any: nested dicts and lists
    """Return the index of a deepcell, folder or deepfolder input, its leaves as Checksums."""
    from seamless.deep import unpack

    assert pin.checksum is not None
    buffer = request.read_buffer(pin.checksum)
    try:
        return unpack(deserialize(buffer, "plain"), celltype, lambda checksum: checksum)
    except (TypeError, ValueError) as exc:
        raise PinValueError(
            f"argument {pin.name!r} (buffer {pin.checksum}) is no index of a {celltype}: {exc}"
        ) from None
