"""rhl-look tells everything about services in one call; probes have bounds."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from remote_http_launcher import handshake
from remote_http_launcher.errors import UsageError
from remote_http_launcher.handshake import probe
from remote_http_launcher.helpers import handshake as handshake_helper
from remote_http_launcher.helpers import look as look_helper
from remote_http_launcher.looking import look
from remote_http_launcher.processes import identity_of
from remote_http_launcher.state_files import write_state
from remote_http_launcher.testing.processes import dead_pid, server_folder, service_process, state_of
from remote_http_launcher.tokens import make_token

IDENTITY = {"service": "hashserver", "key": "k", "pid": 7, "protocol": 1}


@contextmanager
def _answering(*answers: bytes, family: int = socket.AF_INET) -> Iterator[int]:
    """A server that gives these bytes, one answer for each connection that sends something."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    server = socket.create_server((host, 0), family=family)
    is_over = threading.Event()

    def serve() -> None:
        waiting = list(answers)
        while waiting and not is_over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    try:
                        connection.sendall(waiting.pop(0))
                    except OSError:
                        return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        is_over.set()
        try:
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        server.close()
        thread.join(10)


def _json_answer(value: object) -> bytes:
    body = json.dumps(value).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def _here(**members: object) -> dict[str, object]:
    return {"status": "running", "schema": 1, **identity_of(os.getpid()), **members}


def _write(key: str, state: dict[str, object]) -> None:
    write_state(str(server_folder() / f"{key}.json"), state)


def test_everything_is_told_in_one_answer():
    token = make_token(str(server_folder() / "k.token"))
    (server_folder() / "k.log").write_text(f"first\nlast {token}\n")
    with _answering(_json_answer(IDENTITY)) as port:
        _write("k", _here(port=port, network_interface="127.0.0.1"))
        found = look(["k", "none"], n_log_lines=1, with_token=True)
    k = found["services"]["k"]
    assert found["services"]["none"]["status"] == "absent"
    assert (k["status"], k["liveness"], k["port_open"]) == ("running", "alive", True)
    assert k["handshake"] == {"status": 200, "identity": IDENTITY, "error": "OK", "listens": None}
    assert (k["log"], k["token"]) == ("last [token]\n", token)
    assert 0 <= k["age_s"] < 60
    assert found["now"] - k["mtime"] < 60
    assert found["host"] == os.uname().nodename


def test_token_is_told_only_when_asked_for(capsys: pytest.CaptureFixture[str]):
    token = make_token(str(server_folder() / "k.token"))
    _write("k", _here(status="starting"))
    assert look_helper.main(["k", "--tail", "5"]) == 0
    assert token not in capsys.readouterr().out


def test_service_without_identity_is_told_from_a_stranger_by_its_socket():
    with (
        _answering(b"HTTP/1.0 200 OK\r\n\r\nOK", b"HTTP/1.0 200 OK\r\n\r\nOK") as port,
        service_process() as other,
    ):
        _write("mine", _here(port=port))
        _write("stranger", state_of(other, port=port))
        services = look(["mine", "stranger"])["services"]
    assert services["mine"]["handshake"]["listens"] is True
    assert services["stranger"]["handshake"]["listens"] is False


@pytest.mark.parametrize("interface", ["0.0.0.0", "127.0.0.1", None])
def test_interface_of_all_addresses_is_asked_locally(interface: str | None):
    with _answering(_json_answer(IDENTITY)) as port:
        _write("k", _here(port=port, network_interface=interface))
        assert look(["k"])["services"]["k"]["port_open"] is True


def test_other_port_and_path_are_asked():
    with _answering(_json_answer(IDENTITY)) as port:
        _write("k", _here(port=1, dashboard_port=port))
        found = look(["k"], handshake="health?x=1", port_name="dashboard_port")["services"]["k"]
    assert found["handshake"]["status"] == 200


@pytest.mark.parametrize("port", [None, "80", 0, True, 70000])
def test_state_without_port_has_none_open(port: object):
    _write("k", _here(port=port))
    assert look(["k"])["services"]["k"]["port_open"] is False


def test_waiting_ends_when_the_status_has_come():
    _write("k", _here(status="starting"))

    def start() -> None:
        _write("k", _here(status="running"))

    timer = threading.Timer(0.1, start)
    timer.start()
    begin = time.monotonic()
    found = look(["k"], 20.0, ["running", "failed"], handshake=None)["services"]["k"]
    timer.join()
    assert found["status"] == "running"
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "state",
    [
        {"status": "failed", "error": {"message": "no port"}},
        {"status": "starting", **identity_of(os.getpid()), "start_time": 1},
        {"status": "stale"},
        {"status": "running", **identity_of(os.getpid()), "start_time": 1},
    ],
)
def test_waiting_ends_when_it_cannot_come_any_more(state: dict[str, object]):
    _write("k", state)
    begin = time.monotonic()
    look(["k"], 20.0, ["running"], handshake=None)
    assert time.monotonic() - begin < 10


