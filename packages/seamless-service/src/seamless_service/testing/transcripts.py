"""Replay recorded exchanges against a running service, byte for byte as they were sent.

The recordings are data of the contracts directory (`http_transcripts.json`; its `how_to_read` explains the form). Every
exchange uses a connection of its own with `Connection: close`. What a service answers otherwise on purpose is
for the test to list, with reasons.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = (
    "Answer",
    "Exchange",
    "Session",
    "content_of",
    "differences",
    "exchange_bytes",
    "load_sessions",
    "parse_answer",
    "send",
    "write_initial_files",
)

VOLATILE = "*volatile*"
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back. status 0: no HTTP answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Exchange:
    id: str
    request: dict[str, Any]
    response: dict[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Session:
    name: str
    service: str
    argv: list[str]
    initial_files: list[dict[str, Any]]
    exchanges: list[Exchange]
    more: dict[str, Any]


def load_sessions(path: Path, service: str) -> list[Session]:
    """Return the recorded sessions of one service ("hashserver", "database", "jobserver")."""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    return [
        Session(
            name=session["session"],
            service=session["service"],
            argv=session["argv"],
            initial_files=session.get("initial_files", []),
            exchanges=[
                Exchange(each["id"], each["request"], each["response"], each.get("note", ""))
                for each in session["exchanges"]
            ],
            more={key: value for key, value in session.items() if key not in ("exchanges", "argv")},
        )
        for session in recorded["sessions"]
        if session["service"] == service
    ]


def content_of(body: Mapping[str, Any] | None) -> bytes | None:
    """Return the bytes that a recorded body stands for; None if only their digest or form is given."""
    if body is None:
        return b""
    if "text" in body:
        return str(body["text"]).encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    if "repeat" in body:
        return str(body["repeat"]).encode() * int(body["count"])
    if "json" in body:
        return json.dumps(body["json"]).encode()
    return None


def exchange_bytes(request: Mapping[str, Any], host_port: str) -> bytes:
    """Return the request as it goes over the wire."""
    if "raw" in request:
        return content_of(request["raw"]) or b""
    path = request["path"]
    if isinstance(path, Mapping):
        prefix = str(path["prefix"])
        path = prefix + prefix[-1] * (int(path["length"]) - len(prefix))
    lines = [f"{request['method']} {path} HTTP/1.1", f"Host: {host_port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    body = b""
    if "body" in request:
        body = content_of(request["body"]) or b""
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def send(
    host: str,
    port: int,
    request: bytes,
    *,
    method: str = "GET",
    half_close: bool = False,
    timeout_s: float = 30.0,
) -> Answer:
    """Send the bytes on a new connection and return the answer; the service must close the connection.

    half_close: say after the bytes that no more will come, as some recorded exchanges did (their notes say so).
    """
    received = b""
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        try:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered, and closed, before the end of the request
        try:
            while (part := connection.recv(1 << 20)) and len(received) < _MAX_ANSWER_BYTES:
                received += part
        except ConnectionResetError:
            pass
    return parse_answer(received, method)


def parse_answer(received: bytes, method: str = "GET") -> Answer:
    """Return the final answer in the bytes of one connection."""
    while received.startswith((b"HTTP/1.1 100", b"HTTP/1.0 100")):
        received = received.partition(b"\r\n\r\n")[2]
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return Answer(0)
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked" and method != "HEAD":
        body = _unchunked(body)
    return Answer(int(status_line.split()[1]), headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size_text, _, body = body.partition(b"\r\n")
        size = int(size_text.partition(b";")[0], 16)
        if not size:
            break
        whole += body[:size]
        body = body[size + 2 :]
    return whole


def differences(expected: Mapping[str, Any], answer: Answer, *, headers: tuple[str, ...] = ()) -> list[str]:
    """Return in which parts the answer is not the recorded one: status, body, and the named headers."""
    if "no_response" in expected:
        return [] if answer.status == 0 else [f"status {answer.status}, recorded: {expected['no_response']}"]
    found = []
    if answer.status != expected["status"]:
        found.append(f"status {answer.status}, recorded: {expected['status']}")
    body = expected.get("body")
    wanted = content_of(body)
    if body is not None and "json" in body:
        if not _same_json(body["json"], _json(answer.body)):
            found.append(f"body {answer.body[:300]!r}, recorded: {body['json']}")
    elif body is not None and "sha256" in body:
        if hashlib.sha256(answer.body).hexdigest() != body["sha256"]:
            found.append(f"body of {len(answer.body)} bytes, recorded: another of {body['length']}")
    elif wanted is not None and answer.body != wanted:
        found.append(f"body {answer.body[:300]!r}, recorded: {wanted[:300]!r}")
    for name in headers:
        recorded = expected["headers"].get(name)
        if recorded != VOLATILE and answer.headers.get(name) != recorded:
            found.append(f"header {name}: {answer.headers.get(name)!r}, recorded: {recorded!r}")
    return found


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _same_json(recorded: Any, found: Any) -> bool:
    if recorded == VOLATILE:
        return True
    if isinstance(recorded, dict) and isinstance(found, dict):
        return recorded.keys() == found.keys() and all(
            _same_json(recorded[key], found[key]) for key in recorded
        )
    if isinstance(recorded, list) and isinstance(found, list):
        return len(recorded) == len(found) and all(map(_same_json, recorded, found))
    return type(recorded) is type(found) and bool(recorded == found)


def write_initial_files(files: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Write the files that a session starts with; return the entries that say in words what they are."""
    left = []
    for entry in files:
        path = folder / entry["path"]
        content = content_of(entry)
        if content is None:
            left.append(entry)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return left
