"""What holds for all rhl-* commands: help, version, strict options, start-up, and that they stand alone."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from remote_http_launcher.errors import UsageError
from remote_http_launcher.helpers import (
    cache_conda,
    conda_info,
    frame,
    inspect,
    launch_service,
    ps,
    ps_persistent,
    rm,
    verify_port,
)
from remote_http_launcher.helpers.frame import parse, to_integer, to_seconds
from remote_http_launcher.processes import identity_of
from remote_http_launcher.state_files import write_state
from remote_http_launcher.testing.processes import server_folder, service_process, state_of

from tools.workspace import ROOT, read_toml

SCRIPTS: dict[str, str] = {
    name: target.partition(":")[0]
    for name, target in read_toml(ROOT / "packages/remote-http-launcher/pyproject.toml")["project"][
        "scripts"
    ].items()
    if name.startswith("rhl-") and name != "rhl-guard"
}
NAMES = sorted(SCRIPTS)
QUICK = sorted(
    set(SCRIPTS) - {"rhl-cache-conda", "rhl-conda-info", "rhl-launch-service"}
)  # polled, and by people
FORBIDDEN = {
    *(
        "argparse",
        "asyncio",
        "concurrent",
        "dataclasses",
        "email",
        "enum",
        "http",
        "importlib.metadata",
        "json",
    ),
    *("logging", "pathlib", "re", "shutil", "socket", "subprocess", "tempfile", "typing", "urllib", "yaml"),
}


@pytest.mark.parametrize("name", NAMES)
def test_help_says_purpose_examples_and_exit_codes(name: str, capsys: pytest.CaptureFixture[str]):
    main = importlib.import_module(SCRIPTS[name]).main
    assert main(["x", "--help", "--nonsense"]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    assert text.split()[:2] == ["usage:", name]
    assert "\nexamples:\n" in text
    assert "\nexit codes:\n  0" in text
    assert max(map(len, text.splitlines())) <= 110
    assert main(["-h"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_version_is_that_of_the_distribution(name: str, capsys: pytest.CaptureFixture[str]):
    assert importlib.import_module(SCRIPTS[name]).main(["--version"]) == 0
    assert capsys.readouterr().out == f"{name} 2.0.0.dev0\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--jso", "--x=1", "--help=1", "--versio"])
def test_options_are_not_abbreviated_or_invented(name: str, option: str, capsys: pytest.CaptureFixture[str]):
    code, prefix = {"rhl-launch-service": (2, "error: ")}.get(name, (1, ""))
    assert importlib.import_module(SCRIPTS[name]).main([option]) == code
    out, err = capsys.readouterr()
    assert f"{name}: {prefix}unknown flag(s): {option}" in err
    assert out == ""


@pytest.mark.parametrize("name", QUICK)
def test_helper_imports_little(name: str):
    """Of 30 ms, Python takes 20."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"from {SCRIPTS[name]} import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.stderr.write(' '.join(sorted(set(sys.modules) - before)))\n"
    )
    write_state(str(server_folder() / "k.json"), {"status": "failed", "pid": 1})
    write_state(
        str(server_folder() / "me.json"), {"status": "running", "port": 1, **identity_of(os.getpid())}
    )
    (server_folder() / "k.log").write_text("x\n")
    arguments = {
        "rhl-clear": [str(server_folder()), "--dry-run"],
        "rhl-handshake": ["http://127.0.0.1:1/"],
        "rhl-look": ["me"],
        "rhl-pid-alive": [str(os.getpid())],
        "rhl-ps": [],
        "rhl-ps-persistent": ["/nowhere"],
        "rhl-verify-port": ["127.0.0.1", "1", "--tries", "1"],
    }.get(name, ["k"])
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ,
    )
    found = done.stderr.split("\n")[-1].split()
    assert any(module.startswith("remote_http_launcher.") for module in found)
    assert [module for module in found if module in FORBIDDEN] == []
    standard = [module for module in found if not module.startswith("remote_http_launcher")]
    assert len(standard) <= 8, standard


