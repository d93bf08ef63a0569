"""Whether a change made anything slower: both the medians and the t-test have to say so."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.case import CELLS, FORWARD, Case, Shape
from benchmarks.compare import changes, compare
from benchmarks.record import Record, Results


def run(
    factor: float = 1.0, *, cells: tuple[str, ...] = ("GRU",), noise: float = 0.02, seed: int = 0, n: int = 15
) -> Results:
    """Of every cell samples around 100 us, statewise's of the GRU times ``factor``; torch.nn's as they are."""
    draw, records = random.Random(seed), []
    for cell in CELLS:
        for side in ("statewise", "torch.nn"):
            mean = 100 * (factor if cell in cells and side == "statewise" else 1.0)
            samples = tuple(draw.gauss(mean, noise * mean) for _ in range(n))
            case = Case(cell, Shape(1, 2, 3, 4, 1), FORWARD, 1)
            records.append(Record(case, side, sorted(samples)[n // 2], 1.0, peak=50.0, samples=samples))
    return Results("bench", {}, records)


def test_what_is_slower_beyond_doubt_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(run(), run(1.2, seed=1)) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("GRU 1,2,3,4,1 forward 1 thread statewise: +")
    assert last == "3 compared: 1 slower, 0 faster by more than 10%"


def test_less_than_a_tenth_passes_however_sure_the_test_is() -> None:
    (change,) = [c for c in changes(run(noise=1e-4), run(1.05, noise=1e-4, seed=1)) if c.case.cell == "GRU"]
    assert change.chance < 1e-10
    assert compare(run(noise=1e-4), run(1.05, noise=1e-4, seed=1)) == 0


def test_more_than_a_tenth_passes_where_the_samples_scatter() -> None:
    old, new = run(noise=0.5, n=5), run(1.3, noise=0.5, seed=4, n=5)
    (change,) = [c for c in changes(old, new) if c.case.cell == "GRU"]
    assert change.ratio > 1.1
    assert compare(old, new) == 0


def test_one_outlier_in_the_mean_passes() -> None:
    old = run()
    record = old.records[0]
    dear = replace(record, samples=(*record.samples[:-1], 1e5))
    assert compare(old, replace(old, records=[dear, *old.records[1:]])) == 0


def test_equal_code_passes_and_so_does_faster(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(compare(run(seed=seed), run(seed=seed + 1)) == 0 for seed in range(0, 40, 2))
    capsys.readouterr()
    assert compare(run(), run(0.5, seed=1)) == 0
    assert capsys.readouterr().out == "3 compared: 0 slower, 1 faster by more than 10%\n"


def test_a_machine_that_is_slower_throughout_fails_nothing() -> None:
    new = run(1.5, cells=tuple(CELLS), seed=1)
    assert compare(run(), new) == 1
    slower = [replace(r, peak=50.0 / 1.5) for r in new.records]
    assert compare(run(), replace(new, records=slower)) == 0


def test_torch_nn_may_be_slower() -> None:
    new = run(seed=1)
    slower = [replace(r, samples=tuple(2 * s for s in r.samples)) if r.side == "torch.nn" else r for r in new.records]
    assert compare(run(), replace(new, records=slower)) == 0


def test_disturbed_cases_and_those_without_samples_are_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    new = run(2.0, seed=1)
    assert compare(run(), replace(new, records=[replace(r, disturbed=True) for r in new.records])) == 2
    assert compare(replace(new, records=[replace(r, samples=()) for r in new.records]), new) == 2
    assert "nothing to compare" in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, other = (str(tmp_path / name) for name in ("old.json", "new.json", "other.json"))
    run().write(Path(old))
    run(1.3, seed=1).write(Path(new))
    replace(run(), kind="sweep").write(Path(other))
    assert main(["compare", old, new]) == 1
    assert main(["compare", new, old]) == 0
    for bad in (other, str(tmp_path / "absent.json")):
        with pytest.raises(SystemExit, match="2"):
            main(["compare", old, bad])
    assert "expected two runs of one kind, got bench and sweep" in capsys.readouterr().err
