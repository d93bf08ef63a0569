"""The clock: how often to repeat, what to do between repetitions, and the reference product around each of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from . import peak
from .samples import DRIFT, Sample, Summary, clean, lower_quartile, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Rounds(Protocol):
    """What is compared: calls to time in turn, and what to do before each round of them."""

    @property
    def sides(self) -> Sequence[Callable[[], object]]:
        """The calls."""

    def renew(self) -> None:
        """Give all of them the same fresh input."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure one case."""

    clean: int = 25  # stop once so many samples are clean
    at_least: int = 7  # or once so many are clean
    seconds: float = 3.0  # and this long has passed; after twice as long the calmest have to do
    sample: float = 6e-3  # seconds that one side's sample should last: shorter calls are repeated


QUICK = Effort(clean=5, at_least=3, seconds=0.5, sample=3e-3)
SWEEP = Effort(clean=9, at_least=5, seconds=0.5, sample=3e-3)  # neighbours bear each other out
PEERS = Effort(clean=15, at_least=5, seconds=2.5)


class Clock:
    """Measures one case after the other and remembers how fast the machine is when it is left alone."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._usual: dict[int, float] = {}  # by thread count: the lowest quartile of reference times so far

    def measure(self, rounds: Rounds, threads: int) -> Summary:
        """Time all sides until enough samples are clean or the time is over."""
        reference = peak.product()
        rounds.renew()
        calls = [_calls(side, self._effort.sample) for side in rounds.sides]
        samples: list[Sample] = []
        usual = self._usual.get(threads, inf)
        start = perf_counter()
        with no_garbage_collection():
            while not self._enough(samples, perf_counter() - start, usual):
                rounds.renew()
                samples.append(_sample(rounds.sides, calls, reference, first=len(samples) % len(calls)))
        self._usual[threads] = usual = min(usual, lower_quartile(samples))
        return summarize(samples, usual, at_least=self._effort.at_least)

    def judge(self, summary: Summary, threads: int) -> Summary:
        """``summary`` in the light of the cases that came after it: whether the machine was slow then throughout."""
        slow = summary.quartile > DRIFT * self._usual[threads]
        return replace(summary, disturbed=summary.disturbed or slow)

    def _enough(self, samples: list[Sample], elapsed: float, usual: float) -> bool:
        effort = self._effort
        if len(samples) < effort.at_least:
            return False
        found = len(clean(samples, usual))
        seconds = effort.seconds if found >= effort.at_least else 2 * effort.seconds
        return found >= effort.clean or elapsed > seconds


def _sample(
    sides: Sequence[Callable[[], object]], calls: list[int], reference: Callable[[], object], *, first: int
) -> Sample:
    """One round over all sides, beginning with side ``first``."""
    times = [0.0] * len(calls)
    probes = [peak.probe(reference)]
    for i in (*range(first, len(calls)), *range(first)):
        times[i] = _time(sides[i], calls[i])
        probes.append(peak.probe(reference))
    return Sample(tuple(times), tuple(probes))


def fastest(call: Callable[[], object], *, seconds: float = 0.03, tries: int = 3) -> float:
    """A first impression of how long ``call`` takes: the best of some tries of about ``seconds`` each."""
    calls = _calls(call, seconds)
    return min(_time(call, calls) for _ in range(tries))


def _calls(call: Callable[[], object], seconds: float) -> int:
    """How many calls last about ``seconds``. Warms up on the way."""
    _time(call, 2)
    return max(1, round(seconds / _time(call, 3)))


def _time(call: Callable[[], object], calls: int) -> float:
    """Seconds a call."""
    start = perf_counter()
    for _ in range(calls):
        call()
    return (perf_counter() - start) / calls


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Python's collector at rest, so that no sample pays for the garbage of the others."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
