from __future__ import annotations

import os
import signal

import pytest
from seamless_worker.held_signals import HeldSignals


def test_interrupt_waits_until_it_is_released():
    before = signal.getsignal(signal.SIGINT)
    held = HeldSignals()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        held.release()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_that_ends_a_program_waits(number):
    came = []
    before = signal.signal(number, lambda *_: came.append(number))
    try:
        held = HeldSignals()
        os.kill(os.getpid(), number)
        assert came == []
        held.release()
        assert came == [number]
    finally:
        signal.signal(number, before)


def test_release_twice_and_hold_again():
    before = signal.getsignal(signal.SIGINT)
    held = HeldSignals()
    held.release()
    held.release()
    assert signal.getsignal(signal.SIGINT) is before
    held.hold()
    held.hold()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        held.release()
    held.release()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_the_handlers_alone(in_threads):
    before = signal.getsignal(signal.SIGINT)

    def hold():
        held = HeldSignals()
        handler = signal.getsignal(signal.SIGINT)
        held.release()
        return handler

    assert in_threads(hold) == [before]


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        held = HeldSignals()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        held.release()
    finally:
        signal.signal(signal.SIGINT, before)
