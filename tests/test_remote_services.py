"""The ports, steps and commands over running servers: cold caches, second processes, servers and clients that die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from seamless import Buffer
from seamless.testing.port_contracts import BufferStoreContract, ResultCacheContract
from seamless_remote import buffer_remote, database_remote
from seamless_remote.client import close_all_clients
from seamless_remote.remote_set import make_remote_set
from seamless_service.testing.service_process import ServiceProcess

TOKEN = "a-secret-that-only-the-test-knows"


@pytest.fixture
def active(services):
    buffer_remote.define_extern_client("hs", "hashserver", url=services.hashserver.url, readonly=False)
    database_remote.define_extern_client("db", "database", url=services.database.url, readonly=False)
    buffer_remote.activate(no_main=True, extern_clients=["hs"])
    database_remote.activate(no_main=True, extern_clients=["db"])
    active = make_remote_set()
    yield active
    active.close()
    buffer_remote.deactivate()
    database_remote.deactivate()
    close_all_clients()


@pytest.mark.slow
class TestRemoteBufferStore(BufferStoreContract):
    @pytest.fixture
    def store(self, active):
        return active.buffers


@pytest.mark.slow
class TestRemoteResultCache(ResultCacheContract):
    @pytest.fixture
    def results(self, active):
        return active.results


def start(code: str, clients: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "SEAMLESS_REMOTE_CLIENTS": clients},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def run(code: str, clients: str, *arguments: str) -> tuple[str, str]:
    process = start(code, clients, *arguments)
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    return out, err


STEP = """
    import sys
    from seamless.transformer import direct, step_counters
    step = direct("PINS['a'] * 2")
    step.celltypes.a = "int"
    print([step(a=number) for number in range(int(sys.argv[1]))], step_counters().executed)
"""


@pytest.mark.invariant("I-173")
def test_a_second_process_finds_what_the_first_computed(services):
    assert run(STEP, services.clients(), "5") == ("[0, 2, 4, 6, 8] 5\n", "")
    assert run(STEP, services.clients(), "6") == ("[0, 2, 4, 6, 8, 10] 1\n", "")
    assert services.missing_buffers() == []
    assert services.rows("select count(*) from meta_data") == [(6,)]


def test_what_is_pending_when_the_program_ends_is_uploaded(services):
    code = """
        from seamless import Buffer
        from seamless.active import get_active
        queue = get_active().buffers._queue
        queue._delay_s = 60
        get_active().buffers.put(Buffer(b"at the last moment"))
        assert queue._queued
    """
    assert run(code, services.clients()) == ("", "")
    checksum = Buffer(b"at the last moment").get_checksum().hex()
    assert (services.buffers_path / checksum[:2] / checksum).read_bytes() == b"at the last moment"


def test_servers_with_tokens_are_used_by_their_token_files(make_services):
    services = make_services(token=TOKEN)
    assert run(STEP, services.clients(), "2") == ("[0, 2] 2\n", "")
    assert run(STEP, services.clients(), "2") == ("[0, 2] 0\n", "")


def test_a_hashserver_alone_keeps_buffers_and_results_stay_in_memory(services):
    clients = services.clients(database=False)
    assert run(STEP, clients, "3")[0] == "[0, 2, 4] 3\n"
    assert run(STEP, clients, "3")[0] == "[0, 2, 4] 3\n"
    result = Buffer(4, "mixed").get_checksum().hex()
    assert (services.buffers_path / result[:2] / result).exists()


def test_read_only_clients_give_what_is_there_and_keep_the_new_in_memory(services):
    run(STEP, services.clients(), "3")
    assert run(STEP + STEP, services.clients(readonly=True), "5") == (
        "[0, 2, 4, 6, 8] 2\n[0, 2, 4, 6, 8] 2\n",
        "",
    )
    assert services.rows("select count(*) from transformation") == [(3,)]


def test_the_first_of_racing_processes_decides_and_the_others_say_so(services):
    code = """
        import os, sys
        from seamless.transformer import direct
        step = direct("import os, time; time.sleep(0.5); result = os.getpid()")
        step.celltypes.a = "int"
        print("ready", flush=True)
        sys.stdin.readline()
        print(step(a=1))
    """
    racers = [start(code, services.clients(), stdin=subprocess.PIPE) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=50) for racer in racers]
    assert len({out for out, err in outputs}) == 1
    assert sum("is not reproducible" in err for out, err in outputs) == 2


# Bad settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "SEAMLESS_REMOTE_CLIENTS is no JSON"),
        ("[]", "no JSON object"),
        ('{"buffer": [{"readonly": false, "url": "http://127.0.0.1:1"}]}', "remote_url"),
        ('{"buffer": [{"remote_url": "http://127.0.0.1:1", "readonly": 3}]}', "readonly"),
    ],
)
def test_a_list_of_clients_that_cannot_be_used_is_an_error_and_not_ignored(text, said):
    process = start("from seamless.active import get_active; get_active()", text)
    err = process.communicate(timeout=50)[1]
    assert process.returncode == 1
    assert "ForwardedClientsInvalid" in err
    assert said in err


@pytest.mark.parametrize("text", ["", " ", "{}", '{"database": [], "buffer": []}'])
def test_a_list_that_names_nothing_means_memory(text):
    assert run("from seamless.active import get_active; print(get_active().location)", text)[0] == "memory\n"


def test_seamless_cache_comes_before_the_services(tmp_path):
    code = f"""
        import os
        os.environ["SEAMLESS_CACHE"] = {str(tmp_path)!r}
        from seamless.active import get_active
        print(get_active().location)
    """
    assert run(code, "{")[0] == f"{tmp_path}/__TOPLEVEL__\n"


@pytest.mark.provokes("RemoteClientsUnavailable")
def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    import importlib.metadata

    from seamless.embedded import RemoteClientsUnavailable, set_from_environment

    monkeypatch.setenv("SEAMLESS_REMOTE_CLIENTS", '{"buffer": []}')
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **selection: [])
    with pytest.raises(RemoteClientsUnavailable, match="pip install seamless-remote"):
        set_from_environment()


# Death in between

KEEP_GOING = """
    import itertools, sys
    from seamless.transformer import direct
    step = direct("bytes(20_000) + str(a).encode()")
    step.celltypes.a = "int"
    step.celltypes.result = "bytes"
    for number in itertools.count(int(sys.argv[1])):
        step(a=number)
        print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.invariant("I-172")
