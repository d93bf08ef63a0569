"""benchmarks --memory: what a training step adds."""

from __future__ import annotations

import json

import pytest

from benchmarks import memory
from benchmarks.__main__ import main
from benchmarks.cases import Shape

linux = pytest.mark.skipif(not memory._RESET_PEAK.exists(), reason="the peak is read from Linux's /proc")
SMALL = Shape(2000, 8, 32, 64, 1)


@linux
def test_a_step_adds_at_least_its_results_and_its_tape():
    (figure,) = memory.measure(["LSTM"], [SMALL], 1)
    results = 2000 * 8 * (32 + 64) * 4 / 2**20
    tape = 2000 * 8 * 5 * 64 * 4 / 2**20  # four gates and c
    assert figure.inevitable == pytest.approx(results, rel=0.05)
    assert results + tape < figure.ours < 2 * (results + tape)
    assert figure.theirs > results
    assert figure.checkpointed is None


@linux
def test_checkpoints_are_measured_on_long_sequences(monkeypatch):
    monkeypatch.setattr(memory, "LONG", 1000)
    (figure,) = memory.measure(["GRU"], [SMALL], 1)
    assert figure.checkpointed is not None
    assert figure.inevitable < figure.checkpointed < figure.ours


@linux
def test_the_command_writes_json_and_the_section(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- memory:start -->\nold\n<!-- memory:end -->\nafter\n")
    figures = tmp_path / "memory.json"
    arguments = ["--memory", "--cell", "RNN", "--shape", "50,4,8,8,1", "--json", str(figures)]
    assert main(arguments) == 0
    (row,) = json.loads(figures.read_text())["memory"]
    assert (row["cell"], row["T"], row["H"]) == ("RNN", 50, 8)
    assert row["torch_mb"] >= 0
    assert "| RNN 50,4,8,8,1 |" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--quick"], ["--threads", "1", "--threads", "2"], ["--markdown", "x.md"]])
def test_what_does_not_go_together(option, capsys):
    assert main(["--memory", *option]) == 2
    assert "--memory" in capsys.readouterr().err


def test_the_table():
    text = memory.table([memory.Memory("LSTM", SMALL, 5.9, 25.2, 61.4, None)])
    assert text.splitlines()[-1] == "| LSTM 2000,8,32,64,1 | 6 MB | 25 MB | 61 MB | 0.41 | - |"
