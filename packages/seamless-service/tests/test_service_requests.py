"""What a running service answers, whoever asks and however badly."""

from __future__ import annotations

import gzip
import json
import socket
import time

import pytest
from seamless_service.testing.transcripts import Answer, parse_answer, send


def ask(service, method, path, body=b"", *, chunked=False, **headers) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(
            b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7)
        )
        body += b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return send("127.0.0.1", service.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body, method=method)


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_the_health_check_answers_ok(launch):
    service = launch()

    assert (ask(service, "GET", "/healthcheck").status, ask(service, "GET", "/healthcheck").body) == (
        200,
        b"OK",
    )
    assert ask(service, "GET", "/healthcheck?x=1").body == b"OK"
    head = ask(service, "HEAD", "/healthcheck")
    assert (head.status, head.headers["content-length"], head.body) == (200, "2", b"")


def test_the_identity_tells_which_process_answers(launch):
    service = launch(key="echo-1")

    found = json.loads(ask(service, "GET", "/healthcheck", Accept="application/json").body)

    assert found["service"] == "echo"
    assert found["version"] == "1.0"
    assert found["protocol"] == "7"
    assert found["capabilities"] == ["apple", "zebra"]
    assert found["key"] == "echo-1"
    assert found["pid"] == service.pid
    assert isinstance(found["start_time"], int)
    assert abs(found["started_at"] - time.time()) < 60


def test_a_failure_inside_is_a_500_that_tells_nothing_but_where_to_look(launch):
    service = launch()

    answer = ask(service, "GET", "/crash", X_Request_Id="my-id.1")

    body = json.loads(answer.body)
    assert answer.status == 500
    assert body["error"] == "internal_error"
    assert body["request_id"] == "my-id.1" == answer.headers["x-request-id"]
    assert "shadow" not in answer.body.decode()
    assert service.stop() == 0
    assert "secret: /etc/shadow" in service.log()
    assert "my-id.1" in service.log()


def test_a_request_id_that_could_forge_the_log_is_not_taken(launch):
    service = launch()

    answer = ask(service, "GET", "/crash", X_Request_Id='a" level=info')

    assert 'a"' not in json.loads(answer.body)["request_id"]


def test_a_refused_request_has_the_one_shape_of_errors(launch):
    service = launch()

    answer = ask(service, "GET", "/nowhere")

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    body = json.loads(answer.body)
    assert list(body) == ["error", "message", "hint", "detail", "request_id"]
    assert body["detail"] == {"path": "/nowhere"}


@pytest.mark.provokes("RequestRefused")
def test_bodies_are_bounded_plain_chunked_and_compressed(launch):
    service = launch()
    fits, too_much = b"x" * 1_000_000, b"x" * 1_000_001

    assert ask(service, "PUT", "/echo", fits).body == fits
    assert ask(service, "PUT", "/echo", b"some words", chunked=True).body == b"some words"
    assert ask(service, "PUT", "/echo", gzip.compress(fits), Content_Encoding="gzip").body == fits
    for answer in (
        ask(service, "PUT", "/echo", too_much),
        ask(service, "PUT", "/echo", gzip.compress(too_much), Content_Encoding="gzip"),
        ask(service, "PUT", "/echo", gzip.compress(b"\0" * 500_000_000, 9), Content_Encoding="gzip"),
    ):
        assert answer.status == 413
        assert json.loads(answer.body)["detail"] == {"limit_bytes": 1_000_000}


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"abc")[:-3], gzip.compress(b"abc") + b"more"],
    ids=["not", "cut", "trailing"],
)
def test_a_damaged_gzip_body_is_the_clients_error(launch, body):
    answer = ask(launch(), "PUT", "/echo", body, Content_Encoding="gzip")

    assert answer.status == 400
    assert json.loads(answer.body)["error"] == "body_malformed"


def test_an_unknown_encoding_of_a_body_is_refused(launch):
    assert ask(launch(), "PUT", "/echo", b"abc", Content_Encoding="br").status == 415


def test_a_client_that_waits_for_a_go_gets_it_only_if_its_body_is_wanted(launch):
    service = launch()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"abc")
        assert parse_answer(connection.recv(1000)).body == b"abc"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(
            b"PUT /none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")
    assert ask(service, "PUT", "/echo", b"abc", Expect="miracles").status == 417


def test_a_client_that_stops_sending_is_told_so_and_stalls_nobody(launch):
    service = launch()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert ask(service, "GET", "/healthcheck").status == 200
        answer = parse_answer(connection.recv(10_000))
    assert answer.status == 408
    assert json.loads(answer.body)["error"] == "body_stalled"


