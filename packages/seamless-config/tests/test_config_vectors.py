"""The recorded cases of configuration: what the language, clusters and launch dictionaries mean.

Each case runs in this process, from a cold state, with a HOME and a directory of its own. `init` and `set_stage` are
replayed as a load: what they start is tried by the tests of activation.
"""

from __future__ import annotations

import config_vectors
import pytest
from config_vectors import CASES, RESOLVE_CASES

ABOUT_CLIENTS = ("set_remote_clients", "set_remote_clients_from_env", "set_substage", "set_stage_workdir_kw")
ACTIVATION_ERRORS = (  # of init and set_stage: they come after the files are read
    "ambiguous-remote",
    "no-cluster",
    "no-frontend",
    "no-local-cluster",
    "no-project",
    "node-unsupported",
    "pure-dask-needs-daskserver",
)
ABOUT_ACTIVATION = (
    "cluster-unknown-init",
    "init-after-set-stage-noop",
    "init-twice-noop",
    "set-workdir-then-init",
)

DIFFERENT = {  # where ours differs, each with a line in docs/differences.md: the kind of error, or what is selected
    "cluster-def-hashserver-port-string": "bad-cluster-definition",
    "cluster-def-hashserver-range-reversed": "reversed-range",
    "cluster-def-hostname-missing-nonlocal": {},
    "cluster-def-hostname-missing-notype": {},
    "cluster-def-queue-prologue-rejected": {},
    "cluster-def-tunnel-string": "bad-cluster-definition",
    "cluster-def-workers-string": "bad-cluster-definition",
    "cluster-survives-reload": {"cluster": None, "persistent": False, "execution": "process"},
    "clusters-file-empty": {"clusters": []},
    "clusters-file-pairs-list": "bad-cluster-definition",
    "comment-only-file": {"project": None},
    "empty-file": {"project": None},
    "inherit-inside-stage-not-followed": "inherit-in-block",
    "inherit-mapping-false-value": {"project": "a", "subproject": None},
    "nparallel-survives-reload": {"nparallel": None},
    "project-empty-string": "bad-name",
    "project-survives-reload": {"project": None, "subproject": "s"},
    "set-stage-empty-string": {"stage": None, "project": "p"},
    "stage-block-other-then-plain": {"project": "p", "subproject": None},
    "stage-no-space": "unknown-command",
    "subproject-dotdot": "bad-name",
}
WITH_CLIENTS = {
    "launch-hs-no-frontend",
    "launch-js-record",
    "launch-js-stage-substage",
}  # below, without clients
OTHER_LAUNCH = {
    "launch-no-tunnel-iface": {  # the fixture's range is repaired
        "port_start": 5,
        "port_end": 9,
        "command": "hashserver --port-range 5 9 --status-file <STATUS> --host 10.1.2.3 --timeout 600 /b/p",
    },
}
HERE = (
    "launch-hostname-null",
    "launch-local-type-not-designated",
)  # no other host is named: no `hostname`, no SSH


def is_about_language(case):
    names = {step[0] for step in case["steps"]}
    kind = case["expect"].get("error", {}).get("kind")
    is_activation = kind in ACTIVATION_ERRORS and case["steps"][case["expect"]["failed_step"]][0] in (
        "init",
        "set_stage",
    )
    return not (names & {*ABOUT_CLIENTS, "resolve"} or is_activation or case["id"] in ABOUT_ACTIVATION)


LANGUAGE = sorted(name for name, case in CASES.items() if is_about_language(case))
LAUNCHES = sorted(
    name for name, case in RESOLVE_CASES.items() if is_about_language(case) and name not in WITH_CLIENTS
)
AS_RECORDED = [
    name for name in [*LANGUAGE, *LAUNCHES] if name not in DIFFERENT and name != "launch-pure-far-excl"
]


def launched_by_us(name, recorded):
    if not isinstance(recorded, dict):
        return recorded
    kept = {key: value for key, value in recorded.items() if not (key == "hostname" and name in HERE)}
    return {**kept, **OTHER_LAUNCH.get(name, {})}


