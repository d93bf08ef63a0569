"""The clock: how often to repeat, what to do between repetitions, and which samples count.

A reference product is timed around every side's time. Where it was slow, something else had the core, and the sample is
dropped. The product is one square sgemm, on the faster of the two libraries that torch brings for it: MKL's serves
Intel's processors best; on others it may stay under half of what oneDNN's reaches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear

from statewise.kernels import cpu

# Long enough to reach the peak, short enough to stand beside every sample.
SIZE = 512
FLOPS = 2 * SIZE**3
# A reference time this much over the case's lower quartile means that something else took the core,
TOLERANCE = 1.10
# and one this much over the lowest quartile of all cases so far that the whole case was disturbed.
DRIFT = 1.30

Call = Callable[[], object]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure one case."""

    clean: int = 25  # stop once so many samples are clean
    at_least: int = 7  # or once so many are clean
    seconds: float = 3.0  # and this long has passed; after twice as long the calmest have to do
    sample: float = 6e-3  # seconds that one side's sample should last: shorter calls are repeated


QUICK = Effort(clean=5, at_least=3, seconds=0.5, sample=3e-3)
SHORT = Effort(clean=9, at_least=5, seconds=0.5, sample=3e-3)  # where neighbours bear each other out


@dataclass(frozen=True, slots=True)
class Summary:
    """What the clean samples of a case say; times in seconds."""

    times: tuple[float, ...]  # medians, of the sides in their order
    kernels: tuple[float, ...]  # of the times, inside statewise's kernels
    samples: Array  # (clean, sides)
    reference: float
    clean: int
    taken: int
    quartile: float  # lower quartile of the reference times
    disturbed: bool  # too few clean samples: the machine was busy

    @property
    def calm(self) -> tuple[bool, int]:
        """The greater of two tries is the one to keep."""
        return not self.disturbed, self.clean


class Clock:
    """Measures one case after the other and remembers how fast the machine is when it is left alone."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._usual: dict[int, float] = {}  # by thread count: the lowest quartile of reference times so far

    def measure(self, sides: Sequence[Call], threads: int, renew: Call = lambda: None) -> Summary:
        """Time all ``sides`` in turn, after ``renew`` each time, until enough samples are clean or the time is over."""
        renew()
        calls = [_calls(side, self._effort.sample) for side in sides]
        samples: list[tuple[Array, Array]] = []
        usual = self._usual.get(threads, inf)
        start = perf_counter()
        with _no_garbage_collection():
            while not self._enough(samples, perf_counter() - start, usual):
                renew()
                samples.append(_sample(sides, calls, first=len(samples) % len(calls)))
        times, probes = map(np.array, zip(*samples, strict=True))
        self._usual[threads] = usual = min(usual, lower_quartile(probes))
        return summarize(times, probes, usual, at_least=self._effort.at_least)

    def judge(self, summary: Summary, threads: int) -> Summary:
        """``summary`` in the light of the cases that came after it: whether the machine was slow then throughout."""
        slow = summary.quartile > DRIFT * self._usual[threads]
        return replace(summary, disturbed=summary.disturbed or slow)

    def _enough(self, samples: list[tuple[Array, Array]], elapsed: float, usual: float) -> bool:
        effort = self._effort
        if len(samples) < effort.at_least:
            return False
        found = int(clean(np.array([probes for _, probes in samples]), usual).sum())
        seconds = effort.seconds if found >= effort.at_least else 2 * effort.seconds
        return found >= effort.clean or elapsed > seconds


def lower_quartile(probes: Array) -> float:
    """Of the reference times: probes (samples, between sides, calls)."""
    return float(np.quantile(probes.max(2), 0.25))


def clean(probes: Array, usual: float) -> NDArray[np.bool_]:
    """The samples whose reference times are all near the case's lower quartile and not far from the ``usual`` one."""
    limit = min(TOLERANCE * lower_quartile(probes), DRIFT * usual)
    return np.asarray(probes.max((1, 2)) <= limit)


def summarize(times: Array, probes: Array, usual: float, *, at_least: int) -> Summary:
    """The medians over the clean samples, or over the ``at_least`` calmest where fewer are clean.

    ``times``: (samples, sides, 2), each whole and in the kernels. ``probes``: see ``lower_quartile``.
    """
    kept = np.flatnonzero(clean(probes, usual))
    count, disturbed = len(kept), len(kept) < at_least
    if disturbed:
        kept = probes.max((1, 2)).argsort(stable=True)[:at_least]
    medians = np.median(times[kept], 0)
    return Summary(
        times=tuple(medians[:, 0].tolist()),
        kernels=tuple(medians[:, 1].tolist()),
        samples=times[kept, :, 0],
        reference=float(np.median(probes[kept].min(2))),
        clean=count,
        taken=len(times),
        quartile=lower_quartile(probes),
        disturbed=disturbed,
    )


def fastest(call: Call, *, seconds: float = 0.03, tries: int = 3) -> float:
    """A first impression of how long ``call`` takes: the best of some tries of about ``seconds`` each."""
    calls = _calls(call, seconds)
    return min(_time(call, calls)[0] for _ in range(tries))


@cache
def product() -> Call:
    """The reference product, chosen at the first call."""
    a, b = torch.randn(2, SIZE, SIZE)
    out = torch.empty(SIZE, SIZE)
    candidates: list[Call] = [lambda: torch.mm(a, b, out=out)]
    if torch.backends.mkldnn.is_available():
        blocked = a.to_mkldnn()
        candidates.append(lambda: linear(blocked, b))
    return min(candidates, key=lambda call: min(_probe(call, 20)))


def _probe(call: Call, calls: int = 3) -> list[float]:
    """Seconds of some calls one by one, after one that fills the caches: the slowest tells a disturbance."""
    _time(call, 1)
    return [_time(call, 1)[0] for _ in range(calls)]


def _sample(sides: Sequence[Call], calls: Sequence[int], *, first: int) -> tuple[Array, Array]:
    """One round over all sides, beginning with side ``first``; the product before the first and after every one."""
    times = np.zeros((len(calls), 2))
    probes = [_probe(product())]
    for i in (*range(first, len(calls)), *range(first)):
        times[i] = _time(sides[i], calls[i])
        probes.append(_probe(product()))
    return times, np.array(probes)


def _calls(call: Call, seconds: float) -> int:
    """How many calls last about ``seconds``. Warms up on the way."""
    _time(call, 2)
    return max(1, round(seconds / _time(call, 3)[0]))


def _time(call: Call, calls: int) -> tuple[float, float]:
    """Seconds a call, and those of them inside statewise's kernels."""
    kernels, start = cpu.nanoseconds_in_kernels(), perf_counter()
    for _ in range(calls):
        call()
    seconds = perf_counter() - start
    return seconds / calls, (cpu.nanoseconds_in_kernels() - kernels) / 1e9 / calls


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Python's collector at rest, so that no sample pays for the garbage of the others."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
