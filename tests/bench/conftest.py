"""A clock for what isn't about time: every look at it is a second after the one before."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import torch

from benchmarks import clock


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No measurement lasts, none is disturbed, and all calls of a kind take the same."""
    seconds = count()
    monkeypatch.setattr(clock, "perf_counter", lambda: float(next(seconds)))


@pytest.fixture
def no_reference_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes milliseconds, which a test doesn't need."""
    monkeypatch.setattr(clock, "product", lambda: lambda: None)


@pytest.fixture
def threads() -> Iterator[None]:
    """As many as there were, whatever is measured with."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
