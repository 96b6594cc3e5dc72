"""The step that a word of the command line means: a checksum, a file that holds one, or a job directory (or its file).

Beside a file may lie what the identity leaves out: `dunder.json`; and, beside a transformation itself, the buffers of
its code (`command.txt`) and environment (`env.json`).
"""

from __future__ import annotations

import os

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

    from seamless.buffer import Buffer
    from seamless.checksum import Checksum

__all__ = ("GivenTransformation", "read_dunder", "transformation_of_word")

CHECKSUM_SUFFIX = ".CHECKSUM"
JOB_FILE = "transformation.json"
MAX_FILE_BYTES = 16 * 1024 * 1024
_EXPECTED = "a checksum (64 lower-case hexadecimal digits), a file that holds one, or a transformation.json"


class GivenTransformation:
    """A step as it was given.

    dictionary: None when only its checksum is known. beside: keys outside its identity.
    buffers: those that lay beside it, the transformation itself included.
    """

    __slots__ = ("beside", "buffers", "checksum", "dictionary")

    def __init__(self, checksum: Checksum) -> None:
        self.checksum = checksum
        self.dictionary: dict[str, Any] | None = None
        self.beside: dict[str, Any] = {}
        self.buffers: list[Buffer] = []


def transformation_of_word(word: str) -> GivenTransformation:
    """Return the step that the word means. Raises ShellError."""
    from seamless.checksum import Checksum, is_checksum_text

    if is_checksum_text(word):
        return GivenTransformation(Checksum(word))
    path = os.path.join(word, JOB_FILE) if os.path.isdir(word) else word
    if not os.path.lexists(path) and os.path.lexists(path + CHECKSUM_SUFFIX):
        path += CHECKSUM_SUFFIX
    content = _content(path)
    given = (
        _of_transformation(path, content)
        if content.lstrip().startswith(b"{")
        else _of_checksum(path, content)
    )
    dunder = _sibling(path, "dunder.json")
    if os.path.exists(dunder):
        given.beside.update(read_dunder(dunder))
    return given


def read_dunder(path: str) -> dict[str, Any]:
    """Return the keys outside the identity that this file holds. Raises ShellError."""
    from seamless_transformer.definition_errors import UnknownDunderKey
    from seamless_transformer.identity import is_load_bearing

    found = _json(path, _content(path))
    for key in found:
        try:
            is_part = is_load_bearing(key)
        except UnknownDunderKey:
            raise ShellError(f"{path!r}: there is no key {key!r} in a transformation") from None
        if is_part:
            raise ShellError(
                f"{path!r}: {key!r} is part of the identity of a transformation and cannot be given beside it"
            )
    return found


def _of_checksum(path: str, content: bytes) -> GivenTransformation:
    from seamless.checksum import Checksum
    from seamless_command.sidecars import SidecarInvalid, parse_checksum

    try:
        return GivenTransformation(Checksum(parse_checksum(content, path)))
    except SidecarInvalid as exc:
        raise ShellError(
            f"{path!r} holds no transformation: {exc.reason}", hint=f"give {_EXPECTED}"
        ) from None


def _of_transformation(path: str, content: bytes) -> GivenTransformation:
    from seamless.buffer import Buffer
    from seamless.dialect_p import dumps
    from seamless_transformer.identity import identity_text
    from seamless_transformer.stored_step import check_transformation

    dictionary = _json(path, content)
    check_transformation(dictionary)
    buffer = Buffer(identity_text(dictionary))
    given = GivenTransformation(buffer.get_checksum())
    given.dictionary = dictionary
    given.buffers.append(buffer)
    code = _sibling(path, "command.txt")
    if os.path.exists(code):
        given.buffers.append(_code_buffer(code, dictionary["code"][2]))
    environment = _sibling(path, "env.json")
    if os.path.exists(environment):
        buffer = Buffer(dumps(_json(environment, _content(environment))))
        given.buffers.append(buffer)
        given.beside["__env__"] = buffer.get_checksum().hex()
    return given


def _code_buffer(path: str, checksum_hex: str) -> Buffer:
    """Return the buffer of the code: the file as it is, or its text with the newline that ends every text."""
    from seamless.buffer import Buffer

    content = _content(path)
    for candidate in (content, content.rstrip(b"\n") + b"\n"):
        buffer = Buffer(candidate)
        if buffer.get_checksum().hex() == checksum_hex:
            return buffer
    raise ShellError(
        f"{path!r} is not the code of the transformation beside it: its checksum is not {checksum_hex}",
        hint="write the job directory anew: seamless-run --dry -j DIR COMMAND",
    )


def _sibling(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), name)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ShellError(f"{path!r} cannot be read: {exc.strerror}", hint=f"give {_EXPECTED}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ShellError(f"{path!r} is too large for a transformation", hint=f"give {_EXPECTED}")
    return content


def _json(path: str, content: bytes) -> dict[str, Any]:
    import json

    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise ShellError(f"{path!r} is no JSON: {exc}") from None
    if not isinstance(found, dict):
        raise ShellError(f"{path!r} holds no JSON object")
    return found
