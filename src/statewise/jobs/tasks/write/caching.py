"""Whether a cache beside a trained network predicts a text better, and which one does best: see ``runtime.cache``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....runtime.cache import AT_ONCE, Cache, windows
from .likelihood import states_of
from .model import Model
from .text import Corpus

SIZES = (500, 1000, 2000)
SHARPNESSES = (6.0, 12.0, 24.0, 48.0)  # over the mean square of a state, which they compare so
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)
MOST, BLOCKS, LEAST = 200_000, 64, 5  # symbols that are read; of those blocks of AT_ONCE that are judged
CHANCE, WORTH = 2.0, 0.005  # standard errors, and nats a symbol, that a cache has to gain


def chosen(model: Model, corpus: Corpus, size: int | None = None) -> Cache | None:
    """The cache, of this ``size`` or one of ``SIZES``, that predicts the running text ``corpus`` best.

    None where none gains more than it would by chance, by the spread of what blocks of the text gain, and than it
    costs. ``model`` must not have learnt the text.
    """
    corpus = replace(corpus, ids=corpus.ids[: MOST + 1])
    sizes = SIZES if size is None else (size,)
    blocks = (len(corpus.ids) - 1) // AT_ONCE
    if blocks < LEAST:
        return None
    square, network, cached, seen = _judged(model, corpus, sizes, max(1, blocks // BLOCKS))
    filled = [[Cache(many, 1.0, share).shares(np.minimum(seen, many)) for many in sizes] for share in SHARES]
    shares: NDArray[np.float64] = np.array(filled)[:, :, None]  # (shares, sizes, 1, B, T)
    gains = np.log1p(shares * (cached / network - 1)).mean(-1)  # (shares, sizes, sharpnesses, B)
    best = np.unravel_index(gains.mean(-1).argmax(), gains.shape[:-1])
    gain = gains[best]
    if len(gain) < LEAST or gain.mean() < max(WORTH, CHANCE * gain.std(ddof=1) / np.sqrt(len(gain))):
        return None
    share, many, sharp = map(int, best)
    return Cache(sizes[many], SHARPNESSES[sharp] / square, SHARES[share])


def _judged(
    model: Model, corpus: Corpus, sizes: tuple[int, ...], every: int
) -> tuple[float, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The mean square of a state, and how likely the network finds what is right, (B, T), and a cache alone.

    That is (sizes, sharpnesses, B, T), of every so manieth whole block of T steps. And how many steps each could
    remember, (B, T).
    """
    most, square, number = max(sizes), 0.0, 0
    net = replace(model, cache=Cache(most, 1.0, 0.5)).net
    network, cached, places = [], [], []
    for states, first, new in states_of(net, corpus, most):
        square = square or float((states.astype(np.float64) ** 2).sum(1).mean()) or 1.0
        followed = corpus.ids[first + 1 : first + 1 + len(states)]
        for begin, end, seen in windows(new, len(states), most):
            number += 1
            if end - begin < AT_ONCE or number % every or not seen < begin:
                continue
            said = net.said(states[begin:end])
            right = np.exp(np.take_along_axis(said, followed[begin:end, None], axis=1)[:, 0].astype(np.float64))
            places.append(first + np.arange(begin, end))
            network.append(np.maximum(right, 1e-30))
            cached.append(_by_cache(states[seen:end], followed[seen:end], begin - seen, sizes, square))
    return square, np.array(network), np.moveaxis(np.array(cached), 0, 2), np.array(places)


def _by_cache(
    states: NDArray[Any], followed: NDArray[np.int64], at: int, sizes: tuple[int, ...], square: float
) -> NDArray[np.float64]:
    """How likely a cache alone finds what follows each state from ``at`` on: (sizes, sharpnesses, T)."""
    scores = states[at:] @ states.T
    back = at + np.arange(len(scores))[:, None] - np.arange(len(states))
    scores[(back < 1) | (back > max(sizes))] = -np.inf
    scores -= scores.max(1, keepdims=True)
    same = followed[at:, None] == followed
    found = np.empty((len(sizes), len(SHARPNESSES), len(scores)))
    for k, sharpness in enumerate(SHARPNESSES):
        weights = np.exp(scores * (sharpness / square))
        for j, size in enumerate(sizes):
            counted = weights if size == max(sizes) else np.where(back <= size, weights, 0)
            total = counted.sum(1, dtype=np.float64)
            found[j, k] = np.where(same, counted, 0).sum(1) / np.maximum(total, 1e-30)
    return found
