"""Our clients against real servers: ours, and those of the reference; and the reference's clients against ours.

The reference is in `.bench/reference-venv`, which `make bench` makes:

    make test ARGS="-m reference"
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zstandard
from seamless.buffer import Buffer
from seamless.errors import FileChanged, ResultConflict
from seamless_remote import errors, retrying
from seamless_remote.buffer_client import BufferClient
from seamless_remote.client import close_all_clients
from seamless_remote.database_client import DatabaseClient
from seamless_remote.tokens import Token
from seamless_service.testing.service_process import ServiceProcess

REFERENCE = Path(__file__).resolve().parent.parent / ".bench" / "reference-venv" / "bin"

OURS = "ours"
THEIRS = pytest.param(
    "reference",
    marks=[
        pytest.mark.reference,
        pytest.mark.skipif(
            not REFERENCE.exists(),
            reason="the reference implementation is not installed here; 'make bench' does it",
        ),
    ],
)
pytestmark = pytest.mark.timeout(180)


def _command(kind: str, service: str) -> list[str]:
    if kind == OURS:
        return [sys.executable, "-m", {"seamless-database": "seamless_database"}.get(service, service)]
    return [str(REFERENCE / service)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Return a function that starts a hashserver or a seamless-database."""
    with ExitStack() as stack:

        def run(kind: str, service: str, **more: object) -> ServiceProcess:
            (tmp_path / "buffers").mkdir(exist_ok=True)
            place = tmp_path / ("buffers" if service == "hashserver" else "seamless.db")
            command = [*_command(kind, service), str(place), "--writable", "--host", "127.0.0.1"]
            process = ServiceProcess(command, tmp_path / "state", key=service, **more)
            stack.callback(process.kill)
            return process.start()

        yield run
    close_all_clients()


@pytest.fixture(params=[OURS, THEIRS])
def buffers(request: pytest.FixtureRequest, start) -> BufferClient:
    client = BufferClient(False)
    client.url = start(request.param, "hashserver").url
    return client


@pytest.fixture(params=[OURS, THEIRS])
def results(request: pytest.FixtureRequest, start) -> DatabaseClient:
    client = DatabaseClient(False)
    client.url = start(request.param, "seamless-database").url
    return client


def name(text: str) -> object:
    return Buffer(text.encode()).get_checksum()


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
def test_buffer_is_stored_once_and_read_back(buffers: BufferClient, size: int):
    buffer = Buffer(os.urandom(size))
    checksum = buffer.get_checksum()
    assert (buffers.get_sync(checksum), buffers.has_many_sync([checksum])) == (None, [False])
    assert [buffers.write_sync(checksum, buffer) for _ in range(2)] == [True, True]
    assert buffers.get_sync(checksum) == buffer
    assert (buffers.has_many_sync([checksum]), buffers.length_many_sync([checksum])) == ([True], [size])


def test_many_buffers_go_both_ways(buffers: BufferClient):
    some = [Buffer(os.urandom(1 + 17 * number)) for number in range(200)] + [Buffer(os.urandom(2_000_000))]
    names = [buffer.get_checksum() for buffer in some]
    absent = name("absent")
    buffers.write_many_sync(some[1:])
    assert buffers.has_many_sync(names) == [False] + [True] * 200
    buffers.write_many_sync(some)
    assert buffers.get_many_sync([absent, *names, names[0]]) == [None, *some, some[0]]
    assert buffers.length_many_sync([*names, absent]) == [*map(len, some), None]


