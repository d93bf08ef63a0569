"""benchmarks --jobs: whole trainings, and the loop's own cost."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import statewise
from benchmarks import jobs
from benchmarks.__main__ import main
from benchmarks.clock import Effort
from benchmarks.prose import Prose
from benchmarks.samples import Summary
from statewise.jobs.training.config import TrainingConfig

EFFORT = Effort(clean=1, at_least=1, seconds=0.0)
SMALL = (
    jobs.Job("classes", 3, 2, 4, 1, 3, False, TrainingConfig(epochs=1, batch=4), rows=12, epoch=30),
    jobs.Job("numbers", 3, 2, 4, 1, 1, True, TrainingConfig(epochs=2, batch=4), rows=4, epoch=50),
    Prose("text", TrainingConfig(epochs=1, batch=2), chunks=3, epoch=9, T=4, H=5, L=2),
)
NAMES = ("classes", "numbers", "text")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(jobs, "JOBS", SMALL)
    monkeypatch.setattr(jobs, "QUICK", EFFORT)
    monkeypatch.setattr(jobs, "TINY", SMALL[1])
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_every_job_is_measured_with_both_libraries():
    figures = list(jobs.measure(["LSTM", "GRU"], [1], EFFORT))
    assert [(f.job.name, f.cell) for f in figures] == [
        (n, c) for n in ("classes", "numbers", "text") for c in ("LSTM", "GRU")
    ]
    assert all(f.ours > 0 and f.theirs > 0 for f in figures)
    assert [job.updates for job in SMALL] == [3, 2, 3]


def test_the_layers_are_those_of_the_library():
    for job in SMALL:
        ours, theirs = (job.task(library, "GRU") for library in (statewise, nn))
        for task, expected in ((ours, statewise.GRU), (theirs, nn.GRU)):
            assert any(type(module) is expected for module in task.model.modules())
        torch.testing.assert_close(ours.model.state_dict(), theirs.model.state_dict(), rtol=0, atol=0)


def test_classes_are_told_by_the_last_step_and_numbers_by_each():
    for job, steps in ((SMALL[0], slice(-1, None)), (SMALL[1], slice(None))):
        network = job.task(nn, "LSTM").model
        x = torch.randn(job.T, 2, job.I)
        expected = network.head(network.recurrent(x)[0][steps])
        torch.testing.assert_close(network(x), expected if job.every_step else expected[0])


def test_what_learns_otherwise_has_no_time(capsys, monkeypatch, tmp_path):
    class Wrong(nn.LSTM):
        def forward(self, *args):
            output, state = super().forward(*args)
            return output.flip(0), state

    (said, *_) = jobs.measure(["LSTM"], [1], EFFORT, SimpleNamespace(LSTM=Wrong))
    assert said == "classes LSTM: the two libraries don't learn the same"
    monkeypatch.setattr(jobs, "measure", lambda *args: iter([said]))
    assert main(["--jobs", "--json", str(tmp_path / "j.json")]) == 1
    assert "nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "j.json").exists()


def test_figures_are_printed_and_written(capsys, tmp_path):
    path = tmp_path / "j.json"
    assert main(["--jobs", "--quick", "--cell", "GRU", "--threads", "1", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "| classes, GRU | 1 |" in out
    assert "The loop's own part of an update:" in out
    written = json.loads(path.read_text())
    assert [(row["name"], row["cell"]) for row in written["jobs"]] == [
        (n, "GRU") for n in ("classes", "numbers", "text")
    ]
    assert written["loop_us"].keys() == {"with clipping", "without"}


def test_the_table():
    summary = Summary(times=(0.002, 0.006), reference=1.0, clean=9, taken=9, quartile=1.0)
    text = jobs.table([jobs.Figure(SMALL[1], "LSTM", 2, summary)])
    assert text.splitlines()[-1] == "| numbers, LSTM | 2 | 150 ms | 50 ms | **3.00** |"


@pytest.mark.parametrize("option", [["--shape", "1,1,1,1,1"], ["--mode", "forward"], ["--markdown", "x.md"]])
def test_what_does_not_go_together(option, capsys):
    assert main(["--jobs", *option]) == 2
    assert "--jobs" in capsys.readouterr().err
