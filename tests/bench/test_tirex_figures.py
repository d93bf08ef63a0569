"""The measuring of TiRex's layer; that its outputs are right is in tests/cells."""

from __future__ import annotations

import pytest

from benchmarks.clock import Effort
from benchmarks.tirex import measure


@pytest.mark.usefixtures("steady_clock")
def test_figures():
    effort = Effort(clean=1, at_least=1, seconds=1.0, sample=1.0)
    small, large = measure([1, 3], 5, effort, 1, width=8, heads=2, compiled=False)
    assert [small.batch, large.batch] == [1, 3]
    assert small.ours == small.compiled == small.plain > 0  # by a clock that counts its looks
    assert small.error < 1e-5 < small.their_error < 0.1
    assert str(small).startswith("batch 1: statewise ")
