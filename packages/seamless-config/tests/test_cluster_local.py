"""Steps over the services of a cluster on this machine: cold, from other processes and homes, killed, interrupted."""

from __future__ import annotations

import json
import signal
import stat
import sys
import textwrap
from pathlib import Path

import pytest
from cluster_world import local_cluster
from remote_http_launcher.processes import group_members

PROCESS = {"execution": "process"}
KEYS = ["database-mine-rw-p", "hashserver-mine-rw-p"]


@pytest.fixture
def mine(clusters):
    """A project on a local cluster."""
    clusters.define(local_cluster(clusters.folder / "data"))
    clusters.configure({"project": "p"}, {"cluster": "mine"}, PROCESS)
    return clusters


def test_without_a_cluster_each_process_runs_the_step(clusters):
    clusters.configure({"project": "p"}, PROCESS)
    assert clusters.step() == ("42", "1", "memory")
    assert clusters.step() == ("42", "1", "memory")
    assert clusters.states() == {}


def test_with_a_cache_directory_another_home_finds_the_result(clusters, tmp_path: Path):
    clusters.define({})
    cache = str(tmp_path / "cache")
    assert clusters.step(SEAMLESS_CACHE=cache) == ("42", "1", f"{cache}/__TOPLEVEL__")
    assert clusters.step(SEAMLESS_CACHE=cache, home=clusters.other_home()) == (
        "42",
        "0",
        f"{cache}/__TOPLEVEL__",
    )
    assert clusters.states() == {}


@pytest.mark.invariant("I-260")
def test_first_process_runs_the_step_and_another_one_in_another_home_finds_it(mine):
    value, executed, location = mine.step()
    assert (value, executed) == ("42", "1")
    assert location == ("buffers: hashserver of cluster 'mine' (p); results: database of cluster 'mine' (p)")
    assert mine.step()[:2] == ("42", "0")
    assert sorted(mine.states()) == KEYS
    assert mine.step(home=mine.other_home())[:2] == ("42", "0")


def test_init_starts_nothing_and_the_first_use_starts_what_it_needs(mine):
    mine.python("import seamless.config; seamless.config.init()")
    assert mine.states() == {}
    done = mine.run("python", "-c", "import seamless.config; seamless.config.init(); seamless.config.init()")
    assert (done.stdout, done.stderr) == ("", "")


def test_a_warm_client_starts_no_process_and_says_only_what_is_documented(mine):
    code = """
        import subprocess, seamless.config
        from seamless.transformer import delayed, step_counters
        def refuse(*words, **_):
            raise AssertionError(words)
        seamless.config.init()
        step = delayed("a * 2")
        step.celltypes.a = "int"
        {refuse}
        print(step(a=1).run(), step_counters().executed)
    """
    mine.python(code.format(refuse=""))
    done = mine.run("python", "-c", textwrap.dedent(code.format(refuse="subprocess.Popen = refuse")))
    assert done.stdout == "2 0\n", done.stderr
    assert set(done.stderr.splitlines()) <= {"Launch hashserver...", "Launch database server..."}


@pytest.mark.invariant("I-261")
def test_two_directories_under_one_key_never_share_a_server(mine):
    assert mine.step()[:2] == ("42", "1")
    before = mine.states()
    mine.define(local_cluster(mine.folder / "elsewhere"))
    done = mine.run("python", "-c", "import seamless.config; seamless.config.init()")
    assert done.returncode == 0
    done = mine.run("seamless-run", "-c", "echo other")
    assert done.returncode == 1
    assert "with another workdir than asked for" in done.stderr
    assert f"{mine.folder}/elsewhere" in done.stderr
    assert "rhl-stop database-mine-rw-p" in done.stderr
    assert "Traceback" not in done.stderr
    assert mine.states() == before
    assert not (mine.folder / "elsewhere").exists()


