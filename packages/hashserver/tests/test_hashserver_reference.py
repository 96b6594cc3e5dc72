"""The reference's hashserver and its clients, with ours: on one directory, and over HTTP.

Needs the reference in `.bench/reference-venv`, which `make bench` makes.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
import zstandard
from hashserver.testing.client import Client, checksum
from seamless_service.testing.service_process import ServiceProcess

REFERENCE = Path(__file__).resolve().parents[3] / ".bench" / "reference-venv" / "bin"

pytestmark = [
    pytest.mark.reference,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not REFERENCE.exists(),
        reason="the reference implementation is not installed here; 'make bench' does it",
    ),
]

CONTENTS = [b"", b"small", os.urandom(400_000)]

PROGRAM = """
import asyncio, json, os, sys
from seamless import Buffer, Checksum
from seamless_remote import buffer_remote, client
buffer_remote.define_extern_client("ours", "hashserver", url=sys.argv[1], readonly=False)
buffer_remote.activate(no_main=True, extern_clients=["ours"])

async def main():
    contents = [b"written by the reference", os.urandom(500_000)]
    written = []
    for content in contents:
        buffer = Buffer(content)
        checksum = buffer.get_checksum()
        await buffer_remote.promise(checksum)
        assert await buffer_remote.write_buffer(checksum, buffer)
        written.append(checksum.hex())
    read = []
    for name in json.loads(sys.argv[2]):
        found = await buffer_remote.get_buffer(Checksum(name))
        read.append(None if found is None else len(found.content))
    lengths = await buffer_remote.get_buffer_lengths([Checksum(name) for name in written])
    print(json.dumps([written, read, lengths]))

asyncio.run(main())
"""


def test_both_servers_on_one_directory(serve, tmp_path):
    ours = serve()
    command = [str(REFERENCE / "hashserver"), str(ours.folder), "--writable"]
    with ServiceProcess(command, tmp_path / "reference") as process:
        process.wait_for_port()
        theirs = Client(process, ours.folder)
        for writer, reader in ((ours, theirs), (theirs, ours)):
            mark = b"%d" % id(writer)
            for content in CONTENTS:
                content = content and content + mark
                assert writer.put(content)[0] in (200, 201)
                assert reader.get(content) == (200, content)
                assert reader.put(content) == (201, b"")
            for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
                content = encoding.encode() + mark
                assert writer.put_as(content, pack(content), encoding) == (200, b"OK")
                assert reader.get(content) == (200, pack(content))
                assert reader.list("buffer-length", [checksum(content)]) == [len(content)]
        theirs.close()
    assert ours.temporaries() == []


def test_client_of_the_reference_with_our_server(serve, tmp_path):
    ours = serve()
    for content in CONTENTS:
        ours.put(content)
    names = [*map(checksum, CONTENTS), checksum(b"absent")]
    done = subprocess.run(
        [str(REFERENCE / "python"), "-c", PROGRAM, ours.server.url, json.dumps(names)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written, read, _ = json.loads(done.stdout.splitlines()[-1])
    assert read == [0, 5, 400_000, None]
    assert ours.list("has-now", written) == [True, True]
