"""Services on other hosts, through real sshds: two frontends of one cluster, one of them down, and other failures."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
from remote_http_launcher.tunnels import list_tunnels
from seamless_config.service_commands.hosts import Host

HEADER = "SERVICE PROJECT STAGE PROCESS PORT PERSISTENT SIZE"
HASHSERVER, DATABASE = "hashserver-far-rw-p", "database-far-rw-p"

CSH = """\
#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
    PATH=*) echo "PATH=/nowhere:/bin: Command not found." >&2; exit 1 ;;
    *) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


def _start_both(far_site) -> None:
    far_site.done("start", "--service hashserver")
    far_site.done("start", "--service database")


def _all_stopped(far_site) -> list[str]:
    return [
        json.loads(path.read_text())["status"]
        for host in (far_site.front, far_site.node)
        for path in host.server.glob("*.json")
    ]


@pytest.mark.timeout(180)
def test_every_frontend_is_visited_once_and_shows_processes_data_and_tunnels(far_site):
    _start_both(far_site)
    calls = far_site.front.calls(), far_site.node.calls()
    found = far_site.done("ps", "--server")
    assert [line.split()[:4] for line in found.lines[1:]] == [
        ["database", "p", "-", "running"],
        ["hashserver", "p", "-", "running"],
    ]
    assert (far_site.front.calls(), far_site.node.calls()) == (calls[0] + 1, calls[1] + 1)
    rows = far_site.done("ps", "--cluster far --json").rows
    assert [(row["service"], row["host"], row["persistent"]) for row in rows] == [
        ("database", "tb-node", "populated"),
        ("hashserver", "tb-front", "empty"),
    ]
    assert rows[0]["path"] == str(far_site.node.home / "db" / "p")
    (row,) = far_site.done("ps", "--server --frontend-name localhost --json").rows
    assert row["key"] == HASHSERVER
    rows = far_site.done("ps", "--json").rows
    assert [(row["key"], row["process"], row["host"], row["tunnel"]) for row in rows] == [
        (DATABASE, "client", "tb-node", True),
        (HASHSERVER, "client", "tb-front", True),
    ]
    assert [line.split()[-2] for line in far_site.done("ps", "--wide").lines[1:]] == ["running"] * 2
    log = far_site.done("logs", "--service database --tail 5").out
    assert str(far_site.state("node")["pid"]) in log
    assert json.loads(far_site.done("inspect", "--service hashserver").out) == far_site.state("front")


@pytest.mark.timeout(180)
@pytest.mark.invariant("I-243")
def test_stop_and_rm_of_a_cluster_end_all_on_all_hosts_and_close_tunnels(far_site):
    _start_both(far_site)
    assert [tunnel["live"] for tunnel in list_tunnels()] == [True, True]
    assert len(far_site.done("stop", "--cluster far --dry-run").lines) == 4
    assert [tunnel["live"] for tunnel in list_tunnels()] == [True, True]
    assert far_site.done("stop", "--cluster far").lines == [
        f"{HASHSERVER}: stopped",
        f"{HASHSERVER}: tunnel closed",
        f"{DATABASE}: stopped",
        f"{DATABASE}: tunnel closed",
    ]
    assert list_tunnels() == []
    assert _all_stopped(far_site) == ["stale", "stale"]
    found = far_site.done("rm", "--cluster far")
    assert found.lines == [
        f"removed {far_site.front.server}/{HASHSERVER}.json",
        f"removed {far_site.node.server}/{DATABASE}.json",
        f"removed {far_site.world.client}/{DATABASE}.json",
        f"removed {far_site.world.client}/{HASHSERVER}.json",
    ]
    assert "listening" in far_site.done("logs", "--service database").out


