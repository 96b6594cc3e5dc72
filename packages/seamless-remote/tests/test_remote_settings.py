"""Limits from the environment, retries, tokens and identities."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from seamless_remote import retrying, timeouts
from seamless_remote.bulk import call_each
from seamless_remote.errors import ClientMisconfigured
from seamless_remote.identity import parse_identity
from seamless_remote.retrying import Retrying
from seamless_remote.timeouts import Timeouts
from seamless_remote.tokens import Token

ROOT = Path(__file__).resolve().parents[3]


def test_limits_are_those_of_the_documentation_when_nothing_is_set():
    found = Timeouts.from_environment({})
    assert (found.connect_s, found.read_s, found.total_s, found.healthcheck_s) == (10, 1200, None, 10)


@pytest.mark.parametrize("text", ["", "none", "OFF", " false ", "0", "-1", "inf"])
def test_unlimited_is_said_in_several_ways(text: str):
    assert Timeouts.from_environment({"SEAMLESS_REMOTE_READ_TIMEOUT": text}).read_s is None


@pytest.mark.parametrize(("text", "seconds"), [("2.5", 2.5), ("1e1", 10), ("soon", 1200), ("nan", 1200)])
def test_limit_is_a_number_or_the_default(text: str, seconds: float):
    assert Timeouts.from_environment({"SEAMLESS_REMOTE_READ_TIMEOUT": text}).read_s == seconds


@pytest.mark.parametrize(
    ("connect", "health", "expected"), [("10", "3", 3), ("1", "3", 1), ("none", "3", 3), ("10", "none", 10)]
)
def test_healthcheck_has_its_own_limit(connect: str, health: str, expected: float):
    environ = {"SEAMLESS_REMOTE_CONNECT_TIMEOUT": connect, "SEAMLESS_REMOTE_HEALTHCHECK_TIMEOUT": health}
    assert Timeouts.from_environment(environ).for_healthcheck().connect_s == expected


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("0", None), ("-1", None), ("x", 30), ("", 30)])
def test_reads_of_a_database_under_way(text: str, number: int | None):
    assert timeouts.max_inflight({"SEAMLESS_DATABASE_MAX_INFLIGHT": text}) == number


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("on", False)]
)
def test_switches(text: str, on: bool):
    assert timeouts.clients_allowed_in_worker({"SEAMLESS_ALLOW_REMOTE_CLIENTS_IN_WORKER": text}) is on
    assert timeouts.debug_clients({"SEAMLESS_CLIENT_DEBUG": text}) is on
    assert timeouts.debug_database({"SEAMLESS_DEBUG_REMOTE_DB": text}) is on


def test_cache_directory_wins_over_forwarded_clients():
    assert timeouts.forwarded_clients_text({"SEAMLESS_REMOTE_CLIENTS": "{}"}) == "{}"
    assert timeouts.forwarded_clients_text({"SEAMLESS_REMOTE_CLIENTS": "{}", "SEAMLESS_CACHE": "c"}) is None


def test_documented_table_of_variables_is_what_is_read():
    page = (ROOT / "docs" / "reference" / "remote-clients.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `SEAMLESS_")]
    assert [(row[1].strip(" `"), row[2].strip()) for row in rows] == list(timeouts.VARIABLES)
    source = Path(timeouts.__file__).read_text()
    assert all(source.count(f'"{name}"') >= 2 for name, _ in timeouts.VARIABLES)


def test_no_other_module_reads_the_environment():
    others = [
        path for path in Path(timeouts.__file__).parent.glob("*.py") if "environ.get" in path.read_text()
    ]
    assert [path.name for path in others] == ["timeouts.py"]


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def _retrying(clock: _Clock, fraction: float = 0.5) -> Retrying:
    return Retrying(clock=clock, sleep=clock.sleep, random=lambda: fraction)


def test_five_attempts_with_growing_waits():
    clock = _Clock()
    tries = _retrying(clock)
    assert [tries.may_retry() for _ in range(5)] == [True] * 4 + [False]
    assert clock.waits == pytest.approx([0.1, 0.25, 0.625, 1.5625])
    assert tries.describe() == "5 tries in 2.5 s"


def test_waits_are_spread():
    least, most = _Clock(), _Clock()
    _retrying(least, 0.0).may_retry()
    _retrying(most, 0.999).may_retry()
    assert (least.waits[0], most.waits[0]) == pytest.approx((0.05, 0.15), abs=0.001)


def test_no_attempt_begins_after_the_window():
    clock = _Clock()
    tries = _retrying(clock)
    clock.now = retrying.WINDOW_S
    assert not tries.may_retry()
    assert tries.describe() == "1 try in 30.0 s"


def test_server_may_ask_for_a_longer_wait_within_the_window():
    clock = _Clock()
    tries = _retrying(clock)
    assert tries.may_retry(after_s=7)
    assert clock.waits == [7]
    assert not tries.may_retry(after_s=60)


def test_random_numbers_of_the_process_are_used():
    assert 0 <= retrying._random() < 1


@pytest.mark.invariant("I-159")
def test_token_is_shown_nowhere(tmp_path: Path):
    (tmp_path / "token").write_text("s3cret\n")
    for token in (Token("s3cret"), Token(file=tmp_path / "token")):
        assert token.header() == b"Authorization: Bearer s3cret\r\n"
        assert "s3cret" not in f"{token!r} {token} {token.describe()}"
    assert b"s3cret" not in pickle.dumps(Token(file=tmp_path / "token"))
    with pytest.raises(TypeError, match="token file"):
        pickle.dumps(Token("s3cret"))


def test_token_file_is_read_again(tmp_path: Path):
    path = tmp_path / "token"
    token = Token(file=path)
    assert (token.header(), token.refresh()) == (b"", False)
    path.write_text("one\n")
    assert (token.refresh(), token.header()) == (True, b"Authorization: Bearer one\r\n")
    assert token.refresh() is False
    assert Token("given").refresh() is False


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "é", "x" * 5000])
def test_token_that_cannot_stand_in_a_header_is_refused_without_showing_it(text: str):
    with pytest.raises(ClientMisconfigured, match="visible ASCII") as failure:
        Token(text)
    assert not text or text not in str(failure.value)


def test_identity_is_read_with_limits():
    headers = {"content-type": "application/json; charset=utf-8"}
    found = parse_identity(b'{"service": "hashserver", "version": "2", "capabilities": ["a", 1]}', headers)
    assert (found.service, found.version, found.protocol, found.can("a"), found.can("b")) == (
        *("hashserver", "2", ""),
        *(True, False),
    )
    assert parse_identity(b"OK", {}).service == ""
    for body in (b"{", b"[]", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse_identity(body, headers)


@pytest.mark.parametrize("width", [1, 3, 20])
def test_calls_keep_their_order(width: int):
    assert call_each(lambda n: n * n, range(17), width=width) == [n * n for n in range(17)]


def test_first_failure_is_raised_and_nothing_more_is_begun():
    begun: list[int] = []

    def fail(n: int) -> None:
        begun.append(n)
        raise ValueError(n)

    with pytest.raises(ValueError, match="0"):
        call_each(fail, range(1000), width=4)
    assert len(begun) <= 4
