"""The JSON schemas: what the code builds, and what they say of the recorded files."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
import yaml
from config_vectors import CASES, FIXTURES
from seamless_config.schemas import KINDS, build_schema, schema_path

from tools.config_schemas import text_of

NOT_TOLD_BY_A_SCHEMA = {  # rules between fields, between files, or of what another stage ignores
    "cluster-def-hashserver-range-reversed",
    "cluster-def-queue-exclusive-jobcores",
    "cluster-def-queue-no-cores-notype",
    "cluster-def-queue-no-cores-slurm",
    "cluster-def-queue-template-forward",
    "cluster-def-queue-template-unknown",
    "cluster-def-queue-template-unset-null",
    "clusters-intname",  # JSON has no such keys
    "clusters-local-cluster-unknown",
    "nparallel-float",  # 2.0 is an integer for a schema
    "inherit-inside-stage-not-followed",
    "queue-before-cluster",
    "queue-no-queues",
    "queue-unknown",
    "queue-unknown-cluster",
}
NEVER_READ = {"cache-env", "cache-env-ignores-broken-yaml"}
IN_ANOTHER_STAGE = {
    "stage-block-nested",
    "stage-inactive-bad-content-ignored",
}  # a schema looks into all blocks
REFUSED_BY_US = {
    "cluster-def-hashserver-port-string",
    "cluster-def-tunnel-string",
    "cluster-def-workers-string",
    "clusters-file-pairs-list",
    "project-empty-string",
    "stage-no-space",
    "subproject-dotdot",
}
ACCEPTED_BY_US = {
    "cluster-def-hostname-missing-nonlocal",
    "cluster-def-hostname-missing-notype",
    "cluster-def-queue-prologue-rejected",
    "clusters-file-empty",
    "comment-only-file",
    "empty-file",
}


def contents(case):
    """Return (kind, content) of each file of a case that is YAML."""
    found = []
    for name, text in case["files"].items():
        kind = "clusters" if ".seamless" in name else "seamless"
        found.append((kind, yaml.safe_load(FIXTURES[text[1:]] if text.startswith("@") else text)))
    return found


def is_refused(case):
    error = case["expect"].get("error")
    is_of_load = error and case["steps"][case["expect"]["failed_step"]][0] == "load"
    is_of_block = error and error["kind"] == "unknown-command"  # found by set_stage
    return (bool(is_of_load or is_of_block) or case["id"] in REFUSED_BY_US) and case[
        "id"
    ] not in ACCEPTED_BY_US


def is_yaml(case):
    return case["expect"].get("error", {}).get("kind") != "yaml-syntax"


def is_told(case):
    """Whether the outcome of a case shows in one file."""
    return is_yaml(case) and case["id"] not in NOT_TOLD_BY_A_SCHEMA | NEVER_READ | IN_ANOTHER_STAGE


BAD = sorted(name for name, case in CASES.items() if is_told(case) and is_refused(case))
GOOD = sorted(
    name
    for name, case in CASES.items()
    if is_told(case) and not is_refused(case) and not (case["expect"].get("error") and not case["files"])
)


def is_valid(kind, content):
    return jsonschema_rs.validator_for(json.loads(text_of(kind))).is_valid(json.loads(json.dumps(content)))


@pytest.mark.invariant("I-253")
@pytest.mark.parametrize("kind", KINDS)
def test_schema_file_is_what_the_code_builds(kind):
    with open(schema_path(kind), encoding="utf-8") as file:
        assert file.read() == text_of(kind), "make generated"


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_a_schema(kind):
    assert jsonschema_rs.meta.is_valid(build_schema(kind))


@pytest.mark.parametrize("name", BAD)
def test_recorded_file_that_is_refused_is_invalid(name):
    assert not all(is_valid(kind, content) for kind, content in contents(CASES[name]))


@pytest.mark.parametrize("name", GOOD)
def test_recorded_file_that_is_read_is_valid(name):
    assert all(is_valid(kind, content) for kind, content in contents(CASES[name]))


@pytest.mark.parametrize(
    "content", [[{"auth": "groups"}], [{"auth": {"a": 1}}], [{"project": "x" * 101}], [["project"]]]
)
def test_what_the_parser_refuses_is_invalid(content):
    assert not is_valid("seamless", content)


@pytest.mark.parametrize(
    "content", [None, [], [{"auth": {"a": "group"}}], ["cluster"], [{"stage a b": [{"stage c": []}]}]]
)
def test_what_the_parser_takes_is_valid(content):
    assert is_valid("seamless", content)
