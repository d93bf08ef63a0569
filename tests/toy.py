"""A small task for the tests of the jobs' frame, and a program that trains it: ``python toy.py FOLDER --epochs 3``.

The program trains networks with the seeds 0, 1, ... Where ``--break-off 7`` is given, the first of them ends by an
exception in its seventh loss, and goes on from its checkpoint.

It learns to tell the sum of a ragged sequence's steps. A row of length n has n terms of the loss, so processes that
share a batch see different numbers of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import statewise
from statewise.jobs.checkpoint import Checkpoint
from statewise.jobs.errors import InputError
from statewise.jobs.fit import fit
from statewise.jobs.recipe import TrainingConfig
from statewise.jobs.task import Task
from statewise.jobs.watch import Log, Several, Watch

T, I, H = 5, 3, 6  # noqa: E741


class Net(nn.Module):
    """A GRU over the steps, and a number for each."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer = statewise.GRU(I, H, num_layers=2, batch_first=True, dropout=dropout)
        self.head = nn.Linear(H, 1)

    def forward(self, x, lengths):
        return self.head(self.layer(x, lengths=lengths)[0])[..., 0]  # (N, T)


class Toy(Task):
    """``carry`` lets something pass from one update to the next, and noise is drawn in the loss, as real tasks may."""

    def __init__(self, rows: int = 37, *, seed: int = 0, carry: bool = True, noise: float = 0.1) -> None:
        random = torch.Generator().manual_seed(seed)
        self.x = torch.randn(rows + 16, T, I, generator=random)
        self.lengths = torch.randint(1, T + 1, (rows + 16,), generator=random)
        self.y = self.x.sum(-1).cumsum(1)
        self.rows, self.noise = rows, noise
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Net(dropout=0.2 if noise else 0.0)
        self.carried = torch.zeros(I) if carry else None
        self.seen: list[list[int]] = []

    def loss(self, model, rows):
        self.seen.append(rows.tolist())
        x = self.x[rows] + self.noise * torch.randn(len(rows), T, I)
        if self.carried is not None:
            x = x + self.carried
            self.carried = 0.5 * self.carried + 0.01 * x.detach().mean((0, 1))
        return self._sum(model, x, rows), int(self.lengths[rows].sum())

    def _sum(self, model, x, rows):
        valid = torch.arange(T) < self.lengths[rows, None]
        return ((model(x, self.lengths[rows]) - self.y[rows]) ** 2)[valid].sum()

    def validate(self):
        rows = torch.arange(self.rows, self.rows + 16)
        return {"mse": float(self._sum(self.model, self.x[rows], rows).detach() / self.lengths[rows].sum())}

    def state(self):
        return {} if self.carried is None else {"carried": self.carried}

    def restore(self, state):
        self.carried = state.get("carried")

    def fingerprint(self):
        return super().fingerprint(), float(self.x.double().sum())


class Tell(Watch):
    """Says on stdout that training runs, and takes its time, so that a test can kill it."""

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def begin(self, history, fit=None):
        print(f"begin {len(history)}", flush=True)

    def tick(self):
        time.sleep(self.pause)


def weights(task: Task) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("epochs", "batch", "rows"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--every", type=float, default=0.0)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--fits", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--fail", type=int, default=-1, help="the rank that fails at last")
    parser.add_argument("--break-off", type=int, default=0)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    recipe = TrainingConfig(epochs=args.epochs, batch=args.batch, learning_rate=0.01)
    rank = int(os.environ.get("RANK", "0"))

    def train(number: int, losses: int | None = None) -> None:
        task = Toy(args.rows, seed=number, **({"carry": False, "noise": 0.0} if args.plain else {}))
        if losses is not None:
            task.loss = failing(task.loss, losses)
        watch = Several([Log(args.folder / f"metrics-{number}.jsonl"), Tell(args.pause)])
        fit(task, recipe, watch=watch, checkpoint=Checkpoint(args.folder / f"{number}.checkpoint", every=args.every))
        save_file(weights(task), args.folder / f"{number}-{rank}.safetensors")

    if args.break_off:
        with suppress(ZeroDivisionError):
            train(0, args.break_off - 1)
    for number in range(args.fits):
        if said := refusal(train, number):
            print(f"refused by {rank}: {said}", flush=True)
    if args.fail >= 0:
        train(args.fits, 0 if rank == args.fail else None)
    return 0


def refusal(train, number: int) -> InputError | None:
    try:
        train(number)
    except InputError as error:
        return error
    return None


def failing(loss, left):
    """``loss``, which fails after it has been asked for ``left`` times."""

    def of(model, rows):
        nonlocal left
        if left == 0:
            raise ZeroDivisionError("this process fails")
        left -= 1
        return loss(model, rows)

    return of


def log(path: Path) -> list[dict]:
    """The records of a log without the time they took."""
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
