"""The light client: strict, bounded, and safe with kept connections, threads and forks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_remote.errors import ClientMisconfigured
from seamless_remote.http_message import (
    Endpoint,
    ExchangeFailed,
    FileBody,
    PartsBody,
    parse_head,
    request_head,
)
from seamless_remote.light_connection import Connection
from seamless_remote.light_http import LightClient
from seamless_remote.testing.raw_server import Peer, RawServer, answer
from seamless_remote.timeouts import Timeouts

LIMIT = 1 << 20


def get(client: LightClient, target: str = "/x", **more: object) -> tuple[int, bytes]:
    with client.open("GET", target, **more) as response:
        return response.status, response.read(LIMIT)


def forever(peer: Peer) -> None:
    while peer.head():
        peer.send(answer(b"hello"))


def once(data: bytes):
    def session(peer: Peer) -> None:
        peer.request()
        peer.send(data)
        peer.close()

    return session


def test_connection_is_kept_and_used_again():
    with RawServer(forever) as server:
        client = LightClient(server.url)
        assert [get(client) for _ in range(3)] == [(200, b"hello")] * 3
        assert server.connections == 1
        client.close()


def test_prefix_of_the_address_stands_before_every_target():
    with RawServer(forever) as server:
        client = LightClient(server.url + "/base/")
        get(client)
        client.close()
    assert server.heads[0].startswith(b"GET /base/x HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize("n_answers", [1, 2])
def test_kept_connection_that_died_is_replaced_without_an_error(n_answers: int):
    def dies(peer: Peer) -> None:
        for _ in range(n_answers):
            peer.head()
            peer.send(answer(b"old"))
        peer.reset()

    with RawServer(dies, forever) as server:
        client = LightClient(server.url)
        found = [get(client)[1] for _ in range(n_answers + 1)]
        client.close()
    assert found == [b"old"] * n_answers + [b"hello"]


def _dies_on_the_second(peer: Peer) -> None:
    peer.head()
    peer.send(answer(b"old"))
    peer.head()
    peer.reset()


@pytest.mark.invariant("I-155")
def test_request_that_dies_with_its_kept_connection_is_sent_once_more_on_a_fresh_one():
    with RawServer(_dies_on_the_second, forever) as server:
        client = LightClient(server.url)
        assert [get(client)[1], get(client, "/y")[1]] == [b"old", b"hello"]
        client.close()
    assert [head.split()[1] for head in server.heads] == [b"/x", b"/y", b"/y"]


@pytest.mark.parametrize("size", [0, 1000, 200_000, 3_000_000])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_connection_that_dies_just_before_it_is_used_is_replaced(
    how: str, size: int, monkeypatch: pytest.MonkeyPatch
):
    gone = threading.Event()

    def dies(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"old"))
        getattr(peer, how)()
        gone.set()

    monkeypatch.setattr(Connection, "is_stale", lambda self: not gone.wait(20))  # it died after that look
    with RawServer(dies, lambda peer: (peer.request(), peer.send(answer(b"new")))) as server:
        client = LightClient(server.url)
        get(client)
        with client.open("PUT", "/y", body=PartsBody((bytes(size),))) as response:
            assert response.read(LIMIT) == b"new"
        client.close()
    assert server.bodies == [bytes(size)]


def test_request_that_is_not_idempotent_is_not_sent_again():
    with RawServer(_dies_on_the_second, forever) as server:
        client = LightClient(server.url)
        get(client)
        with pytest.raises(ExchangeFailed) as failure:
            client.open("POST", "/y", idempotent=False)
        client.close()
    assert failure.value.stale
    assert [head.split()[1] for head in server.heads] == [b"/x", b"/y"]


def test_first_request_of_a_connection_is_not_repeated():
    with RawServer(lambda peer: (peer.head(), peer.close())) as server:
        with pytest.raises(ExchangeFailed, match="without an answer") as failure:
            get(LightClient(server.url))
        assert (failure.value.kind, failure.value.heals, server.connections) == ("reset", True, 1)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", "damaged"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", "damaged"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "damaged"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", "damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5 \r\n : x\r\n\r\nhello", "damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", "damaged"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "damaged"),
        (b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", "damaged"),
        (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "damaged"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "damaged"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "damaged"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "damaged"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "damaged"),
        (answer(b"x" * (LIMIT + 1)), "too-large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + b"x" * 0x200000, "too-large"),
    ],
)
@pytest.mark.invariant("I-156")
@pytest.mark.provokes("ExchangeFailed")
def test_answer_that_is_not_whole_and_unambiguous_is_refused(data: bytes, kind: str):
    with RawServer(once(data)) as server:
        with pytest.raises(ExchangeFailed) as failure:
            get(LightClient(server.url))
        assert failure.value.kind == kind


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 500 No\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", b""),
    ],
)
def test_answer_that_is_well_formed_is_read(data: bytes, body: bytes):
    with RawServer(once(data)) as server:
        assert get(LightClient(server.url))[1] == body


@pytest.mark.parametrize("step", [1, 3, 7])
def test_answer_may_come_in_any_pieces(step: int):
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"

    def dripping(peer: Peer) -> None:
        for _ in range(2):
            peer.head()
            for start in range(0, len(data), step):
                peer.send(data[start : start + step])

    with RawServer(dripping) as server:
        client = LightClient(server.url)
        assert [get(client), get(client)] == [(200, b"hello")] * 2
        assert server.connections == 1
        client.close()


def test_refused_connection_is_named_and_may_heal():
    with RawServer(forever) as server:
        pass
    with pytest.raises(ExchangeFailed) as failure:
        get(LightClient(server.url))
    assert (failure.value.kind, failure.value.heals) == ("refused", True)


def test_unknown_host_does_not_heal(monkeypatch: pytest.MonkeyPatch):
    def unknown(*arguments: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ExchangeFailed) as failure:
        get(LightClient("http://no-such-host.invalid:1"))
    assert (failure.value.kind, failure.value.heals) == ("unknown-host", False)


@pytest.mark.parametrize(
    ("timeouts", "named"),
    [
        (Timeouts(read_s=0.05), "SEAMLESS_REMOTE_READ_TIMEOUT"),
        (Timeouts(total_s=0.05), "SEAMLESS_REMOTE_TOTAL_TIMEOUT"),
    ],
)
def test_silent_server_meets_the_limit_which_is_named(timeouts: Timeouts, named: str):
    with RawServer(lambda peer: peer.wait_for_close()) as server:
        with pytest.raises(ExchangeFailed, match=named) as failure:
            get(LightClient(server.url, timeouts=timeouts))
        assert (failure.value.kind, failure.value.heals) == ("timeout", False)


def test_total_limit_holds_for_a_body_that_never_ends():
    def endless(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not stopped.is_set():
            peer.send(b"x")
            stopped.wait(0.01)

    stopped = threading.Event()
    with RawServer(endless) as server:
        started = time.monotonic()
        with pytest.raises(ExchangeFailed, match="TOTAL_TIMEOUT"):
            get(LightClient(server.url, timeouts=Timeouts(total_s=0.2)))
        stopped.set()
        assert time.monotonic() - started < 5


def test_small_body_goes_out_with_its_head():
    with (
        RawServer(lambda peer: (peer.request(), peer.send(answer(b"ok")))) as server,
        LightClient(server.url).open("PUT", "/x", body=PartsBody((b"ab", memoryview(b"cd")))) as response,
    ):
        assert response.read(LIMIT) == b"ok"
    assert server.bodies == [b"abcd"]
    assert b"Content-Length: 4" in server.heads[0]


@pytest.mark.parametrize("size", [100_000, 3_000_000])
@pytest.mark.parametrize("from_file", [False, True])
def test_large_body_arrives_whole(size: int, from_file: bool, tmp_path):
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    body = FileBody(tmp_path / "file") if from_file else PartsBody((content[:70_000], content[70_000:]))
    with (
        RawServer(lambda peer: (peer.request(), peer.send(answer(b"ok")))) as server,
        LightClient(server.url).open("PUT", "/x", body=body) as response,
    ):
        assert response.status == 200
    assert server.bodies == [content]


def test_body_that_the_server_does_not_want_is_not_sent():
    def has_it(peer: Peer) -> None:
        peer.head()
        peer.send(answer(status="201 Created"))
        peer.wait_for_close()

    with RawServer(has_it) as server:
        client = LightClient(server.url)
        with client.open("PUT", "/x", body=PartsBody((bytes(50_000_000),))) as response:
            assert response.status == 201
        assert b"Expect: 100-continue" in server.heads[0]
        assert client._idle == []  # what follows an unsent body cannot be told apart from it


def test_answer_that_comes_while_the_body_is_sent_ends_the_sending():
    def full(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.body(100_000)
        peer.send(answer(b"disk full", status="507 Full"))
        peer.wait_for_close()

    with (
        RawServer(full) as server,
        LightClient(server.url).open("PUT", "/x", body=PartsBody((bytes(50_000_000),))) as response,
    ):
        assert (response.status, response.read(LIMIT)) == (507, b"disk full")


def test_file_that_shrinks_while_it_is_sent_is_an_error_of_the_source(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    body = FileBody(path)
    path.write_bytes(b"x" * 10)
    with RawServer(lambda peer: peer.request()) as server:
        with pytest.raises(ExchangeFailed, match="shorter") as failure:
            LightClient(server.url).open("PUT", "/x", body=body)
        assert failure.value.kind == "source"


def test_connection_goes_to_one_thread_at_a_time():
    barrier = threading.Barrier(4)

    def together(peer: Peer) -> None:
        peer.head()
        barrier.wait(10)
        peer.send(answer(b"x"))
        forever(peer)

    with RawServer(together) as server:
        client = LightClient(server.url)
        threads = [threading.Thread(target=get, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 4
        for _ in range(10):
            get(client)
        assert server.connections == 4
        client.close()


def test_closing_closes_what_is_idle_now_and_what_is_in_use_later():
    with RawServer(forever) as server:
        client = LightClient(server.url)
        with client.open("GET", "/x") as response:
            client.close()
            assert response.read(LIMIT) == b"hello"
        assert client._idle == []
        assert get(client)[1] == b"hello"
        client.close()
        assert server.connections == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.invariant("I-157")
def test_child_of_a_fork_never_uses_the_sockets_of_its_parent():
    with RawServer(forever) as server:
        client = LightClient(server.url)
        get(client)
        (parents,) = client._all
        descriptor = parents._socket.fileno()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.fstat(descriptor)
            except OSError:
                code = 0 if get(client) == (200, b"hello") else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert get(client) == (200, b"hello")
        assert server.connections == 2  # the parent's first one is alive, and was never shared
        client.close()


@pytest.mark.parametrize("url", ["http://h:1", "https://h", "http://[::1]:80/a", "http://127.0.0.1:60000/"])
def test_address_is_understood(url: str):
    assert Endpoint(url).host in ("h", "::1", "127.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://h:0",
        "http://h:65536",
        "http://h:x",
        "http://u:p@h",
        "http://h/?q",
        "http://h /",
    ],
)
@pytest.mark.provokes("ClientMisconfigured")
def test_address_that_is_none_is_refused_without_showing_a_password(url: str):
    with pytest.raises(ClientMisconfigured, match="http://HOST:PORT") as failure:
        Endpoint(url)
    assert "u:p" not in str(failure.value)


@pytest.mark.parametrize("target", ["x", "/a b", "/a\r\nX: y", "/é"])
def test_target_cannot_smuggle(target: str):
    with pytest.raises(ValueError, match="no request target"):
        request_head("GET", Endpoint("http://h"), target, {}, b"")


def test_header_cannot_smuggle():
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", Endpoint("http://h"), "/", {"X": "a\r\nY: b"}, b"")


def test_repeated_headers_are_joined():
    head = parse_head(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\ncontent-length: 0")
    assert head.headers["a"] == "1, 2"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https_works_with_a_certificate_that_is_trusted_and_not_otherwise(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    import ssl

    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    key = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *key]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    content = os.urandom(2_000_000)
    (tmp_path / "content").write_bytes(content)
    with RawServer(
        lambda peer: (peer.request(), peer.send(answer(b"ok")), forever(peer)), tls=context
    ) as server:
        client = LightClient(server.url.replace("http:", "https:"))
        with pytest.raises(ExchangeFailed, match="TLS"):
            get(client)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
        for body in (PartsBody((content,)), FileBody(tmp_path / "content")):
            with client.open("PUT", "/x", body=body) as response:
                assert response.read(LIMIT) == b"ok"
            client.close()
        assert [get(client), get(client)] == [(200, b"ok"), (200, b"hello")]
        client.close()
    assert server.bodies[:2] == [content, content]


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: b"HTTP/1.1 200 OK\r\n" + data))
def test_any_bytes_are_a_head_or_damaged(data: bytes):
    try:
        kind = str(parse_head(data).status).zfill(3)
    except ExchangeFailed as exc:
        kind = exc.kind
    assert kind == "damaged" or (len(kind) == 3 and kind.isdigit())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_answer_that_is_cut_anywhere_is_never_taken_for_a_shorter_one(framing: str):
    whole = {
        "length": answer(b"hello"),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    }[framing]
    with RawServer(*(once(whole[:end]) for end in range(len(whole)))) as server:
        client = LightClient(server.url)
        kinds = set()
        for _ in range(len(whole)):
            with pytest.raises(ExchangeFailed) as failure:
                get(client)
            kinds.add(failure.value.kind)
        assert kinds <= {"reset", "truncated"}


@pytest.mark.invariant("I-158")
def test_clients_and_their_synchronous_calls_import_no_event_loop_and_no_heavy_http():
    program = """
