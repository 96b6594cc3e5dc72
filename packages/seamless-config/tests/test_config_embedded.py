"""The embedded part of the configuration, each test in a process of its own: it changes the process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(code: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def out(code: str, cwd: Path, **variables: str) -> str:
    done = run(code, cwd, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_init_opens_the_cache_directory(tmp_path):
    code = """
        import seamless.config
        from seamless.active import get_active
        seamless.config.init()
        print(get_active().location, get_active().execution, get_active().persistent)
    """
    assert out(code, tmp_path, SEAMLESS_CACHE="cache") == f"{tmp_path}/cache/__TOPLEVEL__ process True\n"


def test_init_without_a_cache_warns_that_nothing_is_kept(tmp_path):
    done = run("import seamless.config; seamless.config.init()", tmp_path)
    assert done.returncode == 0
    assert "UserWarning: No cluster defined; running without persistence" in done.stderr
    assert "SEAMLESS_CACHE=" in done.stderr


def test_init_twice_does_nothing_the_second_time(tmp_path):
    code = """
        import seamless.config
        from seamless.active import get_active
        seamless.config.init()
        first = get_active()
        seamless.config.init()
        print(get_active() is first)
    """
    assert out(code, tmp_path, SEAMLESS_CACHE="c") == "True\n"


def test_init_in_a_worker_does_nothing(tmp_path):
    code = """
        import seamless, seamless.config, seamless.active
        seamless.set_is_worker()
        seamless.config.init()
        print(seamless.active._active)
    """
    assert out(code, tmp_path) == "None\n"


@pytest.mark.invariant("I-75")
def test_a_stage_keeps_its_results_apart_and_a_step_keeps_the_stage_it_was_made_in(tmp_path):
    code = """
        import seamless.config
        from seamless.transformer import delayed, step_counters
        step = delayed("a + 1")
        step.celltypes.a = "int"
        seamless.config.set_stage("one")
        before = step(a=1)
        seamless.config.set_stage("two")
        before.run()
        print(step_counters().executed)
        step(a=1).run()
        print(step_counters().executed)
        seamless.config.set_stage("one")
        step(a=1).run()
        print(step_counters().executed)
    """
    assert out(code, tmp_path, SEAMLESS_CACHE="c") == "1\n2\n2\n"
    assert (tmp_path / "c/__TOPLEVEL__/STAGE-one/seamless.db").exists()
    assert (tmp_path / "c/__TOPLEVEL__/STAGE-two/seamless.db").exists()


def test_the_value_of_a_finished_step_can_be_read_after_its_stage_was_left(tmp_path):
    code = """
        import gc, seamless.config
        from seamless.buffer_cache import get_buffer_cache
        from seamless.transformer import delayed
        step = delayed("'x' * a")
        step.celltypes.a = "int"
        step.celltypes.result = "text"
        seamless.config.set_stage("one")
        tf = step(a=100_000)
        tf.compute()
        seamless.config.set_stage("two")
        get_buffer_cache().set_limits(soft_bytes=1000, hard_bytes=2000)
        gc.collect()
        print(len(tf.value), len(tf.run()))
    """
    assert out(code, tmp_path, SEAMLESS_CACHE="c") == "100000 100000\n"


def test_parallel_uses_nparallel_and_says_where_to_set_it(tmp_path):
    code = """
        import seamless.config
        from seamless.transformer import delayed, parallel
        step = delayed("a + 1")
        step.celltypes.a = "int"
        try:
            parallel([step(a=1)])
        except RuntimeError as exc:
            print(type(exc).__name__, exc)
        seamless.config.set_nparallel(2)
        print(seamless.config.get_nparallel(), [tf.value for tf in parallel(step(a=a) for a in range(4))])
    """
    lines = out(code, tmp_path, SEAMLESS_CACHE="c").splitlines()
    assert lines[0] == (
        "ConfigurationError nparallel is not set. Add 'nparallel: <N>' to seamless.profile.yaml or call "
        "seamless_config.set_nparallel(N)."
    )
    assert lines[1] == "2 [1, 2, 3, 4]"


@pytest.mark.parametrize("value", ["0", "-1", "True", "1.5", "'2'", "None"])
def test_nparallel_must_be_a_positive_integer(tmp_path, value):
    done = run(f"import seamless.config; seamless.config.set_nparallel({value})", tmp_path)
    assert f"SelectionInvalid: nparallel must be a positive whole number, not {value}" in done.stderr


@pytest.mark.parametrize("name", ["..", "a/b", "a--b", "STAGE-x", "-x", ".hidden", "é", "a "])
def test_a_stage_that_cannot_be_part_of_a_path_is_refused_by_name(tmp_path, name):
    done = run(f"import seamless.config; seamless.config.set_stage({name!r})", tmp_path, SEAMLESS_CACHE="c")
    assert f"SelectionInvalid: the stage {name!r} " in done.stderr
    assert not (tmp_path / "c").exists()


def test_the_folder_is_the_one_that_was_set_else_that_of_the_calling_program(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").write_text(
        "import seamless.config, seamless_config\n"
        "seamless.config.set_workdir()\nprint(seamless_config.get_workdir())\n"
        "seamless.config.set_workdir(None)\nprint(seamless_config.get_workdir())\n"
        "seamless.config.set_workdir('sub')\nprint(seamless_config.get_workdir())\n"
    )
    done = subprocess.run(
        [sys.executable, "project/main.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "project"), str(tmp_path), str(tmp_path / "sub")]


def test_the_front_door_has_the_documented_names(tmp_path):
    code = """
        import seamless.config, seamless_config
        print(sorted(seamless.config.__all__))
        print(seamless_config.get_seamless_cache())
        print(seamless.config.collect_remote_clients(), seamless.config.set_remote_clients({}))
    """
    lines = out(code, tmp_path, SEAMLESS_CACHE=" ~/x ", HOME="/home/u").splitlines()
    assert lines[0] == str(
        "collect_remote_clients get_nparallel init select_record set_nparallel set_remote_clients set_stage "
        "set_substage set_workdir".split()
    )
    assert lines[1:] == ["/home/u/x", "{'database': [], 'buffer': []} None"]


@pytest.mark.provokes("ConfigurationError")
def test_remote_clients_after_init_are_refused(tmp_path):
    code = """
        import seamless.config
        seamless.config.init()
        seamless.config.set_remote_clients({"buffer": [{"readonly": True, "url": "http://127.0.0.1:1"}]})
    """
    done = run(code, tmp_path, SEAMLESS_CACHE="c")
    assert "ConfigurationError: set_remote_clients() was called after init()" in done.stderr


def test_remote_clients_become_the_active_set_without_a_warning(tmp_path):
    code = """
        import seamless.config
        from seamless.active import get_active
        entry = {"readonly": False, "url": "http://127.0.0.1:1"}
        seamless.config.set_remote_clients({"buffer": [entry], "database": [entry]})
        print(get_active().location)
        print(seamless.config.collect_remote_clients()["buffer"][0]["url"])
    """
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "buffers: http://127.0.0.1:1; results: http://127.0.0.1:1",
        "http://127.0.0.1:1",
    ]
    assert "UserWarning" not in done.stderr


def test_init_with_the_clients_of_the_environment_does_not_warn(tmp_path):
    code = """
        import seamless.config
        from seamless.active import get_active
        seamless.config.init()
        print(get_active().location)
    """
    clients = '{"buffer": [{"readonly": true, "remote_url": "http://127.0.0.1:1"}]}'
    done = run(code, tmp_path, SEAMLESS_REMOTE_CLIENTS=clients)
    assert done.stdout == "buffers: http://127.0.0.1:1 (read-only); results: memory\n"
    assert "UserWarning" not in done.stderr


def test_configuration_after_close_is_refused(tmp_path):
    done = run("import seamless, seamless.config; seamless.close(); seamless.config.init()", tmp_path)
    assert "Seamless has been closed; cannot perform further operations for configuration." in done.stderr


def test_init_hints_at_a_project_file_of_the_parent_that_does_not_count(tmp_path):
    (tmp_path / "seamless.yaml").write_text("- project: p\n")
    child = tmp_path / "child"
    child.mkdir()
    done = run("import seamless.config; seamless.config.init()", child)
    assert done.returncode == 0
    assert (
        f"UserWarning: {tmp_path}/seamless.yaml is not read: {child} has no project files. Write"
        in done.stderr
    )
    (child / "seamless.yaml").write_text("- project: q\n")
    done = run("import seamless.config; seamless.config.init()", child)
    assert f"UserWarning: {tmp_path}/seamless.yaml is not read: nothing here inherits it. Add" in done.stderr
    (child / "seamless.yaml").write_text("- inherit_from_parent\n")
    assert "is not read" not in run("import seamless.config; seamless.config.init()", child).stderr