@pytest.mark.provokes("ClientGone")
def test_a_client_that_goes_away_leaves_nothing_behind(launch):
    service = launch("--access-log")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    deadline = time.monotonic() + 10
    while "status=499" not in service.log():
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.01)
    assert b"requests_running 1.0" in service.get("/metrics")[1]  # this very request
    assert service.stop() == 0
    assert "Traceback" not in service.log()


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(200)) + b"\r\n",
        b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    ],
)
def test_malformed_http_is_a_400_and_no_line_in_the_log(launch, sent):
    service = launch()

    answer = send("127.0.0.1", service.port, sent)

    assert answer.status == 400
    assert service.get()[1] == b"OK"
    assert service.stop() == 0
    assert "Traceback" not in service.log()
    assert "Error handling" not in service.log()


def test_web_pages_are_shut_out_unless_their_origin_is_named(launch):
    closed, opened = launch(folder="a"), launch("--cors-origin", "http://lab.example", folder="b")

    page = {"Origin": "http://lab.example", "Sec_Fetch_Site": "cross-site"}
    assert ask(closed, "GET", "/state", **page).status == 403
    assert ask(closed, "GET", "/state", Sec_Fetch_Site="same-origin").status == 403  # a name that leads here
    assert (
        "access-control-allow-origin" not in ask(closed, "GET", "/state", Origin="http://lab.example").headers
    )
    assert ask(closed, "GET", "/state", Sec_Fetch_Site="none").status == 200  # typed by the user
    assert ask(opened, "GET", "/state", **page).headers["access-control-allow-origin"] == "http://lab.example"
    assert (
        ask(opened, "GET", "/state", Origin="http://evil.example", Sec_Fetch_Site="cross-site").status == 403
    )
    preflight = ask(opened, "OPTIONS", "/state", Access_Control_Request_Method="PUT", **page)
    assert (preflight.status, preflight.body) == (200, b"OK")
    assert "PUT" in preflight.headers["access-control-allow-methods"]


def test_what_is_under_way_is_answered_when_the_service_is_asked_to_end(launch):
    service = launch()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while b"requests_running 2.0" not in service.get("/metrics")[1]:
            pass
        service.send_signal(2)
        answer = parse_answer(connection.recv(10_000))

    assert answer.body == b"slow done"
    assert service.wait() == 0


def test_a_second_signal_ends_it_at_once(launch):
    service = launch()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        while b"requests_running 2.0" not in service.get("/metrics")[1]:
            pass
        service.send_signal(2)
        deadline = time.monotonic() + 10
        while _listens(service.port):
            assert time.monotonic() < deadline
        service.send_signal(2)
        assert service.wait() == 130


def test_it_ends_by_itself_when_nobody_asks_and_nothing_runs(launch):
    service = launch("--timeout", "1")
    service.get("/work")  # runs for 2.5 s, then a second of nothing
    started = time.monotonic()

    assert service.wait(20) == 0

    assert time.monotonic() - started > 3.0
    assert "no request for 1 s" in service.log()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_it_works_on_both_event_loops(launch, loop):
    service = launch("--event-loop", loop)

    assert ask(service, "PUT", "/echo", b"abc").body == b"abc"
    assert float(ask(service, "GET", "/blocking").body) > 0
    assert service.stop() == 0


def test_the_metrics_count_requests_by_method_and_status(launch):
    service = launch()
    ask(service, "GET", "/nowhere")
    ask(service, "PROPFIND", "/nowhere")

    text = service.get("/metrics")[1].decode()

    assert 'seamless_echo_requests_total{method="GET",status="404"} 1.0' in text
    assert 'seamless_echo_requests_total{method="OTHER",status="404"} 1.0' in text
    assert "PROPFIND" not in text
    assert "seamless_echo_request_seconds_count 2.0" in text


def test_the_log_is_quiet_unless_told_and_json_if_wanted(launch):
    quiet, loud = launch(folder="a"), launch("--access-log", "--log-format", "json", folder="b")
    for service in (quiet, loud):
        ask(service, "GET", "/state")
        ask(service, "GET", "/nowhere")
        assert service.stop() == 0

    assert "event=" not in quiet.log()
    assert " request " not in quiet.log()
    lines = [json.loads(line) for line in loud.log().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["path"], line["status"]) for line in requests] == [("/state", 200), ("/nowhere", 404)]
    assert all(line["service"] == "echo" and line["id"] for line in requests)
