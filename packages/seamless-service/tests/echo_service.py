"""A service for the tests of the kit: run as `python echo_service.py [options]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from aiohttp import web
from seamless_service.answers import RequestRefused
from seamless_service.failures import StartFailed
from seamless_service.options import ServiceOptions, add_service_options
from seamless_service.requests import body_chunks, read_body
from seamless_service.run import run_service
from seamless_service.service import ServiceContext

LIMIT = 1_000_000


class EchoService:
    name = "echo"
    version = "1.0"
    protocol = "7"
    capabilities = ("zebra", "apple")

    def __init__(self, fail: bool) -> None:
        self._fail = fail
        self.context: ServiceContext

    async def start(self, context: ServiceContext) -> None:
        if self._fail:
            raise StartFailed("There is nothing to echo.", hint="leave --fail out")
        self.context = context

    async def stop(self) -> None:
        print("stopped", flush=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if path == "/echo":
            return web.Response(body=await read_body(request, LIMIT))
        if path == "/count":
            n = 0
            async for chunk in body_chunks(request, patience_s=1.0):
                n += len(chunk)
            return web.Response(text=str(n))
        if path == "/crash":
            raise ValueError("secret: /etc/shadow")
        if path == "/slow":
            await asyncio.sleep(0.5)
            return web.Response(text="slow done")
        if path == "/blocking":
            return web.Response(text=str(await self.context.run_blocking(time.monotonic)))
        if path == "/work":
            self._work = asyncio.create_task(self._some_work())
            return web.Response(status=202)
        if path == "/state":
            return web.json_response({"state": self.context.state, "key": self.context.key})
        raise RequestRefused(404, "not_found", "No such path.", hint="try /echo", detail={"path": path[:50]})

    async def _some_work(self) -> None:
        with self.context.activity.work():
            await asyncio.sleep(2.5)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail", action="store_true")
    add_service_options(parser)
    arguments = parser.parse_args()
    return run_service(EchoService(arguments.fail), ServiceOptions.of(arguments), drain_s=5.0)


if __name__ == "__main__":
    sys.exit(main())
