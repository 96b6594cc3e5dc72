from __future__ import annotations

import contextlib
import io
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless_worker.output_capture import TAIL_LIMIT_BYTES, OutputTail

FAIL = "\n1 / 0\n2\n"


@pytest.mark.invariant("I-70")
def test_streams_are_the_hosts_again_after_the_step(bench):
    before = sys.stdout, sys.stderr
    bench.run("import sys\nsys.stdout.write('x')\nresult = 1")
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.invariant("I-70")
def test_two_threads_do_not_mix_and_both_pass_through(bench, in_threads, capsys):
    import builtins

    barrier = threading.Barrier(2, timeout=20)
    builtins._meet = barrier.wait
    code = "import builtins\nfor n in range(20):\n    print(word, n)\n    builtins._meet()\n" + FAIL
    try:
        failures = in_threads(*(lambda w=w: bench.failure(code, {"word": w}) for w in ("ping", "pong")))
    finally:
        del builtins._meet
    assert [f.stdout for f in failures] == [
        "".join(f"{word} {n}\n" for n in range(20)) for word in ("ping", "pong")
    ]
    assert capsys.readouterr().out.count("ping") == 20


def test_host_thread_that_prints_meanwhile_is_not_captured(bench, in_threads, capsys):
    import builtins

    barrier = threading.Barrier(2, timeout=20)
    builtins._meet = barrier.wait
    code = "import builtins\nbuiltins._meet()\nbuiltins._meet()" + FAIL

    def host():
        barrier.wait()
        print("from the host")
        barrier.wait()

    try:
        failure, _none = in_threads(lambda: bench.failure(code), host)
    finally:
        del builtins._meet
    assert failure.stdout == ""
    assert capsys.readouterr().out == "from the host\n"


def test_inner_step_is_captured_by_itself_and_by_the_outer_one(bench):
    import builtins

    inner = []
    builtins._inner = lambda: inner.append(bench.failure("print('inner')" + FAIL))
    try:
        outer = bench.failure("import builtins\nprint('outer')\nbuiltins._inner()" + FAIL)
    finally:
        del builtins._inner
    assert inner[0].stdout == "inner\n"
    assert outer.stdout == "outer\ninner\n"


def test_redirection_by_the_step_itself_wins(bench, capsys):
    code = (
        "import contextlib, io\nkept = io.StringIO()\n"
        "with contextlib.redirect_stdout(kept):\n    print('caught')\n"
        "print('free')\nresult = kept.getvalue()\n"
    )
    assert bench.value(code) == "caught\n"
    assert capsys.readouterr().out == "free\n"


def test_stream_replaced_by_the_host_meanwhile_stays(bench):
    import builtins

    stdout = sys.stdout
    replacement = io.StringIO()

    def replace():
        sys.stdout = replacement

    builtins._replace = replace
    try:
        bench.run("import builtins\nbuiltins._replace()\nprint('late')\nresult = 1")
        assert sys.stdout is replacement
    finally:
        sys.stdout = stdout
        del builtins._replace
    assert replacement.getvalue() == "late\n"


def test_stream_left_behind_by_a_step_passes_through(bench):
    kept = []
    import builtins

    builtins._keep = kept.append
    target = io.StringIO()
    try:
        with contextlib.redirect_stdout(target):
            bench.run("import builtins, sys\nbuiltins._keep(sys.stdout)\nresult = 1")
            print("afterwards", file=kept[0])
    finally:
        del builtins._keep
    assert target.getvalue() == "afterwards\n"


def test_bytes_written_to_the_buffer_are_captured(bench, capfdbinary):
    failure = bench.failure("import sys\nsys.stdout.buffer.write(b'raw\\n')\nsys.stdout.flush()" + FAIL)
    assert failure.stdout == "raw\n"


def test_process_without_standard_output(bench, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    failure = bench.failure("print('into the void')" + FAIL)
    assert failure.stdout == "into the void\n"


def test_attributes_of_the_stream_are_the_replaced_streams(bench):
    assert bench.value("import sys\nresult = [sys.stdout.encoding, sys.stdout.isatty()]") == [
        sys.stdout.encoding,
        False,
    ]


@pytest.mark.parametrize("piece", ["x" * 100, "é" * 70_000, "a"])
def test_long_output_is_kept_as_a_bounded_tail(piece):
    tail = OutputTail()
    for _ in range(2000):
        tail.append(piece)
    tail.append("END")
    text = tail.text()
    assert len(text.encode()) <= TAIL_LIMIT_BYTES
    assert text.endswith("END")
    assert len(text.encode()) >= min(2003 * len(piece.encode()), TAIL_LIMIT_BYTES) - 3 - 2000 * (piece == "a")


@given(st.lists(st.text(alphabet=st.characters())))
def test_short_output_is_kept_whole(pieces):
    tail = OutputTail()
    for piece in pieces:
        tail.append(piece)
    assert tail.text() == "".join(pieces).encode("utf-8", "backslashreplace").decode()
