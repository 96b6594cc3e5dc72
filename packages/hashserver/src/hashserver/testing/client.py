"""A small client for tests: one kept connection, and a look behind the server's back."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seamless_service.testing.service_process import ServiceProcess

__all__ = ("Client", "checksum")


class Client:
    """Talks to `server`, which serves `folder` in the prefix layout."""

    def __init__(self, server: ServiceProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(
        self, method: str, path: str, body: bytes | str | Iterable[bytes] | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body, and headers in lower case."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        self._connection.request(method, path, body, named)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}

    def put(self, content: bytes, **headers: str) -> tuple[int, bytes]:
        return self.ask("PUT", f"/{checksum(content)}", content, **headers)[:2]

    def put_as(self, content: bytes, packed: bytes, encoding: str) -> tuple[int, bytes]:
        """Upload `packed` as the compressed form of `content`."""
        return self.ask("PUT", f"/{checksum(content)}", packed, Content_Encoding=encoding)[:2]

    def get(self, content: bytes, **headers: str) -> tuple[int, bytes]:
        return self.ask("GET", f"/{checksum(content)}", **headers)[:2]

    def list(self, route: str, checksums: Sequence[object], method: str = "GET") -> Any:
        """Return the answer to a question about many buffers; (status, body) if it is refused."""
        body = json.dumps(checksums)
        status, answer, _ = self.ask(method, f"/{route}", body, Content_Type="application/json")
        return json.loads(answer) if status == 200 else (status, answer)

    def file(self, content: bytes, suffix: str = "") -> Path:
        name = checksum(content) + suffix
        return self.folder / name[:2] / name

    def place(self, content: bytes, stored: bytes, suffix: str = "") -> Path:
        """Put a file there behind the server's back."""
        path = self.file(content, suffix)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(stored)
        return path

    def temporaries(self) -> Sequence[str]:
        """Return the names of the files of unfinished uploads."""
        return [path.name for path in self.folder.rglob("*-*") if ".quarantine" not in str(path)]

    def close(self) -> None:
        self._connection.close()


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