@pytest.mark.invariant("I-194")
def test_helpers_need_the_standard_library_only(tmp_path: Path):
    code = (
        "import importlib, sys\n"
        "sys.path[:0] = [sys.argv[1]]\n"
        "for name in sys.argv[2:]:\n"
        "    assert importlib.import_module(name).main(['--help']) == 0\n"
    )
    source = ROOT / "packages/remote-http-launcher/src"
    modules = [SCRIPTS[name] for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(source), *modules],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_scripts_are_installed():
    assert [name for name in NAMES if not (Path(sysconfig.get_path("scripts")) / name).is_file()] == []


@pytest.mark.parametrize("name", ["rhl-cache-conda", "rhl-conda-info"])
@pytest.mark.parametrize("words", [["x"], ["--", "x"], ["--json"]])
def test_commands_about_conda_take_no_words(name: str, words: list[str], capsys: pytest.CaptureFixture[str]):
    assert importlib.import_module(SCRIPTS[name]).main(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{name}: ")


def test_what_is_known_of_conda_is_one_line_of_json(capsys: pytest.CaptureFixture[str]):
    assert conda_info.main([]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "hint:  rhl-cache-conda"
    path = server_folder().parent / "conda-setup.json"
    path.write_text('{"envs": ["/b", "/b/envs/e"],\n "conda_source": null, "conda_base": "/b"}')
    assert conda_info.main([]) == 0
    out, err = capsys.readouterr()
    assert out == '{"conda_base":"/b","conda_source":null,"envs":["/b","/b/envs/e"]}\n'
    assert err == ""


def test_machine_without_conda_keeps_what_was_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = server_folder().parent / "conda-setup.json"
    path.write_text("{}")
    assert cache_conda.main([]) == 1
    out, err = capsys.readouterr()
    assert (out, path.read_text()) == ("", "{}")
    assert err == (
        "rhl-cache-conda: conda activate is not initialized and no usable conda.sh was found\n"
        "hint:  run `conda init bash` on the target, then rhl-cache-conda\n"
    )


LAUNCH = ["--key", "k", "--workdir"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "error: --key is required"),
        (["--key", "k"], 2, "error: --workdir is required"),
        ([*LAUNCH], 2, "error: --workdir requires a value"),
        ([*LAUNCH, "/w", "--key=l"], 2, "error: --key"),
        ([*LAUNCH, "/w", "--wait", "x"], 2, "error: --wait requires a number of seconds"),
        ([*LAUNCH, "/w", "word"], 2, "error: "),
        ([*LAUNCH, "relative", "--", "hashserver"], 1, "workdir must be absolute"),
        ([*LAUNCH, "/etc", "--", "hashserver"], 1, "refusing to use system directory as workdir"),
        (["--key", "a/b", "--workdir", "/w", "--", "hashserver"], 1, "invalid key"),
        ([*LAUNCH, "/w"], 1, "service binary is required after --"),
        ([*LAUNCH, "/w", "--", "sh", "-c", "x"], 1, "service binary is not whitelisted: 'sh'"),
        ([*LAUNCH, "/w", "--", "/bin/hashserver"], 1, "not whitelisted"),
        ([*LAUNCH, "/w", "--", "hashserver", "--status-file", "s.json"], 1, "--status-file must be absolute"),
        ([*LAUNCH, "/w", "--", "hashserver", "--status-file=/w/k.json"], 1, "must live under the launcher"),
        ([*LAUNCH, "/w", "--parameters", "[]", "--", "hashserver"], 1, "--parameters must be a JSON object"),
        ([*LAUNCH, "/w", "--meta", "{", "--", "hashserver"], 1, "--meta must be a JSON object"),
        ([*LAUNCH, "/w", "--auth", "all", "--", "hashserver"], 1, "auth is 'all'; expected one of token"),
        ([*LAUNCH, "/w", "--conda-env", "", "--", "hashserver"], 1, "no name of a conda environment"),
    ],
)
def test_launch_that_is_wrong_touches_nothing(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
):
    before = sorted(server_folder().parent.rglob("*"))
    assert launch_service.main(words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sorted(server_folder().parent.rglob("*")) == before
    assert not Path("/w").exists()


def test_options_are_parsed_as_written():
    found = parse(["a", "--tail=3", "--json", "-x", "--", "--json"], flags=["--json"], values=["--tail"])
    assert (found.words, found.flags, found.values) == (["a", "-x", "--json"], {"--json"}, {"--tail": "3"})
    assert parse(["--tail", "--json"], values=["--tail"], flags=["--json"]).values == {"--tail": "--json"}


@pytest.mark.parametrize(
    "arguments", [["--tail"], ["--tail=1", "--tail=2"], ["--json=1"], ["--tai=1"], ["word"], ["--", "word"]]
)
def test_options_that_are_wrong_are_refused(arguments: list[str]):
    with pytest.raises(UsageError):
        parse(arguments, values=["--tail"], flags=["--json"], words=False)


@pytest.mark.parametrize("text", ["x", "", "1.5", "٣", "9" * 10, "--1"])
def test_number_is_plain_digits(text: str):
    with pytest.raises(UsageError, match="--n requires an integer"):
        to_integer(parse([f"--n={text}"], values=["--n"]), "--n", 0)


@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf", "86401"])
def test_seconds_have_a_bound(text: str):
    with pytest.raises(UsageError, match="--wait requires a number of seconds"):
        to_seconds(parse([f"--wait={text}"], values=["--wait"]), "--wait", 0)


def test_streams_in_memory_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    frame.write("a\udcff")
    assert sys.stdout.getvalue() == "a\ufffd"


def test_reader_that_goes_away_is_no_error():
    for n in range(400):
        (server_folder() / f"key-{n}-{'x' * 150}.json").write_text('{"status": "failed"}')
    script = f"{sysconfig.get_path('scripts')}/rhl-ps | head -1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30, env=os.environ)
    assert done.stderr == ""
    assert done.stdout.startswith("KEY")


def test_wide_listing_says_what_is_wrong(capsys: pytest.CaptureFixture[str]):
    with service_process() as process:
        state = state_of(process, port=5)
        write_state(str(server_folder() / "a.json"), state)
        write_state(str(server_folder() / "b.json"), {**state, "start_time": 1})
        write_state(
            str(server_folder() / "c.json"), {**state, "boot_id": "x", "machine_id": "y", "host": "login2"}
        )
        write_state(str(server_folder() / "d.json"), {"status": "failed", "error": {"message": "no port\nx"}})
        assert ps.main(["--wide"]) == 0
    lines = [line.strip().split(None, 5) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["KEY", "STATUS", "PORT", "PID", "HOST", "NOTE"]
    assert lines[1][1] == "running"
    assert lines[2][1] == "stale"
    assert lines[2][5] == f"process {process.pid} is gone"
    assert lines[3][1] == "running"
    assert "cannot be told from here" in lines[3][5]
    assert lines[4][5] == "no port"


@pytest.mark.invariant("I-186")
def test_one_malformed_state_never_breaks_a_listing(capsys: pytest.CaptureFixture[str]):
    write_state(str(server_folder() / "good.json"), {"status": "failed"})
    (server_folder() / "bad.json").write_text("{")
    client = server_folder().parent / "client"
    client.mkdir()
    (client / "bad.json").write_text("[]")
    assert ps.main(["--json"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["key"], row["status"], row["live"]) for row in rows] == [
        ("bad", "malformed", None),
        ("good", "failed", None),
    ]
    assert "malformed JSON" in err
    assert ps.main(["--client"]) == 0
    assert ps.main(["--status", "malformed", "--key"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "bad"
    assert rm.main(["bad"]) == 0
    assert not (server_folder() / "bad.json").exists()


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]):
    write_state(str(server_folder() / "k.json"), {"status": "\x1b[2J", "port": 1})
    assert ps.main([]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_removing_a_living_service_warns_and_keeps_its_token(capsys: pytest.CaptureFixture[str]):
    with service_process() as process:
        write_state(str(server_folder() / "k.json"), state_of(process))
        (server_folder() / "k.token").write_text("x" * 32)
        assert rm.main(["k"]) == 0
    assert "still runs" in capsys.readouterr().err
    assert (server_folder() / "k.token").exists()
    assert rm.main(["k", "--server"]) == 0
    assert not (server_folder() / "k.token").exists()


def test_mtime_of_a_missing_state(capsys: pytest.CaptureFixture[str]):
    assert inspect.main(["k", "--with-mtime"]) == 1
    assert "no state file for 'k'" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "code"), [("::1", 1), ("a..b", 1), ("-a", 1), ("1:2", 1)])
def test_port_of_a_strange_host(host: str, code: int, capsys: pytest.CaptureFixture[str]):
    assert verify_port.main([host, "1", "--tries", "1"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_sizes_of_both_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    buffers, database = tmp_path / "buffers", tmp_path / "db"
    for name, n_bytes in (("58/" + "5" * 64, 10), ("59/" + "6" * 64, 7), ("STAGE-a/58/" + "5" * 64, 100)):
        (buffers / name).parent.mkdir(parents=True, exist_ok=True)
        (buffers / name).write_bytes(b"x" * n_bytes)
    (buffers / ".HASHSERVER_PREFIX").write_text("1\n")
    database.mkdir()
    (database / "seamless.db").write_bytes(b"x" * 5)
    assert ps_persistent.main([str(buffers), "--sizes", "--json", "--marker", ".HASHSERVER_PREFIX"]) == 0
    assert ps_persistent.main([str(database), "--file", "seamless.db", "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["size"], first["entries"]) == (19, 2)
    assert second["size"] == 5
    assert ps_persistent.main([str(buffers), "--sizes"]) == 0
    assert capsys.readouterr().out.split()[:5] == ["PATH", "STATE", "SIZE", "MODIFIED", "ENTRIES"]


def test_links_and_loops_are_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    assert ps_persistent.main([str(tmp_path / "d"), "--level", "9", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert ps_persistent.main([str(tmp_path / "d"), "--level", "65"]) == 1


@pytest.mark.invariant("I-224")
@pytest.mark.parametrize("target", ["../outside", "/etc/hostname", "other", "nowhere"])
def test_link_in_place_of_the_file_has_no_size(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
):
    directory = tmp_path / "d"
    directory.mkdir()
    (tmp_path / "outside").write_bytes(b"x" * 77)
    (directory / "other").write_bytes(b"x" * 78)
    (directory / "seamless.db").symlink_to(target)
    assert ps_persistent.main([str(directory), "--file", "seamless.db", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["size"], found["modified"]) == ("populated", None, None)


def test_tunnels_are_shown_and_closed(capsys: pytest.CaptureFixture[str]):
    tunnels = server_folder().parent / "client" / "tunnels"
    tunnels.mkdir(parents=True)
    with service_process() as monitor, service_process() as stranger:
        record = {"ssh_host": "gate", "forwards": [[40000, "h", 5000]]}
        write_state(str(tunnels / "k.json"), state_of(monitor, **record))
        write_state(str(tunnels / "old.json"), {**state_of(stranger, **record), "start_time": 1})
        assert ps.main(["--client", "--tunnels"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[1] == ["k", "running", "gate", "40000:h:5000", str(monitor.pid)]
        assert lines[2][:2] == ["old", "stale"]
        assert ps.main(["--client", "--tunnels", "--host", "other", "--key"]) == 0
        assert ps.main(["--client", "--tunnels", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[0])["live"] is True
        assert rm.main(["k", "old", "--client"]) == 0
        assert monitor.wait(10) != 0
        assert stranger.poll() is None
    assert list(tunnels.glob("*.json")) == []
    assert ps.main(["--tunnels"]) == 1
