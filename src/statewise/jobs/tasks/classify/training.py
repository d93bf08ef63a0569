"""Train a network to tell the labels of sequences: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from ...training.weights import arrays_of
from .batches import Batches
from .beside import FEW, Beside
from .config import ClassifyConfig, SequenceConfig
from .encoder import Encoder
from .features import Features, Lesson, Scores
from .model import Model
from .network import Embedding, Network, made, outputs_of
from .ngrams import NGrams
from .rocket import Rocket
from .scaler import Scaler
from .sequences import Rows, Sequences
from .spelling import Spelling
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
        if self.weights is None and counts is None:
            return float(len(values))
        terms = self.target.terms(values, self.weights)
        return float(terms.sum() if counts is None else terms @ counts)


Part = tuple[Sequences | Texts, Values]
"""Sequences, and their labels as numbers."""


@dataclass(frozen=True, eq=False)
class ClassifyProblem(Problem[Model]):
    """Sequences to learn from and, where there are any, to validate with, and what their labels are."""

    config: ClassifyConfig
    given: Part
    target: Target
    split: tuple[Rows, Rows] | None = None
    """The rows of it to learn from, and those held out."""
    eval_set: Part | None = None
    """What is validated with in the place of those."""
    sample_weight: NDArray[np.float32] | None = None
    """How much each sequence counts in the loss, (n,); not in the validation."""
    groups: Rows | None = None
    """The group of each, (n,): all of a group are learnt from, or none."""
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
        groups: Rows | None = None,
        like: Model | None = None,
    ) -> ClassifyProblem:
        """To learn ``values`` (n, ...), and validate with ``held_out``; None: with what ``config`` holds out.

        ``like`` is a model whose encoder the network has got used to. Raises ``InputError`` where it has read others.
        """
        if like is not None:
            like.encoder.check(sequences)
        split = None
        if held_out is None:
            config = replace(config, validation_share=share_held_out(config.validation_share, len(values)))
            split = target.split(values, config.validation_share or 0.0, config.seed, groups)
            split = split if len(split[1]) else None
        config = config if isinstance(config, ClassifyConfig) else ClassifyConfig(**vars(config))
        # A ridge regression says all labels with the same weights of the rows; a model that goes on has what it had.
        if like is not None or (config.balance and not isinstance(target, Classes)):
            config = replace(config, minirocket=bool(config.minirocket))
        problem = cls(config, (sequences, values), target, split, held_out, sample_weight, groups, like)
        texts = isinstance(sequences, Texts)
        if isinstance(sequences, Texts) and config.level is None:
            config = replace(config, level=_level_of(config, problem))
        config = config.decided(len(problem.part[1]), sequences.usual_length, image=image, texts=texts)
        problem = replace(problem, config=config)
        return problem if like is not None or config.vectors is None else problem.with_vectors(config.vectors)

    @cached_property
    def part(self) -> Part:
        """What is learnt from."""
        return self.given if self.split is None else self._of(self.split[0])

    @cached_property
    def held_out(self) -> Part | None:
        """What is validated with."""
        return self.eval_set if self.split is None else self._of(self.split[1])

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
        network = made(self.encoder, self.target.width, self.config)
        if self.vectors and isinstance(self.encoder, Spelling) and isinstance(network.front, Embedding):
            table = table_of(self.vectors, self.encoder.vocabulary.symbols, np.random.default_rng(self.config.seed))
            network.front.weight.data.copy_(torch.from_numpy(table))
        return network

    def task(self, network: Network) -> SequenceTask:
        """Train ``network`` on this."""
        parts = [self.part] if self.held_out is None else [self.part, self.held_out]
        ours, *theirs = ((Batches(self._read(sequences)), values) for sequences, values in parts)
        weights = self._learning(self.sample_weight)
        data: list[Any] = [array for part, values in parts for array in (*part.arrays(), values)]
        data += [self.target.content(), *([] if weights is None else [weights])]
        data += list((self.vectors or {}).values())
        held_out = theirs[0] if theirs else None
        return SequenceTask(network, self.target, *ours, held_out, self._balance, self.config.smoothing, data, weights)

    @cached_property
    def features(self) -> type[Features] | None:
        """Of which a linear model stands beside the network."""
        texts = isinstance(self.part[0], Texts)
        if texts and self.config.minirocket:
            raise InputError("minirocket: expected series of numbers, got symbols")
        return (NGrams if self.config.ngrams else None) if texts else (Rocket if self.config.minirocket else None)

    @cached_property
    def beside(self) -> tuple[Beside, Scores | None] | None:
        """What stands beside the network, and what it says of sequences that it hasn't learnt from: (n, W).

        Those are all that were ``given``, each left out by itself, else what is held out, else none.
        """
        if self.like is not None or self.features is None:
            return None if self.like is None or self.like.beside is None else (self.like.beside, None)
        (sequences, values), weights, groups = self.part, self._learning(self.sample_weight), None
        if self.features.LEFT_OUT:
            (sequences, values), weights, groups = self.given, self.sample_weight, self.groups
        if self.config.balance and isinstance(self.target, Classes):
            of_classes = self.target.balanced(values).numpy()[values]
            weights = of_classes if weights is None else weights * of_classes
        read, seed, reach = self.encoder.encoded(sequences), self.config.seed, self.config.ngrams or 1
        return Beside.fitted(self.features, Lesson(read, self.target, values, weights, seed, groups, reach))

    def train(self, trainer: Trainer) -> Model:
        """The network and, where something stands beside it, how much each counts.

        Without a part to validate with that is told by two networks, each of what the other has not learnt.
        """
        if self.like is not None or self.beside is None or self.held_out is not None:
            return super().train(trainer)
        values, left_out = self.given[1], self.beside[1]
        halves = self.target.split(values, 0.5, self.config.seed, self.groups)
        parts = (halves, halves[::-1]) if len(halves[1]) else ()  # a group may be all that there is of a class
        outputs = np.empty((len(values), self.target.width)) if parts and len(values) >= FEW else None
        scores = np.zeros((len(values), self.target.width)) if parts and left_out is None else left_out
        for number, (kept, held) in enumerate(parts, 1):
            weights, groups = (None if of is None else of[kept] for of in (self.sample_weight, self.groups))
            half = replace(self, given=self._of(kept), sample_weight=weights, groups=groups)
            if outputs is not None:
                network = half.network()
                trainer.fit(half.task(network), self.config, f"half {number}")
                outputs[held] = outputs_of(network.eval(), half._read(self._of(held)[0])).numpy()
            if left_out is None and scores is not None and half.beside is not None:
                scores[held] = half.beside[0].scores(half.encoder.encoded(self._of(held)[0]))
        network = self.network()
        trainer.fit(self.task(network), self.config, "all")
        return self._model(network, scores, outputs, values)

    def model(self, network: Network) -> Model:
        """What says it, with the trained ``network``."""
        if self.held_out is None:
            return self._model(network)
        sequences, values = self.held_out
        scores = None
        if self.beside is not None:
            beside, left_out = self.beside
            if left_out is None or self.split is None:
                scores = beside.scores(self.encoder.encoded(sequences))
            else:
                scores = left_out[self.split[1]]
        return self._model(network, scores, outputs_of(network.eval(), self._read(sequences)).numpy(), values)

    def _model(
        self,
        network: Network,
        scores: Scores | None = None,
        outputs: Scores | None = None,
        values: Values | None = None,
    ) -> Model:
        """With what ``scores`` and ``outputs`` of sequences that were not learnt from say, where there are any."""
        beside, target = self.beside and self.beside[0], self.target
        if values is not None and beside is not None and scores is not None:
            beside = beside.settled(target, scores, outputs, values, self._balance)
            outputs = beside.mixed(scores, outputs)
        if values is not None and outputs is not None:
            target = target.settled(outputs, values)
        return Model(
            weights=arrays_of(network),
            encoder=self.encoder,
            target=target,
            beside=beside,
            config=self.config,
            notes=self.notes,
        )

    @cached_property
    def _balance(self) -> Tensor | None:
        """What each output weighs in the loss."""
        return self.target.balanced(self.part[1]) if self.config.balance else None

    def _of(self, rows: Rows) -> Part:
        return self.given[0].select(rows), self.given[1][rows]

    def _read(self, sequences: Sequences | Texts) -> Sequences:
        """``sequences`` as the network reads them."""
        return self.encoder.encoded(sequences, self.config.segment or 1)

    def _learning(self, given: NDArray[Any] | None) -> NDArray[Any] | None:
        """Of a number for each of what was ``given``, those of what is learnt from."""
        return given if given is None or self.split is None else given[self.split[0]]


def _level_of(config: ClassifyConfig, problem: ClassifyProblem) -> Level:
    """The level at which a network does best in a short run on some of what is learnt; the only one that suits it."""
    (sequences, values), texts, groups = problem.part, problem.given[0], problem._learning(problem.groups)
    assert isinstance(texts, Texts)
    levels: tuple[Level, ...] = ("word",) if config.vectors else texts.levels
    if len(levels) == 1 or len(values) < LEAST_TRIED:
        return levels[0]
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(values))[:MOST_TRIED])
    short = replace(config, epochs=EPOCHS_TRIED, validation_share=0.25, patience=None, ngrams=0)
    lost = dict[Level, float]()
    for level in levels:
        trainer = Trainer()
        some = replace(short, level=level), sequences.select(rows), values[rows]
        of = None if groups is None else groups[rows]
        ClassifyProblem.of(*some, problem.target, groups=of).train(trainer)
        lost[level] = min(record["validation"]["loss"] for record in trainer.history if record.get("validation"))
    return min(lost, key=lambda level: lost[level])
