"""The command: from arguments to files, on a shape small enough for a test."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import statewise
from benchmarks import add_arguments, calls, clock, command, compare, peers, run, sweep
from benchmarks.cases import FORWARD, TRAINING, Case, Shape
from benchmarks.peers import live, measure, torch_nn
from statewise.jobs.errors import InputError

TINY = ["--quick", "--shape", "3,2,4,5,1", "--threads", "1"]
Call = Callable[..., int]
pytestmark = pytest.mark.usefixtures("steady_clock")


@pytest.fixture
def call() -> Call:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return lambda *args: run(parser.parse_args([str(a) for a in args]))


def test_figures_are_printed_and_written(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*TINY, "--cell", "LSTM", "--json", tmp_path / "b.json", "--markdown", tmp_path / "b.md") == 0
    printed = capsys.readouterr().out
    assert printed.count("LSTM 3,2,4,5,1") == 2  # both modes
    written = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert [(r["cell"], r["mode"]) for r in written["results"]] == [("LSTM", "forward"), ("LSTM", TRAINING)]
    assert (tmp_path / "b.md").read_text(encoding="utf-8").count("3,2,4,5,1") == 1


def test_everyday_calls_are_measured_beside_the_shapes_or_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Shape(3, 2, 4, 5, 1)
    monkeypatch.setattr(calls, "EVERYDAY", {"cell": calls.CellStep(tiny), "packed": calls.Packed(tiny, [TRAINING])})
    monkeypatch.setattr(command, "SHAPES", [tiny])
    monkeypatch.setattr(clock, "QUICK", clock.Effort(clean=1, at_least=1, seconds=0.0, sample=0.0))
    options = ["--quick", "--cell", "LSTM", "--threads", "1", "--json", tmp_path / "b.json"]
    for alone, plain in ((["--everyday"], 0), ([], 2)):
        assert call(*options, *alone) == 0
        written = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
        found = [(r["mode"], r.get("call")) for r in written["results"]]
        assert found[plain:] == [(FORWARD, "cell"), (TRAINING, "cell"), (TRAINING, "packed")]
        assert [call for _, call in found[:plain]] == [None] * plain
        assert written["means"][-1]["mode"] == "everyday calls"
        assert "over 3; lowest" in capsys.readouterr().out


def test_a_wrong_result_has_no_time_and_writes_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrong(nn.GRU):
        def forward(self, *args: object) -> object:
            output, h = super().forward(*args)
            return output * 1.001, h

    monkeypatch.setattr(command, "_ours", lambda *, self_test: SimpleNamespace(GRU=Wrong))
    assert call(*TINY, "--cell", "GRU", "--json", tmp_path / "b.json") == 1
    printed = capsys.readouterr()
    assert "WRONG" in printed.out
    assert "ratio" not in printed.out
    assert "nothing is written" in printed.err
    assert not (tmp_path / "b.json").exists()


def test_the_readme_takes_no_shortened_run(call: Call) -> None:
    with pytest.raises(InputError, match="full run"):
        call(*TINY, "--readme", "README.md")


def test_a_self_test_writes_no_page_about_statewise(call: Call, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--self-test"):
        call("--self-test", "--markdown", tmp_path / "b.md")


def test_a_readme_without_markers_is_refused_before_anything_is_timed(call: Call, tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    for name in ("README.md", "absent.md"):
        with pytest.raises(InputError, match=name):
            call("--readme", tmp_path / name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sweep", "--shape", "3,2,4,5,1"],
        ["--peers", "--mode", "forward"],
        ["--peers", "--markdown", "b.md"],
        ["--sweep", "--threads", "1", "--threads", "2"],
        ["--self-test", "--plots", "docs"],
        ["--sweep", "--cell", "GRU", "--readme", "README.md"],
        ["--everyday", "--shape", "3,2,4,5,1"],
        ["--everyday", "--markdown", "b.md"],
        ["--everyday", "--readme", "README.md"],
    ],
)
def test_options_that_do_not_go_together_are_refused(call: Call, arguments: list[str]) -> None:
    with pytest.raises(InputError):
        call(*arguments)


def test_a_sweep_writes_figures_and_pictures(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BASE", Shape(3, 2, 4, 5, 1))
    monkeypatch.setattr(sweep, "SIZES", {"T": (2, 3), "N": (2, 4), "H": (5, 6)})
    assert call("--sweep", "--quick", "--cell", "GRU", "--json", tmp_path / "s.json", "--plots", tmp_path) == 0
    assert len(json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["results"]) == 4 * 2
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["linearity.svg", "peak-by-size.svg"]


def test_peers_write_figures_and_pictures(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = [Case("GRU", Shape(1, 1, 4, 5, 1), FORWARD, 1), Case("GRU", Shape(3, 2, 4, 5, 1), TRAINING, 1)]
    monkeypatch.setattr(measure, "cases", lambda threads: tiny)
    monkeypatch.setattr(peers, "installed", lambda: {"statewise": live, "torch.nn": torch_nn})
    monkeypatch.setattr(peers, "missing", lambda: ["JAX"])
    assert call("--peers", "--quick", "--json", tmp_path / "p.json", "--plots", tmp_path) == 0
    written = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert [sorted(r["sides"]) for r in written["results"]] == [["statewise", "torch.nn"]] * 2
    assert (tmp_path / "peers.svg").exists()
    assert "left out: JAX" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--sweep", "--peers"], ["--shape", "1,2"], ["--threads", "0"], ["--cell", "IndRNN"]]
)
def test_bad_arguments_are_refused(call: Call, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(*arguments)


def test_both_sides_stay_equal_and_every_repetition_differs() -> None:
    comparison = compare.Comparison(Case("GRU", Shape(3, 2, 4, 5, 1), TRAINING, 1), nn)
    ours, theirs = comparison.ours, comparison.theirs
    seen = []
    for _ in range(2):
        comparison.renew()
        ours()
        theirs()
        seen.append((*ours._inputs, *(p.detach().clone() for p in ours._parameters)))
        pairs = zip([*ours._inputs, *ours._parameters], [*theirs._inputs, *theirs._parameters], strict=True)
        for a, b in pairs:
            assert torch.equal(a, b)
            assert a.grad is not None
            assert b.grad is not None
            torch.testing.assert_close(a.grad, b.grad)
    assert all(not torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_against_itself_every_ratio_is_one(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in ("RNN", "LSTM", "GRU"):
        monkeypatch.setattr(statewise, cell, None)  # torch.nn stands on both sides
    path = tmp_path / "b.json"
    assert call("--self-test", "--shape", "3,2,4,5,2", "--threads", "1", "--json", path) == 0
    assert [r["ratio"] for r in json.loads(path.read_text(encoding="utf-8"))["results"]] == [1.0] * 6
    assert "Self-test: torch.nn stands on both sides" in capsys.readouterr().out
