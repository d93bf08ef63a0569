"""Train a network to translate: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...data.split import share_held_out
from ...data.vocabulary import UNKNOWN, Vocabulary
from ...errors import InputError
from ...training.problem import Problem
from ...training.task import Task
from ...training.weights import arrays_of
from .config import TranslateConfig
from .model import LONGEST, Model
from .network import Network
from .pairs import Pairs
from .ragged import Ragged
from .result import score

SPARE = 5  # symbols that a target may be longer than the longest one learnt from
JUDGED = 1000  # pairs of the validation part that are translated after each epoch


class Translation(Task):
    """Write the targets of pairs after their sources. ``held_out`` are other pairs."""

    model: Network

    def __init__(self, problem: TranslateProblem, network: Network) -> None:
        self.model, self.problem, self.epoch = network, problem, 0
        self.parts = [problem.numbers(part) for part in (problem.pairs, problem.held_out) if part is not None]
        self.rows = len(problem.pairs)
        self.data = [each for sides in self.parts for side in sides for each in (side.lengths, side.numbers)]

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``."""
        super().to(device)
        for side in (side for sides in self.parts for side in sides):
            side.numbers = side.numbers.to(device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """The rows shuffled; how much is forced follows from the number of the epoch."""
        self.epoch = epoch
        return super().order(epoch, random)

    @property
    def forced(self) -> float:
        """The share of the symbols before that are the true ones, in this epoch."""
        config = self.problem.config
        done = self.epoch / max(1, config.epochs - 1)
        if config.forcing_schedule == "sigmoid":
            done = (1 + math.tanh(6 * done - 3) / math.tanh(3)) / 2
        return 1 - (1 - config.forcing) * done

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of the targets, smoothed, and how many symbols they have."""
        return self._loss(model, *self.parts[0], rows, self.problem.config.smoothing)

    def _loss(
        self, model: nn.Module, sources: Ragged, targets: Ragged, rows: Tensor, smoothing: float
    ) -> tuple[Tensor, float]:
        (source, lengths), (target, counts) = sources.take(rows), targets.take(rows)
        before = torch.cat((target.new_zeros(1, len(rows)), target[:-1]))  # a beginning is the end of another
        logits = model(source, lengths, before, counts, self.forced)
        there = torch.arange(len(target))[:, None] < counts
        loss = cross_entropy(
            logits.float(), target[there.to(target.device)], reduction="sum", label_smoothing=smoothing
        )
        return loss, float(counts.sum())

    def validate(self) -> Mapping[str, float]:
        """How many symbols of the first pairs held out are wrong; of all of them the loss."""
        held = self.problem.held_out
        if held is None:
            return {}
        parts = [self._loss(self.model, *self.parts[1], rows, 0.0) for rows in torch.arange(len(held)).split(256)]
        loss = sum(float(part) for part, _ in parts) / sum(terms for _, terms in parts)
        judged, model = held.select(range(0, len(held), -(-len(held) // JUDGED))), self.problem.model(self.model)
        found = score("", judged, [best[0].text for best in model.translate(judged, beam=1)])
        wrong = found.characters if model.target.level == "char" else found.words
        return {"error rate": wrong, "loss": loss, "exact": found.exact}


def _check_known(side: str, where: str, texts: Iterable[NDArray[np.int64]]) -> None:
    """Raises ``InputError`` where of ``texts``, as a model reads them, most symbols are none that it knows."""
    numbers = np.concatenate([text[:-1] for text in texts])  # without their ends
    known = int((numbers != UNKNOWN).sum())
    if 2 * known < len(numbers):
        raise InputError(f"{where}: of {len(numbers):,} symbols in the {side} the model knows {known:,}")


@dataclass(frozen=True, eq=False)
class TranslateProblem(Problem[Model]):
    """What is learnt from and validated with, and what is known of it before training."""

    config: TranslateConfig
    pairs: Pairs
    held_out: Pairs | None
    source: Vocabulary
    target: Vocabulary
    longest: int
    """Symbols of a target at most."""

    @classmethod
    def of(
        cls, config: TranslateConfig, pairs: Pairs, held_out: Pairs | None = None, like: Model | None = None
    ) -> TranslateProblem:
        """To learn ``pairs`` and validate with ``held_out`` or, where that is None, what ``config`` holds out.

        ``like`` is a model whose vocabularies the network has got used to. Raises ``InputError`` where a target is too
        long, or has a character that ``like`` can't write.
        """
        config = replace(config, target_level=config.target_level or config.level)
        if held_out is None:
            config = replace(config, validation_share=share_held_out(config.validation_share, len(pairs.groups())))
            pairs, held_out = pairs.split(config.validation_share or 0.0, config.seed)
        if like is not None:
            source, target = like.source, like.target
        else:
            limits = {"most": config.max_words, "at_least": config.min_count}
            source = Vocabulary.of(pairs.sources, config.level, **limits).with_features(pairs.features)
            target = Vocabulary.of(pairs.known_targets, config.target_level or config.level, **limits)
        numbers = [target.encode(each) for each in pairs.known_targets]
        if like is not None:
            _check_known("sources", pairs.where, map(source.encode, pairs.sources))
        if like is not None and target.level == "char" and (new := [n for n in numbers if UNKNOWN in n]):
            text = pairs.known_targets[next(row for row, n in enumerate(numbers) if n is new[0])]
            raise InputError(f"{pairs.where}: the target {text!r:.60} has a character that the model can't write")
        if like is not None:
            _check_known("targets", pairs.where, numbers)
        longest = max(like.longest if like else 0, max(map(len, numbers)) + SPARE)
        if longest > LONGEST:
            most = f"{LONGEST - SPARE:,} symbols at most"
            raise InputError(f"{pairs.where}: expected targets of {most}, got {longest - SPARE:,}")
        return cls(config, pairs, held_out, source, target, longest)

    @property
    def sentences(self) -> bool:
        """Whether BLEU and chrF say anything: where words or pieces of words are written for such."""
        return "char" not in (self.source.level, self.target.level)

    def numbers(self, pairs: Pairs) -> tuple[Ragged, Ragged]:
        """Sources and targets."""
        sources, targets = map(self.source.encode, pairs.sources, pairs.features), pairs.known_targets
        return Ragged(sources), Ragged(map(self.target.encode, targets))

    def make(self) -> Network:
        """The network, its weights drawn at random."""
        return Network(len(self.source.symbols), len(self.target.symbols), self.config)

    def task(self, network: Network) -> Translation:
        """Train ``network`` on this."""
        return Translation(self, network)

    def model(self, network: Network) -> Model:
        """What translates, with the trained ``network``."""
        weights = {name: array for name, array in arrays_of(network).items() if name != "output.weight"}
        longest, config = self.longest, self.config
        return Model(weights=weights, source=self.source, target=self.target, longest=longest, config=config)
