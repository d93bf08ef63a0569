"""Train a network to tag: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .... import layers
from ...data.split import random_split, share_held_out
from ...data.symbols import plain
from ...data.vectors import read_vectors
from ...errors import InputError
from ...training.problem import Problem, Trainer
from ...training.task import Task
from ...training.weights import arrays_of
from .config import TagConfig
from .corpus import Corpus, Sentences, all_of
from .decoding import NEVER, best, in_words
from .fitting import fitted, join
from .linear import Linear
from .model import Model
from .network import Network
from .packed import Numbers, Packed
from .result import score
from .spans import OUTSIDE, are_spans, keep_to_grammar
from .vocabulary import Vocabulary


class Tagging(Task):
    """Tag the words of ``packed`` as its targets say. ``held_out`` are other sentences and their tags."""

    model: Network

    def __init__(
        self,
        network: Network,
        packed: Packed,
        held_out: tuple[Packed, Sentences] | None,
        tags: Sequence[str],
        table: NDArray[np.float32] | None = None,
    ) -> None:
        self.model, self.rows = network, len(packed)
        self.packed, self.held_out, self.tags = packed, held_out, tags
        held = held_out[0].arrays() if held_out else ()
        self.data = [
            *packed.arrays(),
            *held,
            list(tags),
            network.allowed is not None,
            *([] if table is None else [table]),
        ]

    def to(self, device: torch.device) -> None:
        """Move the network to ``device``; batches go there as they are drawn."""
        super().to(device)
        self.packed.device = device
        if self.held_out is not None:
            self.held_out[0].device = device

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The loss of the sentences, its terms their words."""
        batch = self.packed.take(rows.numpy())
        loss: Tensor = model(batch, batch.targets)
        return loss, len(batch.words)

    def validate(self) -> Mapping[str, float]:
        """How far from 1 the F1 of the spans is or, where the tags mark none, the accuracy; and the loss."""
        if self.held_out is None:
            return {}
        packed, truth = self.held_out
        numbers, loss = predict(self.model, packed)
        told = in_words(numbers, packed.lengths, self.tags)
        found = score("", truth, told, self.tags)
        return {f"1 - {found.measure}": 1 - found.value, "loss": loss / packed.tokens, "accuracy": found.accuracy}


TOKENS_AT_ONCE = 4096


@torch.no_grad()
def predict(network: Network, packed: Packed) -> tuple[Numbers, float]:
    """The tags of all words, one sentence after the other, and the sum of the losses where there are targets.

    Sentences of like length go together, so many words that a long one takes its memory once.
    """
    tags, moves, loss = np.empty(packed.tokens, np.int64), moves_of(network), 0.0
    order = np.argsort(-packed.lengths, kind="stable")
    parts = (packed.lengths[order].cumsum() - packed.lengths[order]) // TOKENS_AT_ONCE
    for part in np.unique(parts):
        rows = order[parts == part]
        batch, lengths = packed.take(rows), packed.lengths[rows]
        emissions = network(batch)
        there = np.arange(int(lengths[0]))[:, None] < lengths  # (T, N): rows come in falling length
        scores = np.zeros((*there.shape, emissions.shape[1]))
        scores[there] = emissions.double().cpu().numpy()
        tags[packed.places(rows)[0]] = best(scores, lengths, moves)[there]
        if batch.targets is not None:
            loss += float(network.loss(emissions, batch.sizes, batch.targets))
    return tags, loss


def moves_of(network: Network) -> NDArray[np.float64] | None:
    """What ``network`` adds where a tag follows a tag, as decoding.py has it; None: nothing."""
    if network.crf is None and network.allowed is None:
        return None
    k = network.output.out_features
    moves = np.zeros((k + 1, k + 1))
    if network.crf is not None:
        between, first, last = (each.detach().double().cpu().numpy() for each in network.crf.scores())
        moves[:k, :k], moves[k, :k], moves[:k, k] = between, first, last
    elif network.allowed is not None:
        moves[~network.allowed.cpu().numpy()] = NEVER
    return moves


