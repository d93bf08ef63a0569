"""Train a network to translate: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .... import layers
from ...errors import InputError
from ...experiment import Trainer
from ...training.task import Task
from .config import TranslateConfig
from .model import LONGEST, Model
from .network import Network
from .pairs import Pairs, Ragged
from .result import score
from .vocabulary import Vocabulary

SPARE = 5  # symbols that a target may be longer than the longest one learnt from
JUDGED = 1000  # pairs of the validation part that are translated after each epoch


class Translation(Task):
    """Write the targets of pairs after their sources. ``held_out`` are other pairs."""

    model: Network

    def __init__(self, lesson: Lesson, network: Network) -> None:
        self.model, self.lesson, self.epoch = network, lesson, 0
        self.sources, self.targets = lesson.numbers(lesson.pairs)
        self.rows = len(self.sources)
        held = lesson.held_out
        self.held_out = None if held is None else (*lesson.numbers(held), held.select(range(len(held))[:JUDGED]))

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``."""
        super().to(device)
        for part in (self.sources, self.targets, *(self.held_out or ())[:2]):
            part.to(device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """The rows shuffled; how much is forced follows from the number of the epoch."""
        self.epoch = epoch
        return super().order(epoch, random)

    @property
    def forced(self) -> float:
        """The share of the symbols before that are the true ones, in this epoch."""
        config = self.lesson.config
        done = self.epoch / max(1, config.epochs - 1)
        if config.forcing_schedule == "sigmoid":
            done = (1 + math.tanh(6 * done - 3) / math.tanh(3)) / 2
        return 1 - (1 - config.forcing) * done

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of the targets, smoothed, and how many symbols they have."""
        return self._loss(model, self.sources, self.targets, rows, self.lesson.config.smoothing)

    def _loss(
        self, model: nn.Module, sources: Ragged, targets: Ragged, rows: Tensor, smoothing: float = 0.0
    ) -> tuple[Tensor, float]:
        source, lengths = sources.take(rows)
        target, counts = targets.take(rows)
        before = torch.cat((target.new_zeros(1, len(rows)), target[:-1]))  # a beginning is the end of another
        logits = model(source, lengths, before, counts, self.forced)
        there = torch.arange(len(target))[:, None] < counts
        loss = cross_entropy(
            logits.float(), target[there.to(target.device)], reduction="sum", label_smoothing=smoothing
        )
        return loss, float(counts.sum())

    def validate(self) -> Mapping[str, float]:
        """How many symbols of the first pairs held out are wrong; of all of them the loss."""
        if self.held_out is None:
            return {}
        sources, targets, judged = self.held_out
        parts = [self._loss(self.model, sources, targets, rows) for rows in torch.arange(len(sources)).split(256)]
        loss = sum(float(part) for part, _ in parts) / sum(terms for _, terms in parts)
        model = self.lesson.model(self.model)
        found = score("", judged, [best[0].text for best in model.translate(judged, beam=1)])
        wrong = found.characters if model.target.level == "char" else found.words
        return {"error rate": wrong, "loss": loss, "exact": found.exact}

    def fingerprint(self) -> Any:
        """What must agree for a checkpoint to go on: sizes, and a hash of the pairs."""
        held = () if self.held_out is None else self.held_out[:2]
        return [super().fingerprint(), [part.digest() for part in (self.sources, self.targets, *held)]]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learnt from and validated with, and what is known of it before training."""

    config: TranslateConfig
    pairs: Pairs
    held_out: Pairs | None
    source: Vocabulary
    target: Vocabulary
    longest: int
    """Symbols of a target at most."""

    @classmethod
    def of(cls, config: TranslateConfig, pairs: Pairs, held_out: Pairs | None = None) -> Lesson:
        """To learn ``pairs`` and validate with ``held_out`` or, where that is None, what ``config`` holds out."""
        config = replace(config, target_level=config.target_level or config.level)
        if held_out is None:
            config = replace(config, validation_share=config.held_out(len(pairs.groups())))
            pairs, held_out = pairs.split(config.validation_share or 0.0, config.seed)
        limits = {"most": config.vocabulary, "at_least": config.min_count}
        source = Vocabulary.of(pairs.sources, config.level, **limits).with_features(pairs.features)
        target = Vocabulary.of(pairs.known_targets, config.target_level or config.level, **limits)
        longest = max(len(target.encode(each)) for each in pairs.known_targets) + SPARE
        if longest > LONGEST:
            raise InputError(
                f"{pairs.where}: expected targets of {LONGEST - SPARE:,} symbols at most, got {longest - SPARE:,}"
            )
        return cls(config, pairs, held_out, source, target, longest)

    @property
    def sentences(self) -> bool:
        """Whether BLEU and chrF say anything: where words or pieces of words are written for such."""
        return "char" not in (self.source.level, self.target.level)

    def numbers(self, pairs: Pairs) -> tuple[Ragged, Ragged]:
        """Sources and targets."""
        sources = map(self.source.encode, pairs.sources, pairs.features)
        return Ragged(list(sources)), Ragged(list(map(self.target.encode, pairs.known_targets)))

    def network(self, library: Any = layers) -> Network:
        """The network before training: the same for the same seed. ``library`` has the recurrent layers."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return Network(len(self.source.symbols), len(self.target.symbols), self.config, library)

    def task(self, network: Network) -> Translation:
        """Train ``network`` on this."""
        return Translation(self, network)

    def model(self, network: Network) -> Model:
        """What ``network`` can do."""
        shared = {"source": self.source, "target": self.target, "longest": self.longest, "config": self.config}
        return Model(network=network, **shared)

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it.

        Raises ``InputError`` where the training diverges, the device isn't there or the checkpoint is of another one.
        """
        network = self.network()
        trainer.fit(self.task(network), self.config)
        return self.model(network)
