"""seamless-init: starts or checks the services of a project, and says in one line each how that went."""

from __future__ import annotations

import json
import stat

import pytest
from cluster_world import local_cluster, ssh_cluster

PROCESS = {"execution": "process"}
TWO = ["database", "hashserver"]


@pytest.fixture
def mine(clusters):
    """A project on a local cluster."""
    clusters.define(local_cluster(clusters.folder / "data"))
    clusters.configure({"project": "p"}, {"cluster": "mine"}, PROCESS)
    return clusters


def test_init_starts_both_services_and_says_where_they_are(mine):
    done = mine.run("seamless-init")
    assert (done.returncode, done.stdout) == (0, "")
    states = mine.states()
    lines = done.stderr.splitlines()
    assert sorted(lines[:2]) == ["Launch database server...", "Launch hashserver..."]
    data = mine.folder / "data"
    assert lines[2:] == [
        f"seamless-init: hashserver hashserver-mine-rw-p: running at http://127.0.0.1:"
        f"{states['hashserver-mine-rw-p']['port']}, data in {data}/buffers/p",
        f"seamless-init: database database-mine-rw-p: running at http://127.0.0.1:"
        f"{states['database-mine-rw-p']['port']}, data in {data}/databases/p",
    ]
    assert mine.run("seamless-init").returncode == 0
    assert mine.states() == states


def test_project_of_the_command_line_wins_over_the_files(mine):
    done = mine.run("seamless-init", "--project", "q:part/one", "--stage", "s", "--check", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["project"], found["subproject"], found["stage"]) == ("q", "part/one", "s")
    assert [service["key"] for service in found["services"]] == [
        "hashserver-mine-rw-q--part--one--STAGE-s",
        "database-mine-rw-q--part--one--STAGE-s",
    ]
    done = mine.run("seamless-init", "--project", "a--b", "--check")
    assert (done.returncode, "must not contain '--'" in done.stderr) == (1, True)


def test_check_starts_nothing_and_says_what_is_not_up(mine):
    done = mine.run("seamless-init", "--check")
    assert done.returncode == 1
    assert "hashserver-mine-rw-p is not up: it was never started, or its state was removed." in done.stderr
    assert "database-mine-rw-p is not up" in done.stderr
    assert "hint:  seamless-init" in done.stderr
    assert mine.states() == {}
    assert mine.run("seamless-init").returncode == 0
    done = mine.run("seamless-init", "--check")
    assert done.returncode == 0, done.stderr
    assert "Launch" not in done.stderr


def test_check_tells_a_service_of_another_directory_from_ours(mine):
    assert mine.run("seamless-init").returncode == 0
    mine.define(local_cluster(mine.folder / "elsewhere"))
    done = mine.run("seamless-init", "--check", "--json")
    assert done.returncode == 1
    assert "with another workdir than asked for" in done.stderr
    assert [service["status"] for service in json.loads(done.stdout)["services"]] == ["other", "other"]


def test_check_notices_a_service_that_was_killed(mine):
    import os
    import signal

    assert mine.run("seamless-init").returncode == 0
    os.kill(mine.states()["database-mine-rw-p"]["pid"], signal.SIGKILL)
    done = mine.run("seamless-init", "--check", "--json")
    assert done.returncode == 1
    found = {service["service"]: service["status"] for service in json.loads(done.stdout)["services"]}
    assert found["hashserver"] == "running"
    assert found["database"] != "running"


def test_json_is_one_object_with_everything_that_was_selected(mine):
    mine.configure({"project": "p"}, {"subproject": "s"}, PROCESS, {"stage prod": [{"cluster": "mine"}]})
    found = json.loads(mine.answer("seamless-init", "--stage", "prod:gpu", "--json"))
    services = found.pop("services")
    assert found == {
        "cache": None,
        "cluster": "mine",
        "execution": "process",
        "persistent": True,
        "project": "p",
        "stage": "prod",
        "subproject": "s",
        "substage": "gpu",
        "warnings": [],
    }
    assert [service["key"] for service in services] == [
        "hashserver-mine-rw-p--s--STAGE-prod",
        "database-mine-rw-p--s--STAGE-prod",
    ]
    assert set(services[0]) == {"host", "key", "service", "status", "url", "workdir"}


def test_one_service_that_fails_is_reported_beside_the_other(mine):
    script = mine.launches.programs / "hashserver"
    script.write_text("#!/bin/sh\necho no buffers today >&2\nexit 4\n")
    script.chmod(stat.S_IRWXU)
    done = mine.run("seamless-init", "--json")
    assert done.returncode == 1
    assert "the hashserver of cluster 'mine', project 'p', does not run on this machine" in done.stderr
    assert "no buffers today" in done.stderr
    assert "seamless-service-logs --service hashserver --cluster mine --project p" in done.stderr
    assert "Traceback" not in done.stderr
    found = {service["service"]: service["status"] for service in json.loads(done.stdout)["services"]}
    assert found == {"hashserver": "failed", "database": "running"}


@pytest.mark.parametrize("value", ["", "{}", "nonsense"])
def test_worker_has_nothing_to_do_and_not_even_its_options_are_read(mine, value):
    done = mine.run("seamless-init", "--nonsense", SEAMLESS_REMOTE_CLIENTS=value)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mine.states() == {}


def test_cache_directory_needs_no_service(mine, tmp_path):
    done = mine.run("seamless-init", SEAMLESS_CACHE=str(tmp_path / "c"))
    assert done.returncode == 0
    assert "is opened by each process itself: nothing is to be started" in done.stderr
    assert mine.states() == {}


def test_without_a_cluster_there_is_nothing_to_start(clusters):
    clusters.configure({"project": "p"})
    done = clusters.run("seamless-init")
    assert done.returncode == 0
    assert "running without persistence" in done.stderr
    assert "it is 'process' by default" in done.stderr


@pytest.mark.parametrize(
    ("words", "commands", "said"),
    [
        ([], [{"cluster": "nope"}, {"project": "p"}, PROCESS], "cluster 'nope' is not defined"),
        ([], [{"cluster": "mine"}, PROCESS], "no project is selected"),
        ([], [{"clustr": "mine"}], "is no command"),
        (["--stage", ":x"], [{"project": "p"}], "has a substage and no stage"),
        (["--stage", "a/b"], [{"project": "p"}], "must not contain '/'"),
        ([], [{"project": "p"}, {"execution": "remote"}], "no cluster is selected"),
    ],
)
def test_wrong_configuration_is_a_message_with_exit_code_1(mine, words, commands, said):
    mine.configure(*commands)
    done = mine.run("seamless-init", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert mine.states() == {}


def test_wrong_usage_is_exit_code_2(mine):
    assert mine.run("seamless-init", "--stages", "x").returncode == 2


@pytest.mark.slow
def test_check_over_ssh_says_on_which_host(clusters, ssh_host):
    clusters.define(ssh_cluster("tb-guarded"))
    clusters.configure({"project": "p"}, {"cluster": "far"}, PROCESS)
    assert clusters.run("seamless-init", "--check").returncode == 1
    assert clusters.run("seamless-init").returncode == 0
    done = clusters.run("seamless-init", "--check", "--json")
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert [(service["host"], service["status"]) for service in services] == [("tb-guarded", "running")] * 2