@dataclass(frozen=True, eq=False)
class TagProblem(Problem[Model]):
    """What is learnt from and validated with, and what is known of it before training."""

    config: TagConfig
    corpus: Corpus
    held_out: Corpus | None
    vocabulary: Vocabulary
    strict: bool
    """Whether the tags mark spans and all sentences keep to the grammar of spans."""
    linear: Linear | None = None
    """What stands beside the network already."""
    table: NDArray[np.float32] | None = None
    """The pretrained vectors, of what has none first: (V, E)."""

    @classmethod
    def of(
        cls, config: TagConfig, corpus: Corpus, held_out: Corpus | None = None, like: Model | None = None
    ) -> TagProblem:
        """To learn ``corpus`` and validate with ``held_out`` or, where that is None, what ``config`` holds out.

        ``like`` is a model whose vocabulary the network has got used to. Raises ``InputError`` where there is nothing
        to learn, or nothing that such a network can.
        """
        everything = [corpus.known_tags, *([] if held_out is None else [held_out.known_tags])]
        if held_out is None:
            config = replace(config, validation_share=share_held_out(config.validation_share, len(corpus)))
            corpus, held_out = split(corpus, config.validation_share or 0.0, config.seed)
        tags = {tag for part in everything for tag in all_of(part)}
        if like is not None:
            like.check(corpus, tags)
        if like is not None:
            vocabulary, table = like.vocabulary, None
        else:
            words, table = _vectors(config, corpus)
            size = 0 if table is None else table.shape[1]
            vocabulary = Vocabulary.of(corpus, tags, config.min_count, words, size)
        strict = are_spans(vocabulary.tags) and all(keep_to_grammar(part, vocabulary.tags) for part in everything)
        if like is not None and (bound := like.strict) != strict:
            if bound:
                raise InputError("the model's tags keep to the grammar of spans, and some of these don't")
            strict = False
        if config.crf is None:
            config = replace(config, crf=are_spans(vocabulary.tags) if like is None else like.config.crf)
        linear = None if like is None else like.linear
        config = replace(config, linear=config.bidirectional and config.linear if like is None else linear is not None)
        return cls(config, corpus, held_out, vocabulary, strict, linear, table)

    def make(self, library: Any = layers) -> Network:
        """The network, its weights drawn at random, but for vectors that were read. ``library`` has the layers."""
        network = Network(self.vocabulary, self.config, self.strict, library)
        if self.table is not None and network.vectors is not None:
            network.vectors.weight.data.copy_(torch.from_numpy(self.table))
        return network

    def task(self, network: Network) -> Tagging:
        """Train ``network`` on this."""
        packed = Packed(self.corpus, self.vocabulary, self.linear)
        held = None
        if self.held_out is not None:
            held = Packed(self.held_out, self.vocabulary, self.linear), self.held_out.known_tags
        return Tagging(network, packed, held, self.vocabulary.tags, self.table)

    def model(self, network: Network, linear: Linear | None = None, notes: Mapping[str, float] | None = None) -> Model:
        """What tags, with the trained ``network`` and what stands beside it; ``notes`` are for its file."""
        return Model(
            weights=arrays_of(network),
            vocabulary=self.vocabulary,
            strict=self.strict,
            linear=linear,
            config=replace(self.config, linear=linear is not None),
            notes=notes or {},
        )

    def train(self, trainer: Trainer) -> Model:
        """The network, and beside it the linear tagger, where that makes nothing worse on the validation part."""
        network = self.network()
        task = self.task(network)
        trainer.fit(task, self.config)
        if self.linear is not None or not self.config.linear:
            return self.model(network, self.linear)
        task.to(torch.device("cpu"))
        return self._joined(network, task)

    @torch.no_grad()
    def _joined(self, network: Network, task: Tagging) -> Model:
        """The model of the trained ``network`` and a linear tagger that learns the same."""
        alone, before = task.validate(), {name: tensor.clone() for name, tensor in network.state_dict().items()}
        with torch.enable_grad():
            found = fitted(self.corpus, task.packed, network)
        if found is None:
            return self.model(network)
        linear, moves = found
        outside = self.vocabulary.tags.numbers.get(OUTSIDE) if are_spans(self.vocabulary.tags) else None
        held = task.held_out and task.held_out[0]
        if held is not None and self.held_out is not None:
            held.beside = linear.scores(self.held_out.words, self.held_out.features)
        with torch.enable_grad():
            linear = join(network, linear, moves, held, outside)
        together = task.validate()
        if not alone:
            return self.model(network, linear)
        measure = next(iter(alone))
        notes = {"alone": alone[measure], "together": together[measure]}
        if notes["together"] > notes["alone"]:
            network.load_state_dict(before)
            return self.model(network, None, notes)
        return self.model(network, linear, notes)


def _vectors(config: TagConfig, corpus: Corpus) -> tuple[Sequence[str], NDArray[np.float32] | None]:
    """The words that have pretrained vectors, and these, after zeros for those that have none."""
    if config.vectors is None:
        return (), None
    needed = set(map(plain, all_of(corpus.words)))
    found = read_vectors(Path(config.vectors), needed, config.max_vectors)
    if not needed & found.keys():
        raise InputError(f"{config.vectors}: has a vector for no word of the training part")
    table = np.stack(list(found.values()))
    return list(found), np.concatenate([np.zeros_like(table[:1]), table])


def split(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, Corpus | None]:
    """``corpus`` without a ``share`` of its sentences, rounded and drawn by ``seed``, and those; None: there are none.

    At least one sentence stays. The same seed gives the same sentences.
    """
    kept, held = random_split(len(corpus), share, seed)
    return (corpus.select(kept.tolist()), corpus.select(held.tolist())) if len(held) else (corpus, None)
