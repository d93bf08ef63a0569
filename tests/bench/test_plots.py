"""The pictures: readable XML, small, and the same bytes for the same figures."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.case import MODES, Case
from benchmarks.kinds import bench, peers, sweep
from benchmarks.record import Record

MOST = 60_000  # bytes
PICTURES = {name: (kind, draw) for kind in (bench, sweep, peers) for name, draw in kind.KIND.pictures.items()}


def records(case: Case) -> list[Record]:
    if case.name in peers.GROUPS:
        sides = ["statewise", *peers.LOOKS]
        return [Record(case, side, 10.0 * i, float(i), disturbed=False) for i, side in enumerate(sides, 1)]
    ours, theirs = 10 + case.flops / 1e5, 30 + case.flops / 4e4
    return [
        Record(case, "statewise", ours, 1.0, peak=200.0),
        Record(case, "torch.nn", theirs, theirs / ours, peak=200.0),
    ]


def test_there_are_four() -> None:
    assert sorted(PICTURES) == ["linearity.svg", "peak-by-size.svg", "peers.svg", "ratio-by-size.svg"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_has_its_words_as_text(name: str) -> None:
    module, draw = PICTURES[name]
    every = [r for case in module.cases(module.KIND.shapes, module.KIND.threads) for r in records(case)]
    drawn = draw(every)
    assert drawn == draw(every)
    assert len(drawn.encode()) < MOST
    text = " ".join(ElementTree.fromstring(drawn).itertext())
    assert "statewise" in text
    assert "Date" not in text


def test_a_part_of_the_cells_and_modes_can_be_drawn() -> None:
    some = [r for case in bench.plain(bench.SHAPES[:2], [1]) if case.cell == "GRU" for r in records(case)]
    assert "<svg" in bench.KIND.pictures["ratio-by-size.svg"](some)
    along = [c for c in sweep.cases((), [1]) if (c.cell, c.mode) == ("GRU", MODES[0])]
    assert "<svg" in sweep.KIND.pictures["linearity.svg"]([r for case in along for r in records(case)])


def test_the_title_counts_what_is_drawn() -> None:
    _, slow, _, fast = [r for case in list(bench.plain(bench.SHAPES[:2], [1]))[::2][:2] for r in records(case)]
    drawn = bench.KIND.pictures["ratio-by-size.svg"]([replace(slow, ratio=0.5), fast])
    assert "less time than torch.nn in 1 of 2 cases" in drawn


def test_every_library_has_a_look() -> None:
    assert {*peers.LOOKS, "statewise", "statewise, frozen"} == set(peers.PEERS)