@pytest.mark.timeout(180)
@pytest.mark.invariant("I-247")
def test_host_that_is_down_is_one_row_and_the_others_are_still_served(far_site):
    _start_both(far_site)
    far_site.node.stop()
    found = far_site.run("ps", "--cluster far")
    assert found.code == 1
    assert [line.split()[:4] for line in found.lines] == [
        HEADER.split()[:4],
        ["hashserver", "p", "-", "running"],
        ["tb-node", "-", "-", "unreachable"],
    ]
    assert "error: cannot reach 'tb-node' over ssh: nothing listens on its ssh port" in found.err
    assert "set it as ssh_hostname of the frontend" in found.err
    found = far_site.run("ps", "--server --status stale --json")
    assert found.code == 1
    (row,) = found.rows
    assert (row["process"], row["host"], row["key"]) == ("unreachable", "tb-node", None)
    assert row["error"].startswith("cannot reach 'tb-node'")
    found = far_site.run("stop", "--cluster far --json")
    assert found.code == 1
    assert [row["outcome"] for row in found.rows] == ["stopped", "unreachable"]
    found = far_site.run("rm", "--cluster far")
    assert found.code == 1
    assert f"removed {far_site.front.server}/{HASHSERVER}.json" in found.lines
    assert f"removed {far_site.world.client}/{DATABASE}.json" in found.lines
    far_site.node.start()
    assert far_site.done("stop", "--cluster far").lines == [f"{DATABASE}: stopped"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", ["logs", "inspect", "stop", "rm", "clear", "start", "restart"])
def test_command_for_one_service_passes_on_that_its_host_is_down(far_site, command):
    far_site.node.stop()
    found = far_site.run(command, "--service database")
    assert found.code == (4 if command in ("start", "restart") else 255)
    assert "cannot reach 'tb-node' over ssh" in found.err
    assert "Traceback" not in found.err


@pytest.mark.timeout(120)
@pytest.mark.invariant("I-248")
def test_frontend_that_names_another_host_is_never_taken_for_this_machine(far_site):
    """Without `ssh_hostname` the reference would empty the directory of this machine."""
    here = far_site.root / "buffers"
    far_site.write_clusters(
        f"far:\n  frontends:\n  - hostname: tb-node\n    hashserver: {{bufferdir: {here}}}\n"
        f"near:\n  type: local\n  frontends:\n  - hostname: tb-node\n    hashserver: {{bufferdir: {here}}}\n"
    )
    for cluster in ("far", "near"):
        calls = far_site.node.calls()
        found = far_site.run("clear", f"--service hashserver --cluster {cluster} --dry-run")
        assert (found.code, far_site.node.calls()) == (1, calls + 1)
        assert "path does not exist" in found.err
        assert "(on tb-node)" in found.err
        far_site.done("ps", f"--server --cluster {cluster}")
        assert far_site.node.calls() == calls + 2


@pytest.mark.timeout(180)
def test_clear_on_another_host_is_refused_while_its_server_runs(far_site):
    far_site.done("start", "--service database")
    folder = far_site.node.home / "db" / "p"
    found = far_site.run("clear", "--service database")
    assert found.code == 1
    assert (
        "hint:  seamless-service-stop --service database --cluster far --project p; or --force" in found.err
    )
    far_site.done("stop", "--service database")
    assert "removed" in far_site.done("clear", "--service database").out
    assert list(folder.glob("seamless.db*")) == []


def test_host_without_helpers_is_told_apart(far_site):
    far_site.node.remove_helpers()
    found = far_site.run("logs", "--service database")
    assert found.code == 127
    assert found.err.splitlines()[0] == (
        "error: rhl-logs is not installed on 'tb-node', as ssh commands see it"
    )
    assert "pip install remote-http-launcher, into the system Python or conda's base" in found.err
    assert "ssh tb-node 'PATH=$HOME/miniforge3/bin:$HOME/miniconda3/bin:$PATH' rhl-ps --json" in found.err
    found = far_site.run("ps", "--server")
    assert (found.code, found.lines[1]) == (1, "tb-node - - unreachable - - -")
    assert not (far_site.node.home / ".remote-http-launcher" / "bootstrap").exists()


def test_helpers_in_the_base_of_conda_are_found(far_site):
    far_site.node.remove_helpers()
    base = far_site.node.home / "miniforge3" / "bin"
    base.mkdir(parents=True)
    program = base / "rhl-ps"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom remote_http_launcher.helpers.ps import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    assert far_site.done("ps", "--server").lines == [HEADER]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("tb-badkey", "the key was not accepted"),
        ("tb-badhost", "its host key is not known"),
        ("no-such-host.invalid", "the name does not resolve"),
    ],
)
def test_failures_of_ssh_are_told_apart(far_site, host, said):
    far_site.write_clusters(f"c:\n  frontends:\n  - hostname: {host}\n    hashserver: {{bufferdir: /b}}\n")
    found = far_site.run("stop", "--service hashserver --cluster c --project p")
    assert found.code == 255
    assert said in found.err
    found = far_site.run("ps", "--cluster c")
    assert found.lines[1] == f"{host} - - unreachable - - -"


@pytest.mark.provokes("HelperTooOld")
def test_helpers_that_do_not_know_an_option_are_too_old(far_site):
    old = far_site.node.bin / "rhl-clear"
    old.write_text("#!/bin/sh\necho 'rhl-clear: unknown flag(s): --only' >&2\nexit 1\n")
    old.chmod(0o755)
    far_site.node.remove_helpers()
    found = far_site.run("clear", "--service database")
    assert found.code == 1
    assert "the helpers of tb-node do not know what this version asks for" in found.err
    assert "hint:  on tb-node: pip install --upgrade remote-http-launcher" in found.err


