"""The pictures: readable XML, small, and the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plots, sweep
from benchmarks.cases import CELLS, MODES, SHAPES, THREADS, Case, cases
from benchmarks.peers import measure, problem
from benchmarks.results import Result
from benchmarks.samples import Summary

MOST = 60_000  # bytes


def result(case: Case) -> Result:
    ours = 1e-5 + case.flops / 1e11
    summary = Summary(times=(ours, 3e-5 + case.flops / 4e10), reference=1.0, clean=9, taken=10, quartile=1.0)
    return Result(case, summary, peak=2e11)


def peers_result(case: Case) -> measure.PeerResult:
    names = ("statewise", *plots.PEERS)
    times = tuple(1e-5 * (i + 1) for i in range(len(names)))
    way = measure.Way("layer", 1e-7, 0.1)
    summary = Summary(times=times, reference=1.0, clean=9, taken=10, quartile=1.0)
    return measure.PeerResult(case, dict.fromkeys(names, way), summary)


def draw(name: str, path: Path) -> None:
    along = sweep.lines(map(result, sweep.cases(CELLS, MODES, 1)))
    drawn: dict[str, Callable[[], None]] = {
        "ratio_by_size": lambda: plots.ratio_by_size(path, [result(c) for c in cases(CELLS, SHAPES, MODES, THREADS)]),
        "linearity": lambda: plots.linearity(path, along),
        "peak_by_size": lambda: plots.peak_by_size(path, along),
        "peers": lambda: plots.peers(path, [peers_result(c) for c in problem.cases(1)]),
    }
    drawn[name]()


@pytest.mark.parametrize("name", ["ratio_by_size", "linearity", "peak_by_size", "peers"])
def test_a_picture_is_small_and_has_its_words_as_text(name: str, tmp_path: Path) -> None:
    first, second = tmp_path / "1.svg", tmp_path / "2.svg"
    draw(name, first)
    draw(name, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < MOST
    text = " ".join(ElementTree.parse(first).getroot().itertext())
    assert "statewise" in text
    assert "Date" not in text


def test_a_part_of_the_cells_and_modes_can_be_drawn(tmp_path: Path) -> None:
    some = [result(c) for c in cases(["GRU"], SHAPES[:2], MODES[:1], [1])]
    plots.ratio_by_size(tmp_path / "ratio.svg", some)
    plots.linearity(tmp_path / "linearity.svg", sweep.lines(map(result, sweep.cases(["GRU"], MODES[:1], 1))))


def test_the_title_counts_what_is_drawn(tmp_path: Path) -> None:
    slow, fast = (result(c) for c in cases(["GRU"], SHAPES[:2], MODES[:1], [1]))
    slow = replace(slow, summary=replace(slow.summary, times=(2.0, 1.0)))
    plots.ratio_by_size(tmp_path / "ratio.svg", [slow, fast])
    assert "less time than torch.nn in 1 of 2 cases" in (tmp_path / "ratio.svg").read_text(encoding="utf-8")
