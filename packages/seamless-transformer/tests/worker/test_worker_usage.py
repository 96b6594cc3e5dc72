from __future__ import annotations

import threading
import time

import pytest

BURN = "import time\nend = time.thread_time() + 0.15\nwhile time.thread_time() < end:\n    pass\nresult = 1\n"


def test_processor_time_of_a_step_is_charged_to_it(bench):
    usage = bench.run(BURN).usage
    assert 0.12 <= usage.cpu_user_s + usage.cpu_system_s < 1.0
    assert usage.wall_s >= 0.14


def test_waiting_costs_wall_time_but_no_processor_time(bench):
    usage = bench.run("import time\ntime.sleep(0.2)\nresult = 1\n").usage
    assert usage.wall_s >= 0.19
    assert usage.cpu_user_s + usage.cpu_system_s < 0.1


def test_step_is_not_charged_for_another_step_in_the_process(bench, in_threads):
    import builtins

    builtins._meet = threading.Barrier(2, timeout=20).wait
    lazy = "import builtins\nbuiltins._meet()\nbuiltins._meet()\nresult = 1\n"
    busy = "import builtins\nbuiltins._meet()\n" + BURN + "builtins._meet()\n"
    try:
        idle, burning = in_threads(lambda: bench.run(lazy), lambda: bench.run(busy))
    finally:
        del builtins._meet
    assert idle.usage.cpu_user_s + idle.usage.cpu_system_s < 0.1
    assert burning.usage.cpu_user_s + burning.usage.cpu_system_s >= 0.12


def test_child_processes_of_a_lonely_step_count(bench):
    code = (
        "import subprocess, sys\nburn = 'import time\\nwhile time.process_time() < 0.3: pass'\n"
        "subprocess.run([sys.executable, '-c', burn], check=True)\n"
        "result = 1\n"
    )
    usage = bench.run(code).usage
    assert usage.cpu_user_s + usage.cpu_system_s >= 0.25


def test_memory_peak_is_plausible(bench):
    assert 1_000_000 < bench.run("result = 1\n1").usage.memory_peak_bytes < 2**45


def test_command_is_charged_for_itself_and_its_children(bench):
    code = "( i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done ); echo x > RESULT"
    started = time.perf_counter()
    usage = bench.run(code, language="bash", result="bytes").usage
    elapsed = time.perf_counter() - started
    assert usage.cpu_user_s + usage.cpu_system_s > 0.01
    assert 0 < usage.wall_s <= elapsed
    assert usage.memory_peak_bytes > 1_000_000


@pytest.mark.parametrize("language", ["python", "bash"])
def test_figures_are_never_negative(bench, language):
    usage = bench.run(
        "result=1\necho $result > RESULT || true" if language == "bash" else "1", language=language
    ).usage
    assert min(usage.wall_s, usage.cpu_user_s, usage.cpu_system_s) >= 0