def test_sizes_are_left_out_where_the_helpers_do_not_know_them(far_site):
    old = far_site.front.bin / "rhl-ps-persistent"
    old.write_text(
        "#!/bin/sh\n"
        "case \"$*\" in *--sizes*) echo 'rhl-ps-persistent: unknown flag(s): --sizes' >&2; exit 1;; esac\n"
        f'echo \'{{"path": "{far_site.front.home}/buffers/p", "state": "populated", "size": null}}\'\n'
    )
    old.chmod(0o755)
    real = far_site.front.bin / "rhl-ps"
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    far_site.front.remove_helpers()
    found = far_site.done("ps", "--cluster far --frontend-name localhost")
    assert found.lines[1:] == ["hashserver p - absent - populated -"]


def test_answer_that_is_no_json_is_an_error_in_words(far_site):
    strange = far_site.node.bin / "rhl-ps"
    strange.write_text("#!/bin/sh\necho Welcome to node\n")
    strange.chmod(0o755)
    far_site.node.remove_helpers()
    found = far_site.run("ps", "--server --frontend-name node.example")
    assert found.code == 1
    assert "the answer of rhl-ps on tb-node cannot be understood" in found.err


def test_directory_that_begins_with_the_home_of_the_host(far_site):
    text = (far_site.world.home / ".seamless" / "clusters.yaml").read_text()
    far_site.write_clusters(text.replace(f'"{far_site.front.home}/buffers"', "~/home/buffers"))
    folder = far_site.front.home / "home" / "buffers" / "home" / "buffers" / "STAGE-s"
    (folder / "ab").mkdir(parents=True)
    (folder / ".HASHSERVER_PREFIX").write_text("")
    (folder / "ab" / ("ab" + "0" * 62)).write_text("x")
    found = far_site.done("ps", "--cluster far --frontend-name localhost")
    assert found.lines[1:] == ["hashserver home:buffers s absent - populated 1 B"]


def test_one_host_of_two_clusters_is_asked_once(far_site):
    far_site.write_clusters(
        "a:\n  frontends:\n  - {hostname: tb-node, database: {database_dir: /a}}\n"
        "b:\n  frontends:\n  - {hostname: x, ssh_hostname: tb-node, database: {database_dir: /b}}\n"
    )
    far_site.write_project("- project: p\n")
    far_site.node.server.mkdir(parents=True)
    for cluster in ("a", "b", "other"):
        (far_site.node.server / f"database-{cluster}-rw-p.json").write_text('{"status": "failed"}')
    calls = far_site.node.calls()
    rows = far_site.done("ps", "--all-clusters --json").rows
    assert [row["cluster"] for row in rows] == ["a", "b"]
    assert far_site.node.calls() == calls + 1


def test_frontend_name_that_is_not_there_is_said(far_site):
    found = far_site.run("ps", "--server --frontend-name tb-node")
    assert found.code == 1
    assert "has no frontend with hostname 'tb-node'; it has: localhost, node.example" in found.err


def test_this_machine_has_no_name():
    assert (Host(None).label, Host(None).at, Host("h").at) == ("this machine", "", " (on h)")


def test_host_that_does_not_answer_is_given_up_after_the_timeout(far_site):
    hanging = far_site.node.bin / "rhl-ps"
    hanging.write_text(f"#!/bin/sh\necho $$ > {far_site.node.folder}/pid\nexec sleep 30\n")
    hanging.chmod(0o755)
    far_site.node.remove_helpers()
    found = far_site.run("ps", "--server --frontend-name node.example --timeout 1")
    assert (found.code, found.lines[1]) == (1, "tb-node - - unreachable - - -")
    assert "rhl-ps on 'tb-node' gave no answer within 1 s" in found.err
    os.kill(int((far_site.node.folder / "pid").read_text()), signal.SIGKILL)


@pytest.mark.timeout(180)
def test_guarded_key_is_enough_for_every_command(far_site):
    home = far_site.front.home
    far_site.write_clusters(
        "far:\n  frontends:\n  - hostname: localhost\n    ssh_hostname: tb-guarded\n"
        f'    database: {{database_dir: "{home}/db", network_interface: 127.0.0.1}}\n'
    )
    far_site.done("start", "--service database")
    assert far_site.done("ps", "--cluster far").lines[1].split()[3] == "running"
    for command in ("logs", "inspect", "stop", "rm --server", "logs --previous", "clear --recursive"):
        found = far_site.run(
            command.split()[0], f"--service database {' '.join(command.split()[1:])}".strip()
        )
        assert found.code == (1 if "previous" in command else 0), found
        assert "rhl-guard" not in found.err
    assert far_site.done("ps", "--cluster far").lines == [HEADER]
    found = far_site.run("clear", "--service database --workdir .", "--project", "..")
    assert found.code == 1