def test_waiting_for_what_does_not_come_has_an_end():
    assert look(["k"], 0.05, ["running"])["services"]["k"]["status"] == "absent"


def test_malformed_state_is_one_answer_among_others():
    (server_folder() / "bad.json").write_text("{")
    _write("good", {"status": "failed", "pid": dead_pid()})
    services = look(["bad", "good"], 20.0, ["failed"])["services"]
    assert (services["bad"]["status"], services["good"]["status"]) == ("malformed", "failed")
    assert "malformed JSON" in services["bad"]["error"]


@pytest.mark.parametrize(
    ("answer", "status", "identity", "error"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, None, "No Content"),
        (b"HTTP/1.0 500 \r\n\r\n", 500, None, ""),
        (_json_answer([1]), 200, None, "OK"),
        (_json_answer({"service": 1}), 200, None, "OK"),
        (b"HTTP/1.1 200 OK\r\n\r\n{broken", 200, None, "OK"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", 200, None, "OK"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", None, None, "the answer is not HTTP"),
        (b"HTTP/1.1 2", None, None, "the connection was closed without an answer"),
        (b"x" * 40_000, None, None, "the head of the answer is too long"),
    ],
)
def test_whatever_answers_is_understood_or_told(answer: bytes, status: int, identity: object, error: str):
    with _answering(answer) as port:
        found = probe(f"http://127.0.0.1:{port}/", 10)
    assert (found.status, found.identity, found.error) == (status, identity, error)


def test_endless_answer_is_not_read_to_its_end():
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000) as port:
        assert probe(f"http://127.0.0.1:{port}/", 10).status == 200


def test_https_needs_a_server_that_speaks_it():
    with _answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        found = probe(f"https://127.0.0.1:{port}/", 10)
    assert found.status is None
    assert "SSL" in found.error


@pytest.mark.invariant("I-223")
@pytest.mark.parametrize("status", [b"301", b"302", b"303", b"307", b"308"])
def test_redirect_is_an_answer_and_leads_nowhere(status: bytes, capsys: pytest.CaptureFixture[str]):
    with _answering(_json_answer(IDENTITY)) as other:
        location = b"Location: http://127.0.0.1:%d/" % other
        answer = b"HTTP/1.1 %s Found\r\n%s\r\nContent-Length: 2\r\n\r\n{}" % (status, location)
        with _answering(answer) as port:
            assert handshake_helper.main([f"http://127.0.0.1:{port}/"]) == 2
        assert f"a redirect to 'http://127.0.0.1:{other}/', which is not followed" in capsys.readouterr().err
        assert (
            probe(f"http://127.0.0.1:{other}/").identity == IDENTITY
        )  # nobody had asked there: it answers once


def test_server_that_says_nothing_is_waited_for_until_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        begin = time.monotonic()
        found = probe(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.2)
    assert (found.status, found.error) == (None, "timed out")
    assert time.monotonic() - begin < 5


def test_address_of_ipv6_is_asked():
    try:
        with _answering(_json_answer(IDENTITY), family=socket.AF_INET6) as port:
            assert probe(f"http://[::1]:{port}/healthcheck", 10).identity == IDENTITY
    except OSError as exc:
        pytest.skip(f"no IPv6 here: {exc}")


@pytest.mark.provokes("UsageError")
@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "ftp://h/", "http://", "http:///x", "http://u@h/", "http://h:0/", "http://h:x/"),
        *("http://h/a b", "http://h/\r\nX: y"),
    ],
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(UsageError, match="URL must use http or https"):
        probe(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://h", (False, "h", 80, "/")),
        ("HTTPS://h?x=1#f", (True, "h", 443, "/?x=1")),
        ("http://[::1]:8/a?b", (False, "::1", 8, "/a?b")),
        ("http://h:8/", (False, "h", 8, "/")),
    ],
)
def test_address_is_taken_apart(url: str, parts: tuple[bool, str, int, str]):
    assert handshake._split(url) == parts


def test_identity_is_printed(capsys: pytest.CaptureFixture[str]):
    with _answering(_json_answer(IDENTITY)) as port:
        assert handshake_helper.main([f"http://127.0.0.1:{port}/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"error": "OK", "identity": IDENTITY, "status": 200}
