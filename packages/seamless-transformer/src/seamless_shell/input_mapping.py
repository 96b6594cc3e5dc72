"""Under which name each input appears in the command's working directory: its pin.

Three modes: `literal` keeps the path below the working directory, `strip` the base name, `extension` numbers the files:
file1.EXT, file2.EXT, ... A step's identity depends on these names, never on where the inputs lie outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from seamless_command.errors import ShellError

from .compression import split_compression
from .input_words import Argument, InputPath, word_extension

__all__ = ("MAPPINGS", "InputMapping", "map_inputs")

MAPPINGS = ("literal", "strip", "extension")
RESERVED_NAMES = ("code", "result")  # of the transformation dictionary


class InputMapping:
    """The pins of a command: `inputs` by pin name in order of appearance, and `pin_of` by path outside."""

    __slots__ = ("inputs", "pin_of")

    def __init__(self) -> None:
        self.inputs: dict[str, InputPath] = {}
        self.pin_of: dict[str, str] = {}

    def add(self, found: InputPath, pin: str) -> None:
        """Take an input under this name. Raises ShellError when the name is taken or impossible."""
        other = self.inputs.get(pin)
        if other is not None and other.path != found.path:
            raise ShellError(
                f"Two different mappings for argument {pin!r}: {other.path!r} and {found.path!r}.",
                hint="-mx numbers the files, so that no two have one name",
            )
        _check_pin(pin, found)
        self.pin_of[found.path] = pin
        if other is None or (not other.exists and found.exists):
            self.inputs[pin] = found


def map_inputs(
    arguments: Sequence[Argument], extra: Sequence[InputPath], mode: str, directory: str
) -> InputMapping:
    """Map the inputs among the arguments, then the extra ones.

    mode: one of MAPPINGS. directory: below which inputs must lie under `literal`, absolute.
    """
    mapping = InputMapping()
    n_files = 0
    for found in [argument.input for argument in arguments if argument.input is not None] + list(extra):
        if found.path in mapping.pin_of:
            mapping.add(found, mapping.pin_of[found.path])
        elif mode == "extension" and found.kind == "file":
            n_files += 1
            stem, compression = split_compression(found.path)
            suffix = word_extension(stem) + (f".{compression}" if compression else "")
            mapping.add(found, f"file{n_files}{suffix}")
        elif mode == "strip":
            mapping.add(found, os.path.basename(found.path))
        else:
            mapping.add(found, _literal_name(found, directory))
    return mapping


def _literal_name(found: InputPath, directory: str) -> str:
    prefix = directory.rstrip("/") + "/"
    if found.path == directory or found.path + "/" == prefix:
        raise ShellError(
            f"{found.label} is the working directory itself, which cannot be an input as a whole.",
            hint="name the files and directories in it, or give -w its parent",
        )
    if not found.path.startswith(prefix):
        raise ShellError(
            f"{found.label} is not under the current working directory.\n"
            "This is required under 'literal' file mapping.\nTo solve this problem:\n"
            "- Select a different file mapping mode (-ms or -mx)\nor:\n"
            "- Specify a different working directory (-w or -W)",
            hint=f"{found.path} is not below {directory}; -w {os.path.dirname(found.path)} would make it so",
        )
    return found.path[len(prefix) :]


def _check_pin(pin: str, found: InputPath) -> None:
    reason = None
    if not pin or pin in RESERVED_NAMES or pin.startswith("__"):
        reason = "this name belongs to the step itself"
    elif pin.startswith("META__"):
        reason = "names that begin with META__ are left out of the identity"
    elif pin.partition("/")[0] == "RESULT":
        reason = "RESULT is where the result of the command is gathered"
    else:
        try:
            pin.encode()
        except UnicodeEncodeError:
            reason = "it is not valid UTF-8"
    if reason is not None:
        raise ShellError(
            f"{found.label} would be the input {pin!r}, and {reason}.",
            hint="rename it, or let -mx give it a number",
        )