def test_a_killed_client_leaves_no_row_that_names_a_missing_buffer(services):
    acknowledged = 0
    for attempt in range(4):
        process = start(KEEP_GOING, services.clients(), str(attempt * 1_000_000))
        assert process.stdout is not None
        for _ in range(3 + 2 * attempt):
            process.stdout.readline()
            acknowledged += 1
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    assert len(services.rows("select * from transformation")) >= acknowledged
    assert services.missing_buffers() == []


@pytest.mark.slow
@pytest.mark.invariant("I-172")
@pytest.mark.timeout(120)
def test_a_killed_hashserver_is_an_error_that_says_what_to_do_and_no_row_is_written(services):
    process = start(KEEP_GOING, services.clients(), "0")
    assert process.stdout is not None
    for _ in range(5):
        assert process.stdout.readline()
    services.hashserver.kill()
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "hashserver" in err
    assert services.hashserver.url in err
    assert "refused" in err
    assert "seamless-service" in err  # the remedy
    n_rows = len(services.rows("select * from transformation"))
    assert n_rows <= 6 + len(out.splitlines())
    assert services.missing_buffers() == []


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_killed_database_is_an_error_that_names_it(services):
    services.database.kill()
    process = start(STEP, services.clients(), "1")
    err = process.communicate(timeout=100)[1]
    assert process.returncode == 1
    assert f"database at {services.database.url}" in err
    assert "ServiceUnreachable" in err


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_server_that_comes_back_is_used_again(services):
    code = """
        import sys
        from seamless.transformer import direct, step_counters
        step = direct("PINS['a'] + 1")
        step.celltypes.a = "int"
        print(step(a=1), flush=True)
        sys.stdin.readline()
        print(step(a=2), step_counters().failed, flush=True)
    """
    process = start(code, services.clients(), stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "2\n"
    port = services.hashserver.port
    services.hashserver.stop()
    again = ServiceProcess(
        [sys.executable, "-m", "hashserver", str(services.buffers_path), "--writable", "--port", str(port)],
        services.folder / "state",
        key="again",
    )
    with again:
        out, err = process.communicate("go\n", timeout=60)
    assert out == "3 0\n", err


# Commands


def test_seamless_run_runs_a_command_once_for_all_who_share_the_services(shell, services, tmp_path):
    (shell.folder / "a.txt").write_text("alpha\n")
    command = f"echo ran >> {tmp_path}/ran; cat a.txt"
    for _ in range(2):
        assert shell.answer("seamless-run", "-i", "a.txt", "-c", command) == b"alpha\n"
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert services.missing_buffers() == []


def test_a_folder_is_uploaded_and_downloaded_whole(shell, services, tmp_path):
    folder = shell.folder / "data"
    for number in range(300):
        path = folder / f"sub{number % 7}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number % 100}")
    (folder / "large").write_bytes(os.urandom(3 << 20))
    content = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shell.answer("seamless-upload", "-y", "data")
    subprocess.run(["rm", "-r", str(folder)], check=True)
    shell.answer("seamless-download", "-y", "data")
    assert content == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert list(folder.rglob("*.part")) == []


