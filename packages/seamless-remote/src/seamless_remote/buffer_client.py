"""The client of a hashserver, or of a directory of buffers.

Each coroutine of the public interface has a synchronous twin `..._sync`, which imports neither asyncio nor aiohttp. All
that comes is verified by its digest: wrong twice counts as absent, with DamagedBufferWarning. A write returns when the
server has acknowledged it. What a server of the earlier implementation lacks is replaced by more requests.
"""

from __future__ import annotations

import os

from seamless.checksum import Checksum

from .background import run_blocking
from .buffer_folder import BufferFolder
from .buffer_lists import lengths, present
from .client import Client
from .errors import ClientMisconfigured, DamagedBufferWarning, RequestFailed
from .http_message import ExchangeFailed, FileBody, PartsBody
from .receiving import Mismatch, receive_buffer, receive_file

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from seamless.buffer import Buffer
    from seamless_store.layout import Form

    from .light_http import Response
    from .receiving import Progress

__all__ = ("BufferClient",)

_CODINGS = {"zst": "zstd", "gz": "gzip"}
UPLOAD_ROUNDS = 5


class BufferClient(Client):
    """Buffers behind a hashserver (`url`), in a directory (`directory`, read only), or both."""

    service = "hashserver"
    identities = ("hashserver",)

    def __init__(self, readonly: bool) -> None:
        super().__init__(readonly)
        self.directory: str | None = None

    @property
    def has_server(self) -> bool:
        """Whether there is more to ask than a directory."""
        return self.url is not None or self.directory is None

    # --- the interface of coroutines ---

    async def get(self, checksum: Checksum | str) -> Buffer | None:
        """Return the buffer, or None."""
        return await run_blocking(self.get_sync, checksum)

    async def buffer_length(self, checksum: Checksum | str) -> int | None:
        """Return the length of a buffer, or None."""
        return (await self.buffer_lengths([checksum]))[0]

    async def buffer_lengths(self, checksums: Sequence[Checksum | str]) -> list[int | None]:
        """Return the lengths of buffers; None for those that are not there."""
        return await run_blocking(self.length_many_sync, checksums)

    async def promise(self, checksum: Checksum | str) -> None:
        """Announce that the buffer will be uploaded soon."""
        await run_blocking(self.promise_sync, checksum)

    async def write(self, checksum: Checksum | str, buffer: Buffer) -> bool:
        """Upload the buffer; True when the server has it."""
        return await run_blocking(self.write_sync, checksum, buffer)

    async def get_file_buffer(self, checksum: Checksum | str, timeout: float = 10) -> Buffer | None:
        """Return the buffer from the directory, or None. timeout: how long locks are waited for."""
        return await run_blocking(self.get_file_buffer_sync, checksum, timeout)

    # --- reading ---

    def get_sync(self, checksum: Checksum | str) -> Buffer | None:
        """Return the buffer from the directory, if there is one, else from the server, or None."""
        checksum = _checksum(checksum)
        if self.directory is not None:
            buffer = self.get_file_buffer_sync(checksum)
            if buffer is not None or not self.has_server:
                return buffer
        return self._get_from_server(checksum)

    def _get_from_server(self, checksum: Checksum) -> Buffer | None:
        def receive(response: Response) -> Buffer | Mismatch | None:
            return None if response.status == 404 else receive_buffer(response, checksum)

        buffer_or_none: Buffer | None = self._fetch(checksum, receive)
        return buffer_or_none

    def get_many_sync(self, checksums: Sequence[Checksum | str]) -> list[Buffer | None]:
        """Return many buffers in order, None for those that are not there; few requests where the server can."""
        from .many_buffers import get_many

        return get_many(self, [_checksum(checksum) for checksum in checksums])

    def download_sync(
        self, checksum: Checksum | str, to_path: str | os.PathLike[str], progress: Progress | None = None
    ) -> bool:
        """Write the buffer to a file, which is whole and true or absent at any moment; False when it is not there.

        In constant memory. progress(received, total): called with the bytes that came over the line, total may be None.
        """
        checksum = _checksum(checksum)
        target = os.path.abspath(os.fspath(to_path))
        temporary = f"{os.path.dirname(target)}/.download-{os.urandom(8).hex()}.part"

        def receive(response: Response) -> bool | Mismatch | None:
            if response.status == 404:
                return None
            descriptor = _open_for_writing(temporary)
            try:
                return receive_file(response, checksum, descriptor, progress) or True
            finally:
                os.close(descriptor)

        try:
            if self._download_from_folder(checksum, temporary):
                os.replace(temporary, target)
                return True
            if not self.has_server or not self._fetch(checksum, receive):
                return False
            os.replace(temporary, target)
            return True
        finally:
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass

    def _download_from_folder(self, checksum: Checksum, temporary: str) -> bool:
        if self.directory is None:
            return False
        self._check_usable()
        descriptor = _open_for_writing(temporary)
        try:
            return BufferFolder(self.directory).copy(checksum, descriptor)
        finally:
            os.close(descriptor)

    def _fetch(self, checksum: Checksum, receive: Callable[[Response], Any]) -> Any:
        """Return what `receive` makes of the buffer; None when it is absent, or came wrong twice."""
        found = ""
        for _ in range(2):
            result = self._request("GET", f"/{checksum.hex()}", receive, accept=(404,))
            if not isinstance(result, Mismatch):
                return result
            found = result.found
        import warnings

        warnings.warn(
            f"{self.service} at {self.url} sent wrong bytes for the buffer {checksum} twice "
            f"(found: {found}); it counts as absent.",
            DamagedBufferWarning,
            stacklevel=4,
        )
        return None

    def get_file_buffer_sync(self, checksum: Checksum | str, timeout: float = 10) -> Buffer | None:
        if self.directory is None:
            raise ClientMisconfigured(
                "this client has no directory.", service=self.service, url=self.url or ""
            )
        self._check_usable()
        return BufferFolder(self.directory).get(_checksum(checksum), timeout)

    # --- presence ---

    def has_many_sync(self, checksums: Sequence[Checksum | str], *, promised: bool = False) -> list[bool]:
        """Tell which buffers are there now; with `promised`, those that were announced count too."""
        return self._per_checksum(checksums, lambda asked: present(self, asked, promised=promised), False)

    def length_many_sync(self, checksums: Sequence[Checksum | str]) -> list[int | None]:
        """Return the lengths of buffers; None for those that are not there."""
        none: int | None = None
        return self._per_checksum(checksums, lambda asked: lengths(self, asked), none)

    def _per_checksum(
        self, checksums: Sequence[Checksum | str], ask: Callable[[list[Checksum]], list[Any]], absent: Any
    ) -> list[Any]:
        """Ask the folder, then the server for what is unknown; each checksum once."""
        wanted = [_checksum(checksum) for checksum in checksums]
        known: dict[Checksum, Any] = {}
        if self.directory is not None:
            self._check_usable()
            folder = BufferFolder(self.directory)
            for checksum in wanted:
                length = folder.length(checksum)
                if length is not None:
                    known[checksum] = length if absent is None else True
        unknown = [checksum for checksum in dict.fromkeys(wanted) if checksum not in known]
        if unknown and self.has_server:
            known.update(zip(unknown, ask(unknown), strict=True))
        return [known.get(checksum, absent) for checksum in wanted]

    # --- writing ---

    def promise_sync(self, checksum: Checksum | str) -> None:
        self._require_writable("promise a buffer")
        self._request("PUT", f"/promise/{_checksum(checksum).hex()}", _finish)

    def write_sync(self, checksum: Checksum | str, buffer: Buffer) -> bool:
        """Upload the buffer; True when the server has it, with an acknowledgement that it is stored."""
        self._upload(_checksum(checksum), PartsBody(buffer.parts), None)
        return True

    def write_many_sync(self, buffers: Sequence[Buffer]) -> None:
        """Upload many buffers without asking which are there; returns when the server has acknowledged all."""
        self._require_writable("upload buffers")
        from .many_buffers import write_many

        write_many(self, buffers)

    def write_file_sync(
        self, checksum: Checksum | str, path: str | os.PathLike[str], form: Form | None = None
    ) -> bool:
        """Upload the buffer that a file holds, in constant memory.

        form: how the file is compressed; it is sent as it is.

        Raises OSError when the file cannot be read, FileChanged when it does not hold the buffer.
        """
        from seamless.errors import FileChanged

        checksum = _checksum(checksum)
        try:
            self._upload(checksum, FileBody(path), form)
        except ExchangeFailed as exc:
            if isinstance(exc.__cause__, OSError):
                raise exc.__cause__ from None
            raise FileChanged(os.fspath(path), checksum, exc.detail) from exc
        except RequestFailed as exc:
            if exc.status != 400:
                raise
            raise FileChanged(os.fspath(path), checksum, f"The server says: {exc.body[:200]}") from exc
        return True

    def _upload(self, checksum: Checksum, body: PartsBody | FileBody, form: Form | None) -> None:
        self._require_writable("upload a buffer")
        headers = {"Content-Type": "application/octet-stream"}
        if form is not None:
            headers["Content-Encoding"] = _CODINGS[form]
        for _ in range(UPLOAD_ROUNDS):
            status = self._request("PUT", f"/{checksum.hex()}", _finish, headers=headers, body=body)
            if status != 202:
                return
            # Somebody else is uploading it; if that fails nothing is stored. Asking for the length waits for the end.
            lengths(self, [checksum])
            if present(self, [checksum], promised=False)[0]:
                return
        raise RequestFailed(
            f"{self.service} at {self.url} did not store the buffer {checksum}: another upload of it never ends well.",
            status=202,
            service=self.service,
            url=self.url or "",
            remedy="upload it again later.",
        )

    # --- the base ---

    def _validate(self) -> None:
        if not self.url and self.directory is None:
            raise ClientMisconfigured(
                "the client of the hashserver has neither an address nor a directory.",
                service=self.service,
                remedy="set its url or its directory.",
            )

    def _check_usable(self) -> None:
        """Do what the first contact does, without asking the server: a directory needs none."""
        if not self._initialized:
            from .client import check_clients_allowed

            check_clients_allowed()


def _open_for_writing(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)


def _checksum(checksum: Checksum | str) -> Checksum:
    return checksum if isinstance(checksum, Checksum) else Checksum(checksum)


def _finish(response: Response) -> int:
    response.read_start(4096)
    return response.status
