"""The reference product: one square sgemm, on the faster of the two libraries that torch brings for it.

MKL's serves Intel's processors best; on others it may stay under half of what oneDNN's reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter

import torch
from torch.nn.functional import linear

from .samples import Probe

# Long enough to reach the peak, short enough to stand beside every sample.
SIZE = 512
FLOPS = 2 * SIZE**3


@cache
def product() -> Callable[[], object]:
    """The product to time, chosen at the first call."""
    return min(_candidates(), key=lambda call: probe(call, 20).fastest)


def _candidates() -> list[Callable[[], object]]:
    a, b = torch.randn(2, SIZE, SIZE)
    out = torch.empty(SIZE, SIZE)
    candidates: list[Callable[[], object]] = [lambda: torch.mm(a, b, out=out)]
    if torch.backends.mkldnn.is_available():
        blocked = a.to_mkldnn()
        candidates.append(lambda: linear(blocked, b))
    return candidates


def probe(call: Callable[[], object], calls: int = 3) -> Probe:
    """Time some calls one by one, after one that fills the caches."""

    def once() -> float:
        start = perf_counter()
        call()
        return perf_counter() - start

    once()
    times = [once() for _ in range(calls)]
    return Probe(min(times), max(times))
