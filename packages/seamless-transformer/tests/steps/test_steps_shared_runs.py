"""Processes that share a cache take turns: a command runs once at a time, and can be stopped from outside."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import pytest
from seamless import Buffer, Checksum
from seamless.active import ActiveSet, replace_active
from seamless.embedded import memory_set, open_embedded
from seamless.errors import StepError
from seamless.transformer import delayed
from seamless_store.leases import Lease
from seamless_transformer.identity import tf_checksum
from seamless_transformer.shared_runs import StepTurn
from seamless_transformer.stored_step import run_transformation

PROGRAM = """
    import sys
    from seamless import Buffer
    from seamless.active import get_active
    from seamless.errors import SeamlessError
    from seamless_transformer import delayed, step_counters
    from seamless_transformer.stored_step import run_transformation

    how, code = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        if how == "step":
            step = delayed(code, "bash")
            step.celltypes.result = "bytes"
            answer = step().run().content
        else:
            text = Buffer(code, "text")
            transformation = {"__language__": "bash", "__output__": ["result", "bytes", None],
                              "code": ["text", "transformer", text.get_checksum().hex()]}
            done = run_transformation(transformation, active=get_active(), read_input=lambda _: text)
            answer = done.buffer.content
    except Exception as exc:
        answer = type(exc).__name__
    count = step_counters()
    print(answer, count.executed, count.shared, flush=True)
    """


class World:
    """A cache directory, a command that counts its runs, and processes that run it."""

    def __init__(self, folder: Path, active: ActiveSet) -> None:
        self.folder = folder
        self.active = active
        self.started: list[subprocess.Popen[str]] = []

    def transformation(self, code: str) -> dict[str, object]:
        text = Buffer(code, "text")
        self.active.buffers.put(text)
        code_pin = ["text", "transformer", text.get_checksum().hex()]
        return {"__language__": "bash", "__output__": ["result", "bytes", None], "code": code_pin}

    def start(self, how: str, code: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "SEAMLESS_CACHE": str(self.folder / "cache")}
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), how, code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    def go(self, process: subprocess.Popen[str]) -> None:
        process.stdin.write("\n")
        process.stdin.flush()

    def answer(self, process: subprocess.Popen[str]) -> str:
        return process.communicate(timeout=30)[0].strip()

    @property
    def ran(self) -> Path:
        return self.folder / "ran"

    @property
    def n_runs(self) -> int:
        return len(self.ran.read_text().splitlines()) if self.ran.exists() else 0


@pytest.fixture
def world(tmp_path):
    active = open_embedded(tmp_path / "cache")
    replace_active(active)
    world = World(tmp_path, active)
    yield world
    for process in world.started:
        process.kill()
        process.communicate()
    replace_active(memory_set())


@pytest.mark.invariant("I-84")
@pytest.mark.parametrize("hows", [("step", "step"), ("stored", "stored"), ("step", "stored")])
def test_two_processes_that_start_a_command_at_once_run_it_once(world, hows):
    code = f"echo ran >> {world.ran}; sleep 1; echo answer > RESULT"
    processes = [world.start(how, code) for how in hows]
    for process in processes:
        world.go(process)
    answers = sorted(world.answer(process) for process in processes)
    assert world.n_runs == 1
    assert answers == [r"b'answer\n' 0 1", r"b'answer\n' 1 0"]


@pytest.mark.parametrize("how", ["step", "stored"])
def test_when_the_first_is_killed_the_second_runs_it(world, how, until):
    code = f"echo ran >> {world.ran}; [ $(wc -l < {world.ran}) -gt 1 ] || sleep 100; echo answer > RESULT"
    first, second = world.start(how, code), world.start(how, code)
    world.go(first)
    until(lambda: world.n_runs == 1)
    world.go(second)
    with pytest.raises(subprocess.TimeoutExpired):  # it waits
        second.wait(0.5)
    assert world.n_runs == 1
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    first.kill()
    first.wait()
    for pid in map(int, children):  # nobody is left to end the command
        os.killpg(pid, 9)
    assert world.answer(second) == r"b'answer\n' 1 0"
    assert world.n_runs == 2


@pytest.mark.parametrize("how", ["step", "stored"])
def test_when_the_first_fails_the_second_runs_it(world, how, until):
    go = world.folder / "go"
    code = (
        f"echo ran >> {world.ran}; [ $(wc -l < {world.ran}) -gt 1 ] && echo answer > RESULT && exit; "
        f"until [ -e {go} ]; do sleep 0.01; done; exit 3"
    )
    first, second = world.start(how, code), world.start(how, code)
    world.go(first)
    until(lambda: world.n_runs == 1)
    world.go(second)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)
    go.touch()
    assert world.answer(first).endswith("Error 0 0")
    assert world.answer(second) == r"b'answer\n' 1 0"
    assert world.n_runs == 2


@pytest.mark.parametrize("how", ["step", "stored"])
def test_a_cancel_request_stops_the_command_of_another_process(world, how, until):
    code = f"echo ran >> {world.ran}; sleep 100; echo answer > RESULT"
    process = world.start(how, code)
    world.go(process)
    until(lambda: world.n_runs == 1)
    checksum = Checksum(tf_checksum(world.transformation(code)))
    started = time.monotonic()
    assert world.active.running.request_cancel(checksum) == "canceled"
    name = {"step": "TransformationError", "stored": "CancelledError"}[how]
    assert world.answer(process) == f"{name} 0 0"
    assert time.monotonic() - started < 10  # of 100 s
    assert world.active.running.holder(checksum) is None
    assert world.active.results.get(checksum) is None


def _bash(code):
    step = delayed(code, "bash")
    step.celltypes.result = "bytes"
    return step()


@pytest.mark.invariant("I-68")
def test_a_cancel_request_cancels_the_transformation_and_is_quick(world, in_thread, until):
    tf = _bash(f"echo ran >> {world.ran}; sleep 100; echo answer > RESULT")
    follower = _bash(f"echo ran >> {world.ran}; sleep 100; echo answer > RESULT")
    call, other = in_thread(tf.compute), in_thread(follower.compute)
    until(lambda: world.n_runs == 1)
    started = time.monotonic()
    world.active.running.request_cancel(tf.construct())
    call.join()
    other.join()
    assert time.monotonic() - started < 10  # of 100 s
    assert (tf.status, tf.exception) == ("Status: canceled", "Transformation was canceled")
    assert follower.status == "Status: canceled"
    assert world.active.results.get(tf.construct()) is None
    assert world.n_runs == 1


def test_after_a_cancel_request_the_step_runs_afresh(world, in_thread, until):
    code = f"echo ran >> {world.ran}; [ $(wc -l < {world.ran}) -gt 1 ] || sleep 100; echo answer > RESULT"
    first = _bash(code)
    call = in_thread(first.compute)
    until(lambda: world.n_runs == 1)
    world.active.running.request_cancel(first.construct())
    call.join()
    assert _bash(code).run().content == b"answer\n"


class Holder:
    """Another process as far as leases tell: a living one that holds the lease of a step until it is told to end."""

    def __init__(self, world: World, checksum: Checksum) -> None:
        program = (
            "import sys; from seamless_store.running_steps import RunningSteps\n"
            "with RunningSteps(sys.argv[1]).announce(bytes.fromhex(sys.argv[2]), 'holding'):\n"
            "    print('ready', flush=True); sys.stdin.read()"
        )
        workdir = world.folder / "cache" / "__TOPLEVEL__"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(workdir), checksum.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        world.started.append(self.process)
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> None:
        self.process.communicate("")


def _run(world, transformation, **options):
    return run_transformation(transformation, active=world.active, **options)


def test_the_front_end_hears_whom_it_waits_for(world, in_thread, until):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    holder = Holder(world, Checksum(tf_checksum(transformation)))
    heard = []
    call = in_thread(partial(_run, world, transformation, waiting=heard.append))
    until(lambda: heard)
    assert (heard[0].pid, heard[0].what, heard[0].is_alive) == (holder.process.pid, "holding", True)
    assert world.n_runs == 0
    holder.end()
    assert call.join().result.executed
    assert (len(heard), world.n_runs) == (1, 1)


def test_what_the_front_end_raises_ends_the_wait(world):
    transformation = world.transformation("echo x > RESULT")
    Holder(world, Checksum(tf_checksum(transformation)))

    def refuse(_holder):
        raise LookupError("not waiting")

    with pytest.raises(LookupError, match="not waiting"):
        _run(world, transformation, waiting=refuse)


def test_waiting_can_be_cancelled(world, in_thread):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    Holder(world, Checksum(tf_checksum(transformation)))
    given_up = threading.Event()
    call = in_thread(partial(_run, world, transformation, cancelled=given_up.is_set))
    given_up.set()
    assert isinstance(call.join().error, CancelledError)
    assert world.n_runs == 0


def test_a_transformation_that_waits_can_be_cancelled(world, in_thread, until):
    tf = _bash(f"echo ran >> {world.ran}; echo x > RESULT")
    Holder(world, tf.construct())
    call = in_thread(tf.compute)
    until(lambda: tf.status == "Status: pending")
    assert tf.cancel()
    call.join()
    assert tf.status == "Status: canceled"
    assert world.n_runs == 0


def test_ctrl_c_ends_the_wait(world):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    Holder(world, Checksum(tf_checksum(transformation)))
    timer = threading.Timer(0.3, os.kill, (os.getpid(), 2))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _run(world, transformation)
    timer.join()
    assert world.n_runs == 0


def test_nobody_waits_for_a_process_of_which_nobody_knows_whether_it_lives(world):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    directory = world.folder / "cache" / "__TOPLEVEL__" / ".running"
    directory.mkdir()
    lease = dataclasses.replace(Lease.of_this_process(), machine_id="another")
    lease.write(directory / tf_checksum(transformation).hex())
    assert _run(world, transformation).executed
    assert world.n_runs == 1


def test_a_result_without_its_buffer_will_not_do_and_the_step_runs(world, in_thread, until):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    checksum = Checksum(tf_checksum(transformation))
    holder = Holder(world, checksum)
    heard = []
    call = in_thread(partial(_run, world, transformation, waiting=heard.append))
    until(lambda: heard)
    world.active.results.put(checksum, Checksum("ab" * 32))
    holder.end()
    done = call.join().result
    assert (done.executed, done.result, world.n_runs) == (True, Checksum("ab" * 32), 1)


def test_for_scratch_a_result_without_its_buffer_will_do(world, in_thread, until):
    transformation = world.transformation(f"echo ran >> {world.ran}; echo x > RESULT")
    checksum = Checksum(tf_checksum(transformation))
    holder = Holder(world, checksum)
    heard = []
    call = in_thread(partial(_run, world, transformation, waiting=heard.append, scratch=True))
    until(lambda: heard)
    world.active.results.put(checksum, Checksum("ab" * 32))
    holder.end()
    done = call.join().result
    assert (done.executed, done.result, done.buffer, world.n_runs) == (False, Checksum("ab" * 32), None, 0)


def test_steps_of_one_process_do_not_wait_for_each_other(world, in_thread, until):
    code = f"echo ran >> {world.ran}; until [ $(wc -l < {world.ran}) -gt 1 ]; do sleep 0.01; done; echo x > RESULT"
    transformation = world.transformation(code)
    calls = [in_thread(_run, world, transformation) for _ in range(2)]
    assert [call.join().result.executed for call in calls] == [True, True]


def test_a_python_step_is_not_announced(world):
    directory = world.folder / "cache" / "__TOPLEVEL__" / ".running"
    text = Buffer(f"import os\nresult = os.path.exists({str(directory)!r})", "text")
    world.active.buffers.put(text)
    code_pin = ["python", "transformer", text.get_checksum().hex()]
    transformation = {"__language__": "python", "__output__": ["result", "mixed", None], "code": code_pin}
    assert _run(world, transformation).buffer.get_value("mixed") is False


def test_a_python_step_is_announced_on_request_and_watched(world):
    text = Buffer("result = 1", "text")
    world.active.buffers.put(text)
    code_pin = ["python", "transformer", text.get_checksum().hex()]
    transformation = {"__language__": "python", "__output__": ["result", "mixed", None], "code": code_pin}
    checksum = Checksum(tf_checksum(transformation))
    seen = []

    class Around:
        def __init__(self, is_cancelled):
            self.is_cancelled = is_cancelled

        def __enter__(self):
            seen.extend([self.is_cancelled(), world.active.running.holder(checksum).what])
            world.active.running.request_cancel(checksum)
            seen.append(self.is_cancelled())

        def __exit__(self, *_):
            seen.append("left")

    with pytest.raises(CancelledError):
        _run(world, transformation, announce=True, around=Around)
    assert seen == [False, "python step", True, "left"]
    assert world.active.running.holder(checksum) is None


@pytest.mark.parametrize("code", ["echo x > RESULT", "exit 3"])
def test_nothing_is_announced_any_more_when_the_step_has_ended(world, code):
    tf = _bash(f"cp {world.folder}/cache/__TOPLEVEL__/.running/* {world.folder}; {code}")
    tf.compute()
    assert (world.folder / tf.construct().hex()).exists()
    assert world.active.running.holder(tf.construct()) is None


def test_a_result_that_cannot_be_made_durable_yet_is_kept(world, monkeypatch, caplog):
    def fail():
        raise OSError("disk full")

    monkeypatch.setattr(world.active.results, "flush", fail)
    transformation = world.transformation("sleep 0.15; echo x > RESULT")
    assert _run(world, transformation).buffer.content == b"x\n"
    assert "disk full" in caplog.text


def test_a_failure_passes_through_a_turn(world):
    with (
        pytest.raises(StepError),
        StepTurn(Checksum("ab" * 32), world.active, what="x", announce=True, cancelled=lambda: False),
    ):
        raise StepError(None, "failed")
    assert world.active.running.holder(Checksum("ab" * 32)) is None
