"""Whatever stands in the files: they mean something, or the error names file and line. Nothing else, and in bounds."""

from __future__ import annotations

import copy
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless_config import yaml_reader
from seamless_config.config_commands.checking import check_directory
from seamless_config.configuration import read_configuration
from seamless_config.effective_settings import effective_settings
from seamless_config.errors import ConfigurationError
from seamless_config.launch_dictionaries import ALL_SERVICES, key_of, launch_dictionary

PROJECT = """\
# a project
- project: my-project
- subproject: a/b
- inherit_from_parent: false
- clusters: {extra: {type: local, workers: 2, frontends: [{hashserver: {bufferdir: ~/b}}]}}
- cluster: big
- queue: highmem
- execution: remote
- remote: daskserver
- persistent: true
- record: false
- node: n1
- nparallel: 4
- auth: {big: group}
- stage prod:
  - cluster: extra
  - stage prod: []
"""
CLUSTERS = """\
local_cluster: here
here:
  type: local
  workers: 4
  frontends:
  - hashserver: {bufferdir: ~/buffers, network_interface: 127.0.0.1, port_start: 1000, port_end: 1999}
    database: {database_dir: ~/results}
    jobserver: {conda: js, network_interface: 127.0.0.1, port_start: 2000, port_end: 2999}
big:
  type: slurm
  tunnel: true
  frontends:
  - &login
    hostname: login.example
    ssh_hostname: login
    auth: token
    hashserver: {bufferdir: /scratch/b, conda: hs}
    database: {database_dir: /scratch/d}
    daskserver: {network_interface: 0.0.0.0, port_start: 3000, port_end: 3999}
  - {<<: *login, hostname: other.example}
  default_queue: base
  queues:
    base: {conda: dk, walltime: "01:00:00", cores: 4, memory: 8GB, maximum_jobs: 2, unknown-task-duration: 1m,
           target_duration: 10m, job_extra_directives: [--x], extra_dask_config: {a.b: {c: [1, null]}}}
    highmem: {TEMPLATE: base, memory: 64GB, dask_resources: {GPU: 1}, exclusive: true}
"""
ODD = st.sampled_from(
    [
        None, True, False, 0, -1, 3600, 2**70, 1.5, float("nan"), float("inf"), "", " ", "a--b", "a/b", "..", "é",
        "{x.__class__}", "$HOME", "'\"`;", "\x7f", "x" * 5000, [], {}, [[]], {"a": 1}, {1: 2}, [None],
    ]
)  # fmt: skip
SNIPPETS = st.sampled_from(
    [
        "\t", "\r\n", "\r", "\ufeff", "\x00", "\x1b", "\x85", "\u2028", "&a ", "*a", "<<: ",
        "!!python/object:os ", "!x ",
        "!!binary ", "!!int ", "!!bool ", "!!timestamp ", "!!set ", "!!float ", "---\n", "...\n", "%YAML 9.9\n",
        "? ", ": ",
        "- ", "[", "]", "{", "}", "'", '"', "|", ">", "#", "@", "`", "9" * 5000, "1:" * 200, "0x" + "f" * 300, "stage ",
        "inherit_from_parent", ".nan", "~", "=", "2026-99-99", "\U0001f600", "[" * 200, "{a: " * 200, "- " * 200,
    ]
)  # fmt: skip


def paths_of(value, path=()):
    """Return the path of every value inside lists and mappings."""
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += paths_of(item, (*path, key))
    return found


def mutated_value(draw, value):
    """Return the value with one node dropped, doubled, renamed, moved or of another type."""
    root = copy.deepcopy(value)
    path = draw(st.sampled_from(paths_of(root)))
    if not path:
        return draw(ODD)
    *above, last = path
    parent = root
    for key in above:
        parent = parent[key]
    action = draw(st.sampled_from(["drop", "double", "retype", "rename", "nest", "copy"]))
    if action == "drop":
        del parent[last]
    elif action == "double" and isinstance(parent, list):
        parent.insert(last, copy.deepcopy(parent[last]))
    elif action == "rename" and isinstance(parent, dict):
        name = draw(
            st.sampled_from([1, None, True, str(last).upper(), f"{last}x", f"stage {last}", "a", "", "-"])
        )
        parent[name] = parent.pop(last)
    elif action == "nest":
        parent[last] = draw(st.sampled_from([[parent[last]], {"a": parent[last]}]))
    elif action == "copy":
        other = draw(st.sampled_from(paths_of(root)))
        source = root
        for key in other:
            source = source[key]
        parent[last] = copy.deepcopy(source)
    else:
        parent[last] = draw(ODD)
    return root


