"""Execution records and counters."""

from __future__ import annotations

import threading
from importlib.metadata import version

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless.transformer import delayed, direct, step_counters

KEYS = [
    "schema_version",
    "tf_checksum",
    "result_checksum",
    "seamless_version",
    "execution_mode",
    "remote_target",
    "wall_time_seconds",
    "cpu_time_user_seconds",
    "cpu_time_system_seconds",
    "memory_peak_bytes",
    "gpu_memory_peak_bytes",
]


@delayed
def work(n):
    import time

    deadline = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        pass
    return n


def test_a_record_has_its_keys_in_order_and_sane_figures(any_cache):
    tf = work(1)
    tf.compute()
    record = any_cache.results.record(tf.transformation_checksum)
    assert list(record) == KEYS
    assert record["schema_version"] == 1
    assert record["tf_checksum"] == tf.transformation_checksum.hex()
    assert record["result_checksum"] == tf.result_checksum.hex()
    assert record["seamless_version"] == version("seamless-transformer")
    assert (record["execution_mode"], record["remote_target"]) == ("process", None)
    assert 0.05 <= record["wall_time_seconds"] < 20
    assert (
        0
        < record["cpu_time_user_seconds"] + record["cpu_time_system_seconds"]
        <= record["wall_time_seconds"] + 0.1
    )
    assert 1 << 20 < record["memory_peak_bytes"] < 1 << 40


def test_a_command_has_a_record_too(any_cache):
    step = delayed("echo 1 > RESULT", "bash")
    step.celltypes.result = "int"
    tf = step()
    tf.compute()
    record = any_cache.results.record(tf.transformation_checksum)
    assert list(record) == KEYS
    assert record["memory_peak_bytes"] > 0


def test_a_hit_writes_no_record(any_cache, monkeypatch):
    work(2).compute()
    before = any_cache.results.record(work(2).transformation_checksum)
    work(2).compute()
    assert any_cache.results.record(work(2).transformation_checksum) == before


def test_a_failure_has_no_record(any_cache):
    tf = delayed(lambda a: 1 / a)(0)
    tf.compute()
    assert any_cache.results.record(tf.transformation_checksum) is None
    assert any_cache.results.get(tf.transformation_checksum) is None


def test_counters_count_from_many_threads():
    step = direct(lambda a: a)
    step(0)
    before = step_counters()
    threads = [threading.Thread(target=lambda: [step(0) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (step_counters() - before).hits == 2000


def test_a_result_that_lost_is_counted_and_the_first_stands(any_cache, load):
    module = load(
        """
        def race(a, home):
            import importlib
            importlib.import_module(home).rival()
            return "mine"
        """
    )
    from seamless import Buffer

    step = delayed(module.race)
    tf = step(1, module.__name__)
    theirs = Buffer("theirs", "mixed")
    module.rival = lambda: any_cache.results.put(tf.construct(), theirs.get_checksum(), buffers=[theirs])
    before = step_counters()
    assert tf.run() == "theirs"
    assert (step_counters() - before).conflicts == 1


# properties of the identity

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PROPERTY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@PROPERTY
@given(VALUES, VALUES)
def test_the_identity_is_equal_exactly_when_the_argument_is(one, other):
    step = delayed("a")
    step.celltypes.a = "mixed"
    step.celltypes.result = "mixed"
    equal = step(a=one).construct() == step(a=other).construct()
    assert equal == (written(one) == written(other))


def written(value):
    from seamless import Buffer

    return None if value is None else Buffer(value, "mixed").content


@PROPERTY
@given(st.integers(), st.integers())
def test_any_change_of_code_changes_the_identity(one, other):
    def identity(number):
        step = delayed(f"a + {number}")
        step.celltypes.a = "int"
        step.celltypes.result = "int"
        return step(a=1).construct()

    assert (identity(one) == identity(other)) == (one == other)


@pytest.mark.invariant("I-65")
@PROPERTY
@given(
    meta=st.dictionaries(st.sampled_from(["ncores", "memory", "queue"]), st.integers(0, 9)),
    scratch=st.booleans(),
    local=st.sampled_from([True, False, None]),
    direct_print=st.sampled_from([True, False, None]),
    fingertip=st.booleans(),
    driver=st.booleans(),
    environment=st.sampled_from([None, "science"]),
)
def test_no_orthogonal_setting_changes_the_identity(
    meta, scratch, local, direct_print, fingertip, driver, environment
):
    step = delayed("a + 1")
    step.celltypes.a = "int"
    step.celltypes.result = "int"
    plain = step(a=1).construct()
    step.meta = meta
    step.scratch = scratch
    step.local = local
    step.direct_print = direct_print
    step.allow_input_fingertip = fingertip
    step.driver = driver
    step.environment.set_conda_env(environment)
    assert step(a=1).construct() == plain


@pytest.mark.parametrize(
    "change",
    [
        lambda step: setattr(step.celltypes, "a", "float"),
        lambda step: setattr(step.celltypes, "result", "plain"),
        lambda step: setattr(step.globals, "K", 1),
        lambda step: setattr(step, "code", "a + 2"),
        lambda step: setattr(
            step.modules, "helper", {"code": "x=1", "language": "python", "type": "interpreted"}
        ),
    ],
)
def test_every_part_of_the_definition_changes_the_identity(change):
    step = delayed("a + 1")
    step.celltypes.a = "int"
    step.celltypes.result = "int"
    plain = step(a=1).construct()
    change(step)
    assert step(a=1).construct() != plain
