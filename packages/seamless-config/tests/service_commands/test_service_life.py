"""The life of services of this machine: start, look, stop, clear, forget; with real servers."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from remote_http_launcher.processes import is_ours
from seamless_config.service_commands import start as start_module
from seamless_config.service_commands.inspect import redacted

KEY = "hashserver-loc-rw-p"
CODE = "import sys; from seamless_config.service_commands.{name} import main; sys.exit(main())"


def _has(port: int, site, digest: str) -> bool:
    token = (site.world.client / f"{KEY}.token").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/has",
        data=json.dumps([digest]).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())[0]


def _state(site, key: str = KEY) -> dict:
    return json.loads(site.state_path(key).read_text())


def _runs(site, key: str = KEY) -> bool:
    return is_ours(_state(site, key), str(site.state_path(key)))


def test_start_prints_where_the_service_is_and_finds_it_again(site):
    first = site.done("start", "--service hashserver")
    host, port = first.out.strip().split(":")
    assert host in ("localhost", "127.0.0.1")
    assert _has(int(port), site, "ab" * 32) is False
    pid = _state(site)["pid"]
    (row,) = site.done("start", "--service hashserver --json").rows
    assert row == {
        "cluster": "loc",
        "host": None,
        "hostname": host,
        "key": KEY,
        "mode": "rw",
        "port": int(port),
        "project": "p",
        "queue": None,
        "service": "hashserver",
        "stage": None,
        "subproject": None,
        "substage": None,
    }
    assert _state(site)["pid"] == pid
    assert _state(site)["meta"]["project"] == "p"


@pytest.mark.timeout(120)
def test_restart_needs_no_rm_and_keeps_the_log_as_the_one_before(site):
    site.done("start", "--service database")
    key = "database-loc-rw-p"
    first = _state(site, key)["pid"]
    found = site.done("restart", "--service database --json")
    assert found.err == f"{key}: stopped\n"
    assert found.rows[0]["port"] == _state(site, key)["port"]
    assert _state(site, key)["pid"] != first
    assert f"pid={first}" in site.done("logs", "--service database --previous").out
    assert f"pid={first}" not in site.done("logs", "--service database").out
    site.done("stop", "--service database")
    site.done("start", "--service database")
    assert _runs(site, key)


def test_stage_blocks_of_the_project_files_count(site):
    (row,) = site.done("start", "--service hashserver --stage prod --json").rows
    assert (row["key"], row["subproject"]) == ("hashserver-loc-rw-p--sub--STAGE-prod", "sub")
    assert (site.root / "buffers" / "p" / "sub" / "STAGE-prod").is_dir()
    assert site.done("stop", "--service hashserver --stage prod").out == f"{row['key']}: stopped\n"


def test_command_line_chooses_without_project_files(site):
    (site.project / "seamless.yaml").unlink()
    (row,) = site.done("resolve", "--service database --cluster loc --project q:a/b --stage s").rows
    assert row["key"] == "database-loc-rw-q--a--b--STAGE-s"
    site.write_project("- project: p\n- subproject: mine\n- cluster: loc\n")
    (row,) = site.done("resolve", "--service database --workdir .").rows
    assert row["subproject"] == "mine"
    (row,) = site.done("resolve", "--service database --workdir . --project q").rows
    assert row["subproject"] is None
    (row,) = site.done("resolve", "--service database --workdir . --subproject=").rows
    assert row["subproject"] is None


@pytest.mark.invariant("I-243")
def test_stop_ends_the_process_keeps_state_and_log_and_marks_the_connection(site):
    site.done("start", "--service hashserver")
    pid = _state(site)["pid"]
    assert site.done("stop", "--service hashserver --dry-run").out == f"{KEY}: would stop process {pid}\n"
    assert _runs(site)
    assert "status" not in json.loads((site.world.client / f"{KEY}.json").read_text())
    (row,) = site.done("stop", "--service hashserver --json").rows
    assert (row["outcome"], row["client_state"], row["tunnel"]) == ("stopped", True, False)
    assert _state(site)["status"] == "stale"
    assert json.loads((site.world.client / f"{KEY}.json").read_text())["status"] == "stale"
    assert site.done("ps").lines[1].startswith("hashserver p - stale")
    assert "listening" in site.done("logs", "--service hashserver").out
    assert site.done("stop", "--service hashserver").out == f"{KEY}: already gone\n"
    site.done("rm", "--service hashserver")
    assert site.done("stop", "--service hashserver").out == f"{KEY}: missing state\n"


def test_stop_of_a_cluster_ends_all_of_it_and_nothing_else(site):
    site.done("start", "--service hashserver")
    site.done("start", "--service database --stage prod")
    other = site.world.server / "database-other-rw-p.json"
    other.write_text(json.dumps({**_state(site), "meta": None}))
    assert (
        site.done("stop", "--cluster loc --project p:sub --dry-run")
        .lines[0]
        .startswith("database-loc-rw-p--sub")
    )
    found = site.done("stop", "--cluster loc")
    assert found.lines == ["database-loc-rw-p--sub--STAGE-prod: stopped", f"{KEY}: stopped"]
    assert json.loads(other.read_text())["status"] == "running"
    assert site.done("stop", "--cluster loc --stage none").out == ""


def test_service_without_process_number_is_named_and_keeps_none_of_the_others(site):
    site.done("start", "--service hashserver")
    (site.world.server / "database-loc-rw-p.json").write_text('{"status": "running"}')
    (site.world.server / "database-loc-rw-q.json").write_text("{")
    found = site.run("stop", "--cluster loc")
    assert found.code == 1
    assert found.lines == [
        f"{KEY}: stopped",
        "database-loc-rw-p: no process number",
        "database-loc-rw-q: no process number",
    ]


@pytest.mark.invariant("I-244")
def test_clear_is_refused_while_a_server_uses_the_directory(site):
    site.done("start", "--service hashserver")
    folder = site.root / "buffers" / "p"
    (folder / "ab").mkdir(exist_ok=True)
    buffer = folder / "ab" / ("ab" + "0" * 62)
    buffer.write_bytes(b"x" * 10)
    found = site.run("clear", "--service hashserver")
    assert (found.code, found.out) == (1, "")
    assert KEY in found.err
    assert (
        "hint:  seamless-service-stop --service hashserver --cluster loc --project p; or --force" in found.err
    )
    assert buffer.exists()
    assert "would remove 1 item(s)" in site.done("clear", "--service hashserver --dry-run").out
    assert "removed 1 item(s)" in site.done("clear", "--service hashserver --force").out
    assert not buffer.exists()
    site.done("stop", "--service hashserver")
    (row,) = site.done("clear", "--service hashserver --json").rows
    assert (row["n_items"], row["done"], row["path"]) == (0, True, str(folder))


@pytest.mark.invariant("I-245")
def test_clear_removes_what_is_of_the_service_and_of_that_stage(site):
    folders = [
        site.add_buffers("p", *parts, n=2)
        for parts in ((), ("STAGE-s",), ("sub",), ("sub", "STAGE-s", "deeper"))
    ]
    site.add_buffers("q", n=2)
    for name in ("notes.txt", "seamless.db"):
        (folders[0] / name).write_text("mine")

    def n_buffers() -> list[int]:
        return [len(list(folder.glob("ab/*"))) for folder in folders]

    assert site.done("clear", "--service hashserver").out == f"removed 2 item(s) from {folders[0]}\n"
    assert n_buffers() == [0, 2, 2, 2]
    assert (folders[0] / ".HASHSERVER_PREFIX").exists()
    assert sorted(path.name for path in folders[0].glob("[ns]*")) == ["notes.txt", "seamless.db", "sub"]
    site.done("clear", "--service hashserver --stage s")
    assert n_buffers() == [0, 0, 2, 2]
    site.done("clear", "--service hashserver --recursive")
    assert n_buffers() == [0, 0, 0, 0]
    assert len(list((site.root / "buffers" / "q" / "ab").iterdir())) == 2


def test_clear_of_a_database_removes_its_files_only(site):
    folder = site.add_database("p")
    nested = site.add_database("p", "STAGE-s")
    (folder / "seamless.db-wal").write_text("x")
    (folder / "notes.txt").write_text("mine")
    site.done("clear", "--service database")
    assert sorted(path.name for path in folder.iterdir()) == ["STAGE-s", "notes.txt"]
    assert (nested / "seamless.db").exists()
    site.done("clear", "--service database --recursive")
    assert list(nested.iterdir()) == []


def test_clear_in_cache_mode_takes_the_part_of_the_service(site, monkeypatch: pytest.MonkeyPatch):
    folder = site.add_buffers("__TOPLEVEL__", n=1)
    (folder / "seamless.db").write_text("x")
    monkeypatch.setenv("SEAMLESS_CACHE", str(site.root / "buffers"))
    site.done("clear", "--service hashserver")
    assert list(folder.glob("ab/*")) == []
    assert (folder / "seamless.db").exists()
    site.done("clear", "--service database --project SEAMLESS_CACHE")
    assert not (folder / "seamless.db").exists()


def test_cache_directory_is_found_by_its_server_unless_the_variable_names_one(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SEAMLESS_CACHE", str(tmp_path / "one"))
    site.done("start", "--service hashserver --stage s")
    monkeypatch.setenv("SEAMLESS_CACHE", str(tmp_path / "two"))
    (row,) = site.done("resolve", "--service database --project SEAMLESS_CACHE").rows
    assert row["workdir"] == f"{tmp_path}/two/__TOPLEVEL__"
    monkeypatch.delenv("SEAMLESS_CACHE")
    (row,) = site.done("resolve", "--service database --project SEAMLESS_CACHE").rows
    assert row["workdir"] == f"{tmp_path}/one/__TOPLEVEL__"
    found = site.done("stop", "--service hashserver --project SEAMLESS_CACHE --stage s")
    assert found.out == "hashserver-__SEAMLESS_CACHE__-rw-__TOPLEVEL__--STAGE-s: stopped\n"


def test_clear_of_a_directory_that_is_not_there_is_code_1(site):
    found = site.run("clear", "--service hashserver")
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("error: path does not exist: ")


@pytest.mark.parametrize(("answer", "code", "n_left"), [("n\n", 1, 2), ("\n", 1, 2), ("yes\n", 0, 0)])
def test_clear_asks_on_a_terminal(site, answer, code, n_left):
    folder = site.add_buffers("p", n=2)
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(name="clear"), "--service", "hashserver"],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    )
    os.close(theirs)
    said = b""
    while not said.endswith(b"[y/N] "):
        said += os.read(terminal, 1000)
    os.write(terminal, answer.encode())
    out, _ = process.communicate(timeout=30)
    os.close(terminal)
    assert b"this machine: would remove 2 item(s)" in said
    assert process.returncode == code
    assert out.startswith(b"removed 2 item(s)") == (code == 0)
    assert len(list(folder.glob("ab/*"))) == n_left


def test_rm_forgets_both_sides_and_the_log_stays(site):
    site.done("start", "--service hashserver")
    site.done("stop", "--service hashserver")
    rehearsal = site.done("rm", "--service hashserver --dry-run")
    assert rehearsal.lines == [
        f"would remove the server state of {KEY} on this machine",
        f"would remove the client state of {KEY} on this machine",
    ]
    client, server = site.world.client / f"{KEY}.json", site.state_path(KEY)
    assert client.exists()
    assert server.exists()
    assert site.done("rm", "--service hashserver --client").out == f"removed {client}\n"
    (row,) = site.done("rm", "--service hashserver --server --json").rows
    assert row == {"host": None, "key": KEY, "path": str(server), "removed": True, "side": "server"}
    assert site.done("rm", "--service hashserver").lines == [f"{KEY}: not found"] * 2
    assert "listening" in site.done("logs", "--service hashserver").out


def test_rm_of_a_running_service_warns(site):
    site.done("start", "--service hashserver")
    state = _state(site)
    found = site.done("rm", "--service hashserver --server")
    assert "its process still runs" in found.err
    site.state_path(KEY).write_text(json.dumps(state))  # for the end of the test


def test_rm_of_a_cluster_takes_its_states_only(site):
    for folder in (site.world.client, site.world.server):
        folder.mkdir(parents=True, exist_ok=True)
        for key in (KEY, "database-loc-ro-q--STAGE-s", "database-other-rw-p"):
            (folder / f"{key}.json").write_text('{"status": "failed", "hostname": "h", "port": 1}')
    assert site.done("rm", "--cluster loc --client --stage s").lines == [
        f"removed {site.world.client}/database-loc-ro-q--STAGE-s.json"
    ]
    assert len(site.done("rm", "--cluster loc --json").rows) == 3
    left = [path.name for folder in (site.world.client, site.world.server) for path in folder.glob("*.json")]
    assert left == ["database-other-rw-p.json"] * 2
    assert site.done("rm", "--cluster loc").out == ""


def test_logs_of_a_running_service_are_followed_until_interrupted(site):
    site.done("start", "--service hashserver")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CODE.format(name="logs"),
            "--service",
            "hashserver",
            "--follow",
            "--tail",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), name="reader")
    reader.start()
    log = site.world.server / f"{KEY}.log"

    def write() -> bool:
        with open(log, "a") as file:
            file.write("one more line\n")
        reader.join(0.1)
        return not reader.is_alive()

    site.world.wait_until(write)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert lines == [b"one more line\n"]
    assert process.returncode == 130
    assert err == b""


def test_logs_take_a_tail_and_are_shown_as_json(site):
    site.done("start", "--service hashserver")
    text = site.done("logs", "--service hashserver --tail 1").out
    assert text.count("\n") == 1
    (row,) = site.done("logs", "--service hashserver --tail 1 --json").rows
    assert (row["log"], row["key"], row["service"]) == (text, KEY, "hashserver")


@pytest.mark.parametrize("words", ["", "--json"])
def test_logs_that_are_not_there_are_code_1(site, words):
    found = site.run("logs", f"--service jobserver {words}".strip())
    assert (found.code, found.out) == (1, "")
    assert found.err == (
        "error: no log file for 'jobserver-loc-rw-p'\nhint:  seamless-service-ps --cluster loc --wide\n"
    )
    assert site.run("logs", "--service hashserver --tail -1").code == 1


def test_logs_in_cache_mode_say_that_there_is_no_server(site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEAMLESS_CACHE", str(site.root))
    assert "without a server" in site.run("logs", "--service hashserver").err


def test_inspect_prints_the_state_of_either_side(site):
    site.done("start", "--service hashserver")
    found = site.done("inspect", "--service hashserver")
    assert json.loads(found.out) == _state(site)
    assert found.out == json.dumps(_state(site), indent=2, sort_keys=True) + "\n"
    (row,) = site.done("inspect", "--service hashserver --client --json").rows
    assert row["port"] == _state(site)["port"]
    token = (site.world.client / f"{KEY}.token").read_text().strip()
    assert token not in found.out
    assert token not in json.dumps(row)


@pytest.mark.invariant("I-246")
def test_inspect_shows_no_token_at_any_depth(site):
    state = {"status": "failed", "parameters": {"buffer": [{"url": "u", "token": "secret"}], "token": None}}
    site.world.server.mkdir(parents=True)
    site.state_path("jobserver-loc-rw-p").write_text(json.dumps(state))
    found = site.done("inspect", "--service jobserver")
    assert "secret" not in found.out
    assert json.loads(found.out)["parameters"]["buffer"] == [{"token": "[token]", "url": "u"}]
    assert redacted({"token": None}) == {"token": None}


@pytest.mark.parametrize(("words", "said"), [("", "no state file"), ("--client", "no connection")])
def test_inspect_without_state_is_code_1(site, words, said):
    found = site.run("inspect", f"--service database {words}".strip())
    assert (found.code, found.out) == (1, "")
    assert said in found.err


def test_service_whose_program_is_not_installed_is_said_in_one_sentence(
    site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(start_module.PROGRAMS, "database", ("no-such-program", "seamless-database"))
    found = site.run("start", "--service database")
    assert (found.code, found.out) == (1, "")
    assert found.err == (
        "error: a database cannot be started: its program no-such-program is not installed here\n"
        "hint:  pip install seamless-database\n"
    )


@pytest.mark.parametrize("service", ["jobserver", "daskserver", "pure-daskserver"])
def test_service_that_this_version_cannot_start_is_said_in_one_sentence(site, service):
    for command in ("start", "restart"):
        found = site.run(command, f"--service {service}")
        assert found.code == 1
        assert (
            f"error: a {service} is asked for, which this version cannot start yet\nhint:  write '- exec"
            in found.err
        )
        assert not list(site.world.server.glob("*.json"))


def test_start_that_fails_says_why_once(site):
    (site.root / "buffers").mkdir(parents=True)
    (site.root / "buffers" / "p").write_text("a file")
    found = site.run("start", "--service hashserver")
    assert (found.code, found.out) == (1, "")
    assert len(re.findall("error: ", found.err)) == 1


def test_helpers_are_found_whatever_the_path_is(site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert site.done("stop", "--service hashserver").out == f"{KEY}: missing state\n"
    assert site.run("logs", "--service hashserver").code == 1


@pytest.mark.invariant("I-244")
@pytest.mark.parametrize("nested", [False, True])
def test_clear_is_refused_while_a_program_has_the_cache_open(site, monkeypatch: pytest.MonkeyPatch, nested):
    monkeypatch.setenv("SEAMLESS_CACHE", str(site.root))
    code = (
        "import sys; import seamless.config as config; from seamless.transformer import direct\n"
        f"config.set_stage({'s' if nested else None!r})\n"
        "@direct\ndef f(x):\n    return x + 1\n"
        "print(f(1), flush=True); sys.stdin.readline()\n"
    )
    (site.project / "program.py").write_text(code)
    folder = site.root / "__TOPLEVEL__"
    database = folder / "STAGE-s" / "seamless.db" if nested else folder / "seamless.db"
    with subprocess.Popen(
        [sys.executable, "program.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout.readline() == "2\n"
        site.world.wait_until(database.with_name("seamless.db-shm").exists)  # it is written in the background
        found = site.run("clear", "--service database --recursive")
        assert found.code == 1
        assert f"process {program.pid} has its seamless.db open" in found.err
        assert database.exists()
        assert site.done("clear", "--service database --recursive --dry-run").code == 0
        program.communicate("end\n")
    assert "removed" in site.done("clear", "--service database --recursive").out
    assert not database.exists()


def test_project_files_of_a_parent_that_are_not_read_are_hinted_at(site, monkeypatch: pytest.MonkeyPatch):
    folder = site.project / "below"
    folder.mkdir()
    (folder / "seamless.yaml").write_text("- cluster: loc\n")
    monkeypatch.chdir(folder)
    found = site.run("stop", "--service hashserver")
    assert found.code == 1
    assert "no project is selected" in found.err
    assert "inherit_from_parent" in found.err


@pytest.mark.timeout(120)
@pytest.mark.invariant("I-244")
@pytest.mark.parametrize("service", ["hashserver", "database"])
def test_server_of_a_nested_stage_keeps_only_its_own_directory_from_being_cleared(site, service):
    site.add_buffers("p", n=1)
    site.add_database("p")
    site.done("start", f"--service {service} --stage s")
    assert "removed 1 item(s)" in site.done("clear", f"--service {service}").out
    for words in ("--recursive", "--stage s"):
        found = site.run("clear", f"--service {service} {words}")
        assert (found.code, found.out) == (1, "")
        assert (
            f"hint:  seamless-service-stop --service {service} --cluster loc --project p --stage s"
            in found.err
        )
    site.done("stop", f"--service {service} --stage s")
    site.done("clear", f"--service {service} --recursive")


def test_service_that_may_run_on_another_machine_is_neither_stopped_nor_restarted(site):
    site.world.server.mkdir(parents=True)
    state = {"status": "running", "schema": 1, "pid": 4242, "start_time": 1, "host": "elsewhere", "port": 7}
    state |= {"machine_id": "0" * 32, "boot_id": "0" * 36}
    site.state_path(KEY).write_text(json.dumps(state))
    found = site.run("stop", "--service hashserver")
    assert (found.code, found.out) == (1, f"{KEY}: cannot tell\n")
    assert "process 4242 was started on elsewhere" in found.err
    assert site.run("stop", "--cluster loc").code == 1
    found = site.run("restart", "--service hashserver")
    assert (found.code, found.out) == (1, "")
    assert f"{KEY} was not restarted: cannot tell" in found.err
    assert _state(site) == state


def test_directory_of_the_launcher_may_be_another_one(site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "rhl"))
    site.world.server_folders.append(tmp_path / "rhl" / "server")
    site.done("start", "--service hashserver")
    assert site.done("ps", "--server").lines[1].startswith("hashserver p - running")
    assert site.done("ps").lines[1].startswith("hashserver p - client")
    assert "listening" in site.done("logs", "--service hashserver").out
    site.done("stop", "--cluster loc")
    assert site.done("rm", "--cluster loc").out.count(str(tmp_path / "rhl")) == 2
    assert not (site.world.home / ".remote-http-launcher").exists()
