"""From the scores of the tags to tags: the best of each word or, where some may not follow others, the best way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from . import crf
from .corpus import Sentences
from .log_sum import log_sum
from .network import Network
from .packed import Batch, Numbers, Packed
from .spans import Grammar

TOKENS_AT_ONCE = 4096


def allowed_by(grammar: Grammar | None) -> Tensor | None:
    """Which tag may follow which, as the network wants it: (K+1, K+1), the last row and column for the ends."""
    if grammar is None:
        return None
    states = [*grammar.tags, None]
    return torch.tensor([[grammar.allows(before, tag) for tag in states] for before in states])


Transitions = tuple[Tensor, Tensor, Tensor]
"""The scores of each tag after each, at first and at last, as the functions of ``crf`` take them."""


def transitions(network: Network, allowed: Tensor | None) -> Transitions | None:
    """Those of the CRF; without one they say no more than what is ``allowed``; None: all is, each word for itself."""
    if network.crf is not None:
        return network.crf.scores()
    if allowed is None:
        return None
    scores = torch.zeros(allowed.shape).masked_fill(~allowed, crf.NEVER).to(network.output.weight.device)
    return scores[:-1, :-1], scores[-1, :-1], scores[:-1, -1]


@torch.no_grad()
def predict(network: Network, packed: Packed, allowed: Tensor | None) -> tuple[Numbers, float]:
    """The tags of all words, one sentence after the other, and the sum of the losses where there are targets."""
    tags, between = np.empty(packed.tokens, np.int64), transitions(network, allowed)
    loss = 0.0
    for rows, batch, emissions in _emissions(network, packed):
        found = emissions.argmax(1) if between is None else crf.best(emissions.float(), batch.sizes, *between)
        tags[packed.places(rows)[0]] = found.cpu().numpy()
        if batch.targets is not None:
            loss += float(network.loss(emissions, batch.sizes, batch.targets))
    return tags, loss


@torch.no_grad()
def probabilities(network: Network, packed: Packed, allowed: Tensor | None) -> NDArray[np.float64]:
    """The probability of each tag of each word, given the whole sentence and what may follow what: (tokens, K)."""
    result, between = np.empty((packed.tokens, network.output.out_features)), transitions(network, allowed)
    for rows, batch, emissions in _emissions(network, packed):
        found = emissions.double()
        found = found.softmax(1) if between is None else crf.marginals(found, batch.sizes, *_double(between))
        result[packed.places(rows)[0]] = found.cpu().numpy()
    return result


@torch.no_grad()
def n_best(
    network: Network, packed: Packed, allowed: Tensor | None, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ``count`` likeliest sequences of tags (tokens, count) of all sentences, and their probabilities (n, count).

    Past the last sequence that there is these are 0.
    """
    k = network.output.out_features
    everything = torch.ones(k + 1, k + 1, dtype=torch.bool)
    between = transitions(network, everything if allowed is None else allowed)
    assert between is not None
    tags, likely = np.empty((packed.tokens, count), np.int64), np.empty((len(packed), count))
    for rows, batch, emissions in _emissions(network, packed, TOKENS_AT_ONCE // count):
        given = (emissions.double(), batch.sizes, *_double(between))
        scores, found = crf.n_best(*given, count)
        tags[packed.places(rows)[0]] = found.cpu().numpy()
        likely[rows] = (scores - log_sum(*given)[:, None]).exp().cpu().numpy()  # of what may not be: 0
    return tags, likely


def _double(scores: Transitions) -> Transitions:
    between, first, last = scores
    return between.double(), first.double(), last.double()


def _emissions(
    network: Network, packed: Packed, at_once: int = TOKENS_AT_ONCE
) -> Iterator[tuple[Numbers, Batch, Tensor]]:
    """Sentences of like length, so many words at once: which they are, in falling length, and their scores (S, K)."""
    for rows in _batches(packed.lengths, at_once):
        batch = packed.take(rows)
        emissions = network(batch)
        if not bool(emissions.isfinite().all()):
            raise InputError("the model's output is not finite: its file is damaged")
        yield rows, batch, emissions


def in_words(numbers: Numbers, lengths: Numbers, tags: Sequence[str]) -> Sentences:
    """The tags by sentence, of which ``lengths`` (n,) are given, of their ``numbers``, one after the other."""
    names = [tags[number] for number in numbers.tolist()]
    ends = np.cumsum(lengths).tolist()
    return [names[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _batches(lengths: Numbers, at_once: int) -> Iterator[Numbers]:
    """Sentences of like length together, so many that a long one takes its memory once."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.cumsum(lengths[order])
    parts = (steps - lengths[order]) // max(1, at_once)
    for part in np.unique(parts):
        yield order[parts == part]