@pytest.mark.invariant("I-261")
def test_projects_and_stages_have_services_of_their_own(mine):
    assert mine.step()[1] == "1"
    mine.configure({"project": "q"}, {"cluster": "mine"}, PROCESS)
    assert mine.step()[1] == "1"
    code = """
        import seamless.config
        from seamless.transformer import delayed, step_counters
        step = delayed("a * 2")
        step.celltypes.a = "int"
        for stage in ("one", "two", "one"):
            seamless.config.set_stage(stage)
            step(a=21).run()
            print(step_counters().executed)
    """
    assert mine.python(code).split() == ["1", "2", "2"]
    states = mine.states()
    assert len(states) == 8
    assert len({state["workdir"] for state in states.values()}) == 8
    assert len({state["pid"] for state in states.values()}) == 8


@pytest.mark.invariant("I-263")
def test_stage_without_cluster_has_no_client_of_the_former_one_and_its_steps_keep_theirs(mine):
    mine.configure({"project": "p"}, {"execution": "process"}, {"stage a": [{"cluster": "mine"}]})
    code = """
        import warnings, seamless.config
        from seamless.active import get_active
        from seamless.transformer import delayed, step_counters
        from seamless_remote import buffer_remote, database_remote
        step = delayed("a * 2")
        step.celltypes.a = "int"
        seamless.config.set_stage("a")
        before = step(a=21)
        warnings.simplefilter("ignore")
        seamless.config.set_stage("b")
        modules = (buffer_remote, database_remote)
        print([module.has_read_server() for module in modules], [m.inspect_launched_clients() for m in modules])
        print(get_active().location, seamless.config.collect_remote_clients())
        before.run()
    """
    lines = mine.python(code).splitlines()
    assert lines == ["[False, False] [[], []]", "memory {'database': [], 'buffer': []}"]
    mine.configure({"project": "p"}, {"execution": "process"}, {"cluster": "mine"})
    code = STAGE_STEP.format(stage="a")
    assert mine.python(code).split() == ["42", "0"]  # the step had been kept in stage a


STAGE_STEP = """
    import seamless.config
    from seamless.transformer import delayed, step_counters
    step = delayed("a * 2")
    step.celltypes.a = "int"
    seamless.config.set_stage("{stage}")
    print(step(a=21).run(), step_counters().executed)
"""


@pytest.mark.invariant("I-264")
def test_server_that_is_killed_between_two_steps_is_started_again(mine):
    code = """
        import json, os, pathlib, signal, seamless.config
        from seamless.transformer import delayed, step_counters
        step = delayed("a * 2")
        step.celltypes.a = "int"
        seamless.config.init()
        print(step(a=1).run())
        for path in pathlib.Path.home().glob(".remote-http-launcher/server/*.json"):
            os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)
        print(step(a=2).run(), step_counters().executed)
    """
    assert mine.python(code).split() == ["2", "4", "2"]
    assert mine.step()[1] == "1"


@pytest.mark.provokes("seamless_remote.errors.ServiceLaunchFailed")
def test_service_that_cannot_start_is_reported_with_cause_log_and_command(mine):
    script = mine.launches.programs / "seamless-database"
    script.write_text("#!/bin/sh\necho the flux capacitor is empty >&2\nexit 3\n")
    script.chmod(stat.S_IRWXU)
    done = mine.run("seamless-run", "-c", "echo x")
    assert done.returncode == 1
    assert (
        "the database of cluster 'mine', project 'p', does not run on this machine (service)" in done.stderr
    )
    assert "The service ended before it was ready, with exit code 3" in done.stderr
    assert "the flux capacitor is empty" in done.stderr
    assert "seamless-service-logs --service database --cluster mine --project p --tail 50" in done.stderr
    assert "Traceback" not in done.stderr
    assert mine.states()["database-mine-rw-p"]["status"] == "failed"


