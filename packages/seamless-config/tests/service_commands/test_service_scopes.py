"""Keys and paths are read as what they were made from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_config import configuration
from seamless_config.names import name_problem
from seamless_config.service_commands import scopes
from seamless_config.service_commands.scopes import Scope, scope_of_key, scope_of_path, scope_of_state

NAMES = st.text("ab1._-", min_size=1, max_size=8).filter(lambda text: not name_problem("project", text))
CLEAR_NAMES = NAMES.filter(lambda text: not text.endswith("-"))


def test_names_of_cache_mode_are_those_of_the_configuration():
    assert scopes.CACHE_CLUSTER == configuration.CACHE_CLUSTER
    assert scopes.CACHE_PROJECT == configuration.CACHE_PROJECT


@pytest.mark.invariant("I-241")
@given(
    service=st.sampled_from(["hashserver", "database", "jobserver", "daskserver"]),
    cluster=CLEAR_NAMES,
    mode=st.sampled_from(["rw", "ro"]),
    project=CLEAR_NAMES,
    subproject=st.lists(CLEAR_NAMES, max_size=3),
    stage=st.none() | CLEAR_NAMES,
    substage=st.none() | CLEAR_NAMES,
    others=st.lists(CLEAR_NAMES, max_size=2),
)
def test_key_is_read_as_what_it_was_made_from(
    service, cluster, mode, project, subproject, stage, substage, others
):
    is_data = service in ("hashserver", "database")
    substage = None if is_data or stage is None else substage
    key = f"{service}-{cluster}-{mode}-" + "--".join([project, *subproject])
    if stage is not None:
        key += f"--STAGE-{stage}" + (f"SUBSTAGE-{substage}" if substage else "")
    others = [name for name in others if not name.startswith(f"{cluster}-")]
    found = scope_of_key(key, [cluster, *others])
    assert found is not None
    expected = Scope(
        service=service,
        cluster=cluster,
        mode=mode,
        project=project,
        subproject="/".join(subproject) or None,
        stage=stage,
        substage=substage,
    )
    assert found.as_dict() == expected.as_dict()


@pytest.mark.parametrize(
    ("key", "clusters", "cluster", "queue"),
    [
        ("pure-daskserver-far-default", (), "far", "default"),
        ("pure-daskserver-a-b-q", (), "a-b", "q"),
        ("pure-daskserver-a-b-q", ("a",), "a", "b-q"),
        ("pure-daskserver-a-b-q", ("a", "a-b"), "a-b", "q"),
    ],
)
def test_key_of_pure_dask_is_cut_at_a_known_cluster(key, clusters, cluster, queue):
    found = scope_of_key(key, clusters)
    assert (found.service, found.cluster, found.queue) == ("pure-daskserver", cluster, queue)


def test_cluster_that_looks_like_a_mode_is_known_by_its_name():
    assert scope_of_key("database-a-rw-b-rw-p", ["a-rw-b"]).cluster == "a-rw-b"
    assert scope_of_key("database-a-rw-b-rw-p").cluster == "a"


@pytest.mark.parametrize(
    "key", ["svc", "hashserver-demo", "web-far-rw-p", "database-far-rw-", "hashserver--rw-p"]
)
def test_other_keys_are_of_no_service(key):
    assert scope_of_key(key) is None
    assert scope_of_state(key, {"meta": None}).as_dict() == Scope().as_dict()


def test_meta_of_a_state_counts_more_than_its_key():
    meta = {"service": "database", "cluster": "c", "project": "q", "stage": None, "mode": "ro", "other": 7}
    found = scope_of_state("hashserver-far-rw-p--STAGE-s", {"meta": meta})
    assert (found.service, found.cluster, found.project, found.stage, found.mode) == (
        "database",
        "c",
        "q",
        None,
        "ro",
    )


@pytest.mark.parametrize("meta", [7, [], {}, {"service": "database"}, {"service": 1, "cluster": "c"}])
def test_meta_that_says_nothing_is_passed_over(meta):
    assert scope_of_state("hashserver-far-rw-p", {"meta": meta}).service == "hashserver"


@pytest.mark.parametrize(
    ("path", "project", "subproject", "stage"),
    [
        ("/d", None, None, None),
        ("/d/p", "p", None, None),
        ("/d/p/a/b/c/STAGE-s", "p", "a/b/c", "s"),
        ("/d/p/STAGE-s", "p", None, "s"),
    ],
)
def test_path_is_read_as_project_and_stage(path, project, subproject, stage):
    found = scope_of_path("database", "c", path, "/d")
    assert (found.project, found.subproject, found.stage) == (project, subproject, stage)


@pytest.mark.parametrize("path", ["/d/STAGE-s", "/d/p/STAGE-s/more", "/d/STAGE-s/p", "/other/p", "/dd/p", ""])
def test_path_that_no_service_has_is_none(path):
    assert scope_of_path("database", "c", path, "/d") is None
