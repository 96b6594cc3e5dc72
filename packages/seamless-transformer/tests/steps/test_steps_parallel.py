"""parallel, parallel_async and TransformationList."""

from __future__ import annotations

import asyncio
import gc
import importlib
import resource
import sys
import threading
import time
import uuid

import pytest
import seamless.config
import seamless_config.select
from seamless.transformer import (
    TransformationIterableBase,
    TransformationList,
    delayed,
    parallel,
    parallel_async,
)
from seamless_config.configuration import Configuration


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch):
    monkeypatch.setattr(seamless_config.select, "_configuration", Configuration())
    seamless.config.set_nparallel(2)


@delayed
def square(n):
    return n * n


@delayed
def sometimes(n):
    if n % 3 == 1:
        raise ValueError(f"not {n}")
    return n


@delayed
def uneven(n, nonce):
    import time

    time.sleep(0.001 * (n * 7 % 5))
    return n


async def collect(iterable):
    return [tf async for tf in parallel_async(iterable)]


def run_async(iterable):
    return asyncio.run(collect(iterable))


BOTH = pytest.mark.parametrize(
    "run", [lambda items: list(parallel(items)), run_async], ids=["parallel", "parallel_async"]
)


@BOTH
def test_results_come_in_input_order(run, any_cache, counted):
    items = [uneven(n, "order") for n in range(30)]
    with counted() as count:
        done = run(items)
    assert done == items
    assert [tf.value for tf in done] == list(range(30))
    assert count.executed == 30


@BOTH
@pytest.mark.parametrize("width", [1, 2, 5])
def test_never_more_than_nparallel_run_at_once_and_all_places_are_used(run, width, load):
    seamless.config.set_nparallel(width)
    module = load(
        """
        import threading
        lock = threading.Lock()
        active = highest = 0
        full = threading.Event()

        def step(n, width, home):
            import importlib, time
            module = importlib.import_module(home)
            with module.lock:
                module.active += 1
                module.highest = max(module.highest, module.active)
                if module.active == width:
                    module.full.set()
            module.full.wait(10)
            time.sleep(0.002)
            with module.lock:
                module.active -= 1
            return n
        """
    )
    step = delayed(module.step)
    run([step(n, width, module.__name__) for n in range(4 * width)])
    assert module.highest == width


@BOTH
def test_failures_do_not_raise(run):
    done = run([sometimes(n) for n in range(6)])
    assert [tf.status for tf in done] == [
        "Status: OK",
        "Status: exception",
        "Status: OK",
        "Status: OK",
        "Status: exception",
        "Status: OK",
    ]


@BOTH
def test_steps_with_dependencies_and_repeats(run, counted):
    shared = square(3)
    add = delayed(lambda a, b: a + b)
    items = [add(shared, n) for n in range(5)]
    with counted() as count:
        assert [tf.value for tf in run([*items, items[0], shared])] == [9, 10, 11, 12, 13, 9, 9]
    assert count.executed == 6


@BOTH
def test_nothing_at_all(run):
    assert run([]) == []


@BOTH
def test_what_is_no_step_is_named(run):
    with pytest.raises(TypeError, match="item 1 given to parallel"):
        run([square(1), 2])


def test_parallel_is_refused_inside_a_loop():
    async def main():
        parallel([square(1)])

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(main())
    assert str(caught.value) == (
        "parallel() cannot be called from within a running event loop. Use parallel_async() instead."
    )


@pytest.mark.provokes("ConfigurationError")
def test_an_unset_nparallel_is_a_configuration_error(monkeypatch):
    monkeypatch.setattr(seamless_config.select, "_configuration", Configuration())
    with pytest.raises(seamless_config.ConfigurationError) as caught:
        parallel([square(1)])
    assert str(caught.value) == (
        "nparallel is not set. Add 'nparallel: <N>' to seamless.profile.yaml or call seamless_config.set_nparallel(N)."
    )


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", None, True])
def test_nparallel_is_a_positive_integer(wrong):
    with pytest.raises(ValueError, match="nparallel must be a positive whole number"):
        seamless.config.set_nparallel(wrong)


def test_leaving_early_stops_what_has_not_begun(counted):
    items = [uneven(n, uuid.uuid4().hex) for n in range(200)]
    with counted() as count:
        for tf in parallel(items):
            if tf is items[3]:
                break
        gc.collect()
    assert count.executed < 20
    assert items[-1].status == "Status: ready"
    assert items[-1].run() == 199


