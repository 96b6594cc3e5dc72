"""The Python interface of the configuration: folders, failed loads, order of calls, warnings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CLUSTERS = {
    "mine": {
        "type": "local",
        "frontends": [
            {"hashserver": {"bufferdir": "/nowhere/b"}, "database": {"database_dir": "/nowhere/d"}},
        ],
    },
    "storeless": {"type": "local", "frontends": [{}]},
}
STATE = """
    def state():
        from seamless.active import get_active
        from seamless_config import select
        return select.get_selected_project(), select.get_stage(), select.get_selected_cluster(), get_active().location
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a project file, and clusters in the home."""
    home = Path(os.environ["HOME"]) / ".seamless"
    home.mkdir()
    (home / "clusters.yaml").write_text(json.dumps(CLUSTERS))
    folder = tmp_path / "project"
    write(folder, {"project": "p"}, {"execution": "process"}, {"persistent": False})
    return folder


def write(folder: Path, *commands: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "seamless.yaml").write_text(json.dumps(list(commands)))


def run(code: str, cwd: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "always", *(words or ("-c", textwrap.dedent(STATE) + textwrap.dedent(code)))],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def out(code: str, cwd: Path, *words: str, **variables: str) -> list[str]:
    done = run(code, cwd, *words, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# ---- which folder


def test_workdir_keyword_names_the_folder_and_stays(project, tmp_path):
    write(tmp_path / "other", {"project": "q"}, {"execution": "process"}, {"persistent": False})
    code = """
        import sys, seamless.config, seamless_config
        seamless.config.init(workdir=sys.argv[1])
        print(state()[0], seamless_config.get_workdir())
        seamless.config.set_stage("x")
        print(state()[0])
        seamless.config.set_stage("y", workdir=None)
        print(state()[0], seamless_config.get_workdir())
    """
    code = textwrap.dedent(STATE) + textwrap.dedent(code)
    lines = out("", project, "-c", code, str(tmp_path / "other"))
    assert lines == [f"q {tmp_path / 'other'}", "q", f"p {project}"]


@pytest.mark.parametrize("call", ["init()", "set_stage()", "set_substage('s')"])
def test_folder_is_inferred_from_the_caller_whichever_function_comes_first(project, tmp_path, call):
    (project / "program.py").write_text(
        f"import seamless.config\nfrom seamless_config import select\nseamless.config.{call}\n"
        "print(select.get_selected_project(), select.get_substage())\n"
    )
    substage = "s" if "substage" in call else "None"
    assert out("", tmp_path, str(project / "program.py")) == [f"p {substage}"]


# ---- failures change nothing


@pytest.mark.invariant("I-267")
@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ([{"projct": "x"}], "is no command"),
        ([{"project": "q"}, {"cluster": "nope"}, {"execution": "process"}], "is not defined"),
        ([{"cluster": "storeless"}, {"project": "q"}, {"execution": "process"}], "offers neither"),
        ([{"project": "q"}, {"execution": "remote"}], "no cluster is selected"),
        ([{"project": "q"}, {"execution": "spawn"}], "no local cluster"),
    ],
)
def test_load_that_fails_leaves_selection_stage_and_active_set(project, commands, said):
    code = f"""
        import json, pathlib, seamless.config, seamless.active
        seamless.config.set_stage("before")
        active, now = seamless.active.get_active(), state()
        pathlib.Path("seamless.yaml").write_text(json.dumps({commands!r}))
        try:
            seamless.config.set_stage("after")
        except RuntimeError as exc:
            print(type(exc).__mro__[-4].__name__, exc)
        print(seamless.active.get_active() is active, state() == now)
    """
    lines = out(code, project)
    assert said in " ".join(lines)
    assert lines[-1] == "True True"


@pytest.mark.invariant("I-267")
def test_failed_load_keeps_the_clients_of_a_cluster(project):
    write(project, {"project": "p"}, {"cluster": "mine"}, {"execution": "process"})
    code = """
        import pathlib, seamless.config, seamless.active
        from seamless_remote import buffer_remote, database_remote
        seamless.config.init()
        clients = buffer_remote.active_clients().read, database_remote.active_clients().read
        pathlib.Path("seamless.yaml").write_text("- cluster: mine\\n- execution: process\\n")
        try:
            seamless.config.set_stage("after")
        except RuntimeError as exc:
            print(exc)
        print(clients == (buffer_remote.active_clients().read, database_remote.active_clients().read), state()[:3])
    """
    lines = out(code, project)
    assert "no project is selected" in lines[0]
    assert lines[-1] == "True ('p', None, 'mine')"


def test_changed_files_are_activated_though_the_stage_stays(project):
    code = """
        import pathlib, seamless.config
        seamless.config.init()
        print(state()[3])
        pathlib.Path("seamless.yaml").write_text("- project: q\\n- cluster: mine\\n- execution: process\\n")
        seamless.config.set_stage()
        print(state()[3])
    """
    lines = out(code, project)
    assert lines[0] == "memory"
    assert lines[1] == "buffers: hashserver of cluster 'mine' (q); results: database of cluster 'mine' (q)"


def test_substage_keeps_the_clients(project):
    write(project, {"project": "p"}, {"cluster": "mine"}, {"execution": "process"})
    code = """
        import seamless.config, seamless.active
        seamless.config.set_stage("a", "x")
        active = seamless.active.get_active()
        seamless.config.set_substage("y")
        from seamless_config import select
        print(seamless.active.get_active() is active, select.get_stage(), select.get_substage())
    """
    assert out(code, project) == ["True a y"]


def test_change_stage_activates_what_a_program_selected(project):
    code = """
        import seamless.config, seamless_config
        from seamless_config import select
        seamless.config.init()
        select.select_cluster("mine")
        select.select_persistent(True)
        print(state()[3])
        seamless_config.change_stage()
        print(state()[3])
    """
    lines = out(code, project)
    assert lines[0] == "memory"
    assert lines[1].startswith("buffers: hashserver of cluster 'mine'")


# ---- warnings


def test_warnings_show_the_line_of_the_program(project, tmp_path):
    write(project, {"project": "p"})
    (project / "program.py").write_text("import seamless.config\n\nseamless.config.init()\n")
    done = run("", tmp_path, str(project / "program.py"))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "UserWarning" in line]
    assert len(lines) == 2
    assert all(line.startswith(f"{project / 'program.py'}:3: UserWarning: ") for line in lines)


def test_cluster_without_job_back_end_and_without_choice_warns_once(project):
    write(project, {"project": "p"}, {"cluster": "mine"})
    done = run("import seamless.config; seamless.config.init(); print(state()[2])", project)
    assert done.stdout == "mine\n"
    warnings = [line for line in done.stderr.splitlines() if "UserWarning" in line]
    assert len(warnings) == 1
    assert "it is 'remote' by default" in warnings[0]
    assert (
        "Cluster 'mine' offers neither a jobserver nor a daskserver: steps run in this process."
        in warnings[0]
    )


def test_remote_execution_on_a_cluster_without_job_back_end_is_refused(project):
    write(project, {"project": "p"}, {"cluster": "mine"}, {"execution": "remote"})
    done = run("import seamless.config; seamless.config.init()", project)
    assert (
        "execution is remote, but cluster 'mine' offers neither a jobserver nor a daskserver." in done.stderr
    )


@pytest.mark.parametrize("local_cluster", [None, "mine"])
def test_spawn_takes_the_workers_of_the_local_cluster_else_of_the_selected_one(project, local_cluster):
    definitions = {**CLUSTERS, "mine": {**CLUSTERS["mine"], "workers": 3}}
    if local_cluster:
        definitions["local_cluster"] = local_cluster
    (Path(os.environ["HOME"]) / ".seamless/clusters.yaml").write_text(json.dumps(definitions))
    selected = [] if local_cluster else [{"cluster": "mine"}]
    write(project, {"project": "p"}, *selected, {"execution": "spawn"})
    done = run("import seamless.config; seamless.config.init()", project)
    assert (
        "steps would run in local worker processes (3 of cluster 'mine'), which this version cannot start yet. "
        "Write '- execution: process' into seamless.profile.yaml" in done.stderr
    )


# ---- services that another process hands over


CLIENTS = {"buffer": [{"url": "http://127.0.0.1:1", "readonly": False}], "database": []}


@pytest.mark.parametrize("call", ["init()", "set_stage('x')", "set_workdir('.')", "set_substage('x')"])
@pytest.mark.parametrize("clients", [CLIENTS, {}])
def test_what_was_handed_over_stays(project, call, clients):
    code = f"""
        import seamless.config, seamless_config
        seamless_config.set_remote_clients({clients!r})
        before = state()
        try:
            seamless.config.{call}
        except seamless_config.ConfigurationError as exc:
            print(exc)
        print(state() == before, before[3])
    """
    lines = out(code, project)
    name = call.partition("(")[0]
    assert lines[0] == (
        f"{name}() was called after set_remote_clients(): the services are chosen already, and stay. "
        f"Leave {name}() out where set_remote_clients() is called."
    )
    where = "buffers: http://127.0.0.1:1; results: memory" if clients else "memory"
    assert lines[1] == f"True {where}"


def test_clients_of_the_environment_are_used_as_the_cluster_sees_them(project):
    clients = {"buffer": [{"url": "http://a:1", "remote_url": "http://b:2"}]}
    code = "import seamless_config; print(seamless_config.set_remote_clients_from_env(), state()[3])"
    lines = out(code, project, SEAMLESS_REMOTE_CLIENTS=json.dumps(clients))
    assert lines == ["True buffers: http://b:2 (read-only); results: memory"]
    assert out(code, project)[0].startswith("False")
    lines = out(code, project, SEAMLESS_REMOTE_CLIENTS=json.dumps(clients), SEAMLESS_CACHE="c")
    assert lines == [f"False {project}/c/__TOPLEVEL__"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ('{"database": [{"url": "http://a:1"}]}', "entry 0 of 'database' has no `remote_url`"),
        ('{"buffer": [{"readonly": true}]}', "entry 0 of 'buffer' has no `remote_url`"),
    ],
)
def test_clients_of_the_environment_that_cannot_be_used_are_reported(project, text, said):
    code = "import seamless_config; seamless_config.set_remote_clients_from_env()"
    done = run(code, project, SEAMLESS_REMOTE_CLIENTS=text)
    assert done.returncode == 1
    assert "ForwardedClientsInvalid" in done.stderr
    assert said in done.stderr


def test_dask_scheduler_of_the_environment_is_refused_only_when_it_is_asked_for(project):
    clients = json.dumps({"buffer": [{"remote_url": "http://b:2"}]})
    variables = {"SEAMLESS_REMOTE_CLIENTS": clients, "SEAMLESS_DASK_SCHEDULER": "tcp://h:1"}
    code = "import seamless_config; print(seamless_config.set_remote_clients_from_env({}))"
    assert out(code.format(""), project, **variables) == ["True"]
    done = run(code.format("include_dask=True"), project, **variables)
    assert (
        "SEAMLESS_DASK_SCHEDULER names a Dask scheduler, to which this version cannot connect yet"
        in done.stderr
    )


def test_collecting_for_an_unknown_cluster_names_the_known_ones(project):
    code = "import seamless.config; seamless.config.init(); seamless.config.collect_remote_clients('nope')"
    done = run(code, project)
    assert "ClusterUnknown: cluster 'nope' is not defined; defined are: mine, storeless." in done.stderr


# ---- light


def test_importing_the_front_doors_brings_nothing(project):
    code = """
        import sys, seamless.config, seamless_config
        print(sorted(name for name in sys.modules if name.startswith(("seamless_", "yaml", "pathlib", "typing"))))
        print(set(seamless.config.__all__) <= set(dir(seamless.config)))
    """
    code = textwrap.dedent(code)
    assert out("", project, "-c", code) == ["['seamless_config']", "True"]
