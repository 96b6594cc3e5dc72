"""The service: opens the directories, finds the route of a request, keeps the directory tidy.

Routes, with the capability that a route beyond the protocol of Seamless 1.4 is advertised as:

| method | path | |
|---|---|---|
| GET, HEAD | /CHECKSUM | HEAD, ETag: `conditional` |
| PUT | /CHECKSUM, /promise/CHECKSUM | writable servers |
| GET, POST | /has, /has-now, /buffer-length | POST: `post-lists` |
| POST | /buffers | `batch-put`, writable servers |
| POST | /buffers/get | `batch-get` |
| GET, HEAD | /openapi.json | the protocol, as OpenAPI 3.1 |
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web
from seamless_service.failures import StartFailed
from seamless_service.requests import path_of
from seamless_service.service import ServiceContext
from seamless_store.directory_chain import DirectoryChain, ExtraDirectory
from seamless_store.errors import StoreError, StoreLayoutUnknown
from seamless_store.filesystem import is_network_filesystem
from seamless_store.layout import DIRECTORY_MODE, LayoutName
from seamless_store.served_directory import ServedDirectory

from .batches import fetch_batch, store_batch
from .checksums import InvalidData, digest_of
from .downloads import download, quick_download
from .expected import PROMISE_S
from .lists import answer_list
from .options import HashserverOptions
from .quick_answers import QuickAnswer, json_answer
from .served import Served
from .uploads import upload

__all__ = ("HashserverService",)

SWEEP_INTERVAL_S = 3600.0
_BUFFER_PATH = re.compile("/([0-9a-f]{64})")
_LISTS = frozenset({"has", "has-now", "buffer-length"})
_NOT_FOUND = b'{"detail":"Not Found"}'
_NOT_ALLOWED = b'{"detail":"Method Not Allowed"}'


class HashserverService:
    """The hashserver of one directory."""

    name = "hashserver"
    protocol = "1.1"

    def __init__(self, options: HashserverOptions) -> None:
        self._options = options
        self._served: Served
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def version(self) -> str:
        return version("hashserver")

    @property
    def capabilities(self) -> tuple[str, ...]:
        writing = ("batch-put",) if self._options.writable else ()
        return ("batch-get", "conditional", "post-lists", *writing)

    async def start(self, context: ServiceContext) -> None:
        """Open the directories, and remove what killed servers left. Raises StartFailed."""
        options = self._options
        chain = await context.run_blocking(_open, options)
        for extra in chain.extras:
            if extra.opened() is None:
                context.log.warning("extra directory is not there yet", path=extra.path)
        places = [options.directory, *(extra.path for extra in chain.extras)]
        self._served = Served(
            chain,
            context,
            writable=options.writable,
            is_local=not any(map(is_network_filesystem, places)),
            lock_timeout_s=options.lock_timeout_s,
            hash_algorithm=options.hash_algorithm,
        )
        if options.writable:
            await self._sweep()
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep_often(), name="sweeper")
        context.log.event(
            "serving",
            directory=str(chain.main.root),
            layout=chain.main.layout,
            writable=options.writable,
            extra_directories=len(chain.extras),
        )
        print("OK", flush=True)  # what Seamless 1.4 prints when it is ready

    async def stop(self) -> None:
        """Store what was accepted, then let go."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if hasattr(self, "_served"):
            await self._served.run_blocking(self._served.small_uploads.close)
            self._served.chain.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path
        if len(path) == 65 and request.method == "GET" and (match := _BUFFER_PATH.fullmatch(path)):
            answer = quick_download(self._served, request, bytes.fromhex(match[1]))
            if answer is not None:
                return answer
        path = path_of(path)
        name = unquote(path[1:]) if "%" in path else path[1:]
        try:
            if (
                "/" not in name
                and name not in _LISTS
                and name not in ("", "buffers", "healthcheck", "metrics", "openapi.json")
            ):
                return await self._buffer(request, name)
            return await self._other(request, name, path)
        except InvalidData as exc:
            return json_answer(400, exc.body())

    async def _buffer(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        served, method = self._served, request.method
        if method in ("GET", "HEAD"):
            digest = digest_of(name)
            quick = quick_download(served, request, digest)
            return quick if quick is not None else await download(served, request, digest)
        if method == "PUT" and served.writable:
            return await upload(served, request, digest_of(name))
        return _not_allowed("GET, HEAD, PUT" if served.writable else "GET, HEAD")

    async def _other(self, request: web.BaseRequest, name: str, path: str) -> web.StreamResponse:
        served, method = self._served, request.method
        if name in _LISTS:
            if method in ("GET", "POST"):
                return await answer_list(served, request, name)
            return _not_allowed("GET, POST")
        if name in ("buffers", "buffers/get"):
            if name == "buffers" and not served.writable:
                return json_answer(404, _NOT_FOUND)
            if method != "POST":
                return _not_allowed("POST")
            return await (store_batch if name == "buffers" else fetch_batch)(served, request)
        if name == "openapi.json" and method in ("GET", "HEAD"):
            return json_answer(200, files("hashserver").joinpath(name).read_bytes())
        if name in ("healthcheck", "metrics", "openapi.json"):
            return _not_allowed("GET, HEAD")
        head, _, rest = name.partition("/")
        if head == "promise" and rest and "/" not in rest and served.writable:
            return self._promise(method, rest)
        if name.endswith("/") and self._has_route(name[:-1]):
            return QuickAnswer(307, f"Location: {path[:-1]}\r\n")
        return json_answer(404, _NOT_FOUND)

    def _promise(self, method: str, name: str) -> QuickAnswer:
        if method != "PUT":
            return _not_allowed("PUT")
        digest = digest_of(name)
        self._served.expected.promise(digest)
        return json_answer(
            202,
            json.dumps({"checksum": digest.hex(), "expires_in": PROMISE_S}, separators=(",", ":")).encode(),
        )

    def _has_route(self, name: str) -> bool:
        head, slash, rest = name.partition("/")
        if not slash:
            return bool(head)
        return head == "promise" and bool(rest) and "/" not in rest and self._served.writable

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            await self._sweep()

    async def _sweep(self) -> None:
        served = self._served
        try:
            n_removed = await served.run_blocking(served.main.sweep)
        except StoreError as exc:  # a nuisance, no reason not to serve
            served.log.warning("temporary files were not swept", why=str(exc))
        else:
            if n_removed:
                served.log.event("swept", temporary_files=n_removed)


def _open(options: HashserverOptions) -> DirectoryChain:
    """Open the directories. Raises StartFailed."""
    path = Path(options.directory)
    if not path.is_dir():
        what = "is not a directory" if path.exists() else "does not exist"
        raise StartFailed(
            f"The directory {path} {what}.", hint=f"make it (mkdir -p {path}), or check the mount"
        )
    if options.writable:
        with contextlib.suppress(OSError):  # not ours: then its owner decides who may write
            path.chmod(DIRECTORY_MODE)

    def opened(layout: LayoutName | None) -> ServedDirectory:
        return ServedDirectory(
            path,
            layout=layout,
            writable=options.writable,
            lock_timeout_s=options.lock_timeout_s,
            hash_algorithm=options.hash_algorithm,
        )

    try:
        try:
            main = opened(options.layout)
        except StoreLayoutUnknown:  # buffers of both layouts lie there: the standard one
            main = opened(options.layout or "prefix")
    except StoreError as exc:
        raise StartFailed(exc.cause, hint=exc.remedy) from exc
    extras = [
        ExtraDirectory(extra, lock_timeout_s=options.lock_timeout_s, hash_algorithm=options.hash_algorithm)
        for extra in options.extra_directories
    ]
    return DirectoryChain(main, extras)


def _not_allowed(allowed: str) -> QuickAnswer:
    return json_answer(405, _NOT_ALLOWED, f"Allow: {allowed}\r\n")