import sys
from seamless_remote.testing.fake_services import FakeHashserver, FakeDatabase
forbidden = ("asyncio", "aiohttp", "http.client", "email", "ssl", "requests", "urllib.request")
for name in [name for name in sys.modules if name.partition(".")[0] in ("http", "email", "ssl", "socketserver")]:
    del sys.modules[name]  # of the fakes
from seamless_remote.buffer_client import BufferClient
from seamless_remote.database_client import DatabaseClient
from seamless.buffer import Buffer
with FakeHashserver(capabilities=("batch-get", "batch-put", "post-lists")) as one, FakeDatabase(capabilities=()) as two:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("http", "email", "ssl", "socketserver")]:
        del sys.modules[name]
    buffers = BufferClient(False)
    buffers.url = one.url
    database = DatabaseClient(False)
    database.url = two.url
    some = [Buffer(b"a"), Buffer(b"b" * 2_000_000)]
    names = [buffer.get_checksum() for buffer in some]
    buffers.write_many_sync(some)
    assert buffers.get_many_sync(names) == some
    assert buffers.get_sync(names[1]) == some[1]
    assert buffers.download_sync(names[1], "out")
    assert buffers.has_many_sync(names) == [True, True]
    assert database.insert_sync(names[0], names[1], {"a": 1}) == names[1]
    assert database.get_transformation_result_sync(names[0]) == names[1]
    print(sorted(name for name in forbidden if name in sys.modules))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, cwd=os.environ["HOME"]
    )
    assert (found.stdout, found.stderr) == ("[]\n", "")
