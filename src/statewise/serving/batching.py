"""Requests of many clients as one batch: a thread for each model takes all that has queued and computes it at once.

It never waits for a batch to fill: while one is computed the next one gathers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from .problem import Problem, busy

Compute = Callable[[Sequence[Any]], Sequence[Any]]
"""From what several requests ask for to what each of them gets: an answer, an exception, or ``Again``."""
Seen = Callable[[str, int, float], None]
"""Is told of each batch: the name of the operation, how many requests it had, and how many seconds it took."""


@dataclass(frozen=True)
class Again:
    """In the place of an answer: the request isn't done and asks for ``more``, beside those that have come since."""

    more: Any


@dataclass(eq=False)
class _Request:
    compute: Compute
    asked: Any
    alone: Hashable
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop = field(repr=False)


class Batcher:
    """The queue of one model and the thread that empties it. Nothing else may compute with what the requests change."""

    def __init__(
        self,
        name: str,
        *,
        most: int,
        waiting: int,
        timeout: float,
        seen: Seen = lambda name, rows, seconds: None,
    ) -> None:
        """``most`` requests are computed at once; where ``waiting`` are in the queue, more are refused.

        ``timeout``: seconds after which nobody waits for an answer any more.
        """
        self.most, self.waiting, self.timeout, self._seen = most, waiting, timeout, seen
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"statewise {name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    async def __call__(self, compute: Compute, asked: Any, alone: Hashable = None) -> Any:
        """What ``compute`` answers to ``asked``, which it is given beside other requests of the same ``compute``.

        Of requests that are ``alone`` under the same name one comes after the other, never two in a batch. Raises what
        ``compute`` does, and ``Problem`` where too many wait, or none came in time. A request that nobody waits for any
        more isn't computed.
        """
        loop = asyncio.get_running_loop()
        request = _Request(compute, asked, alone, loop.create_future(), loop)
        with self._changed:
            if self._closed:
                raise Problem(503, "the server is stopping")
            if len(self._queue) >= self.waiting:
                raise busy(f"{self.waiting} requests are waiting already")
            self._queue.append(request)
            self._changed.notify()
        late = loop.call_later(self.timeout, self._late, request.future)
        try:
            return await request.future
        finally:
            late.cancel()

    def _late(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            future.set_exception(Problem(504, f"no answer after {self.timeout:g} seconds"))

    def close(self) -> None:
        """Compute what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                taken = self._taken()
            groups: dict[Compute, list[_Request]] = {}
            for request in taken:
                groups.setdefault(request.compute, []).append(request)
            for compute, requests in groups.items():
                self._answer(compute, [request for request in requests if not request.future.done()])

    def _taken(self) -> list[_Request]:
        """The oldest requests, out of the queue."""
        taken, left, busy = list[_Request](), list[_Request](), set[Hashable]()
        while self._queue and len(taken) < self.most:
            request = self._queue.popleft()
            (left if request.alone in busy else taken).append(request)
            if request.alone is not None:
                busy.add(request.alone)
        self._queue.extendleft(reversed(left))
        return taken

    def _answer(self, compute: Compute, requests: list[_Request]) -> None:
        if not requests:
            return
        begun = perf_counter()
        outcomes = _outcomes(compute, [request.asked for request in requests])
        self._seen(getattr(compute, "__name__", "compute"), len(requests), perf_counter() - begun)
        done: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Again):
                request.asked = outcome.more
                with self._changed:
                    self._queue.append(request)
            else:
                done.setdefault(request.loop, []).append((request.future, outcome))
        for loop, answers in done.items():
            with suppress(RuntimeError):  # the loop has ended, and with it those who asked
                loop.call_soon_threadsafe(_deliver, answers)


def _outcomes(compute: Compute, asked: Sequence[Any]) -> Sequence[Any]:
    """What ``compute`` says to each. Where it can't say it to all at once it is asked by each alone."""
    try:
        with np.errstate(all="ignore"):
            return compute(asked)
    except Exception as error:
        if len(asked) == 1:
            return [error]
    return [_outcomes(compute, [each])[0] for each in asked]


def _deliver(answers: Iterable[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
