"""seamless-config-show: values with their places, services with their state; nothing is started."""

from __future__ import annotations

import json

import pytest
from seamless_config.config_commands import show


@pytest.fixture
def run(site, capfd):
    def run_show(*words: str):
        capfd.readouterr()
        code = show.main([*words])
        out, err = capfd.readouterr()
        return code, out, err

    return run_show


def values_of(out: str) -> dict[str, tuple[str, str]]:
    """Return value and origin by name, of the text that is shown."""
    lines = out.split("\n\n")[1].splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM"]
    return {name: (value, origin) for name, value, origin in (line.split(None, 2) for line in lines[1:])}


def test_every_value_has_its_file_and_line(site, run):
    code, out, err = run("--offline")
    assert code == 1, "which back end is to be said"
    assert "error: " in err
    assert "- remote: jobserver" in err
    values = {name: (value, origin.strip()) for name, (value, origin) in values_of(out).items()}
    project = site.project / "seamless.yaml"
    assert values["project"] == ("p", f"{project}:1")
    assert values["cluster"] == ("loc", f"{project}:2")
    assert values["execution"] == ("remote", "default")
    assert values["queue"] == ("dq", f"{site.world.home}/.seamless/clusters.yaml:2")
    assert values["remote"] == ("-", "default")
    assert values["subproject"] == ("-", "default")
    assert f"file       {project}\n" in out
    assert f"file       {site.world.home}/.seamless/clusters.yaml\n" in out


def test_blocks_of_the_stage_count_and_the_command_line_wins(site, run):
    code, out, _ = run("--stage", "prod:gpu", "--project", "q", "--offline", "--json")
    assert code == 1  # the back end is ambiguous
    found = json.loads(out)
    values = found["settings"]
    assert values["project"] == {"value": "q", "origin": "the command line"}
    assert values["stage"] == {"value": "prod", "origin": "the command line"}
    assert values["substage"]["value"] == "gpu"
    assert [service["workdir"] for service in found["services"]] == [
        f"{site.root}/buffers/q/STAGE-prod",
        f"{site.root}/db/q/STAGE-prod",
    ]
    assert "offers both a jobserver and a daskserver" in found["problems"][0]


def test_running_services_are_shown_as_running_and_others_as_absent(site, run):
    site.write_project("- project: p\n- cluster: loc\n- execution: process\n")
    assert site.run("start", "--service hashserver").code == 0
    started = json.loads(site.state_path("hashserver-loc-rw-p").read_text())
    code, out, err = run("--json")
    assert (code, err) == (0, "")
    hashserver, database = json.loads(out)["services"]
    assert (hashserver["status"], hashserver["port"]) == ("running", started["port"])
    assert (database["status"], database["port"]) == ("absent", None)
    assert not site.state_path("database-loc-rw-p").exists(), "nothing may be started"
    code, out, _ = run()
    assert f"running (here) {started['port']}" in " ".join(out.split())


def test_a_host_that_cannot_be_asked_is_unreachable_and_the_rest_is_shown(site, run):
    site.write_clusters("far:\n  frontends:\n  - hostname: host.invalid\n    hashserver: {bufferdir: /b}\n")
    site.write_project("- project: p\n- cluster: far\n- execution: process\n")
    code, out, err = run()
    assert code == 1
    assert "hashserver unreachable host.invalid - hashserver-far-rw-p /b/p" in " ".join(out.split())
    assert err.startswith("error: cannot reach 'host.invalid'")
    assert "hint:" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- clutser: loc\n", "line 1, column 3: 'clutser' is no command."),
        ("- project: p\n- cluster: lok\n", "cluster 'lok' is not defined"),
    ],
)
def test_a_wrong_configuration_is_an_error_in_words(site, run, text, message):
    site.write_project(text)
    code, _, err = run("--offline")
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_with_a_cache_directory_no_file_counts(site, run, monkeypatch):
    monkeypatch.setenv("SEAMLESS_CACHE", str(site.root / "cache"))
    code, out, _ = run("--json")
    assert code == 0
    found = json.loads(out)
    assert found["cache_directory"] == str(site.root / "cache")
    assert found["files"] == []
    assert {service["status"] for service in found["services"]} == {"embedded"}
    assert found["settings"]["cluster"]["origin"] == "SEAMLESS_CACHE"
    assert not (site.root / "cache").exists()


def test_without_a_cluster_results_are_in_memory(site, run):
    site.write_project("- project: p\n")
    code, out, _ = run()
    assert code == 0
    assert "services   none: results are kept in memory" in out


def test_a_parent_that_is_not_inherited_is_hinted_at(site, run, monkeypatch):
    child = site.project / "child"
    child.mkdir()
    (child / "seamless.yaml").write_text("- project: c\n")
    code, out, _ = run("--workdir", str(child), "--offline")
    assert code == 0
    assert f"hint       {site.project / 'seamless.yaml'} is not read" in out


def test_usage_is_explained(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: seamless-config-show ")
    assert run("--nonsense")[0] == 2
    code, _, err = run("--service", "printer")
    assert (code, "--service must be one of" in err) == (2, True)
