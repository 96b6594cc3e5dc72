"""seamless-config-check and seamless-config-init, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from seamless_config.config_commands.first_files import FirstFiles, first_project_name
from seamless_config.schemas import schema_path

SCRIPTS = Path(sys.executable).parent
QUEUE = "conda: dk, walltime: '01:00:00', cores: 1, memory: 8GB, maximum_jobs: 2, unknown_task_duration: 1m"
DASK = "daskserver: {network_interface: 0.0.0.0, port_start: 3000, port_end: 3999}"


def run(name, *words, cwd, **variables):
    return subprocess.run(
        [SCRIPTS / name, *words],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def home():
    return Path(os.environ["HOME"])


@pytest.fixture
def define(home):
    def define(text, name="clusters.yaml"):
        path = home / ".seamless" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return define


def files_below(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def check(cwd, *words, **variables):
    done = run("seamless-config-check", "--json", *words, cwd=cwd, **variables)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1)
    return found


# ---- check


def test_good_configuration_names_what_would_be_launched(tmp_path, define):
    define(
        "alps:\n  tunnel: true\n"
        "  frontends:\n  - {hostname: alps.example, ssh_hostname: alps, hashserver: {bufferdir: /b}}\n"
    )
    (tmp_path / "seamless.yaml").write_text("- project: p\n- cluster: alps\n- execution: process\n")
    found = check(tmp_path, "--stage", "prod")
    assert found["errors"] == []
    assert [item["message"] for item in found["warnings"]] == [
        "cluster 'alps' offers no database: it keeps no results."
    ]
    assert found["services"] == [
        {
            "host": "alps",
            "key": "hashserver-alps-rw-p--STAGE-prod",
            "service": "hashserver",
            "workdir": "/b/p/STAGE-prod",
        }
    ]
    assert found["settings"]["cluster"]["origin"] == f"{tmp_path / 'seamless.yaml'}, line 2, column 12"
    assert found["settings"]["persistent"] == {"value": True, "origin": "default"}


def test_errors_of_all_files_and_entries_are_shown_in_one_run(tmp_path, define):
    clusters = define("a: {frontends: [], colour: red}\nb: {type: pbs, frontends: []}\n")
    other = define("- no mapping\n", name="clusters/other.yaml")
    project, profile = tmp_path / "seamless.yaml", tmp_path / "seamless.profile.yaml"
    project.write_text("- Project: p\n- stage later:\n  - recrod: true\n")
    profile.write_text("- cluster: [\n")
    found = check(tmp_path)
    assert {(Path(item["file"]).name, item["line"]) for item in found["errors"]} == {
        (profile.name, 1),
        (other.name, 1),
        (project.name, 1),
        (project.name, 3),
        (clusters.name, 1),
        (clusters.name, 2),
    }


def test_each_entry_of_a_block_and_each_field_of_a_cluster_is_looked_at(tmp_path, define):
    clusters = define(
        "a:\n  type: slurm\n  tunel: true\n  workers: 0\n  frontends:\n  - hostname: h\n"
        "    hashserver: {bufferdir: 1}\n"
        "    database:\n      port_start: 2\n      port_end: 1\n  queues:\n    q:\n"
        "      memory: 8\n      walltime: 1:00:00\n      cores: 1\n"
        "    r: {TEMPLATE: p}\n"
    )
    project = tmp_path / "seamless.yaml"
    project.write_text(
        "- stage x:\n  - node: 1\n  - stage x:\n    - record: 2\n    - recrod: true\n  - queue: 1\n  - stage z: []\n"
    )
    found = check(tmp_path)
    lines = [(item["file"], item["line"]) for item in found["errors"]]
    assert [line for file, line in lines if file == str(project)] == [2, 4, 5, 6]
    assert [item["line"] for item in found["warnings"] if "stage 'x'" in item["message"]] == [7]
    assert [line for file, line in lines if file == str(clusters)] == [3, 4, 7, 9, 13, 14, 16]


def test_what_follows_from_an_error_is_not_told(tmp_path, define):
    define(
        "a: {type: Local, frontends: [], queues: {q: {walltime: '1'}}}\n"
        "b: {frontends: [{hashserver: {bufferdir: /b, port_start: x, port_end: 5}}]}\n"
        "c: {type: slurm, frontends: [], queues: {q: {cores: none}, r: {TEMPLATE: q}}}\n"
        "d: {frontends: 5}\n"
    )
    assert [item["line"] for item in check(tmp_path)["errors"]] == [1, 2, 3, 4]


def test_very_many_errors_are_not_all_told(tmp_path):
    (tmp_path / "seamless.yaml").write_text("- x\n" * 20_000)
    done = run("seamless-config-check", cwd=tmp_path)
    assert done.stdout.count("error: ") == 100
    assert done.stdout.endswith("1 file read: 100 errors or more, no warnings\n")


def test_text_shows_line_mark_and_hint_for_a_person(tmp_path):
    (tmp_path / "seamless.yaml").write_text("- projct: p\n")
    done = run("seamless-config-check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:4] == [
        f"error: {tmp_path / 'seamless.yaml'}, line 1, column 3: 'projct' is no command.",
        "    - projct: p",
        "      ^",
        "hint:  Did you mean 'project'?",
    ]
    assert done.stdout.endswith("1 file read: 1 error, no warnings\n")


STORAGE = "{hashserver: {bufferdir: /b}, database: {database_dir: /d}}"
LOCAL = f"local_cluster: c\nc:\n  type: local\n  frontends:\n  - {STORAGE}\n"
BOTH = (
    "c:\n  type: local\n  workers: 2\n  frontends:\n  - hashserver: {bufferdir: /b}\n    database: {database_dir: /d}\n"
    f"    jobserver: {{conda: js, network_interface: 0.0.0.0, port_start: 1, port_end: 2}}\n    {DASK}\n"
)
SLURM = f"c:\n  type: slurm\n  frontends:\n  - {{hostname: h, {DASK}}}\n"


@pytest.mark.parametrize(
    ("project", "clusters", "said"),
    [
        ("- project: p\n- cluster: C\n", LOCAL, "cluster 'C' is not defined"),
        ("- cluster: c\n", LOCAL, "no project is selected"),
        ("- execution: remote\n", "", "execution is remote, but no cluster is selected"),
        ("- persistent: true\n", "", "persistent is true, but no cluster is selected"),
        ("- project: p\n- cluster: c\n- execution: remote\n", LOCAL, "offers neither a jobserver nor a daskserver"),
        ("- project: p\n- cluster: c\n", "c: {frontends: []}\n", "neither a hashserver nor a database"),
        ("- execution: spawn\n", "", "no local cluster that says how many workers"),
        ("- project: p\n- cluster: c\n- execution: spawn\n", LOCAL, "does not say how many workers"),
        ("- project: p\n- cluster: c\n", BOTH, "offers both a jobserver and a daskserver"),
        ("- project: p\n- cluster: c\n- remote: daskserver\n", LOCAL, "no frontend that offers a daskserver"),
        ("- cluster: c\n- persistent: false\n", LOCAL, "remote execution needs a daskserver"),
        ("- project: p\n- cluster: c\n", SLURM, "has no default queue, and none is selected"),
        (
            "- project: p\n- cluster: c\n- queue: q\n",
            f"{SLURM}  queues:\n    q: {{{QUEUE}}}\n",
            "lacks target_duration; a Dask server cannot be configured from it",
        ),
        ("- project: p\n- cluster: c\n- node: n\n- queue: q\n- remote: daskserver\n",
         f"{BOTH}  queues:\n    q: {{{QUEUE}, target_duration: 1m}}\n", "nodes cannot be"),
        ("- project: p\n- cluster: c\n- execution: process\n", "c: {frontends: [{hashserver: {bufferdir: /b c}}]}\n",
         "cannot be launched"),
        ("- project: p\n- cluster: c\n- execution: process\n",
         "c: {frontends: [{hostname: me@h, hashserver: {bufferdir: /b}}]}\n", "cannot be launched"),
    ],
)  # fmt: skip
def test_what_is_selected_and_cannot_be_used_is_an_error(tmp_path, define, project, clusters, said):
    define(clusters)
    (tmp_path / "seamless.yaml").write_text(project)
    found = check(tmp_path)
    assert any(said in item["message"] for item in found["errors"]), found["errors"]


def test_what_is_not_selected_is_only_warned_of(tmp_path, define):
    define(
        f"a: {{frontends: [{{hostname: me@h, hashserver: {{bufferdir: /b}}}}]}}\n"
        f"b:\n  default_queue: r\n  type: slurm\n  frontends:\n  - {{hostname: h, {DASK}}}\n"
        f"  queues:\n    q: {{{QUEUE}}}\n"
    )
    define("a: {frontends: []}\n", name="clusters/twice.yaml")
    define("d: {frontends: [{hashserver: {bufferdir: '/b c'}}]}\n", name="clusters/odd.yaml")
    (tmp_path / "seamless.yaml").write_text("- project: p\n- auth: {z: group}\n- stage a:b: []\n")
    found = check(tmp_path)
    said = "\n".join(item["message"] for item in found["warnings"])
    assert found["errors"] == []
    for words in (
        "cluster 'a' replaces the one of the same name in",
        "the default queue 'r' of cluster 'b' is not defined",
        "queue 'q' of cluster 'b' lacks target_duration",
        "hashserver of cluster 'd'",
        "auth names the cluster 'z', which is not defined",
        "this block never counts",
    ):
        assert words in said


@pytest.mark.provokes("NotSupportedYet")
def test_what_this_version_cannot_do_yet_is_warned_of(tmp_path, define):
    define(BOTH)
    (tmp_path / "seamless.yaml").write_text("- project: p\n- cluster: c\n- remote: jobserver\n")
    found = check(tmp_path)
    assert found["errors"] == []
    assert ["cannot start yet" in item["message"] for item in found["warnings"]] == [True, False]
    assert [item["service"] for item in found["services"]] == ["hashserver", "database", "jobserver"]


def test_services_that_run_elsewhere_or_out_of_reach_are_warned_of(tmp_path, define):
    define(
        "local_cluster: near\nnear: {frontends: [{hostname: other, hashserver: {bufferdir: /b}}]}\n"
        "far: {frontends: [{hostname: far, hashserver: {bufferdir: /b}}, {hostname: g, hashserver: {bufferdir: /b,"
        " network_interface: 0.0.0.0}}]}\n"
        "tunnelled: {tunnel: true, frontends: [{hostname: h, hashserver: {bufferdir: /b}}]}\n"
    )
    (tmp_path / "seamless.yaml").write_text("- project: p\n")
    assert [item["message"] for item in check(tmp_path)["warnings"]] == [
        "the hashserver of cluster 'far' listens on its own machine only; clients ask for it at far.",
        "cluster 'near' is designated as local: its services run on this machine, not on other.",
    ]


def test_parent_that_is_not_inherited_and_missing_files_are_hinted_at(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    assert "there is no seamless.yaml" in check(inner)["warnings"][0]["message"]
    (tmp_path / "seamless.yaml").write_text("- project: p\n")
    (inner / "seamless.yaml").write_text("- project: q\n")
    assert "is not read" in check(inner)["warnings"][0]["message"]


def test_cache_variable_and_unknown_home_are_warned_of(tmp_path):
    (tmp_path / "seamless.yaml").write_text("- project: p\n")
    found = check(tmp_path, SEAMLESS_CACHE="/c", HOME="/nonexistent")
    assert [item["message"].split(":")[0] for item in found["warnings"]] == [
        "SEAMLESS_CACHE is set",
        "the home directory '/nonexistent' does not exist",
    ]


def test_profile_that_git_tracks_is_warned_of(tmp_path):
    (tmp_path / "seamless.profile.yaml").write_text("- project: p\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True, timeout=30)
    assert check(tmp_path)["warnings"] == []
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True, timeout=30)
    (warning,) = check(tmp_path)["warnings"]
    assert (
        warning["remedy"]
        == "git rm --cached seamless.profile.yaml && echo seamless.profile.yaml >> .gitignore"
    )


def test_check_changes_nothing(tmp_path, home, define):
    define(LOCAL)
    (tmp_path / "seamless.yaml").write_text("- project: p\n- cluster: c\n")
    before = files_below(tmp_path, home)
    check(tmp_path)
    assert files_below(tmp_path, home) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--stage", ":x"], 2, "names no stage"),
        (["--stage", "a/b"], 1, "the stage 'a/b' must not contain '/'"),
        (["--stag", "a"], 2, "unrecognized"),
        (["nowhere"], 1, ""),
    ],
)
def test_wrong_words_are_refused(tmp_path, words, code, said):
    done = run("seamless-config-check", *words, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_output_of_an_ascii_terminal_is_escaped(tmp_path):
    (tmp_path / "seamless.yaml").write_text("- projet: é\n")
    done = run("seamless-config-check", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "\\xe9" in done.stdout


def test_paths_of_the_schemas_are_printed(tmp_path):
    done = run("seamless-config-check", "--schema-paths", cwd=tmp_path)
    assert done.stdout.splitlines() == [schema_path("seamless"), schema_path("clusters")]


# ---- init


@pytest.mark.invariant("I-254")
@pytest.mark.parametrize("words", [[], ["--inline"], ["--cluster-dir", "data"], ["--project", "mine"]])
def test_first_files_are_good_at_once(tmp_path, home, words):
    done = run("seamless-config-init", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = check(tmp_path)
    assert found["errors"] == found["warnings"] == []
    assert [item["service"] for item in found["services"]] == ["hashserver", "database"]
    assert found["settings"]["project"]["value"] == (
        "mine" if "mine" in words else first_project_name(str(tmp_path))
    )
    assert (home / ".seamless").exists() == ("--inline" not in words)
    for line in done.stdout.splitlines():
        assert line.startswith("wrote ")


def test_first_files_work_with_init(tmp_path):
    run("seamless-config-init", cwd=tmp_path)
    code = (
        "import os, seamless.config\n"
        "seamless.config.init(workdir=os.getcwd())\n"
        "from seamless_config.config_files import load_config_files\n"
        "from seamless_config.select import get_selected_cluster\n"
        "load_config_files()\nprint(get_selected_cluster())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout) == (0, "local\n"), done.stderr


@pytest.mark.invariant("I-255")
def test_files_that_are_there_are_never_changed(tmp_path, home, define):
    define("mine: {frontends: []}\nlocal: {frontends: []}\n")
    (tmp_path / "seamless.yaml").write_text("- project: before\n")
    before = files_below(tmp_path, home)
    done = run("seamless-config-init", cwd=tmp_path)
    after = files_below(tmp_path, home)
    assert done.returncode == 0
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} == {"seamless.profile.yaml", "local2.yaml"}
    again = run("seamless-config-init", cwd=tmp_path)
    assert again.returncode == 1
    assert "nothing was written" in again.stderr
    assert files_below(tmp_path, home) == after


def test_local_cluster_that_is_there_is_used(tmp_path, home, define):
    define("local_cluster: mine\nmine: {type: local, frontends: []}\n")
    run("seamless-config-init", cwd=tmp_path)
    assert {"cluster": "mine"} in yaml.safe_load((tmp_path / "seamless.profile.yaml").read_text())
    assert [path.name for path in files_below(home)] == ["clusters.yaml"]


def test_force_keeps_the_old_files_beside_the_new(tmp_path):
    (tmp_path / "seamless.yaml").write_text("old")
    (tmp_path / "seamless.profile.yaml").write_text("older")
    assert run("seamless-config-init", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "seamless.yaml.old").read_text() == "old"
    assert (tmp_path / "seamless.profile.yaml.old").read_text() == "older"
    assert check(tmp_path)["ok"]


@pytest.mark.parametrize(("before", "after"), [(None, ""), ("x", "x\n"), ("x\n", "x\n")])
def test_profile_is_added_to_gitignore_once(tmp_path, before, after):
    (tmp_path / ".git").mkdir()
    if before is not None:
        (tmp_path / ".gitignore").write_text(before)
    run("seamless-config-init", cwd=tmp_path)
    assert (tmp_path / ".gitignore").read_text() == f"{after}seamless.profile.yaml\n"
    run("seamless-config-init", "--force", cwd=tmp_path)
    assert (tmp_path / ".gitignore").read_text() == f"{after}seamless.profile.yaml\n"


def test_without_a_repository_there_is_no_gitignore(tmp_path):
    run("seamless-config-init", cwd=tmp_path)
    assert not (tmp_path / ".gitignore").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster-dir", "/a b"], "cannot be served"),
        (["--project", "a--b"], "must not contain '--'"),
        (["nowhere"], "there is no directory 'nowhere'"),
    ],
)
def test_impossible_wishes_are_refused_and_nothing_is_written(tmp_path, home, words, said):
    done = run("seamless-config-init", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert files_below(tmp_path, home) == {}


def test_broken_cluster_file_stops_init_before_anything_is_written(tmp_path, define):
    define("x: [\n")
    assert run("seamless-config-init", cwd=tmp_path).returncode == 1
    assert files_below(tmp_path) == {}


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/x/My Project (2)", "My-Project-2"),
        ("/x/--a--", "a"),
        ("/x/é", "project"),
        ("/", "project"),
        ("/x/a--b", "a-b"),
    ],
)
def test_name_of_the_project_comes_from_the_directory(directory, name):
    assert first_project_name(directory) == name
    assert FirstFiles(directory, cluster_directory="~/x").project == name
