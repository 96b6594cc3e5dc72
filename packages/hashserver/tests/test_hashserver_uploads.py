from __future__ import annotations

import gzip
import hashlib
import http.client
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
import zlib

import pytest
import zstandard
from hashserver.testing.client import Client, checksum
from seamless_service.testing.service_process import ServiceProcess

SMALL = b"a small buffer"
LARGE = os.urandom(3_000_000)
COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress}
SUFFIX = {"gzip": ".gz", "zstd": ".zst", "": ""}


def _half_sent(client, content, announced, encoding=""):
    connection = socket.create_connection(("127.0.0.1", client.server.port), timeout=30)
    head = f"PUT /{announced} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
    head += f"Content-Encoding: {encoding}\r\n" if encoding else ""
    connection.sendall(head.encode() + b"\r\n" + content[: len(content) // 2])
    return connection


def _until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def _is_arriving(client, name):
    return client.list("has", [name]) == [True]


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=len)
def test_stored_file_is_true_and_read_only(client, content):
    assert client.put(content) == (200, b"OK")
    assert client.put(content) == (201, b"")
    assert client.file(content).read_bytes() == content
    assert client.file(content).stat().st_mode & 0o7777 == 0o444
    assert client.folder.stat().st_mode & 0o7777 == 0o3775
    assert (client.folder / ".HASHSERVER_PREFIX").read_bytes() == b"1\n"
    assert client.temporaries() == []


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_wrong_checksum_stores_nothing(client, content):
    status, body, _ = client.ask("PUT", "/" + "0" * 64, content)
    assert (status, body) == (400, b"Incorrect checksum")
    assert client.list("has", ["0" * 64]) == [False]
    assert client.temporaries() == []


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_chunked_upload(client, content):
    pieces = (content[start : start + 70_000] for start in range(0, len(content), 70_000))
    assert client.ask("PUT", f"/{checksum(content)}", pieces)[0] == 200
    assert client.get(content) == (200, content)


def test_sha3_server(serve):
    client = serve("--hash-algorithm", "sha3-256")
    for content in (SMALL, LARGE):
        path = f"/{hashlib.sha3_256(content).hexdigest()}"
        assert client.put(content) == (400, b"Incorrect checksum")
        assert client.ask("PUT", path, content)[0] == 200
        assert client.ask("GET", path)[:2] == (200, content)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_compressed_upload_is_kept_as_it_is(client, content, encoding):
    packed = COMPRESS[encoding](content)
    assert client.put_as(content, packed, encoding) == (200, b"OK")
    assert client.put_as(content, packed, encoding) == (201, b"")
    status, body, headers = client.ask("GET", f"/{checksum(content)}")
    assert (status, body, headers["content-encoding"]) == (200, packed, encoding)
    assert client.list("buffer-length", [checksum(content)]) == [len(content)]
    assert client.put(content) == (200, b"OK")  # another form


@pytest.mark.invariant("I-123")
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_compressed_stream_that_is_cut_or_followed_is_refused(client, content, encoding):
    packed = COMPRESS[encoding](content)
    for wrong in (packed[:-4], packed[:-1], packed + b"JUNK", packed[:5], b"", b"no stream at all"):
        assert client.put_as(content, wrong, encoding) == (400, b"Invalid compressed payload")
    other = COMPRESS[encoding](content + b"!")
    assert client.put_as(content, other, encoding) == (400, b"Incorrect checksum")
    assert client.list("has-now", [checksum(content)]) == [False]
    assert client.temporaries() == []


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_members_are_one_stream(client, encoding):
    packed = COMPRESS[encoding](LARGE) + COMPRESS[encoding](SMALL)
    assert client.put_as(LARGE + SMALL, packed, encoding) == (200, b"OK")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_takes_no_memory_and_stalls_nobody(client, encoding):
    zeros = b"\0" * 2**20
    hasher = hashlib.sha256()
    packer = zstandard.ZstdCompressor().compressobj() if encoding == "zstd" else _Gzip()
    packed = b""
    for _ in range(256):
        hasher.update(zeros)
        packed += packer.compress(zeros)
    packed += packer.flush()
    before = _peak_kb(client.server.pid)
    box = []
    other = Client(client.server, client.folder)
    thread = threading.Thread(
        target=lambda: box.append(
            other.ask("PUT", f"/{hasher.hexdigest()}", packed, Content_Encoding=encoding)
        )
    )
    thread.start()
    longest = 0.0
    while thread.is_alive():
        begun = time.monotonic()
        client.get(SMALL)
        longest = max(longest, time.monotonic() - begun)
    thread.join()
    other.close()
    assert box[0][0] == 200
    assert longest < 1.0
    assert _peak_kb(client.server.pid) - before < 32_000


class _Gzip:
    def __init__(self):
        self._object = zlib.compressobj(wbits=31)
        self.compress, self.flush = self._object.compress, self._object.flush


def _peak_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


# Damage, and uploads that come to nothing


@pytest.mark.invariant("I-124")
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=len)
def test_a_damaged_file_is_replaced_by_an_upload(client, content, encoding):
    packed = COMPRESS[encoding](content) if encoding else content
    path = client.place(content, b"damaged", SUFFIX[encoding])
    assert client.put_as(content, packed, encoding) == (200, b"OK")
    assert path.read_bytes() == packed
    assert client.put_as(content, packed, encoding) == (201, b"")
    kept = [
        file for file in (client.folder / ".quarantine").iterdir() if file.name.startswith(checksum(content))
    ]
    assert b"damaged" in [file.read_bytes() for file in kept]


