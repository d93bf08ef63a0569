"""From the scores of the tags to tags: the best of each word or, where some may not follow others, the best way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from . import crf
from .corpus import Sentences
from .network import Network
from .packed import Numbers, Packed

TOKENS_AT_ONCE = 4096


def decode(network: Network, emissions: Tensor, sizes: Tensor) -> Tensor:
    """The best tags (S,) under ``emissions`` (S, K), packed."""
    if network.crf is not None:
        return crf.best(emissions.float(), sizes, *network.crf.scores())
    if network.allowed is None:
        return emissions.argmax(1)
    scores = torch.zeros_like(network.allowed, dtype=torch.float32).masked_fill(~network.allowed, crf.NEVER)
    # Whether a tag may be is all that is asked, so of each word only how far it is from the others counts.
    return crf.best(emissions.float().log_softmax(1), sizes, scores[:-1, :-1], scores[-1, :-1], scores[:-1, -1])


@torch.no_grad()
def predict(network: Network, packed: Packed) -> tuple[Numbers, float]:
    """The tags of all words, one sentence after the other, and the sum of the losses where there are targets."""
    tags = np.empty(packed.tokens, np.int64)
    loss = 0.0
    for rows in _batches(packed.lengths):
        batch = packed.take(rows)
        emissions = network(batch)
        if not bool(emissions.isfinite().all()):
            raise InputError("the model's output is not finite: its file is damaged")
        tags[packed.places(rows)[0]] = decode(network, emissions, batch.sizes).cpu().numpy()
        if batch.targets is not None:
            loss += float(network.loss(emissions, batch.sizes, batch.targets))
    return tags, loss


def in_words(numbers: Numbers, lengths: Numbers, tags: Sequence[str]) -> Sentences:
    """The tags by sentence, of which ``lengths`` (n,) are given, of their ``numbers``, one after the other."""
    names = (tags[number] for number in numbers.tolist())
    return [list(islice(names, length)) for length in lengths.tolist()]


def _batches(lengths: Numbers) -> Iterator[Numbers]:
    """Sentences of like length together, so many that a long one takes its memory once."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.cumsum(lengths[order])
    parts = (steps - lengths[order]) // TOKENS_AT_ONCE
    for part in np.unique(parts):
        yield order[parts == part]
