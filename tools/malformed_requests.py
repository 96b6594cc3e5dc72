"""Requests that no client of ours sends: bytes that are no HTTP, HTTP that is none of the protocol's, JSON gone wrong.

A seed gives the same requests again. Every request is a whole connection's worth of bytes.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ("malformed_requests",)

_METHODS = ("GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get", "G\x00T")
_HEADERS = (
    "Content-Type: application/json",
    "Content-Type: application/json; charset=utf-16",
    "Content-Encoding: gzip",
    "Content-Encoding: zstd",
    "Content-Encoding: br",
    "Accept-Encoding: zstd;q=nan, gzip;q=-1, *;q=9e99",
    "Accept-Encoding: ,;,=,;q",
    "Range: bytes=5-2",
    "Range: bytes=-",
    "Range: bytes=0-0,1-1,2-2,-1,99999999999999999999-",
    "Range: pages=1-2",
    "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(500)),
    "If-None-Match: " + '"' * 50,
    "If-Range: Thu, 99 Foo 0000 00:00:00",
    "Expect: 200-maybe",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 0",
    "Content-Length: 99999999999999999999",
    "Content-Length: -5",
    "Host: \xff\xfe",
    "Authorization: Bearer " + "x" * 3000,
    "X-Request-Id: \x7f\x01",
    "Connection: upgrade\r\nUpgrade: websocket",
    "Cookie: " + "a=b; " * 500,
)


class _Maker:
    def __init__(
        self, rng: random.Random, paths: list[str], bodies: list[dict[str, Any] | list[Any]]
    ) -> None:
        self._rng = rng
        self._paths = paths
        self._bodies = bodies

    def noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randrange(1, 300)) + b"\r\n\r\n"

    def request(self) -> bytes:
        rng = self._rng
        lines = [f"{rng.choice(_METHODS)} {self.path()} HTTP/1.{rng.choice('1111019')}"]
        if rng.random() < 0.9:
            lines.append("Host: x")
        lines += rng.sample(_HEADERS, rng.randrange(4))
        lines.append("Connection: close")
        body = self.body()
        if not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in lines):
            length = len(body) if rng.random() < 0.9 else rng.randrange(len(body) + 3)
            lines.append(f"Content-Length: {length}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def damaged(self) -> bytes:
        whole = bytearray(self.request())
        for _ in range(self._rng.randrange(1, 8)):
            place = self._rng.randrange(len(whole))
            kind = self._rng.randrange(3)
            if kind == 0:
                whole[place] = self._rng.randrange(256)
            elif kind == 1:
                del whole[place : place + self._rng.randrange(1, 20)]
            else:
                whole[place:place] = self._rng.randbytes(self._rng.randrange(1, 20))
            if not whole:
                return b"\r\n\r\n"
        return bytes(whole)

    def path(self) -> str:
        rng = self._rng
        path = rng.choice(self._paths)
        kind = rng.randrange(8)
        if kind == 0:
            place = rng.randrange(len(path) + 1)
            return (
                path[:place]
                + rng.choice(("%", "%zz", "%00", "..", "//", "\\", "é", "?", "#", "%ff%fe"))
                + path[place:]
            )
        if kind == 1:
            return path[: rng.randrange(1, len(path) + 1)]
        if kind == 2:
            return "/" + "".join(
                rng.choice("0123456789abcdefABCDEFxyz/.%-_~") for _ in range(rng.randrange(200))
            )
        if kind == 3:
            return path + "/" + path
        return path

    def body(self) -> bytes:
        rng = self._rng
        kind = rng.randrange(7)
        if kind == 0:
            return rng.randbytes(rng.randrange(2000))
        if kind == 1:
            return b"[" * rng.randrange(1, 50_000)
        if kind == 2:
            return gzip.compress(rng.randbytes(rng.randrange(500)))[: rng.randrange(1, 600)]
        text = json.dumps(self.changed(rng.choice(self._bodies))).encode()
        if kind == 3:
            return text[: rng.randrange(len(text) + 1)]
        if kind == 4:
            return gzip.compress(text)
        return text

    def changed(self, value: Any) -> Any:
        """Return the value with one of its members replaced by another kind of thing."""
        rng = self._rng
        if isinstance(value, dict) and value and rng.random() < 0.95:
            key = rng.choice(list(value))
            return {**value, key: self.changed(value[key]) if rng.random() < 0.7 else self.other()}
        if isinstance(value, list) and value and rng.random() < 0.9:
            place = rng.randrange(len(value))
            return [*value[:place], self.changed(value[place]), *value[place + 1 :]]
        return self.other() if rng.random() < 0.8 else value

    def other(self) -> Any:
        rng = self._rng
        return rng.choice(
            (
                None,
                True,
                0,
                -1,
                1.5,
                10**30,
                float("nan"),
                "",
                "ab" * 31,
                "g" * 64,
                "AB" * 32,
                "\ud800",
                "\x00" * 64,
                "é" * 64,
                [],
                {},
                [[]],
                {"type": []},
                ["ab" * 32] * rng.randrange(1, 50),
                "x" * rng.randrange(1, 10_000),
                {str(i): i for i in range(rng.randrange(1, 100))},
            )
        )


def malformed_requests(
    seed: int, n_requests: int, *, paths: list[str], bodies: list[dict[str, Any] | list[Any]]
) -> Iterator[bytes]:
    """Yield requests around the given paths and JSON bodies, which a service would understand."""
    maker = _Maker(random.Random(seed), paths, bodies)
    kinds: tuple[Callable[[], bytes], ...] = (
        maker.noise,
        maker.damaged,
        maker.request,
        maker.request,
        maker.request,
    )
    for number in range(n_requests):
        yield kinds[number % len(kinds)]()
