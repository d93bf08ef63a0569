"""Whole trainings: both libraries learn the same, and what the loop costs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

import statewise
from benchmarks.case import TRAINING, Case, Shape
from benchmarks.clock import Effort
from benchmarks.kinds import jobs
from benchmarks.record import Record
from benchmarks.runner import run
from statewise.jobs.tasks.tag.config import TagConfig
from statewise.jobs.tasks.write.config import WriteConfig
from statewise.jobs.training.config import TrainingConfig

SMALL = {
    "classes": jobs.Job(
        Shape(3, 4, 2, 4, 1), partial(jobs.Training, classes=3, rows=12), TrainingConfig(epochs=1, batch=4), 30
    ),
    "numbers": jobs.Job(
        Shape(3, 4, 2, 4, 1), partial(jobs.Training, classes=0, rows=4), TrainingConfig(epochs=2, batch=4), 50
    ),
    "text": jobs.Job(Shape(4, 2, 65, 5, 2), partial(jobs.prose, chunks=3), WriteConfig(epochs=1, batch=2), 9),
    "sentences": jobs.Job(Shape(24, 16, 64, 5, 2), partial(jobs.sentences, count=32, of=64), TagConfig(epochs=1), 9),
}
KIND = replace(jobs.KIND, effort=Effort(clean=1, at_least=1, seconds=0.0, sample=0.0))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, threads: None, no_reference_product: None) -> None:
    monkeypatch.setattr(jobs, "TRAININGS", SMALL)
    monkeypatch.setattr(jobs, "TINY", SMALL["numbers"])


@pytest.mark.slow
def test_every_training_is_measured_with_both_libraries() -> None:
    cases = list(jobs.cases((), [1]))
    assert [(c.name, c.cell) for c in cases[:-2]] == [(name, cell) for name in SMALL for cell in ("LSTM", "GRU")]
    records, failed = run(KIND, cases)
    assert not failed
    assert [r.side for r in records] == ["statewise", "torch.nn"] * 8 + [jobs.LOOP, jobs.BARE] * 2
    assert all(r.value > 0 for r in records)
    table = jobs.sections(records)["jobs"]
    assert table.count("| classes, GRU | 1 |") == 1
    assert "The loop's own part of an update: " in table


def test_the_layers_are_those_of_the_library_with_the_same_weights() -> None:
    for name in SMALL:
        sides = jobs.problem(Case("GRU", SMALL[name].shape, TRAINING, 1, name)).sides
        ours, theirs = (sides[library][""].task.model for library in ("statewise", "torch.nn"))
        assert any(type(module) is statewise.GRU for module in ours.modules())
        assert any(type(module) is nn.GRU for module in theirs.modules())
        assert not any(isinstance(module, statewise.GRU) for module in theirs.modules())
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)


def test_a_time_is_that_of_an_update() -> None:
    counts = {name: jobs.problem(Case("GRU", job.shape, TRAINING, 1, name)).per for name, job in SMALL.items()}
    assert counts == {"classes": 3, "numbers": 2, "text": 3, "sentences": 2}


def test_classes_are_told_by_the_last_step_and_numbers_by_each() -> None:
    x = jobs.Training("LSTM", Shape(3, 4, 2, 4, 1), classes=3, rows=12)
    y = jobs.Training("LSTM", Shape(3, 4, 2, 4, 1), classes=0, rows=12)
    rows = torch.arange(5)
    recurrent, head = x.model
    expected = nn.functional.cross_entropy(head(recurrent(x.x[:, rows])[0][-1]), x.y[rows], reduction="sum")
    assert [v if isinstance(v, int) else v.item() for v in x.loss(x.model, rows)] == [expected.item(), 5]
    recurrent, head = y.model
    expected = (head(recurrent(y.x[:, rows])[0])[..., 0] - y.y[:, rows]).square().sum()
    torch.testing.assert_close(y.loss(y.model, rows)[0], expected)
    assert sorted(x.y.unique().tolist()) == [0, 1, 2]


def test_what_learns_otherwise_has_no_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(nn.LSTM):
        def forward(self, *args):
            output, state = super().forward(*args)
            return output.flip(0), state

    monkeypatch.setattr(statewise, "restore", lambda model: nn.ModuleList([Wrong(2, 4), model[1]]))
    records, failed = run(KIND, [Case("LSTM", SMALL["classes"].shape, TRAINING, 1, "classes")])
    assert (records, failed) == ([], 1)
    assert "WRONG statewise: loss" in capsys.readouterr().out


def test_the_table() -> None:
    case = Case("LSTM", SMALL["numbers"].shape, TRAINING, 2, "numbers")
    loop = Case(jobs.LOOP, case.shape, TRAINING, 1, "with clipping")
    records = [
        Record(case, "statewise", 1000.0, 1.0),
        Record(case, "torch.nn", 3000.0, 3.0),
        Record(loop, jobs.LOOP, 50.0, 2.0),
        Record(loop, jobs.BARE, 25.0, 1.0),
    ]
    lines = jobs.sections(records)["jobs"].splitlines()
    assert lines[2:] == [
        "| numbers, LSTM | 2 | 150 ms | 50 ms | **3.00** |",
        "",
        "The loop's own part of an update: 25 us with clipping.",
    ]


@pytest.mark.slow
def test_random_sentences_are_of_conll_2000s_sizes() -> None:
    given = jobs.corpus(2000)
    assert given.tokens / len(given) == pytest.approx(23.7, rel=0.03)
    assert max(map(len, given.words)) <= 78
    letters = [len(word) for sentence in given.words for word in sentence]
    assert sum(letters) / len(letters) == pytest.approx(4.5, rel=0.1)
    assert given.words == jobs.corpus.__wrapped__(2000).words
