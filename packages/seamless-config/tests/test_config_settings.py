"""Where each value comes from; who may use the services; what reading the files brings along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from seamless_config import select
from seamless_config.cluster import define_clusters, get_cluster, get_local_cluster
from seamless_config.configuration import Configuration, read_configuration
from seamless_config.effective_settings import effective_settings
from seamless_config.errors import (
    ClusterUnknown,
    ConfigurationError,
    ConfigurationFileInvalid,
    SelectionInvalid,
)
from seamless_config.launch_dictionaries import launch_dictionary
from seamless_config.selection import FIELDS, MANUAL, Selection
from seamless_config.tools import configure_hashserver
from seamless_config.yaml_reader import _Reader

CLUSTERS = """\
local_cluster: near
near: {type: local, frontends: [{hashserver: {bufferdir: /b}, auth: none}]}
far:
  type: slurm
  frontends:
  - {hostname: far, hashserver: {bufferdir: /b}, daskserver: {network_interface: 0.0.0.0, port_start: 1, port_end: 2}}
  default_queue: q
  queues:
    q: {cores: 1, conda: dk, walltime: "1", memory: 8GB}
"""


@pytest.fixture(autouse=True)
def _nothing_selected():
    yield
    select.replace_configuration(Configuration())


@pytest.fixture
def read(tmp_path, monkeypatch):
    def read(text, **options):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".seamless").mkdir(exist_ok=True)
        (tmp_path / ".seamless/clusters.yaml").write_text(CLUSTERS)
        (tmp_path / "seamless.yaml").write_text(text)
        return read_configuration(tmp_path, **options)

    return read


def origins(found):
    return {item.name: (item.value, str(item.origin)) for item in effective_settings(found)}


@pytest.mark.invariant("I-256")
def test_every_value_has_its_origin(read, tmp_path):
    before = Selection().with_("record", True, MANUAL)
    found = origins(read("- project: p\n- cluster: far\n", stage="s", before=before))
    file, clusters = tmp_path / "seamless.yaml", tmp_path / ".seamless/clusters.yaml"
    assert found == {
        "cluster": ("far", f"{file}, line 2, column 12"),
        "project": ("p", f"{file}, line 1, column 12"),
        "subproject": (None, "default"),
        "stage": ("s", "selected by the program"),
        "substage": (None, "default"),
        "execution": ("remote", "default"),
        "persistent": (True, "default"),
        "remote": ("daskserver", f"{clusters}, line 3, column 1"),
        "queue": ("q", f"{clusters}, line 3, column 1"),
        "node": (None, "default"),
        "record": (True, "selected by the program"),
        "nparallel": (None, "default"),
        "auth": (None, "default"),
        "local_cluster": ("near", f"{clusters}, line 2, column 1"),
    }


def test_explicit_null_is_not_a_default(read, tmp_path):
    found = origins(read("- cluster: far\n- cluster: null\n"))
    assert found["cluster"] == (None, f"{tmp_path / 'seamless.yaml'}, line 2, column 12")
    assert found["persistent"] == (False, "default")


def test_cache_mode_is_an_origin(tmp_path):
    found = origins(read_configuration(tmp_path, environ={"SEAMLESS_CACHE": "/c"}))
    assert found["cluster"] == ("__SEAMLESS_CACHE__", "SEAMLESS_CACHE")
    assert set(found) == {*FIELDS, "local_cluster"}


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("", "none", None),
        ("- auth: {far: group}\n", "none", "group"),
        ("- cluster: near\n- auth: token\n", "token", None),
        ("- cluster: near\n- auth: token\n- cluster: far\n- auth: group\n", "token", "group"),
        ("- auth: {far: group, near: token}\n- cluster: far\n- auth: none\n", "token", "none"),
    ],
)
def test_auth_of_the_profile_counts_more_than_that_of_the_frontend(read, text, near, far):
    found = read(f"- project: p\n{text}")
    for name, mode in (("near", near), ("far", far)):
        scope = found.with_selection(found.selection.with_("cluster", name, MANUAL))
        assert launch_dictionary(scope, "hashserver").get("auth") == mode


@pytest.mark.provokes("ConfigurationError")
@pytest.mark.parametrize("service", ["daskserver", "pure-daskserver"])
def test_queue_that_says_too_little_names_all_that_is_missing(read, service):
    found = read("- project: p\n- cluster: far\n")
    with pytest.raises(
        ConfigurationError, match=r"(?s)line 9, column 5: queue 'q' .* lacks maximum_jobs.*for example"
    ):
        launch_dictionary(found, service)


@pytest.mark.invariant("I-257")
def test_queue_of_a_program_outlives_a_load_that_selects_its_cluster_and_no_other(read):
    before = Selection({"cluster": "far", "queue": "q"}, {"cluster": "file", "queue": MANUAL}, "far")
    assert read("- cluster: far\n", before=before).selection.queue == "q"
    assert read("- cluster: near\n", before=before).selection.queue is None


@pytest.mark.provokes("SelectionInvalid")
@pytest.mark.parametrize("name", ["cluster", "project", "subproject", "stage"])
@pytest.mark.parametrize("value", ["../x", "a--b", "STAGE-a", 5, "{x}", "a\0"])
def test_launch_of_an_impossible_name_is_refused(read, name, value):
    scope = {"cluster": "near", "project": "p", name: value}
    select.replace_configuration(read(""))
    with pytest.raises(SelectionInvalid):
        configure_hashserver("rw", **scope)


def self_containing():
    definitions = {"x": {"frontends": []}}
    definitions["x"]["queues"] = definitions
    return definitions


@pytest.mark.provokes("ConfigurationFileInvalid")
@pytest.mark.parametrize(
    "definitions", [None, [], "x", {"x": object()}, {5: {}}, {"x": {"frontends": {1}}}, self_containing()]
)
def test_definitions_of_a_program_are_checked_as_those_of_a_file(definitions):
    with pytest.raises(ConfigurationFileInvalid):
        define_clusters(definitions)


def test_clusters_that_a_program_defines_replace_all(read):
    select.replace_configuration(read("- cluster: near\n"))
    define_clusters({"local_cluster": "new", "new": {"type": "local", "frontends": []}})
    assert (list(select.current_configuration().clusters), get_local_cluster()) == (["new"], "new")
    with pytest.raises(ClusterUnknown, match="'near' is not defined; defined are: new"):
        get_cluster("near")


DOCUMENTED = """\
- clusters:
    local:
      tunnel: false
      type: local
      frontends:
      - hostname: localhost
        hashserver: {bufferdir: /data/buffers, conda: hashserver, network_interface: 127.0.0.1, port_start: 55100,
                     port_end: 55199}
        database: {database_dir: /data/db, conda: seamless-database, network_interface: 127.0.0.1, port_start: 55200,
                   port_end: 55299}
        jobserver: {conda: seamless-jobserver, network_interface: 127.0.0.1, port_start: 55300, port_end: 55399}
    mycluster:
      tunnel: true
      type: slurm
      workers: 4
      frontends:
      - hostname: login.mycluster.example
        ssh_hostname: login.mycluster.example
        hashserver: {bufferdir: /scratch/seamless/buffers, conda: hashserver, network_interface: 0.0.0.0,
                     port_start: 60100, port_end: 60199}
        daskserver: {network_interface: 0.0.0.0, port_start: 60300, port_end: 60399}
      default_queue: default
      queues:
        default: {conda: seamless-dask, walltime: "01:00:00", cores: 16, memory: 32000MB, tmpdir: /tmp,
                  maximum_jobs: 20, unknown_task_duration: 1m, target_duration: 10m, lifetime_stagger: 4m}
        highmem: {TEMPLATE: default, cores: 4, memory: 128000MB}
        gpu: {TEMPLATE: default, memory: 32000MB, job_extra_directives: ["--gres=gpu:1"], dask_resources: {GPU: 1}}