@pytest.fixture
def outcome_of(tmp_path, monkeypatch):
    def outcome_of(name):
        case = {**CASES, **RESOLVE_CASES}[name]
        config_vectors.enter(case, tmp_path, monkeypatch)
        config_vectors.reset()
        return config_vectors.replay(case, tmp_path, activate=False)

    yield outcome_of
    config_vectors.reset()


def test_most_cases_are_tried():
    assert len(LANGUAGE) > 200
    assert len(LAUNCHES) > 25
    assert set(DIFFERENT) <= set(LANGUAGE)


@pytest.mark.invariant("I-250")
@pytest.mark.parametrize("name", AS_RECORDED)
def test_case_is_as_recorded(outcome_of, name):
    got, want = outcome_of(name), {**CASES, **RESOLVE_CASES}[name]["expect"]
    state = {key: value for key, value in want.get("state", {}).items() if key != "initialized"}
    assert {key: got["state"][key] for key in state} == state or "error" in want
    assert got["result"] == launched_by_us(name, want.get("result"))
    assert ("error" in got) == ("error" in want), got.get("error")
    assert "error" not in want or config_vectors.says(got["error"], want["error"]["kind"]), got["error"]
    assert got.get("failed_step") == want.get("failed_step")


@pytest.mark.parametrize("name", [name for name in LANGUAGE if "error" in CASES[name]["expect"]])
def test_error_of_a_file_shows_file_and_line(outcome_of, name):
    error = outcome_of(name).get("error")
    is_of_a_file = (
        error is not None and CASES[name]["steps"][CASES[name]["expect"]["failed_step"]][0] == "load"
    )
    assert error is None or "ConfigurationError" in error["classes"]
    assert not is_of_a_file or (error["file"] and error["line"]), error


@pytest.mark.parametrize("name", [name for name, want in DIFFERENT.items() if isinstance(want, str)])
def test_case_is_refused_where_it_was_accepted_by_accident(outcome_of, name):
    got, kinds = (
        outcome_of(name),
        {"reversed-range": "above port_end", "inherit-in-block": "inside a stage block"},
    )
    assert "ConfigurationFileInvalid" in got["error"]["classes"]
    assert got["error"]["line"]
    assert kinds.get(DIFFERENT[name], "") in got["error"]["text"]
    assert DIFFERENT[name] in kinds or config_vectors.says(got["error"], DIFFERENT[name])


@pytest.mark.parametrize("name", [name for name, want in DIFFERENT.items() if isinstance(want, dict)])
def test_case_means_what_it_says(outcome_of, name):
    got = outcome_of(name)
    assert "error" not in got, got["error"]
    assert {key: got["state"][key] for key in DIFFERENT[name]} == DIFFERENT[name]


@pytest.mark.parametrize("name", sorted(WITH_CLIENTS - {"launch-hs-no-frontend"}))
def test_jobserver_is_launched_as_recorded(tmp_path, monkeypatch, name):
    from seamless_config.configuration import read_configuration
    from seamless_config.launch_dictionaries import launch_dictionary

    case = RESOLVE_CASES[name]
    config_vectors.enter(case, tmp_path, monkeypatch)
    scope = case["steps"][-1][1]
    found = read_configuration(tmp_path / "proj")
    selection = found.selection
    for field, value in scope.items():
        selection = selection.with_(field, value, "select")
    launch = launch_dictionary(found.with_selection(selection), "jobserver")
    assert config_vectors.evaluated(launch) == case["expect"]["result"]
    assert launch["meta"]["service"] == "jobserver"


def test_pure_dask_on_slurm_takes_whole_nodes_when_the_queue_says_so(outcome_of):
    got = outcome_of("launch-pure-far-excl")["result"]
    want = RESOLVE_CASES["launch-pure-far-excl"]["expect"]["result"]
    directives = want["file_parameters"]["job_extra_directives"]
    want = {
        **want,
        "file_parameters": {**want["file_parameters"], "job_extra_directives": [*directives, "--exclusive"]},
    }
    assert got == want


def test_replay_in_a_new_process_gives_the_same(tmp_path):
    got = config_vectors.replay_in_new_process(
        RESOLVE_CASES["launch-hashserver-far-rw"], tmp_path, activate=False
    )
    assert got["result"] == RESOLVE_CASES["launch-hashserver-far-rw"]["expect"]["result"]
