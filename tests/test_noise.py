"""The noise of zoneout: to the bit what its documentation says, and as good as chance."""

from __future__ import annotations

import pytest
import torch

from statewise.noise import BITS, noise, threshold

ALL = (1 << 64) - 1
ROWS = UNITS = 1024


def by_integers(seed: int, scan: int, state: int, step: int, row: int, unit: int) -> int:
    """Written out in Python's integers."""

    def mix64(a):
        a = ((a ^ a >> 30) * 0xBF58476D1CE4E5B9) & ALL
        a = ((a ^ a >> 27) * 0x94D049BB133111EB) & ALL
        return a ^ a >> 31

    def fmix32(a):
        a = ((a ^ a >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
        a = ((a ^ a >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
        return a ^ a >> 16

    key = mix64((seed + (8 * scan + state + 1) * 0x9E3779B97F4A7C15) & ALL)
    base = mix64(key ^ (step << 32 | row))
    return fmix32(((base & 0xFFFFFFFF) + unit * 0x9E3779B9 & 0xFFFFFFFF) ^ base >> 32) >> 8


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63), 0x123456789ABCDEF])
@pytest.mark.parametrize(("scan", "state", "step"), [(0, 0, 0), (5, 1, 3), (1000, 7, 2**20 + 1)])
def test_every_bit(seed, scan, state, step):
    rows = torch.tensor([0, 3, 1, 70_000, 2**31 + 5])
    found = noise(seed, scan, state, step, rows, 9)
    assert found.tolist() == [[by_integers(seed, scan, state, step, row, u) for u in range(9)] for row in rows.tolist()]
    assert torch.equal(noise(torch.tensor(seed), scan, state, step, rows, 9), found)


def test_known_numbers():
    """So that no two implementations change together."""
    known = [[710937, 12069175, 6569318], [578665, 5554982, 8814986]]
    assert noise(0, 0, 0, 0, torch.arange(2), 3).tolist() == known


def test_thresholds():
    assert [threshold(p) for p in (0, 0.5, 1, 2**-24, 2**-26)] == [0, 2**23, 2**24, 1, 0]


def drawn(seed=1, scan=0, state=0, step=0):
    return (noise(seed, scan, state, step, torch.arange(ROWS), UNITS).double() + 0.5) / 2**BITS - 0.5


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_uniform(seed):
    a = drawn(seed)
    sigma = (ROWS * UNITS) ** -0.5
    assert abs(float(a.mean())) < 4 * sigma * 12**-0.5
    assert abs(float(a.var() * 12 - 1)) < 4 * sigma * 0.8**0.5  # kurtosis of a uniform number: 9/5
    for counts in (torch.histc(a, 256, -0.5, 0.5), pairs(a)):
        expected = counts.sum() / 256
        assert abs(float(((counts - expected) ** 2 / expected).sum()) - 255) < 4 * (2 * 255) ** 0.5
    for p in (0.05, 0.3):  # events by unit and by row scatter as independent ones do
        hits = (a + 0.5 < p).double()
        for axis in (0, 1):
            assert abs(float(hits.mean(axis).var() / (p * (1 - p) / 1024)) - 1) < 4 * (2 / 1023) ** 0.5


def pairs(a):
    """How often neighbouring units fall into each of 16 x 16 boxes."""
    box = ((a + 0.5) * 16).long()
    return torch.bincount((box[:, ::2] * 16 + box[:, 1::2]).flatten(), minlength=256).double()


NEIGHBOURS = {
    "seed": {"seed": 2},
    "far seed": {"seed": 1 + 2**32},
    "layer": {"scan": 1},
    "state": {"state": 1},
    "step": {"step": 1},
    "far step": {"step": 64},
}


def test_neighbours_know_nothing_of_each_other():
    a = drawn()
    others = {name: drawn(**change) for name, change in NEIGHBOURS.items()}
    others |= {f"{d} units on": a.roll(d, 1) for d in (1, 2, 3, 4, 8, 16)}
    others |= {f"{d} rows on": a.roll(d, 0) for d in (1, 2, 8)} | {"diagonal": a.roll((1, 1), (0, 1))}
    sigma = (ROWS * UNITS) ** -0.5
    found = {name: float((a * b).mean() * 12) / sigma for name, b in others.items()}
    assert max(abs(v) for v in found.values()) < 4, found
