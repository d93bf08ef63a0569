"""Train a network to tag: the task for the fitting loop, and the model it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..fit import fit
from ..task import Task
from ..watch import Record, Watch
from .corpus import Corpus, Sentences, all_of
from .decoding import allowed_by, in_words, predict
from .model import Model
from .network import Network
from .packed import Packed
from .settings import Plan
from .spans import Grammar, are_spans, count, total
from .vocabulary import Vocabulary, vocabulary_of


class Tagging(Task):
    """Tag the words of ``packed`` as its targets say. ``held_out`` are other sentences and their tags."""

    model: Network

    def __init__(
        self,
        network: Network,
        packed: Packed,
        held_out: tuple[Packed, Sentences] | None,
        tags: Sequence[str],
        allowed: Tensor | None,
        data: Any,
    ) -> None:
        self.model, self.rows = network, len(packed)
        self.packed, self.held_out = packed, held_out
        self.tags, self.allowed, self.data = tags, allowed, data

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
        numbers, loss = predict(self.model, packed, self.allowed)
        told = in_words(numbers, packed.lengths, self.tags)
        right = sum(map(str.__eq__, all_of(truth), all_of(told))) / packed.tokens
        scores = {"loss": loss / packed.tokens, "accuracy": right}
        if not are_spans(self.tags):
            return {"1 - accuracy": 1 - right, **scores}
        return {"1 - F1": 1 - total(count(truth, told).values()).f1, **scores}

    def fingerprint(self) -> Any:
        """What must agree for a checkpoint to go on: sizes, and a hash of the sentences and their tags."""
        return [super().fingerprint(), self.data]


def train(
    corpus: Corpus,
    plan: Plan,
    *,
    held_out: Corpus | None = None,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Model, list[Record]]:
    """A model that has learnt the tags of ``corpus``, and the curve.

    The weights are kept that do best on ``held_out`` or, where there is none, on the share of ``corpus`` that ``plan``
    holds out. Raises ``InputError`` where the training diverges, the device isn't there or the checkpoint is of
    something else.
    """
    everything = [corpus.known_tags, *([] if held_out is None else [held_out.known_tags])]
    if held_out is None:
        corpus, held_out = split(corpus, plan.validation_for(len(corpus)), plan.recipe.seed)
    tags = {tag for sentences in everything for tag in all_of(sentences)}
    vocabulary = vocabulary_of(corpus, tags, plan.least)
    grammar = grammar_of(vocabulary.tags, (tags for sentences in everything for tags in sentences))
    allowed = allowed_by(grammar)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.recipe.seed)
        network = Network(vocabulary, plan.shape, allowed)
    task = _task(network, vocabulary, corpus, held_out, allowed, plan if checkpoint else None)
    history = fit(task, plan.recipe, watch=watch, checkpoint=checkpoint)
    return Model(network.cpu(), vocabulary, plan.shape, grammar is not None), history


def _task(
    network: Network,
    vocabulary: Vocabulary,
    corpus: Corpus,
    held_out: Corpus | None,
    allowed: Tensor | None,
    plan: Plan | None,
) -> Tagging:
    """The task. With ``plan`` it can tell itself from others, for checkpoints."""
    packed = Packed(corpus, vocabulary)
    held = None if held_out is None else (Packed(held_out, vocabulary), held_out.known_tags)
    data: Any = None
    if plan is not None:
        digests = [packed.digest(), None if held is None else held[0].digest()]
        data = [*digests, asdict(plan.shape), plan.least, list(vocabulary.tags), allowed is None]
    return Tagging(network, packed, held, vocabulary.tags, allowed, data)


def split(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, Corpus | None]:
    """``corpus`` without a ``share`` of its sentences, rounded and drawn by ``seed``, and those; None: there are none.

    At least one sentence stays. The same seed gives the same sentences.
    """
    out = min(round(share * len(corpus)), len(corpus) - 1)
    if not out:
        return corpus, None
    order = np.random.default_rng(seed).permutation(len(corpus))
    return corpus.select(np.sort(order[out:]).tolist()), corpus.select(np.sort(order[:out]).tolist())


def grammar_of(tags: Sequence[str], sentences: Iterable[Sequence[str]]) -> Grammar | None:
    """How ``tags`` may follow one another, where they mark spans and all of ``sentences`` keep to it."""
    if not are_spans(tags):
        return None
    grammar = Grammar(tags)
    return grammar if grammar.keeps(sentences) else None
