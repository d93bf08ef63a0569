"""Train a network to tell the classes of sequences apart: the task for the fitting loop, and the model it leaves."""

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
from torch.nn.functional import cross_entropy

from ...config import Level
from ...data.split import share_held_out, stratified_split
from ...data.vectors import read_vectors, table_of
from ...errors import InputError
from ...training.problem import Problem, Trainer
from ...training.task import Task
from .config import ClassifyConfig
from .encoder import Encoder
from .model import Label, Model
from .network import Network, logits_of
from .ngrams import fitted, share
from .scaler import Scaler
from .sequences import Batches, Rows, Sequences
from .spelling import Embedding, Spelling
from .texts import Texts

LEAST_TRIED, MOST_TRIED, EPOCHS_TRIED = 400, 4000, 3  # rows of a part on which levels are compared, and passes


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


Part = tuple[Sequences | Texts, Rows]
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
    vectors: Mapping[str, NDArray[np.float32]] | None = None
    """Pretrained ones, of symbols of the training part."""

    @classmethod
    def of(
        cls,
        config: ClassifyConfig,
        sequences: Sequences | Texts,
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
        texts = isinstance(sequences, Texts)
        if isinstance(sequences, Texts) and config.level is None and like is None:
            config = replace(config, level=_level_of(config, part, classes))
        config = config.decided(len(part[1]), sequences.usual_length, image=image, texts=texts)
        problem = cls(config, part, held_out, classes, sample_weight, like)
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
        network = Network(*self.encoder.front(self.config), len(self.classes), self.config, deepcopy(beside))
        if self.vectors and isinstance(self.encoder, Spelling) and isinstance(network.front, Embedding):
            table = table_of(self.vectors, self.encoder.vocabulary.symbols, np.random.default_rng(self.config.seed))
            network.front.weight.data.copy_(torch.from_numpy(table))
        return network

    def task(self, network: Network) -> Classification:
        """Train ``network`` on this."""
        parts = [self.part] if self.held_out is None else [self.part, self.held_out]
        ours, *theirs = ((self.encoder.batches(part, self.config.segment or 1), targets) for part, targets in parts)
        weights = class_weights(ours[1], len(self.classes)) if self.config.balance else None
        data: list[Any] = [array for part, targets in parts for array in (*part.arrays(), targets)]
        data += [list(self.classes), *([] if self.sample_weight is None else [self.sample_weight])]
        data += list((self.vectors or {}).values())
        held_out = theirs[0] if theirs else None
        return Classification(network, *ours, held_out, weights, self.config.smoothing, data, self.sample_weight)

    def model(self, network: Network) -> Model:
        """What tells the classes apart, with the trained ``network``."""
        if self.like is None and self.config.ngrams and isinstance(self.part[0], Texts):
            self._add_ngrams(network)
        return Model(
            network=network, encoder=self.encoder, classes=tuple(self.classes), config=self.config, notes=self.notes
        )

    def _add_ngrams(self, network: Network) -> None:
        """Give ``network`` a linear model beside it, and that one its share."""
        sequences, targets = self.part
        batches = self.encoder.batches(sequences)
        ngrams = fitted(batches, targets, len(self.classes), self.config.ngrams or 1, self.sample_weight)
        if ngrams is not None and self.held_out is not None:
            held, truth = self.held_out
            theirs = self.encoder.batches(held)
            ngrams.share.fill_(share(logits_of(network.eval(), theirs), logits_of(ngrams, theirs), truth))
        network.beside = ngrams


def _level_of(config: ClassifyConfig, part: Part, classes: Sequence[Label]) -> Level:
    """The level at which a network does best in a short run on some of ``part``; the only one that suits the texts."""
    texts, targets = part
    assert isinstance(texts, Texts)
    levels = ("word",) if config.vectors else texts.levels
    if len(levels) == 1 or len(texts) < LEAST_TRIED:
        return levels[0]
    _, rows = stratified_split(targets, min(1.0, MOST_TRIED / len(targets)), config.seed)
    lost = {}
    for level in levels:
        short = replace(config, level=level, epochs=EPOCHS_TRIED, validation_share=0.25, patience=None, device="cpu")
        trainer = Trainer()
        ClassifyProblem.of(replace(short, ngrams=0), texts.select(rows), targets[rows], classes).train(trainer)
        lost[level] = min(record["validation"]["loss"] for record in trainer.history if record.get("validation"))
    return min(lost, key=lambda level: lost[level])


def class_weights(targets: Rows, classes: int) -> list[float]:
    """A weight for each class with which all classes weigh the same together; their mean over the rows is 1."""
    counts = np.bincount(targets, minlength=classes)
    return [float(w) for w in len(targets) / (classes * np.maximum(counts, 1))]
