"""Which samples count as clean, and what they say together."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from benchmarks.clock import DRIFT, TOLERANCE, Clock, Effort, clean, lower_quartile, summarize


def probes(*slowest: float | tuple[float, float, float]) -> np.ndarray:
    """Of samples whose slowest reference times these are, before, between and after two sides; the fastest is 0.5."""
    rows = [s if isinstance(s, tuple) else (s, s, s) for s in slowest]
    return np.array([[(0.5, s) for s in row] for row in rows])


def times(*pairs: tuple[float, float]) -> np.ndarray:
    """Of two sides, a half of each in the kernels."""
    return np.array([[(side, side / 2) for side in pair] for pair in pairs])


def test_one_slow_probe_spoils_a_sample() -> None:
    spoilt = [(2.0, 1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 1.0, 2.0)]
    assert clean(probes(*spoilt, *[1.0] * 6), inf).tolist() == [False] * 3 + [True] * 6


def test_the_limit_is_just_over_the_lower_quartile() -> None:
    found = clean(probes(TOLERANCE * 0.999, TOLERANCE * 1.001, *[1.0] * 6), inf)
    assert found.tolist() == [True, False, *[True] * 6]


def test_a_case_that_is_slow_throughout_is_not_clean() -> None:
    slow = probes(*[2.0] * 9)
    assert clean(slow, usual=inf).all()
    assert not clean(slow, usual=2.0 / (DRIFT * 1.01)).any()


def test_disturbed_samples_do_not_reach_the_medians() -> None:
    summary = summarize(times(*[(1.0, 3.0)] * 5, *[(100.0, 1.0)] * 4), probes(*[1.0] * 5, *[9.0] * 4), inf, at_least=3)
    assert (summary.times, summary.kernels) == ((1.0, 3.0), (0.5, 1.5))
    assert (summary.clean, summary.taken, summary.samples.shape) == (5, 9, (5, 2))
    assert not summary.disturbed


def test_without_clean_samples_the_calmest_serve_and_the_count_says_so() -> None:
    values = [float(k) for k in range(19, 9, -1)]
    summary = summarize(times(*[(v, 1.0) for v in values]), probes(*values), 1.0, at_least=3)
    assert (summary.times[0], summary.clean, summary.taken) == (11.0, 0, 10)
    assert summary.disturbed


def test_the_peak_comes_from_the_fastest_calls() -> None:
    assert summarize(times(*[(1.0, 2.0)] * 4), probes(*[1.0] * 4), inf, at_least=1).reference == 0.5
    assert lower_quartile(probes(*[(1.0, 2.0, 3.0)] * 4)) == pytest.approx(1.0)


def test_a_case_counts_as_disturbed_once_a_later_one_shows_how_fast_the_machine_is() -> None:
    clock = Clock(Effort())
    early = summarize(times(*[(1.0, 2.0)] * 9), probes(*[2.0] * 9), inf, at_least=7)
    clock._usual[1] = 2.0
    assert not clock.judge(early, 1).disturbed
    clock._usual[1] = 1.0
    assert clock.judge(early, 1).disturbed


@pytest.mark.usefixtures("no_reference_product")
def test_every_side_begins_a_round_in_turn() -> None:
    order: list[str] = []
    sides = [lambda name=name: order.append(name) for name in "abc"]
    effort = Effort(clean=3, at_least=3, seconds=0.0, sample=0.0)
    summary = Clock(effort).measure(sides, 1, lambda: order.append("|"))
    rounds = [group[:3] for group in "".join(order).split("|")[2:]]
    assert rounds[:3] == ["abc", "bca", "cab"]
    assert len(summary.times) == 3
