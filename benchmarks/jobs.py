"""Whole trainings, with statewise's layers and with torch.nn's in the same loop: ``python -m benchmarks --jobs``.

The fitting loop of the jobs trains both, so whatever it costs, it costs both: the ratio is what a user gains. What it
costs is measured too, against the barest loop there is. No time is taken before both learn the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import statewise
from statewise.jobs.training.callbacks import Log
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.fit import fit, make_optimizer
from statewise.jobs.training.task import Task

from .clock import Clock, Effort
from .prose import SHAKESPEARE, Prose
from .samples import Summary
from .sentences import CONLL2000, Sentences
from .table import markdown

EFFORT = Effort(clean=15, at_least=7, seconds=12.0)
QUICK = Effort(clean=3, at_least=3, seconds=2.0)
ALIKE = 0.02  # how far the two curves may lie apart, as a share


@dataclass(frozen=True, slots=True)
class Job:
    """A training: the network's sizes, how much there is to learn from, and how it is trained."""

    name: str
    T: int
    I: int  # noqa: E741  # torch's letter
    H: int
    L: int
    outputs: int
    every_step: bool  # whether each step has a target, a number, or the last one, a class
    recipe: TrainingConfig
    rows: int
    epoch: int  # updates in an epoch of the real data, whose time is told

    @property
    def updates(self) -> int:
        """Of one fit, as it is measured."""
        return self.recipe.epochs * -(-self.rows // self.recipe.batch)

    def task(self, library: Any, cell: str) -> Task:
        """The task with the layers of ``library``."""
        return Training(self, library, cell)


# MNIST's 60,000 images, a row of pixels a step, as in the classic tutorial; one of the networks of statewise forecast.
JOBS: tuple[Job | Prose | Sentences, ...] = (
    Job("row-MNIST", 28, 28, 50, 2, 10, False, TrainingConfig(epochs=1, batch=32), rows=3200, epoch=1875),
    Job("airline", 89, 4, 16, 1, 1, True, TrainingConfig(epochs=50, batch=8, learning_rate=0.01), rows=8, epoch=50),
    SHAKESPEARE,
    CONLL2000,
)
TINY = Job("tiny", 2, 3, 4, 2, 1, True, TrainingConfig(epochs=1, batch=2), rows=1000, epoch=500)


class Training(Task):
    """``job`` on random data, with the layers of ``library``."""

    def __init__(self, job: Job, library: Any, cell: str) -> None:
        self.job, self.rows = job, job.rows
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(job.T, job.rows, job.I, generator=random)
        if job.every_step:
            self.y = self.x.mean(-1).cumsum(0)  # (T, n)
        else:
            self.y = self.x.mean((0, 2)).argsort().argsort() * job.outputs // job.rows  # (n,), classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # with which both libraries begin with the same weights
            recurrent = getattr(library, cell)(job.I, job.H, job.L)
            self.model = Network(recurrent, nn.Linear(job.H, job.outputs), job.every_step)

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """Squared errors of all steps, or the cross entropy of the last."""
        output = model(self.x[:, rows])  # (T, N, outputs), or (N, outputs)
        if self.job.every_step:
            target = self.y[:, rows]
            return (output[..., 0] - target).square().sum(), target.numel()
        return cross_entropy(output, self.y[rows], reduction="sum"), len(rows)


class Network(nn.Module):
    """A recurrent layer and a linear one, of every step or of the last."""

    def __init__(self, recurrent: nn.Module, head: nn.Linear, every_step: bool) -> None:
        super().__init__()
        self.recurrent, self.head, self.every_step = recurrent, head, every_step

    def forward(self, x: Tensor) -> Tensor:
        """From (T, N, I) to (T, N, outputs), or (N, outputs) of the last step."""
        output: Tensor = self.recurrent(x)[0]  # (T, N, H)
        result: Tensor = self.head(output if self.every_step else output[-1])
        return result


@dataclass(frozen=True, slots=True)
class Figure:
    """What one job takes with each library, seconds an update."""

    job: Job | Prose | Sentences
    cell: str
    threads: int
    summary: Summary

    @property
    def ours(self) -> float:
        """With statewise's layers."""
        return self.summary.ours / self.job.updates

    @property
    def theirs(self) -> float:
        """With torch.nn's."""
        return self.summary.theirs / self.job.updates

    def __str__(self) -> str:
        times = f"torch.nn {self.theirs * 1e6:7.0f} us  statewise {self.ours * 1e6:7.0f} us an update"
        busy = " (busy)" if self.summary.disturbed else ""
        return f"{self.job.name:16} {self.cell:4} {self.threads} threads  {times}  ratio {self.summary.ratio:.2f}{busy}"

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        job = {name: value for name, value in asdict(self.job).items() if name != "recipe"}
        return {
            **job,
            "batch": self.job.recipe.batch,
            "cell": self.cell,
            "threads": self.threads,
            "statewise_us": round(self.ours * 1e6, 1),
            "torch_us": round(self.theirs * 1e6, 1),
            "ratio": round(self.summary.ratio, 3),
            "samples": self.summary.clean,
            "disturbed": self.summary.disturbed,
        }


class Fits:
    """The calls to be timed: one fit with each library, its curve logged as a job's is."""

    def __init__(self, job: Job | Prose | Sentences, cell: str, folder: Path, library: Any) -> None:
        self.job, self.folder = job, folder
        self.tasks = [job.task(lib, cell) for lib in (library, nn)]
        self.sides: Sequence[Callable[[], object]] = [partial(self.fit, side) for side in range(2)]

    def fit(self, side: int) -> list[float]:
        """The losses of one fit."""
        log = self.folder / f"{side}.jsonl"
        log.unlink(missing_ok=True)
        return [record["loss"] for record in fit(self.tasks[side], self.job.recipe, callback=Log(log))]

    def renew(self) -> None:
        """Nothing: a fit goes on with the weights that the one before left."""

    def alike(self) -> bool:
        """Whether both learn the same, from the weights that they begin with."""
        ours, theirs = (torch.tensor(self.fit(side)) for side in range(2))
        return bool(((ours - theirs).abs() <= ALIKE * theirs.abs()).all())


def measure(
    cells: Iterable[str], threads: Iterable[int], effort: Effort = EFFORT, library: Any = statewise
) -> Iterator[Figure | str]:
    """The figures as they come; in the place of one, text where the two don't learn the same."""
    clock = Clock(effort)
    cells = list(cells)
    with tempfile.TemporaryDirectory() as folder:
        for count in threads:
            torch.set_num_threads(count)
            for job in JOBS:
                for cell in cells:
                    fits = Fits(job, cell, Path(folder), library)
                    if fits.alike():
                        yield Figure(job, cell, count, clock.measure(fits, count))
                    else:
                        yield f"{job.name} {cell}: the two libraries don't learn the same"


class Loops:
    """The fitting loop and the barest one over the same task and optimizer, of a network that takes next to no time."""

    def __init__(self, clip: bool) -> None:
        recipe = asdict(TINY.recipe) | {"clip": 1.0 if clip else None}
        self.recipe, self.task = TrainingConfig(**recipe), Training(TINY, statewise, "LSTM")
        self.sides = [lambda: fit(self.task, self.recipe), self.bare]

    def bare(self) -> None:
        """Loss, backward, the optimizer's step, and no more."""
        optimizer, model = make_optimizer(self.recipe, self.task.model), self.task.model
        for rows in torch.split(torch.randperm(self.task.rows), self.recipe.batch):
            loss, terms = self.task.loss(model, rows)
            for parameter in model.parameters():
                parameter.grad = None
            (loss / terms).backward()
            optimizer.step()

    def renew(self) -> None:
        """Nothing."""


def loop_cost(effort: Effort = EFFORT) -> dict[str, float]:
    """Seconds of an update that are the fitting loop's own, with clipping and without, on one thread."""
    torch.set_num_threads(1)
    costs = {}
    for name, clip in (("with clipping", True), ("without", False)):
        summary = Clock(effort).measure(Loops(clip), 1)
        costs[name] = (summary.ours - summary.theirs) / TINY.updates
    return costs


def table(figures: Iterable[Figure]) -> str:
    """A markdown table: a row a job and cell."""
    head = ["training", "threads", "an epoch with torch.nn", "with statewise", "torch.nn / statewise"]
    rows = [
        [
            f"{f.job.name}, {f.cell}",
            str(f.threads),
            *(_seconds(time * f.job.epoch) for time in (f.theirs, f.ours)),
            f"**{f.summary.ratio:.2f}**" + (" (busy)" if f.summary.disturbed else ""),
        ]
        for f in figures
    ]
    return markdown([head, *rows])


def cost_line(costs: dict[str, float]) -> str:
    """What the loop costs, in words."""
    figures = ", ".join(f"{seconds * 1e6:.0f} us {name}" for name, seconds in costs.items())
    return f"The loop's own part of an update: {figures}."


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
