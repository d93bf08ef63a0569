"""Train a network to tell the labels of sequences: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.split import share_held_out
from ...training.problem import Problem
from ...training.task import Task
from .config import ClassifyConfig, SequenceConfig
from .encoder import Encoder
from .model import Model
from .network import Network, outputs_of
from .scaler import Scaler
from .sequences import Batches, Sequences
from .targets import Target, Values


class SequenceTask(Task):
    """Tell the ``values`` of ``batches``, as ``target`` has them: (n, ...).

    ``weights`` (width,) and ``sample_weight`` (n,) say how much an output and a sequence count.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        batches: Batches,
        values: Values,
        held_out: tuple[Batches, Values] | None,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
        data: Sequence[Any] = (),
        sample_weight: NDArray[np.float32] | None = None,
    ) -> None:
        self.model, self.rows, self.target = network, len(batches), target
        self.batches, self.values = batches, torch.from_numpy(values)
        self.held_out = (held_out[0], torch.from_numpy(held_out[1])) if held_out else None
        self.weights = weights
        self.sample_weight = None if sample_weight is None else torch.from_numpy(sample_weight)  # (n,)
        self.smoothing, self.data = smoothing, data

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``."""
        super().to(device)
        self.batches.to(device)
        if self.held_out is not None:
            self.held_out[0].to(device)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The sum of what is lost, weighted where there are weights."""
        x, lengths = self.batches.take(rows)
        values, counts = self.values[rows], None if self.sample_weight is None else self.sample_weight[rows]
        return self._lost(model(x, lengths).float(), values.to(x.device), counts), self._terms(values, counts)

    def validate(self) -> dict[str, float]:
        """The loss, and what the target says beside it, on the part held out."""
        if self.held_out is None:
            return {}
        batches, values = self.held_out
        outputs = outputs_of(self.model, batches)
        lost = float(self._lost(outputs, values)) / self._terms(values)
        return {"loss": lost, **self.target.validated(outputs, values)}

    def _lost(self, outputs: Tensor, values: Tensor, counts: Tensor | None = None) -> Tensor:
        """The sum of what is lost."""
        losses = self.target.losses(outputs, values, self.weights, self.smoothing)
        return losses.sum() if counts is None else losses @ counts.to(losses)

    def _terms(self, values: Tensor, counts: Tensor | None = None) -> float:
        """What that sum divides by: how many sequences there are, or what they weigh."""
        terms = self.target.terms(values, self.weights)
        return float(terms.sum() if counts is None else terms @ counts)


Part = tuple[Sequences, Values]
"""Sequences, and their labels as numbers."""


@dataclass(frozen=True, eq=False)
class ClassifyProblem(Problem[Model]):
    """Sequences to learn from and, where that isn't None, to validate with, and what their labels are."""

    config: ClassifyConfig
    part: Part
    held_out: Part | None
    target: Target
    sample_weight: NDArray[np.float32] | None = None
    """How much each sequence counts in the loss, (n,); not in the validation."""
    like: Model | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: SequenceConfig,
        sequences: Sequences,
        values: Values,
        target: Target,
        held_out: Part | None = None,
        *,
        image: bool = False,
        sample_weight: NDArray[np.float32] | None = None,
        like: Model | None = None,
    ) -> ClassifyProblem:
        """To learn ``values`` (n, ...), and validate with ``held_out``; None: with what ``config`` holds out.

        ``like`` is a model whose encoder the network has got used to. Raises ``InputError`` where it has read others.
        """
        if like is not None:
            like.encoder.check(sequences)
        part = sequences, values
        if held_out is None:
            config = replace(config, validation_share=share_held_out(config.validation_share, len(values)))
            kept, held = target.split(values, config.validation_share or 0.0, config.seed)
            if len(held):
                part, held_out = ((sequences.select(rows), values[rows]) for rows in (kept, held))
                sample_weight = None if sample_weight is None else sample_weight[kept]
        config = config if isinstance(config, ClassifyConfig) else ClassifyConfig(**vars(config))
        config = config.decided(len(part[1]), sequences.usual_length, image=image)
        return cls(config, part, held_out, target, sample_weight, like)

    @cached_property
    def encoder(self) -> Encoder:
        """What the sequences go through before the network sees them."""
        return self.like.encoder if self.like else Scaler.fitted(self.part[0], self.config.scaling or "channel")

    def make(self) -> Network:
        """The network, its weights drawn at random."""
        return Network(*self.encoder.front(self.config), self.target.width, self.config)

    def task(self, network: Network) -> SequenceTask:
        """Train ``network`` on this."""
        parts = [self.part] if self.held_out is None else [self.part, self.held_out]
        ours, *theirs = ((self.encoder.batches(part, self.config.segment or 1), values) for part, values in parts)
        weights = self.target.balanced(ours[1]) if self.config.balance else None
        data: list[Any] = [array for part, values in parts for array in (*part.arrays(), values)]
        data += [self.target.content(), *([] if self.sample_weight is None else [self.sample_weight])]
        held_out = theirs[0] if theirs else None
        return SequenceTask(
            network, self.target, *ours, held_out, weights, self.config.smoothing, data, self.sample_weight
        )

    def model(self, network: Network) -> Model:
        """What says it, with the trained ``network``."""
        target = self.target
        if self.held_out is not None:
            sequences, values = self.held_out
            batches = self.encoder.batches(sequences, self.config.segment or 1)
            target = target.settled(outputs_of(network.eval(), batches), values)
        return Model(network=network, encoder=self.encoder, target=target, config=self.config, notes=self.notes)
