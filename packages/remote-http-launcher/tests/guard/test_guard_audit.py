"""Every decision is one line of the audit log, and no line holds a secret."""

from __future__ import annotations

import json
import multiprocessing
import stat
import threading

import pytest
from remote_http_launcher.guard import command
from remote_http_launcher.guard.audit import AuditLog, told
from remote_http_launcher.guard.refusal import GuardMisconfigured, Refused

ROOTS = ("--data-roots", "{HOME}/cfg/roots")
TOKEN = "s3cr3tT0kenValue-0123456789abcdef"


@pytest.mark.invariant("I-217")
def test_every_decision_is_one_line(recorded, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    recorded.ask("rhl-clear ~/data/proj", *ROOTS, "--role", "clear")
    recorded.ask("rhl-stop k", *ROOTS, "--role", "clear")
    recorded.ask("rm -rf x", *ROOTS)
    recorded.ask(None, *ROOTS)
    recorded.ask("rhl-ps", "--bogus")
    lines = recorded.audit
    assert [line["decision"] for line in lines] == [
        "allowed",
        "refused",
        "refused",
        "refused",
        "misconfigured",
    ]
    first = lines[0]
    assert (first["helper"], first["policy"], first["role"]) == ("rhl-clear", "data-roots", "clear")
    assert first["words"] == [f"~/data/proj = {recorded.home}/data/proj"]
    assert first["client"] == "192.0.2.7"
    assert lines[1]["helper"] == "rhl-stop"
    assert all("cause" in line for line in lines[1:])


def test_log_is_private(recorded):
    recorded.ask("rhl-ps")
    assert stat.S_IMODE(recorded.audit_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(recorded.audit_path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "text",
    [
        f"TOKEN={TOKEN} rhl-ps",
        f"{TOKEN} rhl-ps",
        f"curl -H 'Authorization: Bearer {TOKEN}' http://x",
        f"rhl-ps --token {TOKEN}",
        f"rhl-ps --token={TOKEN}",
        f"rhl-logs k --tail {TOKEN}",
        f"rhl-handshake http://127.0.0.1:1/healthcheck?token={TOKEN}",
        f"rhl-handshake http://u:{TOKEN}@127.0.0.1:1/",
        f"rhl-clear {TOKEN}",
        f"rhl-clear ~/{TOKEN}/../x",
        f'rhl-launch-service --key k --workdir ~/data/n --parameters \'{{"token": "{TOKEN}"}}\' -- hashserver x',
        f'rhl-launch-service --key k --workdir ~/data/n --meta \'{{"token": "{TOKEN}"}}\' -- hashserver x',
        f"rhl-launch-service --key k --workdir ~/data/n --parameters '{TOKEN}' -- hashserver x",
        f"rhl-launch-service --key k --workdir ~/data/n -- hashserver --token {TOKEN} x",
        f"rhl-ps '{TOKEN}",
        f"rhl-ps \\\n{TOKEN}\x01",
    ],
)
@pytest.mark.invariant("I-217")
def test_secret_in_a_command_stays_out_of_the_log(recorded, text: str):
    recorded.ask(text, *ROOTS)
    assert len(recorded.audit) == 1
    assert TOKEN[:8] not in recorded.audit_path.read_text()


def test_log_keeps_two_files_of_bounded_size(tmp_path):
    log = AuditLog(str(tmp_path / "server"), size_max=2000)
    for number in range(200):
        assert log.write("allowed", {}, helper="rhl-ps", cause=f"number {number}")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "server").iterdir()}
    assert set(sizes) <= {"rhl-guard.audit", "rhl-guard.audit.1"}
    assert max(sizes.values()) < 2000 + 500
    lines = [
        json.loads(line)
        for path in sorted((tmp_path / "server").iterdir(), reverse=True)
        for line in path.read_text().splitlines()
    ]
    assert lines[-1]["cause"] == "number 199"


def _write_lines(directory: str) -> None:
    log = AuditLog(directory, size_max=20_000)
    for _ in range(50):
        log.write("allowed", {}, helper="rhl-ps", words=["x" * 100])


def test_lines_of_guards_at_once_stay_whole(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_lines, args=(str(tmp_path),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    text = (tmp_path / "rhl-guard.audit").read_text() + (tmp_path / "rhl-guard.audit.1").read_text()
    assert all(json.loads(line)["helper"] == "rhl-ps" for line in text.splitlines())


def test_log_that_others_turn_at_once_takes_every_line(tmp_path):
    results: list[bool] = []

    def write() -> None:
        log = AuditLog(str(tmp_path), size_max=1)  # each line turns it
        results.extend(log.write("allowed", {}) for _ in range(300))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 2400


def test_long_command_is_one_bounded_line(recorded):
    keys = " ".join(f"k{'y' * 150}{number}" for number in range(500))
    assert recorded.ask(f"rhl-stop {keys}") == 0
    assert recorded.audit_path.stat().st_size < 5000
    assert recorded.audit[0]["helper"] == "rhl-stop"


@pytest.mark.invariant("I-217")
def test_what_cannot_be_written_down_is_not_changed(recorded, capsys):
    recorded.server.mkdir(parents=True)
    recorded.audit_path.mkdir()
    assert recorded.ask("rhl-clear ~/data/proj", *ROOTS) == 1
    assert "no line could be written" in capsys.readouterr().err
    assert recorded.ask("rhl-ps") == 0
    assert [helper for helper, _ in recorded.calls] == ["rhl-ps"]


def test_log_that_is_a_link_is_not_followed(recorded):
    recorded.server.mkdir(parents=True)
    recorded.audit_path.symlink_to(recorded.root / "outside" / "secret.txt")
    assert recorded.ask("rhl-stop k") == 1
    assert (recorded.root / "outside" / "secret.txt").read_text() == "s"


def test_line_goes_to_the_log_of_the_system_too(recorded, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(command, "system_log", lambda: lines.append)
    recorded.server.mkdir(parents=True)
    recorded.audit_path.mkdir()
    assert recorded.ask("rhl-stop k") == 0
    assert json.loads(lines[0])["helper"] == "rhl-stop"


def test_words_that_may_be_told_are_told():
    assert told(["k", "--tail", "5", "a b"]) == ["k", "--tail", "5", "(3 characters)"]


@pytest.mark.provokes("Refused")
def test_refusal_quotes_for_the_client_and_not_for_the_log():
    refused = Refused("path is outside", about="x\x1b" * 300)
    assert refused.cause == "path is outside"
    assert len(str(refused)) < 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["--role"],
        ["--role", "none"],
        ["--role=all", "--role=all"],
        ["--data-roots="],
        ["--data-roots", "relative"],
        ["--data-roots", "--role"],
        ["--permissive-paths=yes"],
        ["--permissive"],
        ["--clear-policy", "marker:.."],
        ["word"],
        [""],
    ],
)
@pytest.mark.provokes("GuardMisconfigured")
def test_guard_that_is_not_set_up_exactly_refuses_everything(recorded, arguments, capsys):
    assert recorded.ask("rhl-ps", *arguments) == 1
    assert recorded.calls == []
    assert "configuration error" in capsys.readouterr().err
    with pytest.raises(GuardMisconfigured):
        command.policy_of(arguments, str(recorded.home))


def test_roots_file_that_everybody_may_write_is_refused(recorded, capsys):
    (recorded.home / "cfg" / "roots").chmod(0o666)
    assert recorded.ask("rhl-ps", *ROOTS) == 1
    assert "chmod" in capsys.readouterr().err
