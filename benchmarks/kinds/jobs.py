"""Whole trainings, with statewise's layers and with torch.nn's in the same loop.

The fitting loop of the jobs trains both, so whatever it costs, it costs both: the ratio is what a user gains. What it
costs is measured too, against the barest loop there is. No time is taken before both learn the same.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

import statewise
from statewise.jobs.config import Cell
from statewise.jobs.tasks.tag.config import TagConfig
from statewise.jobs.tasks.tag.corpus import Corpus
from statewise.jobs.tasks.tag.training import TagProblem
from statewise.jobs.tasks.write.config import WriteConfig
from statewise.jobs.tasks.write.training import WriteProblem
from statewise.jobs.training.callbacks import Log
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.fit import fit
from statewise.jobs.training.task import Task

from ..case import TRAINING, Case, Shape
from ..clock import Effort
from ..record import Record, by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem

LOOP, BARE = "the loop", "the barest loop"
CELL: dict[str, Cell] = {"LSTM": "lstm", "GRU": "gru"}
ALIKE = 0.02  # how far the two curves may lie apart, as a share


class Training(Task):
    """A recurrent layer and a linear one on random data: each step has a number to learn, or the last one a class."""

    def __init__(self, cell: str, shape: Shape, classes: int, rows: int) -> None:
        self.rows, self.classes = rows, classes
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(shape.T, rows, shape.I, generator=draw)
        rank = self.x.mean((0, 2)).argsort().argsort()
        self.y = rank * classes // rows if classes else self.x.mean(-1).cumsum(0)  # (rows,) or (T, rows)
        layer = getattr(statewise, cell)(shape.I, shape.H, shape.L)
        self.model = nn.ModuleList([layer, nn.Linear(shape.H, classes or 1)])

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of the last step, or squared errors of all steps."""
        recurrent, head = model.children()
        output = recurrent(self.x[:, rows])[0]  # (T, N, H)
        if self.classes:
            return cross_entropy(head(output[-1]), self.y[rows], reduction="sum"), len(rows)
        target = self.y[:, rows]
        return mse_loss(head(output)[..., 0], target, reduction="sum"), target.numel()


def prose(cell: str, shape: Shape, chunks: int = 10) -> Task:
    """The writer of the reference run (docs/jobs/write.md), on random text: four of 65 characters may follow each."""
    draw = random.Random(0)
    followers = [draw.choices(range(65), k=4) for _ in range(65)]
    at = [0]
    for _ in range(shape.N * shape.T * chunks):
        at.append(draw.choice(followers[at[-1]]))
    config = WriteConfig(cell=CELL[cell], units=shape.H, layers=shape.L, steps=shape.T, batch=shape.N)
    learnt = WriteProblem.of(config, "".join(chr(48 + number) for number in at), "")
    return learnt.task(learnt.network())


# Of CoNLL-2000's training part: different words, their letters (mean 7.3 each, 4.5 as they occur: the shorter the more
# frequent), parts of speech, tags.
WORDS, LETTERS, FEATURES, TAGS = 19122, 26, 44, 22


@cache
def corpus(count: int) -> Corpus:
    """Random sentences of CoNLL-2000's sizes, the same ones always. A word's number says its part of speech and tag."""
    draw = random.Random(0)
    words = [_word(draw, rank) for rank in range(WORDS)]
    frequency = [1 / (rank + 3) for rank in range(WORDS)]
    lengths = [max(1, min(78, round(draw.gammavariate(4.5, 5.27)))) for _ in range(count)]  # mean 23.7, deviation 11.1
    picked = [draw.choices(range(WORDS), frequency, k=length) for length in lengths]
    return Corpus(
        "random sentences",
        [[words[n] for n in sentence] for sentence in picked],
        [[f"T{n % TAGS}" for n in sentence] for sentence in picked],
        [[[f"P{n % FEATURES}" for n in sentence] for sentence in picked]],
    )


def _word(draw: random.Random, rank: int) -> str:
    """Letters, the more the rarer the word is: 1 to 16."""
    length = max(1, min(16, round(draw.gauss(2 + 5.7 * (rank / WORDS) ** 0.2, 2))))
    return "".join(chr(ord("a") + draw.randrange(LETTERS)) for _ in range(length))


def sentences(cell: str, shape: Shape, count: int = 320, of: int = 8936) -> Task:
    """The tagger of the reference run (docs/jobs/tag.md); ``of`` sentences give the words, ``count`` are learnt."""
    config = TagConfig(cell=CELL[cell], units=shape.H, crf=True, min_count=2, validation_share=0.0)
    learnt = TagProblem.of(config, corpus(of))
    learnt = replace(learnt, corpus=learnt.corpus.select(range(count)))
    return learnt.task(learnt.network())


@dataclass(frozen=True)
class Job:
    """A training: sizes (N: a batch), what makes the task of a cell, how it is trained, updates in a real epoch."""

    shape: Shape
    task: Callable[[str, Shape], Task]
    recipe: TrainingConfig
    epoch: int


