from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from hashserver.options import UsageError, make_parser, parse_options
from hashserver.testing.client import checksum

TOKEN = "a-token-of-twenty-characters"


def _run(tmp_path, *words, environ=None, launched=True):
    """Start a server that will not come up; return exit code, state and stderr."""
    status = tmp_path / "status.json"
    command = [sys.executable, "-m", "hashserver", *words]
    if launched:
        status.write_text('{"status": "starting", "pid": 1, "other": [2]}')
        command += ["--status-file", str(status)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **(environ or {})},
        check=False,
    )
    return done.returncode, json.loads(status.read_text()) if launched else {}, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (["{}/missing"], 1, "does not exist"),
        (["{}/file"], 1, "is not a directory"),
        (["{}", "--layout", "x"], 1, "not a layout"),
        (["{}", "--timeout", "0"], 1, "seconds above 0"),
        (["{}", "--timeout", "nan"], 1, "seconds above 0"),
        (["{}", "--lock-timeout", "-1"], 1, "seconds above 0"),
        (["{}", "--hash-algorithm", "md5"], 2, "not a hash algorithm"),
        (["{}", "--port", "abc"], 2, "not a port"),
        (["{}", "--port", "1", "--port-range", "2", "3"], 2, "not allowed"),
        (["{}", "--port-range", "9", "3"], 1, "is empty"),
        (["{}", "--bogus"], 2, "--bogus"),
        (["{}", "--writ"], 2, "--writ"),
        ([], 2, "DIRECTORY"),
        (["{}", "--host", "0.0.0.0", "--auth", "token"], 1, "token file"),
    ],
    ids=str,
)
def test_what_keeps_it_from_starting_is_told_to_the_launcher(tmp_path, words, code, cause):
    (tmp_path / "file").touch()
    found, state, stderr = _run(tmp_path, *[word.format(tmp_path) for word in words])
    assert found == code
    assert cause in stderr
    assert cause in state["error"]["message"]
    assert state["error"]["hint"]
    assert (state["status"], state["other"], "port" in state) == ("failed", [2], False)


def test_wrong_usage_without_a_launcher(tmp_path):
    code, _, stderr = _run(tmp_path, "--bogus", launched=False)
    assert code == 2
    assert "hashserver --help" in stderr


def test_port_in_use_is_a_failure_before_running(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, state, _ = _run(tmp_path, str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert (code, state["status"]) == (1, "failed")
    assert "in use" in state["error"]["message"]


@pytest.mark.provokes("UsageError")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HASHSERVER_WRITABLE", "perhaps"),
        ("HASHSERVER_LAYOUT", "round"),
        ("HASHSERVER_HASH_ALGORITHM", "md5"),
        ("HASHSERVER_LOCK_TIMEOUT", "0"),
    ],
)
def test_a_variable_with_a_wrong_value_is_named(tmp_path, name, value):
    with pytest.raises(UsageError, match=name):
        make_parser({name: value})
    code, state, _ = _run(tmp_path, str(tmp_path), environ={name: value})
    assert code in (1, 2)
    assert name in state["error"]["message"]


def test_variables_are_the_defaults_of_the_options():
    environ = {
        "HASHSERVER_DIRECTORY": "/d",
        "HASHSERVER_WRITABLE": "TRUE",
        "HASHSERVER_LAYOUT": "flat",
        "HASHSERVER_HASH_ALGORITHM": "sha3-256",
        "HASHSERVER_LOCK_TIMEOUT": "5",
        "HASHSERVER_EXTRA_DIRS": " a ;; b",
    }
    options = parse_options(make_parser(environ).parse_args([]))
    assert (options.directory, options.writable, options.layout) == ("/d", True, "flat")
    assert (options.hash_algorithm, options.lock_timeout_s) == ("sha3-256", 5.0)
    assert options.extra_directories == ("a", "b")
    words = ["/e", "--no-writable", "--layout", "prefix", "--extra-dirs", ""]
    options = parse_options(make_parser(environ).parse_args(words))
    assert (options.directory, options.writable, options.layout) == ("/e", False, "prefix")
    assert options.extra_directories == ()
    options = parse_options(make_parser({"HASHSERVER_WRITABLE": ""}).parse_args(["/d"]))
    assert (options.writable, options.layout, options.lock_timeout_s) == (False, None, 120.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_0_and_the_state_stays(serve, number):
    client = serve()
    client.put(b"stored")
    assert client.server.stop(number) == 0
    assert client.server.state()["status"] == "running"
    assert client.server.log().startswith("OK") or "\nOK\n" in client.server.log()


def test_download_under_way_is_finished_before_the_end(serve):
    client = serve()
    content = os.urandom(24_000_000)
    client.put(content)
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=30) as connection:
        connection.sendall(f"GET /{checksum(content)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = connection.recv(1)
        client.server.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while _accepts(client.server.port):
            assert time.monotonic() < deadline
        while part := connection.recv(1 << 20):
            received += part
    assert received.partition(b"\r\n\r\n")[2] == content
    assert client.server.wait() == 0


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_it_ends_by_itself_when_nobody_asks(serve):
    client = serve("--timeout", "1")
    begun = time.monotonic()
    client.get(b"x")
    assert client.server.wait() == 0
    assert time.monotonic() - begun >= 1.0


def test_token_is_demanded_by_every_route(serve):
    client = serve(token=TOKEN)
    for path in ("/" + "0" * 64, "/has", "/buffers/get"):
        assert client.ask("GET", path)[0] == 401
    assert client.ask("GET", "/" + "0" * 64, Authorization=f"Bearer {TOKEN}")[0] == 404
    assert client.ask("GET", "/healthcheck")[:2] == (200, b"OK")


def test_layout_is_as_the_directory_has_it_unless_it_is_said(serve, tmp_path):
    flat = serve("--layout", "flat")
    flat.put(b"content")
    assert [path.name for path in flat.folder.iterdir()] == [flat.file(b"content").name]
    assert serve().get(b"content") == (200, b"content")
    assert serve("--layout", "prefix").get(b"content")[0] == 404
    assert serve().get(b"content")[0] == 404  # now it holds both: the marker decides


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version(word):
    done = subprocess.run(
        [sys.executable, "-m", "hashserver", word], capture_output=True, text=True, timeout=50, check=True
    )
    assert "hashserver" in done.stdout


def test_service_process_has_our_console_script():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="hashserver")
    assert script.value == "hashserver.cli:main"
