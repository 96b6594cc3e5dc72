from __future__ import annotations

import contextlib
import gzip
import os
import socket
import threading
import time

import pytest
import zstandard
from hashserver.testing.client import checksum

SMALL = b"a small buffer"
LARGE = os.urandom(5_000_000)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=len)
def test_what_was_uploaded_comes_back(serve, content, loop):
    client = serve("--event-loop", loop)
    assert client.put(content) == (200, b"OK")
    for _ in range(2):
        assert client.get(content) == (200, content)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_head_and_conditional_requests(client, content):
    client.put(content)
    path, etag = f"/{checksum(content)}", f'"{checksum(content)}"'
    status, body, headers = client.ask("HEAD", path)
    assert (status, body, headers["content-length"], headers["etag"]) == (200, b"", str(len(content)), etag)
    status, body, headers = client.ask("GET", path, If_None_Match=f'"x", W/{etag}')
    assert (status, body, headers["etag"]) == (304, b"", etag)
    assert client.ask("GET", path, If_None_Match="*")[0] == 304
    assert client.ask("GET", path, If_None_Match='"x"')[:2] == (200, content)
    assert client.ask("HEAD", "/" + "0" * 64)[:2] == (404, b"")


def test_each_form_has_a_tag_of_its_own(client):
    client.ask("PUT", f"/{checksum(SMALL)}", gzip.compress(SMALL), Content_Encoding="gzip")
    client.ask("PUT", f"/{checksum(SMALL)}", zstandard.compress(SMALL), Content_Encoding="zstd")
    path = f"/{checksum(SMALL)}"
    _, body, headers = client.ask("GET", path, Accept_Encoding="gzip")
    assert (gzip.decompress(body), headers["etag"]) == (SMALL, f'"{checksum(SMALL)}-gz"')
    status, _, headers = client.ask("GET", path, If_None_Match=f'"{checksum(SMALL)}-zst"')
    assert (status, headers["etag"]) == (304, f'"{checksum(SMALL)}-zst"')


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_ranges_of_small_and_of_large_files(client, content):
    client.put(content)
    path = f"/{checksum(content)}"
    status, body, headers = client.ask("GET", path, Range="bytes=3-8")
    assert (status, body) == (206, content[3:9])
    assert headers["content-range"] == f"bytes 3-8/{len(content)}"
    assert client.ask("GET", path, Range="bytes=-4")[1] == content[-4:]
    assert client.ask("GET", path, Range=f"bytes={len(content)}-")[0] == 416
    assert client.ask("GET", path, Range="lines=1-2")[:2] == (400, b"Only support bytes range")
    status, body, headers = client.ask("GET", path, Range="bytes=0-1,5-6")
    boundary = headers["content-type"].partition("boundary=")[2].encode()
    parts = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in body.split(b"--" + boundary)]
    assert (status, parts[1:3]) == (206, [content[0:2], content[5:7]])
    assert client.ask("GET", path, Range="bytes=0-1", If_Range='"another"')[:2] == (200, content)
    assert client.ask("GET", path, Range="bytes=0-1", If_Range=f'"{checksum(content)}"')[0] == 206
    assert client.get(content) == (200, content)  # the connection is still good


@pytest.mark.invariant("I-122")
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_no_byte_of_a_damaged_file_goes_out(client, content):
    client.place(content, content[:-1] + b"?")
    for headers in ({}, {"Range": "bytes=0-1"}):
        status, body = client.get(content, **headers)
        assert status == 400
        assert b"File corruption" in body
        assert str(client.folder).encode() not in body


def test_a_file_that_is_damaged_later_is_noticed(client):
    client.put(LARGE)
    assert client.get(LARGE)[0] == 200
    client.place(LARGE, LARGE[:-1] + b"?")
    assert client.get(LARGE)[0] == 400