# MNIST's 60,000 images, a row of pixels a step, as in the classic tutorial; one of the networks of statewise forecast;
# the reference runs of a writer and of a tagger.
TRAININGS = {
    "row-MNIST": Job(
        Shape(28, 32, 28, 50, 2), partial(Training, classes=10, rows=3200), TrainingConfig(epochs=1, batch=32), 1875
    ),
    "airline": Job(
        Shape(89, 8, 4, 16, 1),
        partial(Training, classes=0, rows=8),
        TrainingConfig(epochs=50, batch=8, learning_rate=0.01),
        50,
    ),
    "tiny Shakespeare": Job(Shape(64, 32, 65, 256, 2), prose, WriteConfig(epochs=1), 491),
    "tiny Shakespeare, medium": Job(Shape(64, 32, 65, 256, 2), prose, WriteConfig(epochs=1, precision="medium"), 491),
    "CoNLL-2000": Job(Shape(24, 16, 64, 64, 2), sentences, TagConfig(epochs=1), 559),
}
# The fitting loop over a network that takes next to no time, and the barest loop over the same.
TINY = Job(Shape(2, 2, 3, 4, 2), partial(Training, classes=0, rows=1000), TrainingConfig(epochs=1, batch=2), 500)
LOOPS = {"with clipping": TINY.recipe, "without": TrainingConfig(epochs=1, batch=2, clip=None)}


class Fit:
    """One fit, its curve logged as a job's is. It goes on with the weights that the one before left."""

    def __init__(self, task: Task, recipe: TrainingConfig) -> None:
        self.task, self._recipe = task, recipe

    @property
    def updates(self) -> int:
        """Of one fit."""
        return self._recipe.epochs * -(-self.task.rows // self._recipe.batch)

    def feed(self, *given: object) -> None:
        """Nothing: the data stay."""

    def __call__(self) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            return fit(self.task, self._recipe, callback=Log(Path(folder, "metrics.jsonl")))

    def results(self) -> dict[str, Tensor]:
        """The curve."""
        return {f"loss {i}": torch.tensor(record["loss"]) for i, record in enumerate(self())}


class Bare(Fit):
    """Loss, backward, the optimizer's step, and no more."""

    def __call__(self) -> list[Any]:
        model = self.task.model
        optimizer = torch.optim.AdamW(model.parameters(), lr=self._recipe.learning_rate, fused=True)
        for rows in torch.split(torch.randperm(self.task.rows), self._recipe.batch):
            loss, terms = self.task.loss(model, rows)
            for parameter in model.parameters():
                parameter.grad = None
            (loss / terms).backward()
            optimizer.step()
        return []


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every training with two cells, and the loop's cost on one thread."""
    for count, (name, job), cell in product(threads, TRAININGS.items(), CELL):
        yield Case(cell, job.shape, TRAINING, count, name)
    for name in LOOPS:
        yield Case(LOOP, TINY.shape, TRAINING, 1, name)


def problem(case: Case) -> Problem:
    """A training with statewise's layers and with torch.nn's, beginning with the same weights; or both loops."""
    if case.cell == LOOP:
        task = TINY.task("LSTM", TINY.shape)
        loop, bare = Fit(task, LOOPS[case.name]), Bare(task, LOOPS[case.name])
        return Problem({LOOP: {"": loop}, BARE: {"": bare}}, unit=(BARE,), per=loop.updates)
    job = TRAININGS[case.name]
    ours, theirs = (Fit(job.task(case.cell, job.shape), job.recipe) for _ in range(2))
    theirs.task.model = statewise.restore(theirs.task.model)
    theirs.task.model.load_state_dict(ours.task.model.state_dict())
    return Problem(
        {"statewise": {"": ours}, "torch.nn": {"": theirs}}, {"statewise": theirs}, floor=ALIKE, per=ours.updates
    )


def sections(records: Table) -> dict[str, str]:
    """A row for each training and cell, and what the loop costs."""
    found = by_case(records)
    loops = {case.name: sides[LOOP].value - sides[BARE].value for case, sides in found.items() if case.cell == LOOP}
    costs = ", ".join(f"{us:.0f} us {name}" for name, us in loops.items())
    return {"jobs": f"{pivot(_entries(found), 'training', 'threads')}\n\nThe loop's own part of an update: {costs}."}


def _entries(found: dict[Case, dict[str, Record]]) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in found.items():
        if case.cell != LOOP:
            row, epoch = [f"{case.name}, {case.cell}", str(case.threads)], TRAININGS[case.name].epoch
            theirs = sides["torch.nn"]
            yield row, "an epoch with torch.nn", _seconds(theirs.value * epoch / 1e6)
            yield row, "with statewise", _seconds(sides["statewise"].value * epoch / 1e6)
            yield row, "torch.nn / statewise", f"**{theirs.ratio:.2f}**{theirs.busy}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


KIND = Kind(
    "whole trainings with each library's layers in the same loop, and what that loop costs",
    cases,
    problem,
    sections,
    effort=Effort(clean=15, at_least=7, seconds=12.0),
    quick=Effort(clean=3, at_least=3, seconds=2.0),
)
