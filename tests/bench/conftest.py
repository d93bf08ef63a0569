"""A clock for what isn't about time: every look at it is a second after the one before."""

from __future__ import annotations

from itertools import count

import pytest

from benchmarks import clock, peak
from benchmarks.peers import measure


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No measurement lasts, none is disturbed, and all calls of a kind take the same."""
    seconds = count()
    for module in (clock, peak, measure):
        monkeypatch.setattr(module, "perf_counter", lambda: float(next(seconds)))