def test_a_compressed_file_is_uploaded_as_it_is(shell, services):
    import gzip

    compressed = gzip.compress(b"many reads" * 1000)
    (shell.folder / "reads.gz").write_bytes(compressed)
    shell.answer("seamless-upload", "reads.gz")
    checksum = Buffer(b"many reads" * 1000).get_checksum().hex()
    assert (services.buffers_path / checksum[:2] / f"{checksum}.gz").read_bytes() == compressed
    assert shell.answer("seamless-download", "--stdout", checksum) == b"many reads" * 1000


def test_what_needs_the_directory_is_refused_with_the_way_out(shell):
    (shell.folder / "a.txt").write_text("alpha\n")
    done = shell.run("seamless-upload", "--hardlink", "a.txt")
    assert done.returncode == 1
    assert b"Cannot make links" in done.stderr
    assert b"--destination" in done.stderr


def test_move_removes_the_original_only_after_the_server_has_it(shell, services):
    (shell.folder / "a.txt").write_text("alpha\n")
    shell.answer("seamless-upload", "--move", "a.txt")
    checksum = Buffer(b"alpha\n").get_checksum().hex()
    assert not (shell.folder / "a.txt").exists()
    assert (services.buffers_path / checksum[:2] / checksum).read_bytes() == b"alpha\n"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_upload_to_a_server_that_is_gone_fails_and_writes_no_sidecar(shell, services):
    (shell.folder / "a.txt").write_text("alpha\n")
    services.hashserver.kill()
    done = shell.run("seamless-upload", "a.txt")
    assert done.returncode == 1
    assert services.hashserver.url.encode() in done.stderr
    assert b"Traceback" not in done.stderr
    assert [path.name for path in shell.folder.iterdir()] == ["a.txt"]


def test_a_missing_buffer_is_named(shell):
    done = shell.run("seamless-download", "--stdout", "0" * 64)
    assert done.returncode == 1
    assert ("0" * 64).encode() in done.stderr


# Servers of the earlier implementation

REFERENCE = Path(__file__).resolve().parent.parent / ".bench" / "reference-venv" / "bin"


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.skipif(
    not (REFERENCE / "hashserver").exists(), reason="the reference is not installed: make bench"
)
def test_steps_are_shared_over_servers_of_the_earlier_implementation(tmp_path):
    (tmp_path / "buffers").mkdir()
    database = tmp_path / "seamless.db"
    home = {"HOME": str(tmp_path)}
    with (
        ServiceProcess(
            [str(REFERENCE / "hashserver"), str(tmp_path / "buffers"), "--writable"],
            tmp_path / "state",
            key="hs",
            environ=home,
        ) as buffers,
        ServiceProcess(
            [str(REFERENCE / "seamless-database"), str(database), "--writable", "--host", "127.0.0.1"],
            tmp_path / "state",
            key="db",
            environ=home,
        ) as results,
    ):
        buffers.wait_for_port()
        results.wait_for_port()
        clients = json.dumps(
            {
                "buffer": [{"readonly": False, "remote_url": buffers.url}],
                "database": [{"readonly": False, "remote_url": results.url}],
            }
        )
        assert run(STEP, clients, "4") == ("[0, 2, 4, 6] 4\n", "")
        assert run(STEP, clients, "5") == ("[0, 2, 4, 6, 8] 1\n", "")


def test_the_example_of_two_machines_computes_its_step_once(tmp_path):
    example = Path(__file__).parents[1] / "examples" / "two_servers.sh"
    scripts = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", str(example)], capture_output=True, text=True, cwd=tmp_path, env=environ, timeout=50
    )

    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.splitlines())) == 1
    assert [done.stderr.count("miss: "), done.stderr.count("hit: ")] == [1, 1]
    assert list(tmp_path.iterdir()) == []