@pytest.mark.invariant("I-125")
@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("content", [SMALL * 10, LARGE], ids=len)
def test_an_upload_that_is_broken_off_or_refused_leaves_a_good_file_alone(client, content, encoding):
    packed = COMPRESS[encoding](content) if encoding else content
    broken = _half_sent(client, packed, checksum(content), encoding)
    refused = _half_sent(client, packed[:-1] + b"?", checksum(content), encoding)
    _until(lambda: _is_arriving(client, checksum(content)), "the uploads are not noticed")
    assert client.put_as(content, packed, encoding) == (200, b"OK")  # meanwhile
    broken.close()
    rest = packed[:-1] + b"?"
    refused.sendall(rest[len(rest) // 2 :])
    assert b" 400 " in refused.recv(1000)
    refused.close()
    assert client.file(content, SUFFIX[encoding]).read_bytes() == packed
    _until(lambda: client.temporaries() == [], "temporary files stay")
    assert client.ask("GET", f"/{checksum(content)}", Accept_Encoding=encoding)[:2] == (200, packed)


def test_uploads_that_stand_still_stall_nobody(client):
    stalled = []
    for i in range(40):  # more than there are threads
        content = b"%d" % i + LARGE
        stalled.append((content, _half_sent(client, content, checksum(content))))
    _until(lambda: len(client.temporaries()) == 40, "the uploads are not under way")
    for i in range(10):
        new = b"%d" % i * 200_000
        assert client.put(new) == (200, b"OK")
        assert client.get(new) == (200, new)
    for content, connection in stalled[:3]:
        connection.sendall(content[len(content) // 2 :])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    for _, connection in stalled:
        connection.close()
    _until(lambda: client.temporaries() == [], "temporary files stay")


@pytest.mark.parametrize("content", [SMALL * 10, LARGE], ids=len)
def test_two_servers_on_one_directory(serve, content):
    one, two = serve(), serve()
    broken = _half_sent(one, content, checksum(content))
    _until(lambda: _is_arriving(one, checksum(content)), "the upload is not noticed")
    assert two.put(content) == (200, b"OK")
    broken.close()
    _until(lambda: one.temporaries() == [], "temporary files stay")
    assert one.get(content) == (200, content)
    assert one.put(content) == (201, b"")
    assert two.get(content) == (200, content)


@pytest.mark.invariant("I-126")
@pytest.mark.timeout(120)
def test_killed_server_keeps_every_buffer_that_it_acknowledged(serve, tmp_path):
    client = serve()
    rng = random.Random(1)
    acknowledged, stopped = [], threading.Event()
    n_first = threading.Semaphore(0)

    def work(number):
        own = Client(client.server, client.folder)
        for i in itertools.count():
            size = rng.choice([100, 3_000, 300_000, 2_000_000])
            content = (b"%d-%d-" % (number, i)).ljust(size, b"x")
            try:
                if own.put(content)[0] != 200:
                    raise AssertionError("not stored")
            except (OSError, http.client.HTTPException):
                break
            acknowledged.append((checksum(content), size))
            n_first.release()
            if stopped.is_set():
                break
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        assert n_first.acquire(timeout=60)
    client.server.kill()
    stopped.set()
    for thread in threads:
        thread.join(30)
    assert len(acknowledged) >= 40
    again = serve()
    assert again.temporaries() == []
    for name, size in acknowledged:
        status, body, _ = again.ask("GET", f"/{name}")
        assert (status, len(body), hashlib.sha256(body).hexdigest()) == (200, size, name)
    visible = [path for path in client.folder.glob("??/*") if len(path.name) == 64]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in visible)


def test_temporary_files_of_dead_writers_are_swept_at_start(serve, tmp_path):
    client = serve()
    halves = [_half_sent(client, LARGE, checksum(LARGE)), _half_sent(client, LARGE, "0" * 64)]
    _until(lambda: len(client.temporaries()) == 2, "nothing is written yet")
    client.server.kill()
    for connection in halves:
        connection.close()
    assert len(client.temporaries()) == 2
    assert serve().temporaries() == []


# A full disk


@pytest.mark.invariant("I-127")
@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="mounting needs root",
)
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_full_disk_is_507_with_the_cause_and_loses_nothing(serve, tmp_path, encoding):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=2m none {disk} && exec "$0" -m hashserver {disk} --writable "$@"'
    command = ["unshare", "-m", "sh", "-c", script, sys.executable]
    with ServiceProcess(command, tmp_path / "launch") as server:
        client = Client(server, disk)
        assert client.put(SMALL) == (200, b"OK")
        content = os.urandom(4_000_000)
        packed = COMPRESS[encoding](content) if encoding else content
        client.ask("PUT", f"/promise/{checksum(content)}")
        status, body = client.put_as(content, packed, encoding)
        assert status == 507
        assert b"full" in body
        assert b"df -h" in body
        assert str(tmp_path).encode() not in body
        assert client.list("has-now", [checksum(content)]) == [False]
        assert client.list("has", [checksum(content)]) == [True]  # the promise stays
        for i in range(30):  # small ones, in batches
            status, body = client.put(b"%d" % i * 100_000)
            if status != 200:
                break
        assert status == 507
        assert client.get(SMALL) == (200, SMALL)
        client.close()


# Promises


def test_promise_counts_for_has_and_is_kept_by_any_upload(client):
    name = checksum(SMALL)
    status, body, _ = client.ask("PUT", f"/promise/{name.upper()}")
    assert (status, body) == (202, b'{"checksum":"%s","expires_in":600.0}' % name.encode())
    assert client.list("has", [name]) == [True]
    assert client.list("has-now", [name]) == [False]
    assert client.list("buffer-length", [name]) == [True]
    assert client.ask("PUT", f"/{name}", b"wrong")[0] == 400
    assert client.list("has", [name]) == [True]  # a refused upload leaves it standing
    assert client.put(SMALL)[0] == 200
    assert client.list("buffer-length", [name]) == [len(SMALL)]
    client.ask("PUT", f"/promise/{name}")
    assert client.list("buffer-length", [name]) == [True]
    assert client.put(SMALL)[0] == 201
    assert client.list("buffer-length", [name]) == [len(SMALL)]


def test_answer_of_an_upload_whose_body_nobody_wants_is_heard(client):
    client.put(LARGE)
    for _ in range(3):
        assert client.put(LARGE) == (201, b"")
        assert client.get(LARGE) == (200, LARGE)  # on the same connection


def test_client_that_asks_first_is_told_to_go_on_only_if_its_body_is_wanted(client):
    def ask():
        with socket.create_connection(("127.0.0.1", client.server.port), timeout=30) as connection:
            head = f"PUT /{checksum(SMALL)} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            connection.sendall(f"{head}Content-Length: {len(SMALL)}\r\n\r\n".encode())
            first = connection.recv(1000)
            if first.startswith(b"HTTP/1.1 100 "):
                connection.sendall(SMALL)
                first = connection.recv(1000)
            return first

    assert ask().startswith(b"HTTP/1.1 200 ")
    answer = ask()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" in answer
