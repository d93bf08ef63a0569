"""Train a network to tell the labels of sequences: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...config import Level
from ...data.split import share_held_out
from ...data.vectors import read_vectors, table_of
from ...errors import InputError
from ...training.problem import Problem, Trainer
from ...training.task import Task
from .config import ClassifyConfig, SequenceConfig
from .encoder import Encoder
from .highway import Highway, settled
from .model import Model
from .network import Network, outputs_of
from .ngrams import fitted, share
from .scaler import Scaler
from .sequences import Batches, Rows, Sequences
from .spelling import Embedding, Spelling
from .targets import Classes, Target, Values
from .texts import Texts

LEAST_TRIED, MOST_TRIED, EPOCHS_TRIED = 400, 4000, 3  # rows of a part on which levels are compared, and passes


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


Part = tuple[Sequences | Texts, Values]
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
    vectors: Mapping[str, NDArray[np.float32]] | None = None
    """Pretrained ones, of symbols of the training part."""

    @classmethod
    def of(
        cls,
        config: SequenceConfig,
        sequences: Sequences | Texts,
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
        if sample_weight is not None or config.balance or like is not None:  # a ridge regression has no weights here
            config = replace(config, minirocket=bool(config.minirocket))
        if isinstance(sequences, Texts) and config.level is None:
            config = replace(config, level=_level_of(config, sequences, part, target))
        texts = isinstance(sequences, Texts)
        config = config.decided(len(part[1]), sequences.usual_length, image=image, texts=texts)
        problem = cls(config, part, held_out, target, sample_weight, like)
        return problem if like is not None or config.vectors is None else problem.with_vectors(config.vectors)

    @cached_property
    def encoder(self) -> Encoder:
        """What the sequences go through before the network sees them."""
        if self.like is not None:
            return self.like.encoder
        sequences = self.part[0]
        if isinstance(sequences, Texts):
            return Spelling.fitted(sequences, self.config)
        return Scaler.fitted(sequences, self.config.scaling or "channel")

    def with_vectors(self, path: str) -> ClassifyProblem:
        """The same that begins with the vectors in ``path``. Raises ``InputError`` where it has none that is needed."""
        if not isinstance(self.encoder, Spelling):
            raise InputError("--vectors: the sequences are numbers, expected texts")
        vectors = read_vectors(Path(path), self.encoder.vocabulary.symbols)
        if not vectors:
            raise InputError(f"{path}: has a vector for no word of the training part")
        size = len(next(iter(vectors.values())))
        return replace(self, config=replace(self.config, embedding=size), vectors=vectors)

    def make(self) -> Network:
        """The network, its weights drawn at random, but for vectors that were read."""
        beside = None if self.like is None else self.like.network.beside
        network = Network(*self.encoder.front(self.config), self.target.width, self.config, deepcopy(beside))
        if self.vectors and isinstance(self.encoder, Spelling) and isinstance(network.front, Embedding):
            table = table_of(self.vectors, self.encoder.vocabulary.symbols, np.random.default_rng(self.config.seed))
            network.front.weight.data.copy_(torch.from_numpy(table))
        return network

    def task(self, network: Network) -> SequenceTask:
        """Train ``network`` on this."""
        parts = [self.part] if self.held_out is None else [self.part, self.held_out]
        ours, *theirs = ((self.encoder.batches(part, self.config.segment or 1), values) for part, values in parts)
        weights = self.target.balanced(ours[1]) if self.config.balance else None
        data: list[Any] = [array for part, values in parts for array in (*part.arrays(), values)]
        data += [self.target.content(), *([] if self.sample_weight is None else [self.sample_weight])]
        data += list((self.vectors or {}).values())
        held_out = theirs[0] if theirs else None
        return SequenceTask(
            network, self.target, *ours, held_out, weights, self.config.smoothing, data, self.sample_weight
        )

    @cached_property
    def highway(self) -> tuple[Highway, Tensor] | None:
        """What stands beside the network, and what it says of each sequence of the part when that one is left out."""
        if self.like is not None or not self.config.minirocket:
            return None
        if not isinstance(self.part[0], Sequences):
            raise InputError("minirocket: expected series of numbers, got symbols")
        batches = self.encoder.batches(self.part[0])
        return Highway.fitted(batches, self.target, self.part[1], self.config.seed)

    def train(self, trainer: Trainer) -> Model:
        """The network and, where something stands beside it, how much it counts there.

        Without a part to validate with that is told by two networks, each of what the other has not learnt.
        """
        if self.highway is None or self.held_out is not None:
            return super().train(trainer)
        values = self.part[1]
        outputs = torch.empty(len(values), self.target.width, dtype=torch.float64)
        halves = self.target.split(values, 0.5, self.config.seed)
        for number, (kept, held) in enumerate((halves, halves[::-1]), 1):
            half = replace(self, part=self._of(kept), sample_weight=None)
            network = half.network()
            trainer.fit(half.task(network), self.config, f"half {number}")
            batches = half.encoder.batches(self._of(held)[0], self.config.segment or 1)
            outputs[held] = outputs_of(network.eval(), batches)
        network = self.network()
        trainer.fit(self.task(network), self.config, "all")
        return self._model(network, self.highway[1], outputs, values)

    def _of(self, rows: Rows) -> Part:
        return self.part[0].select(rows), self.part[1][rows]

    def model(self, network: Network) -> Model:
        """What says it, with the trained ``network``, and of texts the n-grams beside it."""
        if self.like is None and self.config.ngrams and isinstance(self.part[0], Texts):
            self._add_ngrams(network)
        if self.held_out is None:
            return self._model(network)
        sequences, values = self.held_out
        outputs = outputs_of(network.eval(), self.encoder.batches(sequences, self.config.segment or 1))
        highway = self.highway[0] if self.highway else self.like.highway if self.like else None
        scores = None if highway is None else highway.scores(self.encoder.batches(sequences))
        return self._model(network, scores, outputs, values)

    def _model(
        self,
        network: Network,
        scores: Tensor | None = None,
        outputs: Tensor | None = None,
        values: Values | None = None,
    ) -> Model:
        """With what ``scores`` and ``outputs`` of sequences that were not learnt from say, where there are any."""
        highway = self.highway[0] if self.highway else self.like.highway if self.like else None
        target = self.target
        if outputs is not None and values is not None:
            if highway is not None and scores is not None:
                highway = settled(highway, target, scores, outputs, values)
                outputs = highway.mixed(scores, outputs)
            target = target.settled(outputs, values)
        return Model(
            network=network,
            encoder=self.encoder,
            target=target,
            highway=highway,
            config=self.config,
            notes=self.notes,
        )

    def _add_ngrams(self, network: Network) -> None:
        """Give ``network`` a linear model of classes beside it, and that one its share."""
        sequences, values = self.part
        if not isinstance(self.target, Classes):
            return
        batches, most = self.encoder.batches(sequences), self.config.ngrams or 1
        ngrams = fitted(batches, values, self.target.width, most, self.sample_weight)
        if ngrams is not None and self.held_out is not None:
            held, truth = self.held_out
            theirs = self.encoder.batches(held)
            ngrams.share.fill_(share(outputs_of(network.eval(), theirs), outputs_of(ngrams, theirs), truth))
        network.beside = ngrams


def _level_of(config: ClassifyConfig, texts: Texts, part: Part, target: Target) -> Level:
    """The level at which a network does best in a short run on some of ``part``; the only one that suits ``texts``."""
    levels: tuple[Level, ...] = ("word",) if config.vectors else texts.levels
    sequences, values = part
    if len(levels) == 1 or len(values) < LEAST_TRIED:
        return levels[0]
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(values))[:MOST_TRIED])
    short = replace(config, epochs=EPOCHS_TRIED, validation_share=0.25, patience=None, ngrams=0)
    lost = dict[Level, float]()
    for level in levels:
        trainer = Trainer()
        some = replace(short, level=level), sequences.select(rows), values[rows]
        ClassifyProblem.of(*some, target).train(trainer)
        lost[level] = min(record["validation"]["loss"] for record in trainer.history if record.get("validation"))
    return min(lost, key=lambda level: lost[level])
