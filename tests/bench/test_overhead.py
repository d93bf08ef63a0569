"""The overhead of small calls: what is counted where, and what is written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import add_arguments, gate, overhead, run
from benchmarks.cases import FORWARD, TRAINING, Case, Shape
from benchmarks.overhead import Overhead, Round
from statewise.jobs.errors import InputError

TINY = Shape(3, 2, 4, 5, 1)


def call(*args: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(a) for a in args]))


def test_only_the_calm_rounds_count() -> None:
    calm = [Round(whole=10.0, kernel=4.0, product=2.0)] * 2
    busy = [Round(whole=90.0, kernel=5.0, product=7.0)] * 6
    found = Overhead.of(Case("LSTM", TINY, FORWARD, 1), [*busy, *calm])
    assert (found.whole, found.kernel, found.rest, found.product, found.ratio) == (10.0, 4.0, 6.0, 2.0, 3.0)


def test_kernels_are_timed_within_the_whole() -> None:
    cases = [Case("GRU", TINY, mode, 1) for mode in (FORWARD, TRAINING)]
    found = overhead.measure(cases, rounds=2)
    assert [f.case for f in found] == cases
    assert all(0 < f.kernel < f.whole for f in found)
    assert all(f.ratio > 0 for f in found)


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "o.json"
    assert call("--overhead", "--quick", "--cell", "RNN", "--threads", 1, "--shape", TINY, "--json", path) == 0
    assert capsys.readouterr().out.count("RNN 3,2,4,5,1 forward ") == 1  # in the table; padded in the lines above it
    written = json.loads(path.read_text(encoding="utf-8"))
    assert [(r["cell"], r["mode"]) for r in written["overhead"]] == [("RNN", FORWARD), ("RNN", TRAINING)]
    assert all(r["whole_us"] > r["kernels_us"] > 0 for r in written["overhead"])
    assert all(r["torch_product_us"] > 0 < r["rest_in_products"] for r in written["overhead"])


def test_a_wrong_result_has_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "failures", lambda case, ours: ["output is off"])
    path = tmp_path / "o.json"
    assert call("--overhead", "--cell", "RNN", "--threads", 1, "--shape", TINY, "--json", path) == 1
    printed = capsys.readouterr()
    assert "output is off" in printed.err
    assert " us" not in printed.out
    assert not path.exists()


@pytest.mark.parametrize("option", [["--markdown", "x.md"], ["--plots", "x"], ["--readme", "README.md", "--quick"]])
def test_options_that_make_no_sense_with_it_are_refused(option: list[str]) -> None:
    with pytest.raises(InputError):
        call("--overhead", *option)


def test_it_is_a_kind_of_run_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("--overhead", "--self-test")
    assert "not allowed with argument" in capsys.readouterr().err
