"""Closing in a process of its own: close() is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest
from seamless import lifecycle


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )


def test_hooks_run_last_registered_first_and_once():
    done = run(
        "import seamless\n"
        "def a(): print('a')\n"
        "def b(): print('b')\n"
        "for hook in (a, b, a): seamless.register_close_hook(hook)\n"
        "seamless.close(); seamless.close()\n"
    )
    assert (done.stdout, done.stderr) == ("b\na\n", "")


def test_hooks_run_at_exit_without_close():
    done = run("import seamless; seamless.register_close_hook(lambda: print('flushed'))")
    assert (done.stdout, done.stderr, done.returncode) == ("flushed\n", "", 0)


@pytest.mark.invariant("I-59")
def test_all_hooks_run_and_the_first_error_is_raised():
    done = run(
        "import seamless\n"
        "def fail(): raise OSError('disk full')\n"
        "seamless.register_close_hook(lambda: print('ran'))\n"
        "seamless.register_close_hook(fail)\n"
        "try: seamless.close()\n"
        "except OSError as exc: print(exc)\n"
    )
    assert done.stdout == "ran\ndisk full\n"


@pytest.mark.provokes("SeamlessClosed")
def test_errors_after_the_first_are_shown():
    done = run(
        "import seamless\n"
        "def fail(text):\n"
        "    def hook(): raise OSError(text)\n"
        "    return hook\n"
        "seamless.register_close_hook(fail('second'))\n"
        "seamless.register_close_hook(fail('first'))\n"
        "try: seamless.close()\n"
        "except OSError as exc: print(exc)\n"
    )
    assert (done.stdout, done.stderr) == ("first\n", "seamless: while closing: OSError: second\n")


def test_ensure_open_names_the_operation_after_close():
    done = run(
        "import seamless\n"
        "seamless.ensure_open('x')\n"
        "seamless.close()\n"
        "try: seamless.ensure_open('transformer call')\n"
        "except RuntimeError as exc: print(type(exc).__name__, exc)\n"
    )
    assert done.stdout.startswith(
        "SeamlessClosed Seamless has been closed; cannot perform further operations for transformer call."
    )


def test_a_hook_must_be_callable():
    with pytest.raises(TypeError, match="not int"):
        lifecycle.register_close_hook(3)  # type: ignore[arg-type]


def test_a_process_is_no_worker_until_it_says_so():
    done = run(
        "import seamless; print(seamless.is_worker()); seamless.set_is_worker(); print(seamless.is_worker())"
    )
    assert done.stdout == "False\nTrue\n"
