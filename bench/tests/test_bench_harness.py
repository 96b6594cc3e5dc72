"""The arithmetic of the benchmarks, and that a run cannot pass falsely or leave something behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import peers, ran
from bench.define import Benchmark, Budget, Case
from bench.harness import Outcome, all_benchmarks, run_benchmark
from bench.peers import PeerFailed, PeerMissing, Peers, RunOutput
from bench.report import as_json, as_table

BENCHMARK = Benchmark(
    "example",
    "An example",
    units={"cost": "us"},
    budgets=(Budget("cost", 10), Budget("cost", 0.5, against="reference")),
    cases=(Case(peers=("ours", "reference"), rounds=3),),
)


class FakePeers(Peers):
    """Peers that answer from a list instead of running anything."""

    def __init__(self, answers):
        super().__init__({})
        object.__setattr__(self, "answers", answers)

    def run(self, module, peer, case, *, timeout_s):
        answer = self.answers[peer].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return RunOutput({"cost": answer}, 0.0)


def measured(**answers):
    outcome = Outcome(BENCHMARK)
    run_benchmark("module", outcome, FakePeers(answers), say=lambda text: None)
    return outcome


def test_ratio_is_the_median_of_the_ratios_inside_each_round():
    outcome = measured(ours=[1.0, 2.0, 30.0], reference=[10.0, 20.0, 60.0])
    assert outcome.ratio("cost", "reference") == pytest.approx(0.1)


def test_budgets_are_judged_on_medians_and_ratios():
    outcome = measured(ours=[1.0, 11.0, 12.0], reference=[10.0, 110.0, 120.0])
    assert [verdict.met for verdict in outcome.verdicts()] == [False, True]
    assert outcome.breaks_promise()


def test_missing_peer_leaves_its_budget_unjudged_and_the_others_measured():
    outcome = measured(ours=[1.0, 1.0, 1.0], reference=[PeerMissing("no module")])
    assert [verdict.met for verdict in outcome.verdicts()] == [True, None]
    assert not outcome.breaks_promise()


def test_check_notices_that_ours_could_not_take_part():
    assert measured(ours=[PeerMissing("no module")], reference=[1.0] * 3).breaks_promise()


def test_failed_peer_is_named_in_table_and_json():
    outcome = measured(ours=[PeerFailed("it broke")], reference=[1.0] * 3)
    assert "failed: example (ours)" in as_table([outcome])
    assert as_json({}, [outcome])["benchmarks"]["example"]["failed"] == {"ours": "it broke"}


def test_figures_are_compared_with_an_earlier_run():
    before = as_json({}, [measured(ours=[1.0] * 3, reference=[1.0] * 3)])
    table = as_table([measured(ours=[3.0] * 3, reference=[1.0] * 3)], before)
    assert " 3x " in table


def test_every_budget_and_case_of_every_workload_refers_to_something_that_exists():
    for _, benchmark in all_benchmarks().values():
        cases = {case.name for case in benchmark.cases}
        figures = [budget.figure for budget in benchmark.budgets]
        figures += [b.against for b in benchmark.budgets if b.against and "@" in b.against]
        assert {figure.partition("@")[0] for figure in figures} <= set(benchmark.units), benchmark.name
        assert {figure.partition("@")[2] for figure in figures} <= cases, benchmark.name


def test_step_that_did_not_run_ends_the_workload():
    ran.calls.append(1)
    with pytest.raises(RuntimeError, match="2 steps had to run, but 1 ran"):
        ran.expect(2)
    ran.expect(0)


def test_run_without_figures_fails_with_what_was_printed(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "BENCH_DIR", tmp_path)
    peers._scratch_parent.cache_clear()
    with pytest.raises(PeerFailed, match="printed no figures"):
        Peers({"ours": Path(sys.executable)}).run("this", "ours", "", timeout_s=30)


def test_scratch_directories_are_removed_at_the_end_of_the_program(tmp_path):
    code = (
        "from pathlib import Path; from bench import peers\n"
        f"peers.BENCH_DIR = Path({str(tmp_path)!r})\n"
        "with peers._scratch() as scratch: assert scratch.is_dir()\n"
        "assert scratch.is_dir()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=peers.ROOT, check=True, timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_run_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "BENCH_DIR", tmp_path)
    peers._scratch_parent.cache_clear()
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    (tmp_path / "forever.py").write_text("import signal; signal.pause()")
    with pytest.raises(PeerFailed, match=r"took longer than 0\.5 s"):
        Peers({"ours": Path(sys.executable)}).run("forever", "ours", "", timeout_s=0.5)


def test_only_a_process_that_names_its_state_file_is_stopped(tmp_path):
    states = tmp_path / "home" / ".remote-http-launcher" / "server"
    states.mkdir(parents=True)
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    launched = subprocess.Popen([*sleeper, str(states / "a.json")], start_new_session=True)
    foreign = subprocess.Popen(sleeper)
    (states / "a.json").write_text(json.dumps({"pid": launched.pid}))
    (states / "b.json").write_text(json.dumps({"pid": foreign.pid}))
    peers.signal_launched_servers(tmp_path)
    assert launched.wait(timeout=10) != 0
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()
