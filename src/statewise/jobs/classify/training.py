"""Train a network to tell the classes of sequences apart: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..checkpoint import Checkpoint
from ..fit import fit
from ..task import Task
from ..watch import Record, Watch
from .model import Label, Model
from .network import Network, logits_of
from .scaler import Scaler
from .sequences import Batches, Rows, Sequences, digest_of
from .settings import Plan
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


def train(
    sequences: Sequences,
    targets: Rows,
    classes: Sequence[Label],
    plan: Plan,
    *,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Model, list[Record]]:
    """A model of ``classes`` that has learnt ``targets`` (n,), numbers of classes, from ``sequences``; and the curve.

    Raises ``InputError`` where the training diverges, the device isn't there or the checkpoint is of something else.
    """
    kept, held = stratified(targets, plan.validation_for(len(targets)), plan.recipe.seed)
    ours = sequences.select(kept) if len(held) else sequences
    scaler = Scaler.fitted(ours, plan.scaling)
    shape = plan.shape_for(sequences.usual_length)
    held_out = (scaler.batches(sequences.select(held), shape.segment), targets[held]) if len(held) else None
    recipe = replace(plan.recipe, epochs=plan.epochs_for(len(kept)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Network(sequences.channels, len(classes), shape)
    weights = class_weights(targets[kept], len(classes)) if plan.balance else None
    settings = [asdict(shape), plan.balance, plan.smoothing, plan.validation, plan.scaling, list(classes)]
    data = [sequences.digest(), digest_of(targets), settings] if checkpoint else None
    batches = scaler.batches(ours, shape.segment)
    task = Classification(network, batches, targets[kept], held_out, weights, plan.smoothing, data)
    history = fit(task, recipe, watch=watch, checkpoint=checkpoint)
    return Model(network.cpu(), scaler, tuple(classes), shape), history


def class_weights(targets: Rows, classes: int) -> list[float]:
    """A weight for each class with which all classes weigh the same together; their mean over the rows is 1."""
    counts = np.bincount(targets, minlength=classes)
    return [float(w) for w in len(targets) / (classes * np.maximum(counts, 1))]
