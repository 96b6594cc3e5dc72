from __future__ import annotations

import asyncio

import pytest
from hashserver.expected import PROMISE_S, Expected
from hashserver.small_uploads import SmallUploads

A, B = b"a" * 32, b"b" * 32


class _Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_promise_lasts_from_the_latest_time_it_was_made():
    clock = _Clock()
    expected = Expected(clock)
    expected.promise(A)
    clock.now = 400.0
    expected.promise(B)
    expected.promise(A)
    clock.now = PROMISE_S + 399.9
    assert A in expected
    assert B in expected
    assert len(expected) == 2
    clock.now = PROMISE_S + 400.0
    assert A not in expected
    assert not expected.is_promised(B)
    assert len(expected) == 0


def test_forgotten_promises_take_no_memory():
    clock = _Clock()
    expected = Expected(clock)
    for i in range(1000):
        clock.now += 1.0
        expected.promise(i.to_bytes(32, "big"))
    assert len(expected._promises) <= PROMISE_S + 1


def test_an_upload_that_fails_leaves_the_promise_and_one_that_succeeds_keeps_it():
    expected = Expected(_Clock())
    expected.promise(A)

    def fail():
        with expected.upload(A):
            assert expected.is_arriving(A)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not expected.is_arriving(A)
    assert A in expected
    expected.stored(A)
    assert A not in expected


@pytest.mark.parametrize("event", ["stored", "upload ends", "promise expires", "time is over"])
def test_waiting_ends_with_any_news(event):
    async def main():
        clock = _Clock()
        expected = Expected(clock)
        expected.promise(A)
        with expected.upload(B):
            digest, timeout_s = A, 30.0
            if event == "upload ends":
                digest = B
            elif event == "time is over":
                digest, timeout_s = B, 0.01
            elif event == "promise expires":
                clock.now = PROMISE_S
            waiting = asyncio.ensure_future(expected.wait(digest, timeout_s))
            await asyncio.sleep(0)
            if event == "stored":
                expected.stored(A)
            if event in ("stored", "promise expires", "time is over"):
                await asyncio.wait_for(waiting, 10)
        await asyncio.wait_for(waiting, 10)
        assert expected._waiting == {}

    asyncio.run(main())


def test_uploads_of_one_checksum_count_apart():
    expected = Expected(_Clock())
    with expected.upload(A):
        with expected.upload(A):
            pass
        assert A in expected
    assert A not in expected


# Batches of small uploads


def test_what_arrives_during_a_batch_is_the_next_one():
    async def main():
        import threading

        batches, go = [], threading.Semaphore(0)

        def publish(items):
            batches.append([content for _, content in items])
            assert go.acquire(timeout=20)
            return [ValueError(content) if content == b"bad" else None for _, content in items]

        uploads = SmallUploads(publish)
        first = asyncio.ensure_future(uploads.put(A, b"first"))
        while not batches:
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(uploads.put(A, content)) for content in (b"x", b"bad", b"y")]
        await asyncio.sleep(0)
        go.release()
        await asyncio.wait_for(first, 20)
        go.release()
        outcomes = await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 20)
        uploads.close()
        assert batches == [[b"first"], [b"x", b"bad", b"y"]]
        assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]

    asyncio.run(main())


def test_a_batch_that_fails_as_a_whole_fails_each():
    async def main():
        def publish(items):
            raise OSError("no disk")

        uploads = SmallUploads(publish)
        with pytest.raises(OSError, match="no disk"):
            await uploads.put(A, b"x")
        uploads.close()
        uploads.close()

    asyncio.run(main())