def test_files_go_both_ways_compressed_ones_as_they_are(buffers: BufferClient, tmp_path: Path):
    content = os.urandom(1000) * 3000
    for form, compress in (("zst", zstandard.compress), ("gz", gzip.compress)):
        (tmp_path / "in").write_bytes(compress(content))
        whole = Buffer(content)
        buffers.write_file_sync(whole.get_checksum(), tmp_path / "in", form)
        assert buffers.get_sync(whole.get_checksum()) == whole
        assert buffers.length_many_sync([whole.get_checksum()]) == [len(content)]
        assert buffers.download_sync(whole.get_checksum(), tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == content
        content = content[1:]
    (tmp_path / "in").write_bytes(content)
    with pytest.raises(FileChanged):
        buffers.write_file_sync(name("another"), tmp_path / "in")
    assert buffers.write_file_sync(Buffer(content).get_checksum(), tmp_path / "in")


def test_promise_is_seen_and_kept(buffers: BufferClient):
    checksum = name("promised")
    buffers.promise_sync(checksum)
    assert buffers.has_many_sync([checksum], promised=True) == [True]
    assert buffers.has_many_sync([checksum]) == [False]
    assert buffers.length_many_sync([checksum]) == [None]

    async def fetch_and_upload() -> list[object]:
        fetched = asyncio.ensure_future(buffers.get(checksum))
        await buffers.write(checksum, Buffer(b"promised"))
        return [await fetched, await buffers.buffer_length(checksum)]

    assert asyncio.run(fetch_and_upload()) == [Buffer(b"promised"), 8]


@pytest.mark.parametrize("kind", [OURS, THEIRS])
def test_damaged_file_is_never_returned(kind: str, start, tmp_path: Path):
    client = BufferClient(False)
    client.url = start(kind, "hashserver").url
    checksum = name("content")
    client.write_sync(checksum, Buffer(b"content"))
    (path,) = (tmp_path / "buffers").rglob(checksum.hex())
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(errors.RequestFailed) as failure:
        client.get_sync(checksum)
    assert failure.value.status in (400, 500)


def test_results_are_inserted_once_and_looked_up(results: DatabaseClient):
    tf, result, other = name("tf"), name("result"), name("other")
    record = {"schema_version": 1, "tf_checksum": tf.hex(), "result_checksum": result.hex(), "x": 1}
    assert results.get_transformation_result_sync(tf) is None
    assert results.insert_sync(tf, result, record) == result
    assert results.insert_sync(tf, other, {**record, "result_checksum": other.hex()}) == result
    assert results.get_transformation_result_sync(tf) == result
    assert results.record_sync(tf) == record
    assert results.reverse_sync(result) == [tf]
    assert results.reverse_sync(other) == []
    with pytest.raises(ResultConflict):
        results.contest_sync(tf, other)
    results.contest_sync(tf, result)
    assert (results.get_transformation_result_sync(tf), results.record_sync(tf)) == (None, None)
    assert results.reverse_sync(result) == []
    (contested,) = results.get_irreproducible_records_sync(tf)
    assert (contested["checksum"], contested["result"]) == (tf.hex(), result.hex())


def test_many_results_are_inserted_and_looked_up(results: DatabaseClient):
    rows = [(name(f"t{number}"), name(f"r{number}"), None) for number in range(300)]
    results.insert_sync(rows[5][0], name("first"))
    standing = results.insert_many_sync(rows)
    assert standing == [name("first") if number == 5 else row[1] for number, row in enumerate(rows)]
    assert results.transformation_many_sync([name("no"), *(row[0] for row in rows)]) == [None, *standing]


def test_the_rest_of_the_database_interface(results: DatabaseClient):
    tf, result = name("tf"), name("result")
    record = {"schema_version": 1, "tf_checksum": tf.hex(), "result_checksum": result.hex()}

    async def all_of_it() -> list[object]:
        return [
            await results.set_transformation_result(tf, result),
            await results.get_rev_transformations(result),
            await results.set_execution_record(tf, result, record),
            await results.set_execution_record(tf, result, {**record, "more": 1}),
            await results.get_execution_record(tf),
            await results.set_bucket_probe("node", "label", result, {"t": 1}, "2026-01-01"),
            (await results.get_bucket_probe("node", "label") or {})["bucket_checksum"],
            await results.get_bucket_probe("node", "nothing"),
            await results.undo_transformation_result(tf, result),
            await results.get_rev_transformations(result),
        ]

    assert asyncio.run(all_of_it()) == [
        *(None, [tf], None, False, record),
        *(None, result.hex(), None, True, None),
    ]


def test_our_servers_offer_what_the_clients_can_use(start):
    client = BufferClient(False)
    client.url = start(OURS, "hashserver").url
    assert all(client.can(name) for name in ("batch-get", "batch-put", "post-lists"))
    other = DatabaseClient(False)
    other.url = start(OURS, "seamless-database").url
    names = ("transformation_many", "transformation_insert", "transformation_insert_many", "export")
    assert all(other.can(name) for name in names)


def test_export_lists_every_result_oldest_first(start):
    client = DatabaseClient(False)
    client.url = start(OURS, "seamless-database").url
    rows = [(name(f"t{number}"), name(f"r{number}"), None) for number in range(1000)]
    client.insert_many_sync(rows)
    assert list(client.export_sync()) == [row[:2] for row in rows]


@pytest.mark.parametrize("service", ["hashserver", "seamless-database"])
def test_token_of_the_server_is_what_the_client_needs(service: str, start):
    process = start(OURS, service, token="s3cret-of-this-test")
    client = BufferClient(True) if service == "hashserver" else DatabaseClient(True)
    client.url = process.url
    look = client.get_sync if isinstance(client, BufferClient) else client.get_transformation_result_sync
    with pytest.raises(errors.TokenRefused, match="no token was sent"):
        look(name("x"))
    client.token = Token("another-token")
    with pytest.raises(errors.TokenRefused) as failure:
        look(name("x"))
    assert failure.value.status == 403
    client.token = Token(file=process.token_path)
    assert look(name("x")) is None


@pytest.mark.parametrize("kind", [OURS, THEIRS])
def test_killed_server_is_named_and_its_successor_found_at_the_same_port(kind: str, start, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    process = start(kind, "hashserver")
    client = BufferClient(False)
    client.url = process.url
    client.write_sync(name("x"), Buffer(b"x"))
    process.kill()
    with pytest.raises(
        errors.ServiceUnreachable, match=rf"hashserver at {process.url} .*connection refused .5 tries"
    ):
        client.get_sync(name("x"))
    process._command += ["--port", str(process.port)]
    process.start()
    assert client.get_sync(name("x")).content == b"x"


@pytest.mark.invariant("I-167")
def test_upload_that_a_killed_server_did_not_acknowledge_is_an_error_and_may_be_repeated(start, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    process = start(OURS, "hashserver")
    client = BufferClient(False)
    client.url = process.url
    acknowledged: list[Buffer] = []
    failed = threading.Event()

    def upload() -> None:
        try:
            while True:
                buffer = Buffer(os.urandom(100_000))
                client.write_sync(buffer.get_checksum(), buffer)
                acknowledged.append(buffer)
        except errors.TransportError:
            failed.set()

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 20:
        assert not failed.wait(0.01)
    process.kill()
    for thread in threads:
        thread.join(60)
    assert failed.is_set()
    process.start()
    client.url = process.url
    assert client.get_many_sync([buffer.get_checksum() for buffer in acknowledged]) == acknowledged


@pytest.mark.slow
@pytest.mark.invariant("I-168")
def test_transfers_of_a_large_file_need_little_memory(start, tmp_path: Path):
    url = start(OURS, "hashserver").url
    program = """
import resource, sys
from seamless_remote.buffer_client import BufferClient
from seamless.buffer import Buffer
client = BufferClient(False)
client.url = sys.argv[1]
client.write_file_sync(sys.argv[3], sys.argv[2] + "/small")  # whatever is imported is imported now
client.download_sync(sys.argv[3], sys.argv[2] + "/out")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
client.write_file_sync(sys.argv[4], sys.argv[2] + "/large")
assert client.download_sync(sys.argv[4], sys.argv[2] + "/out")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    names = []
    for file, size in (("small", 3_000_000), ("large", 200_000_000)):
        content = bytes([len(names)]) * size
        (tmp_path / file).write_bytes(content)
        names.append(Buffer(content).get_checksum().hex())
    command = [sys.executable, "-c", program, url, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert int(done.stdout) <= 16 * 1024 * (1 if sys.platform == "linux" else 1024)
    assert (tmp_path / "out").read_bytes() == content


THEIR_CLIENT = """
import asyncio, json, sys
from seamless import Buffer, Checksum
from seamless_remote.buffer_client import BufferClient
from seamless_remote.database_client import DatabaseClient

async def main():
    found = []
    buffers = BufferClient(readonly=False)
    buffers.url = sys.argv[1]
    buffer = Buffer(b"of the reference" * 1000)
    checksum = await buffer.get_checksum_async() if hasattr(buffer, "get_checksum_async") else buffer.get_checksum()
    found.append(await buffers.get(checksum) is None)
    await buffers.promise(checksum)
    found.append(await buffers.write(checksum, buffer))
    again = await buffers.get(checksum)
    found.append(again.content == buffer.content)
    ours = await buffers.get(Checksum(sys.argv[3]))
    found.append(ours.content.decode())
    found.append([bool(n) for n in await buffers.buffer_lengths([checksum, Checksum("0" * 64)])])
    results = DatabaseClient(readonly=False)
    results.url = sys.argv[2]
    tf, other = Checksum("1" * 64), Checksum("2" * 64)
    found.append((await results.get_transformation_result(Checksum(sys.argv[4]))).hex())
    found.append(await results.get_transformation_result(tf) is None)
    await results.set_transformation_result(tf, checksum)
    found.append(await results.get_transformation_result(tf) == checksum)
    found.append([c if isinstance(c, str) else c.hex() for c in await results.get_rev_transformations(checksum)])
    record = {"schema_version": 1, "tf_checksum": tf.hex(), "result_checksum": checksum.hex()}
    found.append(await results.set_execution_record(tf, checksum, record))
    found.append(await results.get_execution_record(tf) == record)
    found.append(await results.set_execution_record(tf, checksum, {**record, "more": 1}))
    found.append(await results.undo_transformation_result(tf, checksum))
    found.append(await results.get_transformation_result(tf) is None)
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.reference
@pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference implementation is not installed here; 'make bench' does it"
)
def test_clients_of_the_reference_are_served_by_our_servers(start, tmp_path: Path):
    buffers, results = BufferClient(False), DatabaseClient(False)
    buffers.url = start(OURS, "hashserver").url
    results.url = start(OURS, "seamless-database").url
    ours = Buffer(b"of ours")
    buffers.write_sync(ours.get_checksum(), ours)
    results.insert_sync(name("tf"), ours.get_checksum())
    command = [str(REFERENCE / "python"), "-c", THEIR_CLIENT, buffers.url, results.url]
    command += [ours.get_checksum().hex(), name("tf").hex()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    theirs = Buffer(b"of the reference" * 1000)
    assert found == [
        *(True, True, True, "of ours", [True, False]),
        *(ours.get_checksum().hex(), True, True, ["1" * 64]),
        *(None, True, False, True, True),
    ]
    assert buffers.get_sync(theirs.get_checksum()) == theirs