def test_first_use_starts_the_services_side_by_side(mine):
    """The database does not start before the hashserver is being started, and the other way round."""
    for name, other in (("hashserver", "seamless-database"), ("seamless-database", "hashserver")):
        script = mine.launches.programs / name
        real = Path(sys.executable).parent / name
        begun = mine.folder / "begun"
        begun.mkdir(exist_ok=True)
        script.write_text(
            f"#!/bin/sh\ntouch {begun}/{name}\n"
            f'for i in $(seq 2000); do [ -e {begun}/{other} ] && exec {real} "$@"; sleep 0.01; done\nexit 9\n'
        )
        script.chmod(stat.S_IRWXU)
    assert mine.step()[:2] == ("42", "1")
    assert [state["status"] for state in mine.states().values()] == ["running"] * 2


@pytest.mark.invariant("I-265")
@pytest.mark.parametrize("command", ["init", "run"])
def test_interrupt_during_a_launch_leaves_nothing_running(mine, command):
    for name in ("hashserver", "seamless-database"):
        script = mine.launches.programs / name
        script.write_text("#!/bin/sh\nsleep 1000\n")
        script.chmod(stat.S_IRWXU)
    words = ["seamless-init"] if command == "init" else ["seamless-run", "-c", "echo x"]
    process = mine.start(*words)
    mine.launches.wait_until(
        lambda: [state.get("status") for state in mine.states().values()] == ["starting"] * 2
    )
    pids = [state["pid"] for state in mine.states().values()]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert [members for pid in pids if (members := group_members(pid))] == []
    assert [state["status"] for state in mine.states().values()] == ["failed"] * 2


def test_collected_clients_are_used_by_another_process_without_a_configuration(mine, tmp_path: Path):
    code = """
        import json, seamless.config
        seamless.config.init()
        print(json.dumps(seamless.config.collect_remote_clients("mine")))
    """
    text = mine.python(code)
    collected = json.loads(text)
    (buffer,) = collected["buffer"]
    workdir = f"{mine.folder}/data/buffers/p"
    assert buffer["directory"] == buffer["remote_directory"] == workdir
    assert buffer["url"] == buffer["remote_url"]
    assert set(collected["database"][0]) == {"readonly", "url", "remote_url", "token_file"}
    (tmp_path / "empty").mkdir()
    value, executed, _ = mine.step(cwd=tmp_path / "empty", SEAMLESS_REMOTE_CLIENTS=text)
    assert (value, executed) == ("42", "1")
    assert mine.step()[1] == "0"


def test_forked_and_spawned_children_use_the_services_of_their_parent(mine):
    code = """
        import multiprocessing, os, sys, seamless.config
        from seamless.transformer import delayed, step_counters
        step = delayed("a * 2")
        step.celltypes.a = "int"
        seamless.config.init()
        step(a=1).run()
        if (pid := os.fork()) == 0:
            print(step(a=1).run(), step(a=2).run(), step_counters().executed, flush=True)
            seamless.close()
            os._exit(0)
        os.waitpid(pid, 0)
        print(step(a=2).run(), step_counters().executed)
    """
    assert mine.python(code).splitlines() == ["2 4 2", "4 1"]


def test_database_alone_and_hashserver_alone(mine):
    definition = local_cluster(mine.folder / "data")
    del definition["mine"]["frontends"][0]["database"]
    mine.define(definition)
    assert mine.step()[2] == "buffers: hashserver of cluster 'mine' (p); results: memory"
    assert list(mine.states()) == ["hashserver-mine-rw-p"]


def test_records_of_a_project_that_asks_for_full_ones(mine):
    mine.configure({"project": "p"}, {"cluster": "mine"}, PROCESS, {"record": True})
    code = """
        import seamless.config
        from seamless.active import get_active
        seamless.config.init()
        print(get_active().full_records)
        before = get_active()
        seamless.config.select_record(False)
        print(get_active().full_records, before.full_records)
    """
    assert mine.python(code).split() == ["True", "False", "True"]
