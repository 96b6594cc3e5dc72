"""Hand the inputs of a step to the store, and to whatever runs the step."""

from __future__ import annotations

from seamless.buffer import Buffer
from seamless.checksum import Checksum
from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless.active import ActiveSet
    from seamless_command.messages import Messages

    from .confirmation import Answer
    from .file_checksum import HashedFile
    from .prepare import PreparedStep

__all__ = ("StepInputs",)


class StepInputs:
    """The buffers that a step refers to: those of its inputs, and the small ones (code, variables, indices)."""

    def __init__(self, step: PreparedStep, active: ActiveSet) -> None:
        self._step = step
        self._active = active
        self._files: dict[bytes, HashedFile] = {
            file.digest: file for content in step.inputs for file in content.files
        }

    def upload(self, messages: Messages, *, answer: Answer) -> None:
        """Store the inputs that the store lacks; say how many, ask when they are many. Raises ShellError."""

        from .confirmation import confirm_transfer
        from .transfer_limits import human_size

        sizes = {digest: file.length for digest, file in self._files.items()}
        for content in self._step.inputs:
            if content.index_content is not None and content.files:
                sizes[content.digest] = len(content.index_content)
        checksums = [Checksum(digest) for digest in sizes]
        present = self._active.buffers.has_many(checksums)
        missing = [
            checksum.bytes() for checksum, is_there in zip(checksums, present, strict=True) if not is_there
        ]
        if not missing:
            messages.say(1, "Upload no files")
            return
        n_bytes = sum(sizes[digest] for digest in missing)
        confirm_transfer("upload", len(missing), n_bytes, answer)
        messages.say(0, f"Upload {len(missing)} files, total {human_size(n_bytes)}")
        if self._active.persistent:
            self._active.buffers.put_files(
                [
                    (Checksum(digest), self._files[digest].path, self._files[digest].compression)
                    for digest in missing
                    if digest in self._files
                ]
            )

    def demand_all(self) -> None:
        """Raise ShellError if an input that is known only by its checksum is in no store."""
        for content in self._step.inputs:
            if content.files or content.index_content == b"{}\n":
                continue
            digests = [content.digest]
            if content.index_content is not None:
                import json

                digests = [bytes.fromhex(text) for text in json.loads(content.index_content).values()]
            checksums = [Checksum(digest) for digest in digests]
            for checksum, is_there in zip(checksums, self._active.buffers.has_many(checksums), strict=True):
                if not is_there:
                    raise ShellError(
                        f"{content.label} is known by its .CHECKSUM file only, and no store holds what it names.\n"
                        f"RuntimeError: seamless.CacheMissError: {checksum}",
                        hint="restore the file, or run the command again that made it",
                    )

    def store_small(self) -> None:
        """Store the code, the variables, the indices and the transformation itself."""
        contents = [*self._step.small.values(), self._step.text]
        self._active.buffers.put_many([Buffer(content) for content in contents])

    def read(self, checksum: Checksum) -> Buffer | None:
        """Return the content of one input, verified; None for what is not ours. Raises ShellError."""
        digest = checksum.bytes()
        content = self._step.small.get(digest)
        if content is not None:
            return Buffer(content, checksum=checksum)
        file = self._files.get(digest)
        if file is None or self._active.persistent:
            return None  # in the store
        return _read_file(file, checksum)


def _read_file(file: HashedFile, checksum: Checksum) -> Buffer:
    with open(file.path, "rb") as opened:
        content = opened.read()
    if file.compression is not None:
        from seamless_store.compressed import decompressed

        content = b"".join(decompressed(file.compression, [content], name=repr(file.path)))
    buffer = Buffer(content)
    if buffer.get_checksum() != checksum:
        raise ShellError(
            f"{file.path!r} changed between the look at its content and the run",
            hint="wait until what writes it has finished; then try again",
        )
    return buffer