@pytest.mark.invariant("I-242")
def test_data_of_one_project_on_two_hosts_and_in_two_directories_are_all_shown(far_site):
    text = ""
    for host, name in ((far_site.front, "tb-front"), (far_site.node, "tb-node"), (far_site.node, "tb-node")):
        root = host.home / f"buffers{len(text)}"
        text += f'  - hostname: {name}\n    hashserver: {{bufferdir: "{root}"}}\n'
        (root / "p" / "ab").mkdir(parents=True)
        (root / "p" / ".HASHSERVER_PREFIX").write_text("")
    last = root / "p"
    (last / "ab" / ("ab" + "0" * 62)).write_text("12345")
    far_site.write_clusters(f"far:\n  frontends:\n{text}")
    state = {"status": "failed", "workdir": str(last)}
    far_site.node.server.mkdir(parents=True)
    (far_site.node.server / "hashserver-far-rw-p.json").write_text(json.dumps(state))
    rows = far_site.done("ps", "--cluster far --json").rows
    assert [(row["process"], row["host"], row["size"]) for row in rows] == [
        ("failed", "tb-node", 5),
        ("absent", "tb-front", 0),
        ("absent", "tb-node", 0),
    ]


def test_control_characters_of_another_host_do_not_reach_the_terminal(far_site):
    for name in ("rhl-stop", "rhl-rm", "rhl-clear"):
        strange = far_site.node.bin / name
        strange.write_text(
            "#!/bin/sh\nprintf 'removed \\033[2J x\\n'\nprintf 'bad \\033[2J\\n' >&2\nexit 3\n"
        )
        strange.chmod(0o755)
    far_site.node.remove_helpers()
    for command in ("stop", "rm --server", "clear"):
        found = far_site.run(
            command.split()[0], f"--service database {' '.join(command.split()[1:])}".strip()
        )
        assert found.code == 3
        assert "\x1b" not in found.out + found.err
        assert "\\x1b" in found.err


@pytest.mark.parametrize(
    ("helper", "command", "answer"),
    [
        ("rhl-ps", "ps --server --frontend-name node.example", '{"status": "up", "pid": "x", "port": [], "meta": 7}'),
        ("rhl-ps", "stop --cluster far --frontend-name node.example", '{"status": 5}'),
        ("rhl-inspect", "inspect --service database", "[]"),
        ("rhl-inspect", "inspect --service database", "\\377"),
        ("rhl-ps-persistent", "ps --persistent --service database", '{"state": 7, "size": "x"}'),
    ],
)  # fmt: skip
def test_strange_answers_of_another_host_end_in_words(far_site, helper, command, answer):
    strange = far_site.node.bin / helper
    strange.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    strange.chmod(0o755)
    far_site.node.remove_helpers()
    name, _, words = command.partition(" ")
    found = far_site.run(name, words)
    assert found.code in (0, 1)
    assert "Traceback" not in found.err


@pytest.mark.timeout(180)
@pytest.mark.invariant("I-247")
def test_host_that_is_frozen_is_given_up_and_the_others_are_shown(far_site):
    far_site.front.server.mkdir(parents=True)
    (far_site.front.server / f"{HASHSERVER}.json").write_text('{"status": "failed"}')
    far_site.node.write_client_config("ConnectTimeout 2")
    os.kill(far_site.node.process.pid, signal.SIGSTOP)
    try:
        found = far_site.run("ps", "--server")
    finally:
        os.kill(far_site.node.process.pid, signal.SIGCONT)
    assert found.code == 1
    assert found.lines[1:] == ["hashserver p - failed - - -", "tb-node - - unreachable - - -"]
    assert "it does not answer" in found.err


def test_log_is_read_through_a_shell_that_knows_no_assignments_before_a_command(far_site):
    shell = far_site.node.folder / "csh"  # in the one respect that matters
    shell.write_text(CSH)
    shell.chmod(0o700)
    with open(far_site.node.folder / "sshd_config", "a") as file:
        file.write(f"ForceCommand {shell}\n")
    far_site.node.stop()
    far_site.node.start()
    far_site.node.server.mkdir(parents=True)
    (far_site.node.server / f"{DATABASE}.log").write_text("one\ntwo\n")
    found = far_site.done("logs", "--service database --tail 1")
    assert (found.out, found.err) == ("two\n", "")
