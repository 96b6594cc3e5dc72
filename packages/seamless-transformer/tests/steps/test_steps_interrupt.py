"""Ctrl-C: a real SIGINT to a real program. It ends at once, leaves nothing, and the next run works."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

ENDS_WITHIN_S = 5.0  # on an idle machine well under one second; test machines are not idle

# Everything is imported before the signal may come: CPython drops a KeyboardInterrupt in a callback of its import
# locks ("Exception ignored in"), in any program.
WARM_UP = """
    from seamless.transformer import direct

    assert direct(lambda a: a)(1) == 1
    command = direct("echo 1 > RESULT", "bash")
    command.celltypes.result = "int"
    assert command() == 1
"""

PYTHON_STEP = """
    from seamless.transformer import direct

    @direct
    def slow(a):
        import time
        print("started\\n", end="", flush=True)
        time.sleep(60)

    slow(1)
"""

BASH_STEP = """
    from seamless.transformer import direct

    slow = direct("echo started; sleep 61; echo 1 > RESULT", "bash")
    slow.celltypes.result = "int"
    slow()
"""

PYTHON_GRAPH = """
    from seamless.transformer import delayed

    @delayed
    def slow(a):
        import time
        print("started\\n", end="", flush=True)
        time.sleep(60)

    @delayed
    def join(a, b, c):
        return 1

    join(slow(1), slow(2), slow(3)).run()
"""

BASH_GRAPH = """
    from seamless.transformer import delayed

    slow = delayed("echo started; sleep 62; echo $a > RESULT", "bash")
    slow.celltypes.a = "int"
    slow.celltypes.result = "int"

    @delayed
    def join(a, b, c):
        return 1

    join(slow(a=1), slow(a=2), slow(a=3)).run()
"""

PARALLEL = """
    import seamless.config
    from seamless.transformer import delayed, parallel

    seamless.config.set_nparallel(3)
    slow = delayed("echo started; sleep 63; echo $a > RESULT", "bash")
    slow.celltypes.a = "int"
    slow.celltypes.result = "int"
    for tf in parallel([slow(a=n) for n in range(6)]):
        print(tf.status, flush=True)
"""

NESTED = """
    from seamless.transformer import direct

    @direct
    def outer(a):
        from seamless.transformer import direct
        inner = direct("echo started; sleep 64; echo 1 > RESULT", "bash")
        inner.celltypes.result = "int"
        return inner()

    outer(1)
"""


def processes_marked(mark: int) -> list[str]:
    """Return the command lines of all processes that inherited the mark of a program."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"STEPS_TEST_MARK=%d\0" % mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is not ours
            continue
    return found


@pytest.mark.invariant("I-62")
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PYTHON_STEP, id="python step"),
        pytest.param(BASH_STEP, id="bash step"),
        pytest.param(PYTHON_GRAPH, id="graph of python steps"),
        pytest.param(BASH_GRAPH, id="graph of bash steps"),
        pytest.param(PARALLEL, id="parallel"),
        pytest.param(NESTED, id="nested"),
    ],
)
def test_ctrl_c_ends_the_program_at_once_and_leaves_nothing(program, script):
    mark = time.monotonic_ns()
    process = script.start(WARM_UP + program, STEPS_TEST_MARK=str(mark))
    assert process.stdout.readline() == "started\n"
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - sent < ENDS_WITHIN_S
    assert process.returncode == -signal.SIGINT, stderr
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert processes_marked(mark) == []
    assert script.left_over() == []


def test_a_program_can_go_on_after_ctrl_c(script):
    done = script.run(
        """
        import os, signal, threading
        from seamless.transformer import delayed, parallel, step_counters
        import seamless.config

        seamless.config.set_nparallel(2)

        @delayed
        def step(path, n):
            import os, signal, time
            if n == 1 and not os.path.exists(path):
                open(path, "w").close()
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
            return n

        @delayed
        def add(a, b):
            return a + b

        assert add(step("", 0), step("", 5)).run() == 5  # imports what steps need: see WARM_UP
        tf = add(step("marker", 1), step("marker", 2))
        try:
            tf.run()
        except KeyboardInterrupt:
            print("interrupted")
        print(tf.run())
        os.unlink("marker")
        items = [step("./marker", n) for n in range(5)]
        try:
            for item in parallel(items):
                pass
        except KeyboardInterrupt:
            print("interrupted")
        print([item.run() for item in items])
        """
    )
    assert done.stdout.split("\n") == ["interrupted", "3", "interrupted", "[0, 1, 2, 3, 4]", ""], done.stderr


def test_a_program_that_ends_while_steps_run_in_the_background_leaves_nothing(script):
    mark = time.monotonic_ns()
    done = script.run(
        """
        import glob, os, tempfile, time
        from seamless.transformer import delayed

        slow = delayed("touch ready; sleep 65; echo 1 > RESULT", "bash")
        slow.celltypes.result = "int"
        tf = slow().start()
        while not glob.glob(tempfile.gettempdir() + "/*/ready"):
            time.sleep(0.01)
        """,
        STEPS_TEST_MARK=str(mark),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert processes_marked(mark) == []
    assert script.left_over() == []


def test_leaving_parallel_early_ends_its_commands(script):
    mark = time.monotonic_ns()
    done = script.run(
        """
        import os
        import seamless.config
        from seamless.transformer import delayed, parallel

        seamless.config.set_nparallel(2)
        slow = delayed("[ $a = 0 ] || sleep 66; echo $a > RESULT", "bash")
        slow.celltypes.a = "int"
        slow.celltypes.result = "int"
        items = [slow(a=n) for n in range(5)]
        for tf in parallel(items):
            break
        print(tf.value, [item.status for item in items[1:]])
        """,
        STEPS_TEST_MARK=str(mark),
    )
    assert done.stdout == "0 ['Status: ready', 'Status: ready', 'Status: ready', 'Status: ready']\n", (
        done.stderr
    )
    assert processes_marked(mark) == []
    assert script.left_over() == []
