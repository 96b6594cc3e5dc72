"""The reference implementation and ours on the same cache directory, in both directions.

Needs the reference in `.bench/reference-venv`, which `make bench` makes:

    make test ARGS="-m reference"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from bench.peers import signal_launched_servers

REFERENCE = Path(__file__).resolve().parent.parent / ".bench" / "reference-venv" / "bin" / "python"

pytestmark = [
    pytest.mark.reference,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not REFERENCE.exists(),
        reason="the reference implementation is not installed here; 'make bench' does it",
    ),
]

STEPS = """
def add(a, b):
    with open(LOG, "a") as log:
        log.write("add\\n")
    return a + b


def scaled(table, factor):
    import numpy as np
    with open(LOG, "a") as log:
        log.write("scaled\\n")
    return {"x": np.asarray(table["x"]) * factor, "name": table["name"]}


def listed(text):
    with open(LOG, "a") as log:
        log.write("listed\\n")
    return text.split()
"""

PROGRAM = """
import json, os, sys
import numpy as np
import seamless, seamless.config
seamless.config.init()
from seamless.transformer import delayed
import interop_steps as steps

cases = []
add = delayed(steps.add)
cases.append(add(2, 3))
cases.append(add([1, 2], ["é"]))
cases.append(add(1e-7, 2 ** 70))
cases.append(delayed(steps.scaled)({"x": np.arange(5), "name": "t"}, 2.5))
listed = delayed(steps.listed)
listed.celltypes.text = "text"
listed.celltypes.result = "plain"
cases.append(listed("a b  c\\n"))
bash = delayed("wc -w < text > RESULT; echo bash >> " + os.environ["STEP_LOG"], "bash")
bash.celltypes.text = "text"
bash.celltypes.result = "int"
cases.append(bash(text="one two three"))
chained = add(add(10, 20), 30)
cases.append(chained)
out = []
for tf in cases:
    value = tf.run()
    out.append([tf.transformation_checksum.hex(), tf.result_checksum.hex(), repr(value)])
seamless.close()
print("RESULT " + json.dumps(out))
"""


class World:
    """One cache directory, one log of steps that ran, a program that either implementation can run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.log = path / "steps.log"
        self.home = path / "home"
        self.home.mkdir()
        (path / "interop_steps.py").write_text(STEPS.replace("LOG", repr(str(self.log))))
        (path / "program.py").write_text(PROGRAM)

    def run(self, python: Path | str) -> list[list[str]]:
        environment = {
            "HOME": str(self.home),
            "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
            "SEAMLESS_CACHE": str(self.cache),
            "STEP_LOG": str(self.log),
            "PYTHONWARNINGS": "ignore",
        }
        try:
            done = subprocess.run(
                [str(python), "program.py"],
                cwd=self.path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
            )
        finally:
            self.stop_servers()
        assert done.returncode == 0, done.stderr
        answer = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        result: list[list[str]] = json.loads(answer[0].removeprefix("RESULT "))
        return result

    def stop_servers(self) -> None:
        deadline = time.monotonic() + 20
        for pid in signal_launched_servers(self.path):
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.02)

    def executed(self) -> list[str]:
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(lines)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = apsw.Connection(str(self.cache / "__TOPLEVEL__" / "seamless.db"))
        try:
            return list(connection.execute(query))
        finally:
            connection.close()


EVERY_STEP = ["add"] * 5 + ["bash", "listed", "scaled"]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [(sys.executable, REFERENCE), (REFERENCE, sys.executable)],
    ids=["ours-first", "reference-first"],
)
def test_what_one_computed_the_other_finds(world, writer, reader):
    computed = world.run(writer)
    assert world.executed() == EVERY_STEP
    found = world.run(reader)
    assert world.executed() == []
    assert found == computed


def test_both_give_every_step_the_same_identity_and_result(world, tmp_path_factory):
    ours = world.run(sys.executable)
    other = World(tmp_path_factory.mktemp("other"))
    (other.path / "interop_steps.py").write_text((world.path / "interop_steps.py").read_text())
    other.log = world.log
    assert other.run(REFERENCE) == ours


def test_ours_reads_the_records_and_reverse_rows_of_the_reference(world):
    computed = world.run(REFERENCE)
    from seamless import Checksum
    from seamless.embedded import open_embedded

    active = open_embedded(world.cache)
    for tf_hex, result_hex, _ in computed:
        record = active.results.record(Checksum(tf_hex))
        assert record is not None
        assert (record["tf_checksum"], record["result_checksum"]) == (tf_hex, result_hex)
        assert Checksum(tf_hex) in active.results.reverse(Checksum(result_hex))
    active.close()


def test_the_database_that_ours_leaves_is_whole_in_the_journal_mode_of_the_reference(world):
    world.run(sys.executable)
    assert world.rows("pragma journal_mode") == [("delete",)]
    assert world.rows("pragma integrity_check") == [("ok",)]
    assert not (world.cache / "__TOPLEVEL__" / "seamless.db-wal").exists()
