"""From the scores of the tags to tags: the best of each word or, where some may not follow others, the best way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from . import crf
from .corpus import Sentences
from .network import Network
from .packed import Batch, Numbers, Packed

TOKENS_AT_ONCE = 4096

Transitions = tuple[Tensor, Tensor, Tensor]
"""The scores of each tag after each, at first and at last, as the functions of ``crf`` take them."""


def transitions(network: Network) -> Transitions | None:
    """Those of the CRF; without one they say no more than what is allowed; None: all is, each word for itself."""
    if network.crf is not None:
        return network.crf.scores()
    if network.allowed is None:
        return None
    scores = torch.zeros_like(network.allowed, dtype=torch.float32).masked_fill(~network.allowed, crf.NEVER)
    return scores[:-1, :-1], scores[-1, :-1], scores[:-1, -1]


@torch.no_grad()
def predict(network: Network, packed: Packed) -> tuple[Numbers, float]:
    """The tags of all words, one sentence after the other, and the sum of the losses where there are targets."""
    tags, between = np.empty(packed.tokens, np.int64), transitions(network)
    loss = 0.0
    for rows, batch, emissions in _emissions(network, packed):
        found = emissions.argmax(1) if between is None else crf.best(emissions.float(), batch.sizes, *between)
        tags[packed.places(rows)[0]] = found.cpu().numpy()
        if batch.targets is not None:
            loss += float(network.loss(emissions, batch.sizes, batch.targets))
    return tags, loss


@torch.no_grad()
def probabilities(network: Network, packed: Packed) -> NDArray[np.float64]:
    """The probability of each tag of each word, given the whole sentence and what may follow what: (tokens, K)."""
    result, between = np.empty((packed.tokens, network.output.out_features)), transitions(network)
    for rows, batch, emissions in _emissions(network, packed):
        found = emissions.double()
        found = found.softmax(1) if between is None else crf.marginals(found, batch.sizes, *_double(between))
        result[packed.places(rows)[0]] = found.cpu().numpy()
    return result


@torch.no_grad()
def n_best(network: Network, packed: Packed, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ``count`` likeliest sequences of tags (tokens, count) of all sentences, and their probabilities (n, count).

    Past the last sequence that there is these are 0.
    """
    between = transitions(network) or _free(network)
    tags, likely = np.empty((packed.tokens, count), np.int64), np.empty((len(packed), count))
    for rows, batch, emissions in _emissions(network, packed, TOKENS_AT_ONCE // count):
        given = (emissions.double(), batch.sizes, *_double(between))
        scores, found = crf.n_best(*given, count)
        tags[packed.places(rows)[0]] = found.cpu().numpy()
        likely[rows] = (scores - crf.log_sum(*given)[:, None]).exp().cpu().numpy()  # of what may not be: 0
    return tags, likely


@torch.no_grad()
def step(network: Network, batch: Batch, state: Any = None) -> tuple[NDArray[np.float64], Any]:
    """The probability of each tag of one more word of each sentence, (N, K), if it were the last one; and the state.

    That is the forward algorithm of ``crf.log_sum``, of which the state has what it has summed by now.
    """
    reading, alpha = (None, None) if state is None else state
    emissions, reading = network.step(batch, reading)
    between, first, last = _double(transitions(network) or _free(network))
    before = first if alpha is None else (alpha[:, :, None] + between).logsumexp(1)
    alpha = (_finite(emissions).double() + before).log_softmax(1)
    return (alpha + last).softmax(1).numpy(), (reading, alpha)


def _free(network: Network) -> Transitions:
    """Any tag may follow any."""
    free = torch.zeros_like(network.output.weight[:, :1]).expand(-1, network.output.out_features)  # (K, K)
    return free, free[0], free[0]


def _double(scores: Transitions) -> Transitions:
    between, first, last = scores
    return between.double(), first.double(), last.double()


def _emissions(
    network: Network, packed: Packed, at_once: int = TOKENS_AT_ONCE
) -> Iterator[tuple[Numbers, Batch, Tensor]]:
    """Sentences of like length, so many words at once: which they are, in falling length, and their scores (S, K)."""
    order = np.argsort(-packed.lengths, kind="stable")
    parts = (packed.lengths[order].cumsum() - packed.lengths[order]) // max(1, at_once)
    for part in np.unique(parts):  # so many words that a long sentence takes its memory once
        batch = packed.take(order[parts == part])
        yield order[parts == part], batch, _finite(network(batch))


def _finite(emissions: Tensor) -> Tensor:
    if not bool(emissions.isfinite().all()):
        raise InputError("the model's output is not finite: its file is damaged")
    return emissions


def in_words(numbers: Numbers, lengths: Numbers, tags: Sequence[str]) -> Sentences:
    """The tags by sentence, of which ``lengths`` (n,) are given, of their ``numbers``, one after the other."""
    names = (tags[number] for number in numbers.tolist())
    return [list(islice(names, length)) for length in lengths.tolist()]
