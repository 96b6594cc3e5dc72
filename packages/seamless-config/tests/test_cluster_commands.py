"""The commands of the shell on a project with a cluster: its files, `--project` and `--stage`, its services."""

from __future__ import annotations

import apsw
import pytest
from cluster_world import local_cluster

PROCESS = {"execution": "process"}


@pytest.fixture
def mine(clusters):
    """A project on a local cluster."""
    clusters.define(local_cluster(clusters.folder / "data"))
    clusters.configure({"project": "p"}, {"cluster": "mine"}, PROCESS)
    return clusters


def logged(mine, word: str = "x") -> tuple[str, ...]:
    """Return the words of a step that appends to a log: each line there is a run."""
    return ("seamless-run", "-v", "-c", f"echo run >> {mine.folder}/log; echo {word}")


def runs(mine) -> int:
    path = mine.folder / "log"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_run_keeps_result_record_and_buffers_with_the_services(mine):
    done = mine.run(*logged(mine))
    assert done.stdout == "x\n", done.stderr
    assert "miss: step" in done.stderr
    done = mine.run(*logged(mine), home=mine.other_home())
    assert done.stdout == "x\n", done.stderr
    assert "hit: step" in done.stderr
    assert runs(mine) == 1
    connection = apsw.Connection(
        f"{mine.folder}/data/databases/p/seamless.db", flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        rows = list(connection.execute("select checksum, result from transformation"))
        records = list(connection.execute("select checksum, result from meta_data"))
    finally:
        connection.close()
    assert len(rows) == 1
    assert records == rows
    for checksum in rows[0]:
        assert (mine.folder / "data/buffers/p" / checksum[:2] / checksum).exists()


def test_buffers_go_to_the_services_and_come_back_in_another_home_and_in_python(mine):
    (mine.project / "input").write_text("some text\n")
    assert mine.answer("seamless-upload", "input") == ""
    checksum = (mine.project / "input.CHECKSUM").read_text().strip()
    assert mine.answer("seamless-resolve", checksum) == "some text\n"
    (mine.project / "input").unlink()
    mine.answer("seamless-download", "input.CHECKSUM", home=mine.other_home())
    assert (mine.project / "input").read_text() == "some text\n"
    code = f"""
        import seamless, seamless.config
        seamless.config.init()
        print(seamless.Checksum({checksum!r}).resolve().content.decode(), end="")
    """
    assert mine.python(code) == "some text\n"


def test_fingertip_computes_again_what_the_server_lost(mine):
    done = mine.run(*logged(mine))
    assert done.returncode == 0, done.stderr
    result = next(line.split()[2].rstrip(",") for line in done.stderr.splitlines() if ": result " in line)
    path = mine.folder / "data/buffers/p" / result[:2] / result
    assert path.read_text() == "x\n"
    path.unlink()
    assert mine.run("seamless-resolve", result).returncode == 1
    done = mine.run("seamless-fingertip", result)
    assert done.stdout == "x\n", done.stderr
    assert runs(mine) == 2


@pytest.mark.invariant("I-266")
def test_stage_blocks_count_and_project_and_stage_select_storage_of_their_own(mine):
    mine.configure({"project": "p"}, PROCESS, {"stage prod": [{"cluster": "mine"}, {"project": "deep"}]})
    done = mine.run(*logged(mine))
    assert done.stdout == "x\n"
    assert mine.states() == {}
    for words, key in (
        (("--stage", "prod"), "deep--STAGE-prod"),
        (("--stage", "prod", "--project", "q"), "q--STAGE-prod"),
        (("--stage", "prod:gpu", "--project", "q:r"), "q--r--STAGE-prod"),
    ):
        run = logged(mine)
        before = runs(mine)
        mine.answer(run[0], *words, *run[1:])
        assert f"database-mine-rw-{key}" in mine.states()
        assert f"hashserver-mine-rw-{key}" in mine.states()
        mine.answer(run[0], *words, *run[1:])
        assert runs(mine) == before + 1


@pytest.mark.parametrize(
    "words",
    [
        ("seamless-run", "-c", "echo x"),
        ("seamless-upload", "seamless.yaml"),
        ("seamless-resolve", "0" * 64),
        ("seamless-fingertip", "0" * 64),
        ("seamless-run-transformation", "0" * 64),
    ],
)
def test_what_the_files_say_wrongly_is_a_message_with_the_line(mine, words):
    (mine.project / "seamless.yaml").write_text("- project: p\n- cluster: nope\n- execution: process\n")
    done = mine.run(*words)
    assert done.returncode == 1
    assert "cluster 'nope' is not defined; defined are: mine." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [("seamless-run", "-c", "echo x"), ("seamless-upload", "f"), ("seamless-resolve", "0" * 64)],
)
def test_directory_without_files_is_refused(mine, tmp_path, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "f").write_text("x")
    done = mine.run(*words, cwd=tmp_path / "empty")
    assert done.returncode == 1
    assert "found in" in done.stderr or "without a cluster defined" in done.stderr
    assert mine.states() == {}


def test_steps_that_would_run_elsewhere_are_refused_and_buffers_are_not(mine):
    definition = local_cluster(mine.folder / "data", workers=2)
    definition["mine"]["frontends"][0]["jobserver"] = {
        "conda": "c",
        "network_interface": "127.0.0.1",
        "port_start": 60000,
        "port_end": 60010,
    }
    mine.define(definition)
    mine.configure({"project": "p"}, {"cluster": "mine"})
    done = mine.run("seamless-run", "-c", "echo x")
    assert done.returncode == 1
    assert (
        "steps would run in the jobserver of cluster 'mine', which this version cannot start yet. "
        "Write '- execution: process' into seamless.profile.yaml" in done.stderr
    )
    (mine.project / "f").write_text("x")
    assert mine.run("seamless-upload", "f").returncode == 0


def test_environment_goes_before_the_files(mine, tmp_path):
    assert mine.run(*logged(mine), SEAMLESS_CACHE=str(tmp_path / "cache")).returncode == 0
    assert mine.run(*logged(mine), SEAMLESS_REMOTE_CLIENTS="{}").returncode == 0
    assert runs(mine) == 2
    assert mine.states() == {}


def test_hit_imports_little(mine):
    mine.answer("seamless-run", "-c", "echo x")
    code = """
        import sys
        from seamless_shell.run_command import main
        code = main(["-c", "echo x"])
        heavy = {"aiohttp", "asyncio", "hypothesis", "numpy", "pathlib", "typing", "subprocess", "email", "apsw"}
        print(code, sorted(heavy & set(sys.modules)))
    """
    assert mine.python(code).splitlines() == ["x", "0 []"]
