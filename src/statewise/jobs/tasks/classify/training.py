"""Train a network to tell the classes of sequences apart: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...data.split import share_held_out, stratified_split
from ...training.problem import Problem
from ...training.task import Task
from .config import ClassifyConfig
from .encoder import Encoder
from .model import Label, Model
from .network import Network, logits_of
from .scaler import Scaler
from .sequences import Batches, Rows, Sequences


class Classification(Task):
    """Tell the classes of ``batches`` apart. ``targets`` (n,) count the classes from 0.

    ``weights`` (classes,) and ``sample_weight`` (n,) say how much a class and a sequence count.
    """

    def __init__(
        self,
        network: Network,
        batches: Batches,
        targets: Rows,
        held_out: tuple[Batches, Rows] | None,
        weights: Sequence[float] | None = None,
        smoothing: float = 0.0,
        data: Sequence[Any] = (),
        sample_weight: NDArray[np.float32] | None = None,
    ) -> None:
        self.model, self.rows = network, len(batches)
        self.batches, self.targets = batches, torch.from_numpy(targets)
        self.held_out = (held_out[0], torch.from_numpy(held_out[1])) if held_out else None
        self.weights = None if weights is None else torch.tensor(weights)  # (classes,)
        self.sample_weight = None if sample_weight is None else torch.from_numpy(sample_weight)  # (n,)
        self.smoothing, self.data = smoothing, data

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``."""
        super().to(device)
        self.batches.to(device)
        if self.held_out is not None:
            self.held_out[0].to(device)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy, weighted where there are weights."""
        x, lengths = self.batches.take(rows)
        targets, counts = self.targets[rows], None if self.sample_weight is None else self.sample_weight[rows]
        return self._entropy(model(x, lengths).float(), targets.to(x.device), counts), self._terms(targets, counts)

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

    def _entropy(self, logits: Tensor, targets: Tensor, counts: Tensor | None = None) -> Tensor:
        """The sum of the cross entropies of ``logits`` (N, classes) against ``targets`` (N,), smoothed."""
        weights = None if self.weights is None else self.weights.to(logits)
        if counts is None:
            return cross_entropy(logits, targets, weights, reduction="sum", label_smoothing=self.smoothing)
        return cross_entropy(logits, targets, weights, reduction="none", label_smoothing=self.smoothing) @ counts.to(
            logits
        )

    def _terms(self, targets: Tensor, counts: Tensor | None = None) -> float:
        """What that sum divides by: how many targets there are, or what they weigh."""
        weights = torch.ones(len(targets)) if self.weights is None else self.weights[targets]
        return float(weights.sum() if counts is None else weights @ counts)


Part = tuple[Sequences, Rows]
"""Sequences and the numbers of their classes, (n,)."""


@dataclass(frozen=True, eq=False)
class ClassifyProblem(Problem[Model]):
    """Sequences to learn from and, where that isn't None, to validate with; classes are numbers of ``classes``."""

    config: ClassifyConfig
    part: Part
    held_out: Part | None
    classes: Sequence[Label]
    sample_weight: NDArray[np.float32] | None = None
    """How much each sequence counts in the loss, (n,); not in the validation."""
    like: Model | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: ClassifyConfig,
        sequences: Sequences,
        targets: Rows,
        classes: Sequence[Label],
        held_out: Part | None = None,
        *,
        image: bool = False,
        sample_weight: NDArray[np.float32] | None = None,
        like: Model | None = None,
    ) -> ClassifyProblem:
        """To learn ``targets`` (n,), and validate with ``held_out``; None: with what ``config`` holds out.

        ``like`` is a model whose encoder the network has got used to. Raises ``InputError`` where it has read others.
        """
        if like is not None:
            like.encoder.check(sequences)
        part = sequences, targets
        if held_out is None:
            config = replace(config, validation_share=share_held_out(config.validation_share, len(targets)))
            kept, held = stratified_split(targets, config.validation_share or 0.0, config.seed)
            if len(held):
                part, held_out = ((sequences.select(rows), targets[rows]) for rows in (kept, held))
                sample_weight = None if sample_weight is None else sample_weight[kept]
        config = config.decided(len(part[1]), sequences.usual_length, image=image)
        return cls(config, part, held_out, classes, sample_weight, like)

    @cached_property
    def encoder(self) -> Encoder:
        """What the sequences go through before the network sees them."""
        return self.like.encoder if self.like else Scaler.fitted(self.part[0], self.config.scaling or "channel")

    def make(self) -> Network:
        """The network, its weights drawn at random."""
        return Network(*self.encoder.front(self.config), len(self.classes), self.config)

    def task(self, network: Network) -> Classification:
        """Train ``network`` on this."""
        parts = [self.part] if self.held_out is None else [self.part, self.held_out]
        ours, *theirs = ((self.encoder.batches(part, self.config.segment or 1), targets) for part, targets in parts)
        weights = class_weights(ours[1], len(self.classes)) if self.config.balance else None
        data: list[Any] = [array for part, targets in parts for array in (*part.arrays(), targets)]
        data += [list(self.classes), *([] if self.sample_weight is None else [self.sample_weight])]
        held_out = theirs[0] if theirs else None
        return Classification(network, *ours, held_out, weights, self.config.smoothing, data, self.sample_weight)

    def model(self, network: Network) -> Model:
        """What tells the classes apart, with the trained ``network``."""
        return Model(
            network=network, encoder=self.encoder, classes=tuple(self.classes), config=self.config, notes=self.notes
        )


def class_weights(targets: Rows, classes: int) -> list[float]:
    """A weight for each class with which all classes weigh the same together; their mean over the rows is 1."""
    counts = np.bincount(targets, minlength=classes)
    return [float(w) for w in len(targets) / (classes * np.maximum(counts, 1))]
