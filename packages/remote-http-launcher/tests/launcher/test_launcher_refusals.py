"""What is wrong is told as an error of ours: directories, huge words, odd states, streams that are gone."""

from __future__ import annotations

import io
import json
import sys

import pytest
from remote_http_launcher import run
from remote_http_launcher.command_line import main
from remote_http_launcher.conda import activation, is_listed
from remote_http_launcher.configuration_file import MAX_BYTES, read_configuration
from remote_http_launcher.dry_run import dry_run_configuration
from remote_http_launcher.launch_errors import (
    ConfigurationError,
    FilesUnusable,
    HelperFailed,
    ServiceNotReachable,
    TemplateError,
)
from remote_http_launcher.progress import Progress
from remote_http_launcher.ssh_errors import SshFailed
from remote_http_launcher.templates import evaluate


@pytest.mark.provokes("FilesUnusable")
def test_directory_that_cannot_be_used_is_named(world, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "c.json").write_text(json.dumps(world.config()))
    with monkeypatch.context() as patch:
        patch.setenv("REMOTE_HTTP_LAUNCHER_DIR", str(tmp_path / "file"))
        with pytest.raises(FilesUnusable, match="'svc' cannot be launched from here: .*: /.*file") as caught:
            run(world.config())
        with pytest.raises(FilesUnusable):
            dry_run_configuration(world.checked())
        assert main([str(tmp_path / "c.json")]) == 1
    assert "REMOTE_HTTP_LAUNCHER_DIR" in (caught.value.hint or "")
    assert "svc: error: 'svc' cannot be launched from here" in capsys.readouterr().err
    assert world.starts() == []


def test_parameters_too_large_for_a_command_are_told(world):
    with pytest.raises(HelperFailed, match="Argument list too long") as caught:
        run(world.config(file_parameters={"a": "x" * 200_000}))
    assert "make file_parameters and meta smaller" in (caught.value.hint or "")


def test_parameters_too_large_for_a_command_over_ssh_are_told(ssh_host):
    with pytest.raises(SshFailed, match="Argument list too long") as caught:
        run(ssh_host.config(file_parameters={"a": "x" * 200_000}))
    assert "make file_parameters and meta smaller" in (caught.value.hint or "")


def test_service_that_does_not_say_its_port_is_told(world):
    with pytest.raises(ServiceNotReachable, match="not at which port") as caught:
        run(world.config("noport"))
    assert "rhl-inspect svc" in (caught.value.hint or "")


@pytest.mark.parametrize("hostname", ["a b", "x\n", "é", "", "u@h"])
def test_client_state_without_name_of_a_host_is_replaced(world, hostname):
    first = run(world.config())
    (world.client / "svc.json").write_text(json.dumps({**first, "hostname": hostname}))
    assert run(world.config()) == first
    assert len(world.starts()) == 1


@pytest.mark.parametrize("path", ["a b", "é", "a\nb", "x#y"])
@pytest.mark.parametrize("form", [lambda path: path, lambda path: {"path": path}])
def test_handshake_that_is_no_path_of_a_url_is_refused_beforehand(world, path, form):
    with pytest.raises(ConfigurationError, match=r"handshake\.path must be printable ASCII"):
        world.checked(handshake=form(path))


@pytest.mark.parametrize("value", ["2020-13-45", "1" * 5000])
def test_value_that_yaml_cannot_make_is_told(tmp_path, value):
    path = tmp_path / "c.yaml"
    path.write_text(f"workdir: /w\nkey: k\ncommand: c\nmeta: {{a: {value}}}\n")
    with pytest.raises(ConfigurationError, match="no YAML: "):
        read_configuration(str(path))


def test_configuration_that_is_too_large_is_not_read_in_part(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("workdir: /w\nkey: k\ncommand: c\n#" + "x" * MAX_BYTES)
    with pytest.raises(ConfigurationError, match="more than 4 MiB"):
        read_configuration(str(path))


@pytest.mark.parametrize("template", ["{a:>2000}", "{a:>٩٩٩٩٩٩٩٩}", "{'{:>٩٩٩٩٩٩٩٩}'.format(a)}"])
def test_format_is_bounded_in_digits_of_any_script(template):
    with pytest.raises(TemplateError, match="a format with a number above 1024"):
        evaluate(template, {"a": "x"})


def test_environment_below_the_home_is_that_of_its_own_machine(monkeypatch):
    there = {"envs": ["/users/me/envs/a"]}
    assert is_listed("~/envs/a", there)  # seen from a machine with another home
    assert not is_listed("~/envs/b", there)
    monkeypatch.setenv("HOME", "/users/me")
    assert "conda activate /users/me/envs/a " in activation("~/envs/a", ["x"], {})[-1]


def test_launch_goes_on_without_standard_error(world, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(world.config(log_level="debug"))["port"] > 0


def test_stream_that_breaks_ends_no_launch():
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress = Progress("k", "basic", stream=Broken())
    progress.phase("connect", "local")
    progress.warn("x")
    progress.close(is_ready=True)
