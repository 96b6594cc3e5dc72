"""The helpers of the reference implementation and ours on the same state files, in both directions.

Needs the reference in `.bench/reference-venv`, which `make bench` makes:

    make test ARGS="-m reference"
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import threading
from pathlib import Path

import pytest
from remote_http_launcher.processes import is_ours
from remote_http_launcher.state_files import read_state, write_state
from remote_http_launcher.testing.processes import server_folder, service_process, state_of, wait_until

REFERENCE = Path(__file__).resolve().parent.parent / ".bench" / "reference-venv" / "bin"
OURS = Path(sysconfig.get_path("scripts"))

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(
        not REFERENCE.exists(),
        reason="the reference implementation is not installed here; 'make bench' does it",
    ),
]


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [str(folder / words[0]), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=False)


def test_service_that_the_reference_started_is_known_looked_at_and_stopped(tmp_path: Path):
    path = server_folder() / "hs.json"
    service = [
        "hashserver",
        "--status-file",
        str(path),
        "--host",
        "127.0.0.1",
        "--timeout",
        "50",
        str(tmp_path),
    ]
    started = _run(REFERENCE, "rhl-launch-service", "--key", "hs", "--workdir", str(tmp_path), "--", *service)
    assert started.returncode == 0, started.stderr
    try:
        wait_until(lambda: read_state(str(path)).get("status") == "running", 40)
        row = json.loads(_run(OURS, "rhl-ps", "--json").stdout)
        assert (row["status"], row["live"]) == ("running", True)
        facts = json.loads(_run(OURS, "rhl-look", "hs").stdout)["services"]["hs"]
        assert (facts["handshake"]["status"], facts["handshake"]["listens"]) == (200, True)
        assert _run(OURS, "rhl-clear", str(tmp_path)).returncode == 1
    finally:
        stopped = _run(OURS, "rhl-stop", "hs")
    assert stopped.stdout == "hs: stopped\n"
    assert not is_ours(read_state(str(path)), str(path))
    assert _run(REFERENCE, "rhl-ps", "--key", "--status", "stale").stdout == "hs\n"


def test_state_of_ours_is_read_and_stopped_by_the_reference():
    path = str(server_folder() / "k.json")
    with service_process() as process:
        write_state(path, state_of(process, port=5, workdir="/w", command="c", uid=os.getuid()))
        row = json.loads(_run(REFERENCE, "rhl-ps", "--json").stdout)
        assert (row["key"], row["status"], row["live"], row["schema"]) == ("k", "running", True, 1)
        reaper = threading.Thread(target=process.wait)  # the reference takes a zombie for alive
        reaper.start()
        assert _run(REFERENCE, "rhl-stop", "k").stdout == "k: stopped\n"
        reaper.join(10)
    assert json.loads(_run(OURS, "rhl-ps", "--json").stdout)["status"] == "stale"
    assert read_state(path)["boot_id"] == state_of(process)["boot_id"]