def test_read_only_server_writes_nothing_and_refuses_uploads(serve, tmp_path):
    folder = tmp_path / "buffers"
    folder.mkdir(mode=0o755)
    client = serve(writable=False)
    client.place(SMALL, SMALL)
    before = sorted(folder.rglob("*"))
    assert client.get(SMALL) == (200, SMALL)
    assert client.put(b"new")[0] == 405
    assert client.ask("PUT", f"/promise/{checksum(SMALL)}")[0] == 404
    assert client.ask("POST", "/buffers", b"")[0] == 404
    client.place(LARGE, b"damaged")
    assert client.get(LARGE)[0] == 400
    assert client.file(LARGE).exists()
    assert set(folder.rglob("*")) == {*before, client.file(LARGE), client.file(LARGE).parent}
    assert folder.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_slow_client_stalls_nobody_and_gets_everything(serve, loop):
    client = serve("--event-loop", loop)
    content = os.urandom(24_000_000)
    client.put(content)
    with contextlib.ExitStack() as stack:
        slow = []
        for _ in range(20):  # more than there are threads; none reads more than a byte for now
            connection = socket.create_connection(("127.0.0.1", client.server.port), timeout=30)
            slow.append(stack.enter_context(connection))
            connection.sendall(
                f"GET /{checksum(content)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
        for connection in slow:
            assert connection.recv(1) == b"H"
        begun = time.monotonic()
        for i in range(20):
            new = b"%d" % i * 300_000
            assert client.put(new)[0] == 200
            assert client.get(new) == (200, new)
        assert time.monotonic() - begun < 20
        for connection in slow[:3]:
            received = b"H"
            while part := connection.recv(1 << 20):
                received += part
            assert received.partition(b"\r\n\r\n")[2] == content
    assert client.get(SMALL) == (404, b"Not found")


def test_many_clients_at_once_get_what_they_asked_for(serve):
    client = serve()
    contents = [os.urandom(200 + 40_000 * i) for i in range(8)]
    wrong = []

    def work(content):
        own = type(client)(client.server, client.folder)
        own.put(content)
        for other in contents:
            status, body = own.get(other)
            if status != 404 and body != other:
                wrong.append((status, len(body)))
        if own.get(content) != (200, content):
            wrong.append("its own is not there")
        own.close()

    threads = [threading.Thread(target=work, args=(content,)) for content in contents for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


@pytest.mark.parametrize("layout", ["prefix", "flat"])
def test_extra_directories_are_looked_at_by_every_route(serve, tmp_path, layout):
    filled = serve("--layout", layout, name="extra")
    for content in (SMALL, LARGE):
        assert filled.put(content)[0] == 200
    zipped = b"zipped" * 100
    filled.ask("PUT", f"/{checksum(zipped)}", gzip.compress(zipped), Content_Encoding="gzip")
    client = serve("--extra-dirs", f"{tmp_path}/none ; {tmp_path}/extra;", name="main")
    assert client.get(SMALL) == (200, SMALL)
    assert client.get(LARGE) == (200, LARGE)
    assert client.ask("GET", f"/{checksum(zipped)}")[2]["content-encoding"] == "gzip"
    names = [checksum(content) for content in (SMALL, LARGE, zipped, b"absent")]
    assert client.list("has", names) == [True, True, True, False]
    assert client.list("has-now", names) == [True, True, True, False]
    assert client.list("buffer-length", names) == [len(SMALL), len(LARGE), len(zipped), 0]
    assert client.ask("HEAD", f"/{names[0]}")[0] == 200
    fetched = client.ask("POST", "/buffers/get", bytes.fromhex(names[0]) + bytes.fromhex(names[2]))[1]
    assert SMALL in fetched
    assert zipped in fetched
    assert client.put(SMALL) == (200, b"OK")  # stored again, in the main directory
    assert client.file(SMALL).exists()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / checksum(b"later")).write_bytes(b"later")
    assert client.get(b"later") == (200, b"later")


def test_target_may_be_a_whole_address(client):
    client.put(SMALL)
    assert client.ask("GET", f"http://example.org/{checksum(SMALL)}?x=1")[:2] == (200, SMALL)
    assert client.ask("GET", "http://example.org")[0] == 404
