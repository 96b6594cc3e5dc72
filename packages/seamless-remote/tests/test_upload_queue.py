"""The upload queue: batches, bounds, failures that are kept and reported, the end of the program, fork."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seamless import Buffer
from seamless_remote import upload_queue
from seamless_remote.testing.clients_in_memory import BufferServerInMemory
from seamless_remote.upload_queue import UploadFailed, UploadQueue


def buffer_of(text: str | bytes) -> Buffer:
    buffer = Buffer(text.encode() if isinstance(text, str) else text)
    buffer.get_checksum()
    return buffer


def wait_until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.002)


@pytest.fixture
def server():
    return BufferServerInMemory()


@pytest.fixture
def queue(server):
    queue = UploadQueue([server], delay_s=30)  # nothing is sent behind the back of a test
    yield queue
    server.heal()
    server.gate = None
    queue.close()


def test_what_is_put_is_pending_until_it_is_acknowledged(queue, server):
    one = buffer_of("one")
    queue.put([one])
    assert queue.pending(one.get_checksum().bytes()) is one
    assert server.buffers == {}
    queue.flush()
    assert queue.pending(one.get_checksum().bytes()) is None
    assert server.buffers == {one.get_checksum().bytes(): b"one"}


def test_the_background_thread_sends_without_being_asked(server):
    queue = UploadQueue([server])
    queue.put([buffer_of("by itself")])
    wait_until(lambda: server.buffers)
    queue.close()


def test_many_puts_are_one_request_and_repeats_are_sent_once(queue, server):
    for _ in range(3):
        queue.put([buffer_of(f"{number}") for number in range(100)])
    queue.flush()
    assert server.requests == [("write", 100)]


def test_a_large_batch_asks_first_and_sends_only_what_is_lacking(queue, server):
    there, lacking = buffer_of(b"t" * 50_000), buffer_of(b"l" * 50_000)
    server.buffers[there.get_checksum().bytes()] = there.content
    queue.put([there, lacking])
    queue.flush()
    assert server.requests == [("has", 2), ("write", 1)]


def test_every_server_gets_every_buffer(server):
    other = BufferServerInMemory()
    queue = UploadQueue([server, other], delay_s=30)
    queue.put([buffer_of("for both")])
    queue.close()
    assert server.buffers == other.buffers != {}


@pytest.mark.invariant("I-170")
def test_a_buffer_that_one_server_lacks_is_kept_although_the_other_has_it(server):
    other = BufferServerInMemory()
    other.fail()
    queue = UploadQueue([server, other], delay_s=30)
    queue.put([buffer_of("for both")])
    with pytest.raises(UploadFailed):
        queue.flush()
    assert other.buffers == {}
    other.heal()
    queue.close()
    assert server.buffers == other.buffers != {}


@pytest.mark.provokes("UploadFailed")
def test_a_failure_names_count_checksums_address_and_cause(queue, server):
    buffers = [buffer_of(f"b{number}") for number in range(5)]
    server.fail()
    queue.put(buffers)
    with pytest.raises(UploadFailed, match=r"5 buffers.*http://fake:1.*kept.*connection refused") as caught:
        queue.flush()
    assert caught.value.n_buffers == 5
    assert caught.value.checksums == tuple(buffer.get_checksum() for buffer in buffers[:3])
    assert buffers[0].get_checksum().hex() in str(caught.value)


@pytest.mark.invariant("I-171")
def test_what_failed_is_kept_and_sent_with_the_next_flush(queue, server):
    server.fail()
    queue.put([buffer_of("kept")])
    for _ in range(3):
        with pytest.raises(UploadFailed):
            queue.flush()
    server.heal()
    queue.flush()
    assert list(server.buffers.values()) == [b"kept"]


@pytest.mark.invariant("I-171")
def test_the_background_thread_says_what_failed_and_tries_again(server, caplog):
    server.fail()
    queue = UploadQueue([server], first_pause_s=0.01)
    with caplog.at_level(logging.WARNING, "seamless_remote.upload_queue"):
        queue.put([buffer_of("patience")])
        wait_until(lambda: "could not be uploaded" in caplog.text)
    server.heal()
    wait_until(lambda: server.buffers)
    queue.close()


def test_a_buffer_that_the_server_refuses_does_not_keep_the_others_back(queue, server):
    good, refused, later = buffer_of("good"), buffer_of("refused"), buffer_of("later")
    server.refused.add(refused.get_checksum().bytes())
    queue.put([good, refused, later])
    with pytest.raises(UploadFailed, match="too large") as caught:
        queue.flush()
    assert caught.value.checksums == (refused.get_checksum(),)
    assert sorted(server.buffers.values()) == [b"good", b"later"]
    server.refused.clear()


def test_a_refused_buffer_of_another_batch_does_not_either(queue, server, monkeypatch):
    monkeypatch.setattr(upload_queue, "BATCH_ITEMS", 2)
    buffers = [buffer_of(f"{number}") for number in range(7)]
    server.refused.add(buffers[0].get_checksum().bytes())
    queue.put(buffers)
    with pytest.raises(UploadFailed):
        queue.flush()
    assert len(server.buffers) == 6
    server.refused.clear()


def test_memory_is_bounded_putting_sends_when_too_much_is_pending(server):
    queue = UploadQueue([server], delay_s=30, max_pending_bytes=1000, max_pending_items=100)
    for number in range(50):
        queue.put([buffer_of(bytes(99) + bytes([number]))])
        assert queue._pending_bytes <= 1000
    assert len(server.buffers) >= 40
    queue.close()
    assert len(server.buffers) == 50


def test_a_buffer_larger_than_the_bound_passes(server):
    queue = UploadQueue([server], delay_s=30, max_pending_bytes=1000)
    queue.put([buffer_of(bytes(5000)), buffer_of("next")])
    queue.close()
    assert len(server.buffers) == 2


def test_a_full_queue_before_a_dead_server_raises_instead_of_growing(server):
    server.fail()
    queue = UploadQueue([server], delay_s=30, max_pending_items=10)
    with pytest.raises(UploadFailed, match="10 buffers"):
        queue.put([buffer_of(f"{number}") for number in range(11)])
    server.heal()
    queue.close()
    assert len(server.buffers) == 10


def test_an_interrupted_upload_counts_as_not_sent(queue, server):
    queue.put([buffer_of("again")])

    def interrupt(request: str) -> None:
        raise KeyboardInterrupt

    server.failing = interrupt
    with pytest.raises(KeyboardInterrupt):
        queue.flush()
    server.heal()
    queue.flush()
    assert list(server.buffers.values()) == [b"again"]


def test_flush_waits_for_what_another_thread_is_sending(queue, server):
    server.gate = threading.Event()
    queue.put([buffer_of("slow")])
    sender = threading.Thread(target=queue.flush)
    sender.start()
    assert server.entered.wait(20)
    seen: list[int] = []
    follower = threading.Thread(target=lambda: (queue.flush(), seen.append(len(server.buffers))))
    follower.start()
    server.gate.set()
    sender.join(20)
    follower.join(20)
    assert seen == [1]


def test_many_threads_lose_nothing(server):
    queue = UploadQueue([server], max_pending_items=50)

    def work(number: int) -> None:
        for index in range(100):
            queue.put([buffer_of(f"{number} {index}")])
            if index % 10 == 9:
                queue.flush()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert len(server.buffers) == 600
    queue.close()


@pytest.mark.invariant("I-170")
@given(steps=st.lists(st.sampled_from(["put", "fail", "refuse", "heal", "flush"]), max_size=40))
def test_a_buffer_is_pending_or_acknowledged_whatever_fails(steps):
    server = BufferServerInMemory()
    queue = UploadQueue([server], delay_s=30, max_pending_items=5)
    taken: list[Buffer] = []
    for number, step in enumerate(steps):
        buffer = buffer_of(f"step {number}")
        if step == "fail":
            server.fail()
        elif step == "heal":
            server.heal()
            server.refused.clear()
        elif step == "refuse":
            server.refused.update(each.get_checksum().bytes() for each in taken[-1:])
        else:
            try:
                if step == "put":
                    queue.put([buffer])
                    taken.append(buffer)
                else:
                    queue.flush()
            except UploadFailed:
                pass
        for each in taken:
            digest = each.get_checksum().bytes()
            assert (queue.pending(digest) is not None) != (digest in server.buffers)
        assert queue._pending_bytes == sum(map(len, queue._queued.values()))
    server.heal()
    server.refused.clear()
    queue.close()
    assert len(server.buffers) == len(taken)


# The end


def test_close_flushes_and_may_be_called_twice(server):
    queue = UploadQueue([server], delay_s=30)
    queue.put([buffer_of("last")])
    queue.close()
    queue.close()
    assert len(server.buffers) == 1
    assert queue._thread is None


def test_a_closed_queue_takes_more_and_flushes_it_again(server):
    queue = UploadQueue([server], delay_s=30)
    queue.close()
    queue.put([buffer_of("late")])
    queue.close()
    assert len(server.buffers) == 1


def test_close_raises_what_failed_and_can_be_repeated(server):
    server.fail()
    queue = UploadQueue([server], delay_s=30)
    queue.put([buffer_of("last")])
    with pytest.raises(UploadFailed, match="connection refused"):
        queue.close()
    server.heal()
    queue.close()
    assert len(server.buffers) == 1


def test_close_gives_up_on_a_server_that_hangs(server):
    server.gate = threading.Event()
    queue = UploadQueue([server], delay_s=30)
    queue.put([buffer_of("stuck")])
    with pytest.raises(UploadFailed, match=r"nothing was acknowledged for 0\.05 s"):
        queue.close(stall_s=0.05)
    server.gate.set()
    queue.close()
    assert len(server.buffers) == 1


def test_the_end_of_the_program_sends_what_is_left(server, capsys):
    queue = UploadQueue([server], delay_s=30)
    queue.put([buffer_of("left")])
    queue.end()
    assert len(server.buffers) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.invariant("I-171")
def test_what_is_lost_at_the_end_is_reported_with_count_and_cause(server, capsys):
    server.fail()
    queue = UploadQueue([server], delay_s=30)
    left = buffer_of("left")
    queue.put([left])
    queue.end()
    err = capsys.readouterr().err
    assert f"1 buffers ({left.get_checksum().hex()}) were never uploaded to http://fake:1" in err
    assert "connection refused" in err
    server.heal()
    queue.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_after_fork_starts_with_an_empty_queue_and_the_parent_sends(server):
    queue = UploadQueue([server], delay_s=30)
    queue.put([buffer_of("of the parent")])
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            empty = queue._queued == {} and queue._thread is None
            queue.put([buffer_of("of the child")])
            queue.flush()
            code = 0 if empty and list(server.buffers.values()) == [b"of the child"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    queue.close()
    assert list(server.buffers.values()) == [b"of the parent"]


def test_a_queue_that_nobody_uses_is_forgotten(server):
    queue = UploadQueue([server])
    forgotten = weakref.ref(queue)
    assert queue in upload_queue._live
    del queue
    gc.collect()
    assert forgotten() is None


def test_a_failure_survives_pickling(server):
    import pickle

    failed = UploadFailed(2, [buffer_of("a").get_checksum()], "http://fake:1", "why")
    assert str(pickle.loads(pickle.dumps(failed))) == str(failed)
