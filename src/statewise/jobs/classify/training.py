"""Train a network to tell the classes of sequences apart: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..experiment import Trainer
from ..task import Task
from .config import ClassifyConfig
from .model import Label, Model
from .network import Network, logits_of
from .scaler import Scaler
from .sequences import Batches, Rows, Sequences, digest_of
from .split import stratified


class Classification(Task):
    """Tell the classes of ``batches`` apart. ``targets`` (n,) count the classes from 0."""

    def __init__(
        self,
        network: Network,
        batches: Batches,
        targets: Rows,
        held_out: tuple[Batches, Rows] | None,
        weights: Sequence[float] | None = None,
        smoothing: float = 0.0,
        data: Any = None,
    ) -> None:
        self.model, self.rows = network, len(batches)
        self.batches, self.targets = batches, torch.from_numpy(targets)
        self.held_out = (held_out[0], torch.from_numpy(held_out[1])) if held_out else None
        self.weights = None if weights is None else torch.tensor(weights)  # (classes,)
        self.smoothing, self.data = smoothing, data

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``."""
        super().to(device)
        self.batches.to(device)
        if self.held_out is not None:
            self.held_out[0].to(device)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy, weighted by class where there are weights."""
        x, lengths = self.batches.take(rows)
        targets = self.targets[rows]
        return self._entropy(model(x, lengths).float(), targets.to(x.device)), self._terms(targets)

    def validate(self) -> dict[str, float]:
        """Cross entropy and accuracy on the part held out."""
        if self.held_out is None:
            return {}
        batches, targets = self.held_out
        logits = logits_of(self.model, batches)
        right = logits.argmax(-1) == targets
        return {
            "loss": float(self._entropy(logits, targets)) / self._terms(targets),
            "accuracy": float(right.double().mean()),
        }

    def _entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum of the cross entropies of ``logits`` (N, classes) against ``targets`` (N,), smoothed."""
        weights = None if self.weights is None else self.weights.to(logits)
        return cross_entropy(logits, targets, weights, reduction="sum", label_smoothing=self.smoothing)

    def _terms(self, targets: Tensor) -> float:
        """What that sum divides by: how many targets there are, or what they weigh."""
        return float(len(targets)) if self.weights is None else float(self.weights[targets].sum())

    def fingerprint(self) -> Any:
        """What must agree for a checkpoint to go on: sizes, and a hash of the data and its labels."""
        return [super().fingerprint(), self.data]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learnt, with everything decided: ``targets`` (n,) are numbers of ``classes``."""

    config: ClassifyConfig
    sequences: Sequences
    targets: Rows
    classes: Sequence[Label]
    kept: Rows
    held: Rows

    @classmethod
    def of(
        cls,
        config: ClassifyConfig,
        sequences: Sequences,
        targets: Rows,
        classes: Sequence[Label],
        *,
        image: bool = False,
    ) -> Lesson:
        """To learn ``targets`` but for what ``config`` holds out."""
        config = replace(config, validation_share=config.held_out(len(targets)))
        kept, held = stratified(targets, config.validation_share or 0.0, config.seed)
        config = config.decided(len(kept), sequences.usual_length, image=image)
        return cls(config, sequences, targets, classes, kept, held)

    def network(self) -> Network:
        """The network before training: the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return Network(self.sequences.channels, len(self.classes), self.config)

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it.

        Raises ``InputError`` where the training diverges, the device isn't there or the checkpoint is of another one.
        """
        config, targets = self.config, self.targets
        ours = self.sequences.select(self.kept) if len(self.held) else self.sequences
        scaler = Scaler.fitted(ours, config.scaling or "channel")
        segment, held_out = config.segment or 1, None
        if len(self.held):
            held_out = scaler.batches(self.sequences.select(self.held), segment), targets[self.held]
        network, batches = self.network(), scaler.batches(ours, segment)
        weights = class_weights(targets[self.kept], len(self.classes)) if config.balance else None
        data = [self.sequences.digest(), digest_of(targets), list(self.classes)] if trainer.folder else None
        task = Classification(network, batches, targets[self.kept], held_out, weights, config.smoothing, data)
        trainer.fit(task, config)
        return Model(network=network, scaler=scaler, classes=tuple(self.classes), config=config)


def class_weights(targets: Rows, classes: int) -> list[float]:
    """A weight for each class with which all classes weigh the same together; their mean over the rows is 1."""
    counts = np.bincount(targets, minlength=classes)
    return [float(w) for w in len(targets) / (classes * np.maximum(counts, 1))]
