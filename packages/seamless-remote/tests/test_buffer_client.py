"""The client of a hashserver: what it sends, what it believes, and what it does when something fails."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import random
import threading
from pathlib import Path

import pytest
import seamless.lifecycle
import zstandard
from seamless.buffer import Buffer
from seamless.checksum import Checksum
from seamless.errors import FileChanged, SeamlessClosed
from seamless_remote import errors, keepalive
from seamless_remote.buffer_client import BufferClient
from seamless_remote.bulk import call_each
from seamless_remote.client import close_all_clients
from seamless_remote.testing.raw_server import RawServer, answer

CONTENTS = [b"", b"a", b"hello\n", os.urandom(70_000), os.urandom(3_000_000)]
CAPABLE = ("batch-get", "batch-put", "conditional", "post-lists")


def name(content: bytes) -> Checksum:
    return Buffer(content).get_checksum()


@pytest.fixture(params=["earlier", "capable"])
def server(request: pytest.FixtureRequest, hashserver):
    return hashserver(*(CAPABLE if request.param == "capable" else ()))


@pytest.fixture
def client(server, buffer_client) -> BufferClient:
    return buffer_client(server.url + "/")


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_written_is_read_back(client: BufferClient, content: bytes):
    buffer = Buffer(content)
    checksum = buffer.get_checksum()
    assert client.get_sync(checksum) is None
    assert client.write_sync(checksum, buffer) is True
    assert client.get_sync(checksum) == buffer
    assert client.get_sync(checksum.hex()).content == content


def test_many_are_written_and_read_in_order_with_repeats(client: BufferClient, server):
    buffers = [Buffer(content) for content in CONTENTS]
    absent = name(b"absent")
    client.write_many_sync([*buffers, buffers[1]])
    names = [buffer.get_checksum() for buffer in buffers]
    assert client.get_many_sync([*names, absent, names[0]]) == [*buffers, None, buffers[0]]
    assert client.has_many_sync([absent, *names]) == [False] + [True] * len(names)
    assert client.length_many_sync([*names, absent, names[1]]) == [*map(len, CONTENTS), None, 1]
    assert len(server.buffers) == len(CONTENTS)


def test_batches_are_few_requests(hashserver, buffer_client):
    server = hashserver(*CAPABLE)
    client = buffer_client(server.url)
    buffers = [Buffer(b"%d" % number) for number in range(500)]
    client.write_many_sync(buffers)
    client.get_many_sync([buffer.get_checksum() for buffer in buffers])
    assert server.requests == [("POST", "/buffers"), ("POST", "/buffers/get")]


def test_batches_stay_within_the_limits_of_servers(
    hashserver, buffer_client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seamless_remote.many_buffers.BATCH_RECORDS", 3)
    monkeypatch.setattr("seamless_remote.many_buffers.BATCH_BYTES", 1000)
    server = hashserver(*CAPABLE)
    client = buffer_client(server.url)
    buffers = [Buffer(bytes([number]) * 400) for number in range(5)]
    client.write_many_sync(buffers)
    assert client.get_many_sync([buffer.get_checksum() for buffer in buffers]) == buffers
    assert [path for _, path in server.requests] == ["/buffers"] * 3 + ["/buffers/get"] * 2


def test_long_lists_are_asked_in_pieces(client: BufferClient, server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("seamless_remote.buffer_lists.MANY", 3)
    server.buffers[name(b"7").hex()] = b"7"
    names = [name(b"%d" % number) for number in range(8)]
    assert client.has_many_sync(names) == [number == 7 for number in range(8)]
    assert [path for _, path in server.requests] == ["/has-now"] * 3


def test_empty_buffer_is_told_from_an_absent_one(client: BufferClient, server):
    empty = name(b"")
    assert client.length_many_sync([empty]) == [None]
    client.write_sync(empty, Buffer(b""))
    assert client.length_many_sync([empty]) == [0]


def test_promised_buffer_has_a_length_only_when_it_is_there(client: BufferClient):
    checksum = name(b"promised")
    client.promise_sync(checksum)
    assert client.has_many_sync([checksum], promised=True) == [True]
    assert client.has_many_sync([checksum]) == [False]
    assert client.length_many_sync([checksum]) == [None]
    client.write_sync(checksum, Buffer(b"promised"))
    assert client.length_many_sync([checksum]) == [8]


def test_the_coroutines_do_the_same(client: BufferClient, tmp_path: Path):
    buffer = Buffer(b"later")
    checksum = buffer.get_checksum()
    client.directory = str(tmp_path)
    (tmp_path / checksum.hex()).write_bytes(b"later")

    async def all_of_them() -> list[object]:
        return [
            await client.healthcheck(),
            await client.promise(checksum),
            await client.write(checksum, buffer),
            await client.get(checksum),
            await client.buffer_length(checksum),
            await client.buffer_lengths([checksum, name(b"no")]),
            await client.get_file_buffer(checksum),
        ]

    assert asyncio.run(all_of_them()) == [None, None, True, buffer, 5, [5, None], buffer]


def test_many_coroutines_wait_together_without_blocking_each_other(client: BufferClient, server):
    arrived = threading.Barrier(40)
    server.interfere = lambda method, path, body: (arrived.wait(20), None)[1] if method == "GET" else None

    async def fetch_all() -> list[object]:
        return await asyncio.gather(*(client.get(name(b"%d" % number)) for number in range(40)))

    assert asyncio.run(fetch_all()) == [None] * 40


# --- what comes is verified


@pytest.mark.parametrize("content", [b"truth", os.urandom(2_500_000)])
@pytest.mark.parametrize("coding", ["", "zstd", "gzip"])
def test_compressed_answers_are_read(
    client: BufferClient, server, content: bytes, coding: str, tmp_path: Path
):
    sent = {"": content, "zstd": zstandard.compress(content), "gzip": gzip.compress(content)}[coding]
    server.served[name(content).hex()] = (sent, coding)
    assert client.get_sync(name(content)).content == content
    assert client.download_sync(name(content), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("coding", ["", "zstd", "gzip"])
@pytest.mark.parametrize("content", [b"truth", os.urandom(2_500_000)])
@pytest.mark.invariant("I-160")
@pytest.mark.provokes("DamagedBufferWarning")
def test_wrong_bytes_are_never_returned_nor_left_in_a_file(
    client: BufferClient, server, content, coding, tmp_path: Path
):
    lie = content[:-1] + bytes([content[-1] ^ 1])
    sent = {"": lie, "zstd": zstandard.compress(lie), "gzip": gzip.compress(lie)[:-1]}[coding]
    checksum = name(content)
    server.served[checksum.hex()] = (sent, coding)
    with pytest.warns(errors.DamagedBufferWarning, match="twice"):
        assert client.get_sync(checksum) is None
    with pytest.warns(errors.DamagedBufferWarning, match=checksum.hex()):
        assert client.get_many_sync([checksum, name(b"no")]) == [None, None]
    with pytest.warns(errors.DamagedBufferWarning, match=r"."):
        assert client.download_sync(checksum, tmp_path / "out") is False
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_wrong_once_are_fetched_again(client: BufferClient, server):
    server.buffers[name(b"truth").hex()] = b"truth"
    lies = [b"lie"]
    server.interfere = lambda method, path, body: (200, lies.pop(), {}) if lies else None
    assert client.get_sync(name(b"truth")).content == b"truth"


def test_unknown_coding_is_refused(client: BufferClient, server):
    server.served[name(b"x").hex()] = (b"x", "br")
    with pytest.raises(errors.AnswerDamaged, match="content encoding 'br'"):
        client.get_sync(name(b"x"))


@pytest.mark.parametrize("text", [b"no json", b"{}", b"[1]", b'["x", 1]', b"[-1, 0]"])
@pytest.mark.provokes("AnswerDamaged")
def test_list_that_is_none_is_refused(client: BufferClient, server, text: bytes):
    server.interfere = lambda method, path, body: (200, text, {})
    with pytest.raises(errors.AnswerDamaged, match="instead of a list of 2"):
        client.has_many_sync([name(b"a"), name(b"b")])


@pytest.mark.parametrize("cut", [-1, 10, 45])
def test_batch_that_is_cut_or_has_too_much_is_refused(hashserver, buffer_client, cut: int, no_waits):
    server = hashserver(*CAPABLE)
    client = buffer_client(server.url)
    names = [name(b"a"), name(b"b")]
    whole = b"".join(
        checksum.bytes() + (1).to_bytes(8, "big") + text
        for checksum, text in zip(names, (b"a", b"b"), strict=True)
    )
    server.interfere = lambda method, path, body: (200, whole + b"x" if cut < 0 else whole[:cut], {})
    with pytest.raises(errors.AnswerDamaged):
        client.get_many_sync(names)


def test_batch_that_is_not_acknowledged_is_an_error(hashserver, buffer_client):
    server = hashserver(*CAPABLE)
    server.interfere = lambda method, path, body: (200, b'{"stored": 1}', {})
    with pytest.raises(errors.AnswerDamaged, match="does not acknowledge 2"):
        buffer_client(server.url).write_many_sync([Buffer(b"a"), Buffer(b"b")])


# --- files


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_files_go_both_ways(client: BufferClient, tmp_path: Path, size: int):
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    progress: list[tuple[int, int | None]] = []
    assert client.write_file_sync(name(content), tmp_path / "in")
    assert client.download_sync(name(content), tmp_path / "out", lambda *counts: progress.append(counts))
    assert (tmp_path / "out").read_bytes() == content
    assert progress[-1:] == ([(size, size)] if size else [])
    assert not client.download_sync(name(b"absent"), tmp_path / "no")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("there", [b"right", b"wrong", None])
def test_download_of_a_client_with_a_directory(buffer_client, server, tmp_path: Path, there: bytes | None):
    folder = tmp_path / "folder"
    folder.mkdir()
    checksum = name(b"right")
    if there is not None:
        (folder / checksum.hex()).write_bytes(there)
    client = buffer_client(server.url, directory=str(folder))
    assert client.download_sync(checksum, tmp_path / "out") is (there == b"right")
    server.buffers[checksum.hex()] = b"right"
    assert client.download_sync(checksum, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"right"
    assert len(server.requests) == (0 if there == b"right" else 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "out"]


def test_compressed_file_is_sent_as_it_is(client: BufferClient, server, tmp_path: Path):
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"content"))
    seen: list[bytes] = []
    server.interfere = lambda method, path, body: seen.append(body)
    client.write_file_sync(name(b"content"), tmp_path / "in.gz", "gz")
    assert gzip.decompress(seen[0]) == b"content"


def test_file_that_is_another_one_or_absent_is_an_error_of_the_file(client: BufferClient, tmp_path: Path):
    (tmp_path / "in").write_bytes(b"changed")
    with pytest.raises(FileChanged, match="Incorrect checksum"):
        client.write_file_sync(name(b"before"), tmp_path / "in")
    with pytest.raises(FileNotFoundError):
        client.write_file_sync(name(b"before"), tmp_path / "absent")


def test_large_transfers_need_little_memory(client: BufferClient, server, tmp_path: Path):
    import tracemalloc

    content = bytes(60_000_000)
    (tmp_path / "in").write_bytes(content)
    checksum = name(content)
    server.buffers[checksum.hex()] = content
    del content
    server.interfere = lambda method, path, body: (200, b"OK", {}) if method == "PUT" else None
    client.download_sync(checksum, tmp_path / "warm")
    tracemalloc.start()
    try:
        with RawServer(_swallow) as other:
            away = BufferClient(False)
            away.url = other.url
            away.write_file_sync(checksum, tmp_path / "in")
        client.download_sync(checksum, tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def _swallow(peer) -> None:
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
    while head := peer.head():
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(peer._data)
        peer._data = b""
        while left > 0:
            left -= len(peer._receive())
        peer.send(answer(b"OK"))


# --- uploads of several clients


def test_upload_that_another_one_does_is_waited_for_and_done_when_that_fails(client: BufferClient, server):
    checksum = name(b"shared")
    statuses = [202, 202]
    server.interfere = lambda method, path, body: (
        (statuses.pop(), b"", {}) if method == "PUT" and statuses else None
    )
    assert client.write_sync(checksum, Buffer(b"shared"))
    assert server.buffers[checksum.hex()] == b"shared"
    assert [path for method, path in server.requests if method == "PUT"] == [f"/{checksum}"] * 3


def test_upload_that_never_comes_to_an_end_is_an_error(client: BufferClient, server):
    server.interfere = lambda method, path, body: (202, b"", {}) if method == "PUT" else None
    with pytest.raises(errors.RequestFailed, match="never ends well"):
        client.write_sync(name(b"x"), Buffer(b"x"))


# --- failures


def test_answer_that_breaks_off_is_fetched_again(buffer_client, no_waits):
    content = b"the whole content"

    def breaks(peer) -> None:
        peer.head()
        peer.send(answer(b"OK"))
        peer.head()
        peer.send(answer(content)[:-5])

    def works(peer) -> None:
        while peer.head():
            peer.send(answer(content))

    with RawServer(breaks, works) as server:
        assert buffer_client(server.url).get_sync(name(content)).content == content


@pytest.mark.invariant("I-169")
def test_threads_that_share_a_client_get_their_own_answers_whatever_connections_do(buffer_client, no_waits):
    contents = [os.urandom(100 + 5000 * number) for number in range(20)]
    by_target = {f"/{name(content).hex()}".encode(): content for content in contents}
    chance = random.Random(1)

    def unreliable(peer) -> None:
        while head := peer.head():
            target = head.split()[1]
            whole = answer(b"OK" if target == b"/healthcheck" else by_target[target])
            what_happens = chance.random()
            if what_happens < 0.05:
                peer.reset()
                return
            if what_happens < 0.1:
                peer.send(whole[: len(whole) // 2])
                return
            peer.send(whole)
            if what_happens < 0.2:
                return

    def fetch(number: int) -> bool:
        content = contents[number % len(contents)]
        for _ in range(20):  # five attempts can all fail when every tenth does
            with contextlib.suppress(errors.TransportError):
                return client.get_sync(name(content)).content == content
        return False

    with RawServer(unreliable) as server:
        client = buffer_client(server.url)
        assert call_each(fetch, range(400), width=8) == [True] * 400


@pytest.mark.provokes("ServiceUnreachable")
@pytest.mark.invariant("I-161")
def test_server_that_is_gone_is_tried_five_times_and_named(client: BufferClient, server, no_waits):
    client.get_sync(name(b"x"))
    server.end()
    with pytest.raises(errors.ServiceUnreachable) as failure:
        client.get_sync(name(b"x"))
    text = str(failure.value)
    assert "hashserver" in text
    assert server.url in text
    assert "5 tries in 0." in text
    assert "connection refused" in text
    assert "seamless-service-logs" in text
    assert (failure.value.service, failure.value.url) == ("hashserver", server.url)


@pytest.mark.parametrize("status", [307, 400, 403, 404, 409, 413, 500, 503])
@pytest.mark.provokes("RequestFailed")
@pytest.mark.invariant("I-162")
def test_error_status_is_reported_at_once_and_not_tried_again(client: BufferClient, server, status: int):
    text = b'{"message": "it is so", "hint": "do so", "request_id": "r7"}'
    server.interfere = lambda method, path, body: (status, text, {"Content-Type": "application/json"})
    with pytest.raises(errors.RequestFailed, match=r"it is so \[request r7\]") as failure:
        client.write_sync(name(b"x"), Buffer(b"x"))
    assert (failure.value.status, failure.value.remedy, len(server.requests)) == (status, "do so", 1)


@pytest.mark.provokes("StatusRefused")
def test_refusal_is_explained_with_what_the_server_said_in_printable_text(client: BufferClient, server):
    server.interfere = lambda method, path, body: (418, b"no\x1b[31m tea\n" + b"x" * 1000, {})
    with pytest.raises(errors.RequestFailed, match=r"Error 418: no \[31m tea x+\.\.\. Remedy") as failure:
        client.get_sync(name(b"x"))
    assert failure.value.body.startswith("no\x1b")


def test_service_that_asks_for_patience_is_given_it(client: BufferClient, server, no_waits):
    busy = [True, True]
    server.interfere = lambda method, path, body: (
        (503, b"busy", {"Retry-After": "0"}) if busy and busy.pop() else None
    )
    assert client.get_sync(name(b"x")) is None
    assert len(server.requests) == 3


@pytest.mark.provokes("ServiceTimedOut")
def test_server_that_is_silent_is_not_asked_again(server, buffer_client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEAMLESS_REMOTE_READ_TIMEOUT", "0.1")
    release = threading.Event()
    server.interfere = lambda method, path, body: (release.wait(20), None)[1]
    with pytest.raises(errors.ServiceTimedOut, match="SEAMLESS_REMOTE_READ_TIMEOUT"):
        buffer_client(server.url).get_sync(name(b"x"))
    release.set()
    assert len(server.requests) == 1


@pytest.mark.provokes("TokenRefused")
def test_token_is_sent_and_read_again_when_it_is_refused(client: BufferClient, server, tmp_path: Path):
    server.token = "right"
    with pytest.raises(errors.TokenRefused, match="no token was sent") as failure:
        client.get_sync(name(b"x"))
    assert (failure.value.status, failure.value.remedy) == (401, "give one")
    path = tmp_path / "token"
    path.write_text("wr0ng")
    client.token = type(client.token)(file=path)
    with pytest.raises(errors.TokenRefused, match="token of") as failure:
        client.get_sync(name(b"x"))
    assert failure.value.status == 403
    assert "wr0ng" not in f"{failure.value} {client!r}"
    path.write_text("right")
    assert client.get_sync(name(b"x")) is None


@pytest.mark.provokes("WrongService")
@pytest.mark.invariant("I-163")
def test_other_service_at_the_port_is_named(database, buffer_client):
    server = database("x")
    with pytest.raises(errors.WrongService, match="answers as 'database', not as hashserver"):
        buffer_client(server.url).get_sync(name(b"x"))
    assert server.requests == []


def test_server_that_was_replaced_is_asked_anew_for_what_it_can(hashserver, buffer_client, no_waits):
    server = hashserver(*CAPABLE)
    client = buffer_client(server.url)
    assert client.can("batch-put")
    server.capabilities = None
    client.restart()
    assert not client.can("batch-put")


@pytest.mark.provokes("ReadOnlyClient")
def test_read_only_client_writes_nothing(server, buffer_client):
    client = buffer_client(server.url, readonly=True)
    for write in (
        lambda: client.promise_sync(name(b"x")),
        lambda: client.write_sync(name(b"x"), Buffer(b"x")),
        lambda: client.write_many_sync([Buffer(b"x")]),
        lambda: client.write_file_sync(name(b"x"), __file__),
    ):
        with pytest.raises(AttributeError, match="read-only") as failure:
            write()
        assert isinstance(failure.value, errors.ReadOnlyClient)
    assert server.requests == []


@pytest.mark.parametrize("text", ["Device or resource busy", '[Errno 16] device or resource busy: "x"'])
@pytest.mark.provokes("ClientRestartRequiredError")
def test_busy_storage_asks_for_a_restart_which_was_done(client: BufferClient, server, text: str):
    server.interfere = lambda method, path, body: (500, text.encode(), {})
    with pytest.raises(errors.ClientRestartRequiredError, match="busy"):
        client.get_sync(name(b"x"))
    assert not client._initialized


def test_client_without_address_says_what_to_set(buffer_client):
    with pytest.raises(errors.ClientMisconfigured, match="neither an address nor a directory"):
        buffer_client(None).get_sync(name(b"x"))
    with pytest.raises(errors.ClientMisconfigured, match="no directory"):
        buffer_client("http://h").get_file_buffer_sync(name(b"x"))


# --- the life of clients


@pytest.mark.provokes("RemoteClientsForbidden")
def test_worker_has_no_clients_unless_it_may(client: BufferClient, server, monkeypatch: pytest.MonkeyPatch):
    seamless.lifecycle.set_is_worker(True)
    with pytest.raises(errors.RemoteClientsForbidden, match="not available in child processes"):
        BufferClient(True)
    with pytest.raises(RuntimeError):
        client.get_sync(name(b"x"))
    monkeypatch.setenv("SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER", "yes")
    assert client.get_sync(name(b"x")) is None


def test_after_close_there_are_no_clients(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seamless.lifecycle, "_closed", True)
    with pytest.raises(SeamlessClosed, match="remote clients"):
        BufferClient(True)


def test_servers_of_used_clients_are_asked_for_their_health_until_all_are_closed(
    client: BufferClient, server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keepalive, "INTERVAL_S", 0.01)
    asked = threading.Event()
    ping = BufferClient.ping
    monkeypatch.setattr(BufferClient, "ping", lambda self: (ping(self), asked.set()))
    client.get_sync(name(b"x"))
    thread = keepalive._thread
    assert (thread.name, thread.daemon) == ("SeamlessRemoteClientKeepalive", True)
    assert asked.wait(20)
    close_all_clients()
    assert not thread.is_alive()
    before = server.healthchecks
    assert before >= 2
    assert client.get_sync(name(b"x")) is None
    assert server.healthchecks > before


def test_ping_of_a_dead_server_is_no_error(client: BufferClient, server):
    client.get_sync(name(b"x"))
    server.end()
    client.ping()


def test_debugging_shows_the_life_of_a_client(
    client: BufferClient, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SEAMLESS_CLIENT_DEBUG", "1")
    client.get_sync(name(b"x"))
    shown = capsys.readouterr()
    assert "initialised" in shown.err
    assert shown.out == ""


def test_errors_are_those_of_aiohttp_too_once_it_is_imported():
    import pickle

    before = errors.ServiceUnreachable("gone", service="s", url="u", remedy="r")
    import aiohttp

    after = errors.RequestFailed("no", status=500, body="b", service="s")
    assert isinstance(after, aiohttp.ClientConnectionError)
    assert isinstance(after, errors.RequestFailed)
    assert str(before) == "gone Remedy: r"
    for error in (before, after):
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.service, again.url) == (str(error), error.service, error.url)
    assert pickle.loads(pickle.dumps(after)).status == 500
    assert isinstance(pickle.loads(pickle.dumps(after)), aiohttp.ClientConnectionError)
