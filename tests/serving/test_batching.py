"""The queue: what is computed together, and what becomes of a request that goes wrong."""

from __future__ import annotations

import asyncio
import threading

import pytest

from statewise.serving.batching import Again, Batcher
from statewise.serving.problem import Problem


class Held:
    """A computation that begins when it is let, and notes what it was given."""

    def __init__(self, answer=lambda asked: asked):
        self.batches, self.answer = [], answer
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self, asked):
        self.begun.set()
        assert self.let.wait(20)
        self.batches.append(list(asked))
        return [self.answer(each) for each in asked]


def queued(compute, asked, alone=lambda each: None, **told):
    """What comes of requests that queue while a first one, -1, is computed: of each an answer or an exception."""

    async def main():
        batcher = Batcher("test", **{"most": 100, "waiting": 100, "timeout": 20.0} | told)
        first = asyncio.create_task(batcher(compute, -1))
        await asyncio.to_thread(compute.begun.wait, 20)
        rest = [asyncio.create_task(batcher(compute, each, alone(each))) for each in asked]
        await asyncio.sleep(0)
        compute.let.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        batcher.close()
        assert not batcher.alive
        return found[1:]

    return asyncio.run(main())


def test_what_has_queued_is_one_batch():
    compute = Held(lambda each: 10 * each)
    assert queued(compute, range(5)) == [0, 10, 20, 30, 40]
    assert compute.batches == [[-1], [0, 1, 2, 3, 4]]


def test_no_more_at_once_than_may_be():
    compute = Held()
    assert queued(compute, range(5), most=2) == [0, 1, 2, 3, 4]
    assert compute.batches == [[-1], [0, 1], [2, 3], [4]]


def test_of_one_stream_one_after_the_other():
    compute = Held()
    assert queued(compute, range(6), alone=lambda each: each % 2) == [0, 1, 2, 3, 4, 5]
    assert compute.batches == [[-1], [0, 1], [2, 3], [4, 5]]


def test_a_request_that_fails_spoils_no_other():
    compute = Held(lambda each: 1 // each)
    found = queued(compute, [1, 0, -1])
    assert found[::2] == [1, -1]
    assert isinstance(found[1], ZeroDivisionError)
    assert compute.batches[1] == [1, 0, -1]


def test_a_request_that_asks_again_lets_others_in_between():
    compute = Held(lambda each: Again(each + 10) if 0 <= each < 20 else each)
    assert queued(compute, [0, 30], most=1) == [20, 30]
    assert compute.batches == [[-1], [0], [30], [10], [20]]


def test_too_many_wait():
    found = queued(Held(), range(4), waiting=2)
    assert found[:2] == [0, 1]
    assert [(error.status, error.headers) for error in found[2:]] == [(503, {"retry-after": "1"})] * 2


def test_nobody_waits_for_ever():
    async def main():
        compute = Held()
        batcher = Batcher("test", most=9, waiting=9, timeout=0.02)
        first = asyncio.create_task(batcher(compute, 0))
        await asyncio.to_thread(compute.begun.wait, 20)
        with pytest.raises(Problem, match="no answer after") as raised:
            await batcher(compute, 1)
        compute.let.set()
        await asyncio.gather(first, return_exceptions=True)
        batcher.close()
        with pytest.raises(Problem, match="stopping"):
            await batcher(compute, 2)
        return raised.value.status, compute.batches

    assert asyncio.run(main()) == (504, [[0]])  # what nobody waits for any more wasn't computed
