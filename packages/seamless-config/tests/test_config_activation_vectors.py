"""The recorded cases of `init`, `set_stage` and `set_remote_clients`: what is activated, told and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import config_vectors
import pytest
import seamless.active
from config_vectors import CASES, enter, replay, says
from seamless_config import activation, extern_clients
from seamless_remote import buffer_remote, database_remote, launched

JOBS = ("jobserver", "daskserver", "pure-daskserver", "spawn")
TOLD = {
    "execution-default-process": "it is 'process' by default",
    "execution-default-remote": "it is 'remote' by default",
    "no-cluster-no-persistence": "running without persistence",
}
ACTIVATING = ("init", "set_stage", "set_remote_clients", "set_substage")
OTHERWISE = {
    "set-workdir-then-init": "`workdir=` counts here, and the replay gives it",
    "stage-colon-substage-syntax-unsupported": "a stage is a name, and `:` is refused in names",
}
CHOSEN = {
    name: case
    for name, case in CASES.items()
    if any(step[0].startswith(ACTIVATING) for step in case["steps"]) and name not in OTHERWISE
}
PLAIN = [name for name, case in CHOSEN.items() if "quirk" not in case]
WITH_JOBS = [
    name
    for name in PLAIN
    if any(kind.partition(":")[0] in JOBS for kind in CHOSEN[name]["expect"]["activated"])
]
REFUSED = [name for name in PLAIN if "error" in CHOSEN[name]["expect"]]
DONE = [name for name in PLAIN if name not in WITH_JOBS and name not in REFUSED]


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is selected or active before a case, nor after it."""

    def forget() -> None:
        config_vectors.reset()
        for module in (buffer_remote, database_remote):
            module.deactivate()
            module._extern_clients.clear()
            module._launched_clients.clear()
        launched.set_launcher(None)
        launched.set_selection(None)
        seamless.active._close_active()

    monkeypatch.setattr(activation, "_activated", None)
    monkeypatch.setattr(extern_clients, "_are_set", False)
    forget()
    yield
    forget()


def run(name, tmp_path, monkeypatch):
    enter(CHOSEN[name], tmp_path, monkeypatch)
    return replay(CHOSEN[name], tmp_path)


def told(outcome):
    return [kind for text in outcome["warnings"] for kind, words in TOLD.items() if words in text]


@pytest.mark.parametrize("name", DONE)
def test_recorded_case_selects_warns_and_activates_the_same(name, tmp_path, monkeypatch):
    outcome = run(name, tmp_path, monkeypatch)
    expected = CHOSEN[name]["expect"]
    assert "error" not in outcome, outcome["error"]["text"]
    assert told(outcome) == expected["warnings"]
    assert outcome["state"] == expected["state"]
    active = seamless.active.get_active()
    found = {
        "buffer": buffer_remote.has_read_server() or active.location.startswith(str(tmp_path / "cache")),
        "database": database_remote.has_read_server() or active.location.startswith(str(tmp_path / "cache")),
    }
    assert found == {kind: kind in expected["activated"] for kind in found}


@pytest.mark.parametrize("name", REFUSED)
def test_recorded_case_is_refused_and_nothing_is_active(name, tmp_path, monkeypatch):
    outcome = run(name, tmp_path, monkeypatch)
    assert outcome["failed_step"] == CHOSEN[name]["expect"]["failed_step"]
    assert "SeamlessError" in outcome["error"]["classes"]
    assert says(outcome["error"], CHOSEN[name]["expect"]["error"]["kind"]), outcome["error"]["text"]
    if CHOSEN[name]["steps"][0][0] != "set_remote_clients":
        assert not buffer_remote.has_read_server()
    assert not database_remote.has_read_server()


@pytest.mark.parametrize("name", WITH_JOBS)
def test_recorded_case_with_a_job_back_end_says_that_it_cannot_be_started_yet(name, tmp_path, monkeypatch):
    outcome = run(name, tmp_path, monkeypatch)
    assert re.search(
        r"which this version cannot start yet\. Write '- execution: process'", outcome["error"]["text"]
    )
    assert outcome["state"]["initialized"] is False
