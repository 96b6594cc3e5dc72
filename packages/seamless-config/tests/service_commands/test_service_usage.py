"""What all service commands share: help, version, strict options, errors without tracebacks, a quick start."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest
from remote_http_launcher.errors import LauncherError
from remote_http_launcher.helpers.frame import parse
from seamless_config.service_commands.hosts import Host, on_all
from seamless_config.service_commands.options import Request

COMMANDS = ("clear", "inspect", "logs", "ps", "resolve", "restart", "rm", "start", "stop")
each_command = pytest.mark.parametrize("command", COMMANDS)


def test_every_command_is_installed():
    found = {point.name: point.value for point in entry_points(group="console_scripts")}
    assert {name for name in found if name.startswith("seamless-service-")} == {
        f"seamless-service-{command}" for command in COMMANDS
    }
    for command in COMMANDS:
        assert found[f"seamless-service-{command}"] == f"seamless_config.service_commands.{command}:main"


@each_command
def test_help_has_purpose_two_examples_and_exit_codes(site, command):
    found = site.done(command, "--help")
    assert found.err == ""
    assert found.out.startswith(f"usage: seamless-service-{command} ")
    examples = found.out.partition("examples:\n")[2].partition("exit codes:\n")
    assert examples[0].count(f"  seamless-service-{command} ") == 2
    assert "  2  " in examples[2]
    assert all(len(line) <= 120 for line in found.out.splitlines())
    assert site.done(command, "--version").out == f"seamless-service-{command} {version('seamless-config')}\n"


@each_command
def test_help_brings_no_heavy_module(command):
    code = (
        f"import sys; from seamless_config.service_commands.{command} import main; main(['--help']); "
        "heavy = {'yaml', 'typing', 'json', 'subprocess', 'pathlib', 'dataclasses', 're', 'socket', 'seamless'}; "
        "sys.stderr.write(repr(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == "[]"


@each_command
@pytest.mark.parametrize(
    "words",
    [
        "--servic hashserver",
        "--service web",
        "--service",
        "extra",
        "--service database --service database",
        "--service database --mode x",
        "--service database --project=",
        "--service database --project :a",
        "--service database --stage s:t --substage u",
        "--service database --timeout never",
    ],
)
def test_wrong_usage_is_code_2_and_says_where_help_is(site, command, words):
    found = site.run(command, words)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")
    assert found.err.endswith(f"hint:  seamless-service-{command} --help\n")


@pytest.mark.parametrize("command", ["inspect", "logs", "resolve", "restart", "start", "clear"])
def test_service_must_be_named(site, command):
    found = site.run(command, "--cluster loc")
    assert (found.code, found.err.splitlines()[0]) == (2, "error: --service is required")


@pytest.mark.parametrize("command", ["stop", "rm"])
def test_service_or_cluster_must_be_named(site, command):
    found = site.run(command, "--project p")
    assert (found.code, found.err.splitlines()[0]) == (2, "error: --service or --cluster is required")


@pytest.mark.parametrize("service", ["jobserver", "daskserver", "pure-daskserver"])
def test_service_without_data_cannot_be_cleared(site, service):
    found = site.run("clear", f"--service {service}")
    assert found.code == 2
    assert found.err.startswith(
        f"error: a {service} keeps no data; only hashserver and database can be cleared"
    )


@pytest.mark.parametrize("words", ["--follow --previous", "--follow --json"])
def test_contrary_options_of_logs_are_refused(site, words):
    assert site.run("logs", f"--service database {words}").code == 2


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "resolve"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--cluster nope", "cluster 'nope' is not defined; defined are: loc."),
        ("--project a--b", "the project 'a--b' must not contain '--'. Correct --project."),
        ("--queue nope", "cluster 'loc' has no queue 'nope'"),
        ("--workdir /nowhere", "--workdir '/nowhere' is no directory"),
        ("--frontend-name nope", "no frontend with hostname 'nope'"),
    ],
)
def test_wrong_configuration_is_code_1_in_words(site, command, words, said):
    found = site.run(command, f"--service database {words}" + (" --server" if command == "ps" else ""))
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("error: ")
    assert said in found.err


def test_project_and_stage_may_be_written_with_their_parts():
    request = Request(parse(["--project", "p:a/b", "--stage=s:"], values=("--project", "--stage")))
    assert request.wanted == {"project": "p", "subproject": "a/b", "stage": "s", "substage": ""}


def test_reader_that_has_gone_is_no_error(site):
    site.write_clusters("c: {frontends: []}\n")
    code = "import sys; from seamless_config.service_commands.ps import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(20)
    assert err == b""


def test_all_hosts_are_asked_at_once_and_errors_are_answers():
    from threading import Barrier

    together = Barrier(3, timeout=10)

    def ask(host: Host) -> str:
        together.wait()
        if host.name == "b":
            raise LauncherError("no")
        return host.label

    found = on_all([Host("a"), Host("b"), Host(None)], ask)
    assert (found[0], str(found[1]), found[2]) == ("a", "no", "this machine")


def test_json_lines_have_sorted_members(site):
    site.add_database("p")
    (line,) = site.done("ps", "--cluster loc --json").out.splitlines()
    names = [part.split('"')[1] for part in line[1:-1].split(", ")]
    assert names == sorted(names)
    documented = {
        "cluster",
        "key",
        "persistent",
        "port",
        "process",
        "project",
        "service",
        "size",
        "stage",
        "path",
    }
    assert documented <= set(names)
