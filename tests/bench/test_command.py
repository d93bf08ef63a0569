"""The command: from arguments to files, on a shape small enough for a test."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

import statewise
from benchmarks import __main__ as command
from benchmarks import pages
from benchmarks.__main__ import KINDS, main
from benchmarks.case import FORWARD, TRAINING, Case, Shape
from benchmarks.clock import Effort
from benchmarks.kinds import bench
from benchmarks.record import Results

TINY = ["--quick", "--shape", "3,2,4,5,1", "--threads", "1"]
pytestmark = pytest.mark.usefixtures("steady_clock", "no_reference_product", "threads")


def call(*args: object) -> int:
    return main([str(a) for a in args])


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*TINY, "--cell", "LSTM", "--json", tmp_path / "b.json") == 0
    printed = capsys.readouterr().out
    assert printed.count("LSTM 3,2,4,5,1") == 2  # both modes
    assert "| LSTM, forward | **" in printed
    written = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert [(r["cell"], r["mode"], r["side"]) for r in written["records"]] == [
        ("LSTM", mode, side) for mode in (FORWARD, TRAINING) for side in ("statewise", "torch.nn")
    ]
    assert all(r["value"] > 0 for r in written["records"])
    assert all(r["error"] < 1e-5 for r in written["records"])


@pytest.mark.slow
def test_everyday_calls_alone_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Shape(3, 2, 4, 5, 1)
    for name in ("cell", "states given"):
        monkeypatch.setitem(bench.EVERYDAY, name, replace(bench.EVERYDAY[name], shape=tiny))
    path = tmp_path / "b.json"
    options = ["--quick", "--cell", "LSTM", "--threads", "1", "--name", "^cell$|given", "--json", path]
    assert call("everyday", *options) == 0
    found = [(r.case.mode, r.case.name) for r in Results.read(path).records if r.side == "statewise"]
    assert found == [(FORWARD, "cell"), (TRAINING, "cell"), (TRAINING, "states given")]


def test_a_wrong_result_has_no_time_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrong(nn.GRU):
        def forward(self, *args: object) -> object:
            output, h = super().forward(*args)
            return output * 1.001, h

    wrong = replace(KINDS["bench"], problem=partial(bench.problem, ours=SimpleNamespace(GRU=Wrong)))
    monkeypatch.setitem(KINDS, "bench", wrong)
    assert call(*TINY, "--cell", "GRU", "--json", tmp_path / "b.json") == 1
    printed = capsys.readouterr()
    assert "GRU 3,2,4,5,1 forward 1 thread WRONG statewise: output is off by" in printed.out
    assert " us" not in printed.out
    assert "2 wrong results; nothing is written" in printed.err
    assert not (tmp_path / "b.json").exists()


@pytest.mark.slow
def test_a_full_run_publishes_its_file_its_sections_and_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text(
        "".join("{}old{}".format(*pages.markers(n)) for n in ("speed", "bench", "limits", "shapes", "everyday"))
    )
    monkeypatch.setattr(command, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "renew", partial(pages.renew, pages=[page]))
    shape = Shape(3, 2, 4, 5, 1)
    small = replace(KINDS["bench"], effort=Effort(1, 1, 0.0, 0.0), shapes=(shape,), threads=(1,))
    monkeypatch.setitem(KINDS, "bench", small)
    assert call("--publish") == 0
    (path,) = (tmp_path / "results").iterdir()
    assert {r.case for r in Results.read(path).records} == set(bench.plain([shape], [1]))
    written = page.read_text()
    assert "old" not in written
    assert "| GRU, forward+backward | **" in written
    assert "Measured on" in written
    picture = (tmp_path / "docs" / "ratio-by-size.svg").read_text()
    page.write_text(written.replace("Measured", ""))
    assert call("render") == 0
    assert page.read_text() == written
    assert (tmp_path / "docs" / "ratio-by-size.svg").read_text() == picture


@pytest.mark.parametrize(
    "arguments",
    [
        ["--publish", "--quick"],
        ["--publish", "--cell", "GRU"],
        ["sweep", "--publish", "--threads", "1"],
        ["self-test", "--publish"],
        ["everyday", "--publish"],
        ["sweep", "--shape", "3,2,4,5,1"],
        ["cells", "--shape", "3,2,4,5,1"],
        ["jobs", "--shape", "3,2,4,5,1"],
        ["--shape", "1,2"],
        ["--threads", "0"],
        ["--mode", "backward"],
        ["--name", "nothing has this name"],
        ["nothing"],
        ["compare", "old.json"],
    ],
)
def test_what_can_not_be_done_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(*arguments)
    assert " us" not in capsys.readouterr().out


def test_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        call("--help")
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed and kind.help in printed for name, kind in KINDS.items())


@pytest.mark.slow
def test_against_itself_every_ratio_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cell in ("RNN", "LSTM", "GRU"):
        monkeypatch.setattr(statewise, cell, None)  # torch.nn stands on both sides
    path = tmp_path / "b.json"
    assert call("self-test", "--shape", "3,2,4,5,2", "--threads", "1", "--json", path) == 0
    assert [r.ratio for r in Results.read(path).records] == [1.0] * 12


@pytest.mark.slow
def test_a_disturbed_case_has_a_second_try(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import clock, runner

    seen: list[Any] = []
    summarize = clock.summarize

    def first_is_disturbed(*args: Any, **options: Any) -> clock.Summary:
        seen.append(0)
        return replace(summarize(*args, **options), disturbed=len(seen) == 1)

    monkeypatch.setattr(clock, "summarize", first_is_disturbed)
    kind = replace(KINDS["bench"], quick=Effort(1, 1, 0.0, 0.0))
    cases = [Case("GRU", Shape(3, 2, 4, 5, 1), mode, 1) for mode in (FORWARD, TRAINING)]
    records, failed = runner.run(kind, cases, quick=True)
    assert (len(seen), failed) == (3, 0)
    assert [r.case for r in records] == [case for case in cases for _ in range(2)]
    assert not any(r.disturbed for r in records)
    assert "Once more, for the machine was busy (1 of 2):" in capsys.readouterr().out
