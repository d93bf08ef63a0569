"""The training of a writer, as in docs/jobs.md's reference run, on random text of tiny Shakespeare's sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from statewise.jobs.config import Cell
from statewise.jobs.tasks.write.config import Plan, WriteConfig
from statewise.jobs.tasks.write.network import Network
from statewise.jobs.tasks.write.text import Corpus, Ids
from statewise.jobs.tasks.write.training import BpttTask
from statewise.jobs.training.config import TrainingConfig

CHARACTERS = 65  # different ones
FOLLOWERS = 4  # of each character
CELLS: dict[str, Cell] = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}


@dataclass(frozen=True, slots=True)
class Prose:
    """A training of a writer, of which ``chunks`` updates are measured."""

    name: str
    recipe: TrainingConfig
    chunks: int
    epoch: int
    """Updates in an epoch of the real data, whose time is told."""
    T: int = 64
    H: int = 256
    L: int = 2

    @property
    def updates(self) -> int:
        """Of one fit, as it is measured."""
        return self.recipe.epochs * self.chunks

    def task(self, library: Any, cell: str) -> BpttTask:
        """The task with the recurrent layers of ``library``, beginning with the same weights whichever it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = WriteConfig(
                cell=CELLS[cell.upper()], units=self.H, layers=self.L, batch=self.recipe.batch, steps=self.T
            )
            plan = Plan.of(config)
            network = Network(CHARACTERS, plan, library)
        ids = text(self.recipe.batch * self.T * self.chunks + 1)
        return BpttTask(network, Corpus(ids, None, 0, len(ids)), plan)


SHAKESPEARE = Prose("tiny Shakespeare", WriteConfig(epochs=1), chunks=10, epoch=491)


def text(length: int) -> Ids:
    """Random characters, the same ones always, of which each has a few that may follow it: (length,)."""
    random = np.random.default_rng(0)
    followers = random.integers(0, CHARACTERS, (CHARACTERS, FOLLOWERS))
    ids = np.zeros(length, np.int64)
    for place, choice in enumerate(random.integers(0, FOLLOWERS, length - 1), 1):
        ids[place] = followers[ids[place - 1], choice]
    return ids
