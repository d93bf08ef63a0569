"""What a network is trained on, with everything decided, and who trains it: between a job and the fitting loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from ..artifacts import model_file
from ..errors import InputError
from .callbacks import Callback, CallbackList, Record
from .checkpoint import Checkpoint
from .config import TrainingConfig
from .fit import fit
from .progress import Bar
from .rank import is_main_process
from .task import Task
from .weights import check_sizes

Module = TypeVar("Module", bound=nn.Module)
Trained = TypeVar("Trained", bound=model_file.Model)


@dataclass
class Trainer:
    """Trains the networks of a problem: by default nobody looks on, nothing is written, weights begin at random."""

    callbacks: Sequence[Callback] = ()
    """They are told of every network. Whoever made them closes them."""
    folder: Path | None = None
    """Where it is written where training stands, and where that is read from, so that it goes on after a kill."""
    every: float = 30.0
    """Seconds from one time to the next."""
    start: Mapping[str, nn.Module] = field(default_factory=dict)
    """Networks with whose weights those of the same name begin, such as ``networks()`` of a model."""
    verbose: bool = False
    """Whether there is a progress bar on stderr."""
    history: list[Record] = field(default_factory=list)
    """The curve of all networks that were trained."""
    checkpoints: list[Path] = field(default_factory=list)
    """The files in ``folder``, which whoever has the model needs no longer."""

    def fit(self, task: Task, config: TrainingConfig, name: str = "") -> None:
        """Train the network of ``task`` and leave it on the CPU; ``name`` tells it from others of the same run.

        Raises ``InputError`` as ``training.fit.fit`` does, and where ``start`` has another network of this name.
        """
        if name in self.start:
            begin_with(task.model, self.start[name])
        checkpoint = None
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            checkpoint = Checkpoint(self.folder / f"{name.replace(' ', '-') or 'model'}.checkpoint", self.every)
            self.checkpoints.append(checkpoint.path)
        with closing(Bar(name or "training") if self.verbose and is_main_process() else Callback()) as progress:
            callback = CallbackList([*self.callbacks, progress], name)
            records = fit(task, config, callback=callback, checkpoint=checkpoint)
        self.history += [{"fit": name, **record} for record in records] if name else records
        task.model.cpu()


class Problem(Generic[Trained]):
    """The data to learn from and to validate with, and a configuration in which nothing is open any more.

    Both the command and the class of a job come by here. What trains several networks has a ``train`` of its own, with
    a call of ``trainer.fit`` for each; others say what their network, its task and its model are.
    """

    config: Any
    """A ``TrainingConfig``."""

    def make(self) -> nn.Module:
        """The network, its weights drawn at random."""
        raise NotImplementedError

    def task(self, network: Any) -> Task:
        """Train ``network`` on this."""
        raise NotImplementedError

    def model(self, network: Any) -> Trained:
        """What can be used, with the trained ``network``."""
        raise NotImplementedError

    def network(self) -> Any:
        """The network before training: the same for the same seed."""
        return seeded(self.config.seed, self.make)

    def train(self, trainer: Trainer) -> Trained:
        """A model that has learnt it.

        Raises ``InputError`` where the training diverges, the device isn't there or a checkpoint is of another problem.
        """
        network = self.network()
        trainer.fit(self.task(network), self.config)
        return self.model(network)


def seeded(seed: int, make: Callable[[], Module]) -> Module:
    """What ``make`` makes with random numbers from ``seed`` on; the caller's stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def begin_with(network: nn.Module, weights: nn.Module) -> None:
    """Give ``network`` the weights of a network of the same sizes. Raises ``InputError`` for one of others."""
    found = weights.state_dict()
    try:
        check_sizes(network.state_dict(), found)
    except ValueError as error:
        raise InputError(f"the weights to begin with are of another network: {error}") from None
    network.load_state_dict(found)
