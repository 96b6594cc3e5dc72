"""seamless-service-resolve answers as recorded (contracts/vectors/config_cases.json), better where that is a quirk."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

VECTORS = json.loads(
    (Path(__file__).resolve().parents[4] / "contracts/vectors/config_cases.json").read_text()
)
CASES = [case for case in VECTORS["resolve_cases"] if case["steps"][0][0] == "resolve"]
# Ports in the wrong order were accepted by accident; a definition with them is refused, and all of its file with it.
FIXTURES = {
    name: text.replace("port_start: 9, port_end: 5", "port_start: 5, port_end: 9")
    for name, text in VECTORS["fixtures"].items()
}
ALL_IDS = {case["id"] for case in CASES}
# Where the recorded answer is a quirk: what we say instead. A text is part of the error.
EFFECTIVE_HOST = {
    "cli-oar-queue": "10.0.0.7",
    "cli-oar-hs": "10.0.0.7",
    "cli-multi-hs": "m1",
    "cli-lrem-dask": "big.example",
    "cli-lrem-hs": "big.example",
    "cli-workdir-inline-cluster": "i.example",
    "cli-cluster-dash": "h",
}
OTHERWISE: dict[str, Any] = {
    **{name: {"ssh_hostname": host} for name, host in EFFECTIVE_HOST.items()},
    "cli-far-jobserver-stage-ro": {"mode": "rw"},
    "cli-far-queue-bad": "has no queue 'nope'",
    "cli-workdir-stage-block-not-applied": {
        "cluster": "far",
        "key": "hashserver-far-rw-p--STAGE-prod",
        "log_path": "~/.remote-http-launcher/server/hashserver-far-rw-p--STAGE-prod.log",
        "ssh_hostname": "far-ssh",
        "workdir": "/scratch/buf/p/STAGE-prod",
    },
}
ERRORS = {
    "bad-hostname": "me@h.example",
    "bad-key": "'@'",
    "bad-name": "must not contain",
    "bad-workdir": "",
    "no-cluster": "no cluster is selected",
    "no-cluster-type": "cluster 'multi'",
    "no-frontend": "no frontend",
    "no-project": "no project is selected",
    "no-queue": "no default queue",
    "no-seamless-cache": "SEAMLESS_CACHE is not set",
    "no-workers": "how many workers",
    "unknown-cluster": "is not defined",
    "unknown-queue": "has no queue",
    "usage": "--service",
}


def test_there_are_cases():
    assert len(CASES) == 56
    assert set(OTHERWISE) <= ALL_IDS


@pytest.mark.invariant("I-240")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_answer_is_as_recorded(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for folder in ("home", "proj"):
        (tmp_path / folder).mkdir()
    for name, text in case["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(FIXTURES[text[1:]] if text.startswith("@") else text, tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, text in case.get("env", {}).items():
        monkeypatch.setenv(name, _filled(text, tmp_path))
    monkeypatch.chdir(tmp_path / case.get("workdir", "proj"))
    words = [_filled(word, tmp_path) for word in case["steps"][0][1]["argv"]]
    module = importlib.import_module("seamless_config.service_commands.resolve")
    before = sorted(tmp_path.rglob("*"))

    code = module.main(words)

    out, err = capsys.readouterr()
    expected = case["expect"]
    otherwise = OTHERWISE.get(case["id"])
    if isinstance(otherwise, str) or "error" in expected:
        kind = expected.get("error", {}).get("kind")
        assert (code, out) == (2 if kind == "usage" else 1, "")
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert (otherwise or ERRORS[kind]) in err
        return
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        **json.loads(_filled(json.dumps(expected["result"]), tmp_path)),
        **(otherwise or {}),
    }
    assert out == json.dumps(json.loads(out), sort_keys=True) + "\n"
    assert sorted(tmp_path.rglob("*")) == before


def _filled(text: str, root: Path) -> str:
    return text.replace("<ROOT>", os.fspath(root))


def test_log_path_of_this_machine_follows_the_directory_of_the_launcher(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "rhl"))
    (row,) = site.done("resolve", "--service hashserver --workdir .").rows
    assert row["log_path"] == f"{tmp_path}/rhl/server/hashserver-loc-rw-p.log"