- project: my-project
- cluster: local
- stage prod:
  - cluster: mycluster
  - queue: gpu
  - execution: remote
  - remote: daskserver
"""


def test_documented_example_means_what_it_says(read):
    assert read(DOCUMENTED).selection.cluster == "local"
    launch = launch_dictionary(read(DOCUMENTED, stage="prod"), "daskserver")
    assert (launch["hostname"], launch["tunnel"], launch["conda"]) == (
        "login.mycluster.example",
        True,
        "seamless-dask",
    )
    assert launch["file_parameters"]["dask-resources"] == {"GPU": 1}
    assert launch["file_parameters"]["lifetime-stagger"] == "4m"
    assert launch["meta"]["queue"] == "gpu"


def test_libyaml_reads_and_nothing_heavy_is_imported(tmp_path):
    assert yaml.__with_libyaml__
    assert _Reader("f", "").loader_class is yaml.CSafeLoader
    (tmp_path / "seamless.yaml").write_text("- project: p\n")
    code = (
        "import json, sys\nbefore = set(sys.modules)\n"
        "from seamless_config.configuration import read_configuration\nread_configuration('.')\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=True
    )
    heavy = {
        "aiohttp",
        "apsw",
        "asyncio",
        "difflib",
        "numpy",
        "subprocess",
        "seamless_config.launch_dictionaries",
    }
    assert heavy & set(json.loads(done.stdout)) == set()