def test_leaving_early_in_a_loop_stops_what_has_not_begun(counted):
    items = [uneven(n, uuid.uuid4().hex) for n in range(200)]

    async def main():
        generator = parallel_async(items)
        async for tf in generator:
            if tf is items[3]:
                break
        await generator.aclose()

    with counted() as count:
        asyncio.run(main())
    assert count.executed < 20
    assert items[-1].status == "Status: ready"


class Noted(TransformationIterableBase):
    def __init__(self, items):
        super().__init__(items)
        self.finished = []
        self.closed = 0

    def finish(self, index):
        self.finished.append(index)

    def close(self):
        self.closed += 1


@BOTH
def test_the_hooks_are_called_once_for_each_item_and_once_at_the_end(run):
    items = Noted([uneven(n, "hooks") for n in range(20)])
    run(items)
    assert sorted(items.finished) == list(range(20))
    assert items.closed == 1
    assert len(items) == 20
    assert items[2:4] == [items[2], items[3]]


@BOTH
def test_an_error_in_a_hook_comes_out_of_the_iteration(run):
    class Broken(Noted):
        def finish(self, index):
            raise OSError("hook")

    items = Broken([square(n) for n in range(5)])
    with pytest.raises(OSError, match="hook"):
        run(items)
    assert items.closed == 1


@BOTH
def test_an_iterator_is_listed_before_the_start(run):
    assert [tf.value for tf in run(square(n) for n in range(4))] == [0, 1, 4, 9]


@BOTH
def test_on_error_raise(run):
    items = TransformationList([sometimes(n) for n in range(4)], show_progress=False, on_error="raise")
    with pytest.raises(RuntimeError, match=r"^Transformation 1 failed:\nTraceback"):
        run(items)


@BOTH
def test_on_error_print(run, capsys):
    run(TransformationList([sometimes(n) for n in range(4)], on_error="print"))
    captured = capsys.readouterr()
    assert captured.out.count("ValueError: not 1\n") == 1
    assert captured.err == ""


def test_another_on_error_is_refused():
    with pytest.raises(ValueError, match="on_error"):
        TransformationList([], on_error="explode")


@BOTH
def test_store_details_keeps_outcomes_and_lets_the_items_go(run):
    items = TransformationList([sometimes(n) for n in range(4)], store_details=True)
    expected = {n: sometimes(n).compute() for n in (0, 2, 3)}
    run(items)
    assert list(items) == [None] * 4
    assert items.result_checksums == expected
    assert list(items.exceptions) == [1]


def test_close_comes_after_every_finish():
    """The second item counts as finished while its `finish` still runs in the thread that finished it."""
    begun, events = threading.Event(), []

    class Slow(list):
        def finish(self, index):
            if index == 1:
                begun.set()
                time.sleep(0.2)
            events.append(index)

        def close(self):
            events.append("close")

    async def consume():
        async for _ in parallel_async(Slow([square(1), square(2)])):
            assert begun.wait(20)

    asyncio.run(consume())
    assert sorted(events[:2]) == [0, 1]
    assert events[2:] == ["close"]


def test_progress_bars_appear_on_a_terminal(monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    items = TransformationList([sometimes(n) for n in range(4)])
    for index, item in enumerate(items):
        item.compute()
        items.finish(index)
    items.close()
    assert "finished: 100%" in terminal.getvalue()
    assert "error:" in terminal.getvalue()
    assert "cancelled:" not in terminal.getvalue()


@pytest.mark.slow
def test_twenty_thousand_trivial_steps_take_little_memory():
    def resident_mib():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def run(start, count):
        total = 0
        for tf in parallel(
            TransformationList([square(n) for n in range(start, start + count)], store_details=True)
        ):
            total += tf.value
        return total

    run(0, 2_000)
    before = resident_mib()
    started = time.monotonic()
    assert run(100_000, 20_000) == sum(n * n for n in range(100_000, 120_000))
    assert time.monotonic() - started < 50
    assert resident_mib() - before < 200  # cached results, dictionaries and records, about 4 kB a step


def test_a_stage_is_selected_first(monkeypatch):
    chosen = []
    list(parallel([square(1)]))
    module = importlib.import_module("seamless_transformer.parallel_steps")
    monkeypatch.setattr(module, "_set_stage", lambda stage, substage: chosen.append((stage, substage)))
    list(parallel([square(1)], stage="build", substage="one"))
    assert chosen == [("build", "one")]


def test_parallel_needs_the_configuration_only_when_called(script):
    done = script.run(
        """
        import sys
        import seamless.transformer
        print([name for name in ("seamless_config", "numpy", "asyncio", "yaml", "tqdm") if name in sys.modules])
        """
    )
    assert done.stdout == "[]\n"