@st.composite
def structures(draw, text):
    value = yaml.safe_load(text)
    for _ in range(draw(st.integers(1, 3))):
        if not isinstance(value, (dict, list)):
            break
        value = mutated_value(draw, value)
    flow = draw(st.sampled_from([None, True, False]))
    return yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False).encode()


@st.composite
def byte_strings(draw, text):
    content = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        action = draw(st.sampled_from(["flip", "drop", "snippet", "line", "cut", "swap"]))
        if action == "flip" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif action == "drop":
            del content[at : at + draw(st.integers(1, 40))]
        elif action == "snippet":
            content[at:at] = draw(SNIPPETS).encode()
        elif action == "line":
            lines = content.split(b"\n")
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
            content = bytearray(b"\n".join(lines))
        elif action == "swap":
            content = content.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b"\n "])))
        elif at > 20:
            del content[at:]
    return bytes(content)


def files(text):
    return st.one_of(st.just(text.encode()), structures(text), byte_strings(text))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "home" / ".seamless").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def write(folder: Path, project: bytes, clusters: bytes) -> None:
    (folder / "seamless.yaml").write_bytes(project)
    (folder / "home/.seamless/clusters.yaml").write_bytes(clusters)


@pytest.mark.invariant("I-251")
@pytest.mark.timeout(300)
@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(project=files(PROJECT), clusters=files(CLUSTERS), stage=st.sampled_from([None, "prod"]))
def test_any_file_means_something_or_is_refused_with_its_line(folder, project, clusters, stage):
    write(folder, project, clusters)
    found, problem = outcome(read_configuration, folder, stage=stage)
    assert problem is None or is_well_said(problem, folder), problem
    assert found is None or len(effective_settings(found)) > 10
    for name in found.clusters if found is not None else ():
        scope = found.with_selection(found.selection.with_("cluster", name, "select"))
        for service in ALL_SERVICES:
            launch, problem = outcome(launch_dictionary, scope, service)
            key, problem = (None, problem) if launch is None else outcome(key_of, launch)
            assert key or str(problem)
    assert check_directory(str(folder), stage=stage).errors or found is not None


def outcome(function, *arguments, **options):
    """Return (result, None) or (None, ConfigurationError); any other exception is a failure of the test."""
    try:
        return function(*arguments, **options), None
    except ConfigurationError as exc:
        return None, exc


def is_well_said(problem, folder):
    files = (str(folder / "seamless.yaml"), str(folder / "home/.seamless/clusters.yaml"))
    return (
        problem.file in files
        and problem.line >= 1
        and str(problem).replace("\n", "").isprintable()
        and len(str(problem)) < 3000
        and problem.cause.endswith(".")
    )


def test_the_files_that_are_changed_are_good(folder):
    write(folder, PROJECT.encode(), CLUSTERS.encode())
    assert read_configuration(folder).selection.queue == "highmem"
    assert check_directory(str(folder)).errors == []


BOMBS = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merges": "a: &a {x: 1}\n"
    + "".join(
        f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 99)}]}}\n" for a, b in zip("abcd", "bcde", strict=True)
    ),
    "deep list": "[" * 200_000,
    "deep mapping": "{a: " * 100_000,
    "deep block": "- " * 100_000,
    "deep keys": "? " * 100_000,
    "deep aliases": "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
    "many entries": "- a\n" * 30_000,
    "long scalar": "- project: " + "x" * 4_000_000,
    "long number": "- nparallel: " + "9" * 4_000_000,
    "long base 60": "- nparallel: " + "1:" * 1_000_000 + "1",
    "long name": "- " + "x" * 4_000_000 + ": a",
    "long stage": "- stage " + "x" * 4_000_000 + ": a",
    "anchors": "".join(f"- &a{n} x\n" for n in range(30_000)),
    "wrong entries": "- xyz\n" * 15_000,
    "wrong blocks": "".join(f"- stage {n}: [x]\n" for n in range(3_000)) + "- x",
    "one line": "- {project: a}, " * 50_000,
    "quotes": '"' * 1_000_000,
    "tags": "- !!int " * 50_000,
    "comments": "# \n" * 300_000 + "- project: !x y",
}


@pytest.mark.invariant("I-252")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BOMBS)
def test_hostile_file_is_refused_in_bounded_memory(folder, monkeypatch, name):
    monkeypatch.setattr(yaml_reader, "MAX_NODES", 20_000)  # the same in less time
    (folder / "seamless.yaml").write_text(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError) as caught:
            read_configuration(folder)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert check_directory(str(folder)).errors
    assert caught.value.line
    assert len(str(caught.value)) < 3000
    assert peak_bytes < 60 << 20
