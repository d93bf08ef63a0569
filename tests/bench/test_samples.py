"""Which samples count as clean, and what they say together."""

from __future__ import annotations

from math import inf

import pytest

from benchmarks import peak
from benchmarks.clock import Clock, Effort
from benchmarks.samples import DRIFT, TOLERANCE, Probe, Sample, clean, lower_quartile, summarize


def sample(*slowest: float, ours: float = 1.0, theirs: float = 2.0) -> Sample:
    before, between, after = (Probe(fastest=0.5, slowest=s) for s in (slowest if len(slowest) == 3 else slowest * 3))
    return Sample((ours, theirs), (before, between, after))


def test_one_slow_probe_spoils_a_sample() -> None:
    calm = [sample(1.0) for _ in range(6)]
    spoilt = [sample(*times) for times in [(2.0, 1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 1.0, 2.0)]]
    assert clean([*spoilt, *calm], inf) == calm


def test_the_limit_is_just_over_the_lower_quartile() -> None:
    inside, outside = sample(TOLERANCE * 0.999), sample(TOLERANCE * 1.001)
    calm = [sample(1.0) for _ in range(6)]
    assert clean([inside, outside, *calm], inf) == [inside, *calm]


def test_a_case_that_is_slow_throughout_is_not_clean() -> None:
    slow = [sample(2.0) for _ in range(9)]
    assert clean(slow, usual=inf) == slow
    assert clean(slow, usual=2.0 / (DRIFT * 1.01)) == []


def test_disturbed_samples_do_not_reach_the_medians() -> None:
    samples = [sample(1.0, ours=1.0, theirs=3.0)] * 5 + [sample(9.0, ours=100.0, theirs=1.0)] * 4
    summary = summarize(samples, inf, at_least=3)
    assert (summary.ours, summary.theirs, summary.ratio) == (1.0, 3.0, 3.0)
    assert (summary.clean, summary.taken) == (5, 9)
    assert not summary.disturbed


def test_without_clean_samples_the_calmest_serve_and_the_count_says_so() -> None:
    samples = [sample(float(k), ours=float(k)) for k in range(10, 20)]
    summary = summarize(samples, usual=1.0, at_least=3)
    assert (summary.ours, summary.clean, summary.taken) == (11.0, 0, 10)
    assert summary.disturbed


def test_the_peak_comes_from_the_fastest_calls() -> None:
    assert summarize([sample(1.0)] * 4, inf, at_least=1).reference == 0.5
    assert lower_quartile([sample(1.0, 2.0, 3.0)] * 4) == pytest.approx(1.0)


def test_a_case_counts_as_disturbed_once_a_later_one_shows_how_fast_the_machine_is() -> None:
    clock = Clock(Effort())
    early = summarize([sample(2.0)] * 9, inf, at_least=7)
    clock._usual[1] = 2.0
    assert not clock.judge(early, 1).disturbed
    clock._usual[1] = 1.0
    assert clock.judge(early, 1).disturbed


def test_every_side_begins_a_round_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "product", lambda: lambda: None)
    order: list[str] = []

    class Three:
        sides = tuple(lambda name=name: order.append(name) for name in "abc")

        def renew(self) -> None:
            order.append("|")

    summary = Clock(Effort(clean=3, at_least=3, seconds=0.0, sample=0.0)).measure(Three(), 1)
    rounds = [group[:3] for group in "".join(order).split("|")[2:]]
    assert rounds[:3] == ["abc", "bca", "cab"]
    assert len(summary.times) == 3
