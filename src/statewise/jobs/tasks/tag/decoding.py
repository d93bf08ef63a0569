"""From the scores of the tags to tags and their probabilities: Viterbi's algorithm and the forward-backward one.

Shapes: scores (T, N, K), of which each row's first ``lengths`` (N,) count; moves (K+1, K+1), what is added where a tag
follows a tag, in the last row the sentence's beginning and in the last column its end. All is computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....runtime.program import NEVER
from ....runtime.translator import largest
from .corpus import Sentences

__all__ = ["NEVER", "best", "in_words", "marginals", "n_best", "step", "total"]

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


def best(scores: Array, lengths: Numbers, moves: Array | None) -> Numbers:
    """The tags of the highest sum (T, N), past a row's end of no meaning; without ``moves`` of each word alone."""
    if moves is None:
        return np.asarray(scores.argmax(-1))
    return n_best(scores, lengths, moves, 1)[1][..., 0]


def n_best(scores: Array, lengths: Numbers, moves: Array, count: int) -> tuple[Array, Numbers]:
    """The ``count`` highest sums (N, count), falling, minus infinity past the last one, and their tags (T, N, count).

    Viterbi's algorithm, which keeps that many ways to each tag.
    """
    steps, rows, tags = scores.shape
    between, first, last = _taken_apart(moves)
    alpha = np.full((rows, tags, count), -np.inf)  # of the best ways to here that end in a tag
    alpha[:, :, 0] = scores[0] + first
    came = np.zeros((steps, rows, tags * count), np.int64)
    for t in range(1, steps):
        ways = (alpha[:, :, :, None] + between[:, None]).reshape(rows, -1, tags).swapaxes(1, 2)  # (N, K, K*C)
        if count == 1:
            places = ways.argmax(2)[..., None]
            highest = np.take_along_axis(ways, places, axis=2)
        else:
            highest, places = (each.reshape(rows, tags, -1) for each in largest(ways.reshape(rows * tags, -1), count))
        there = (lengths > t)[:, None, None]
        alpha = np.where(there, highest + scores[t][:, :, None], alpha)
        came[t] = np.where(there, places, np.arange(tags * count).reshape(tags, count)).reshape(rows, -1)
    sums, now = largest((alpha + last[:, None]).reshape(rows, -1), count)  # (N, C), of all tags and ranks
    if sums.shape[1] < count:
        more = ((0, 0), (0, count - sums.shape[1]))
        sums, now = np.pad(sums, more, constant_values=-np.inf), np.pad(now, more)
    found = np.empty((steps, rows, count), np.int64)
    for t in range(steps - 1, -1, -1):
        found[t] = now
        now = np.take_along_axis(came[t], now, axis=1)
    return sums, found // count


def total(scores: Array, lengths: Numbers, moves: Array) -> Array:
    """The logarithm of the sum of the exponentials of all ways' sums: (N,)."""
    between, first, last = _taken_apart(moves)
    alpha = scores[0] + first
    for t in range(1, len(scores)):
        on = log_sum(alpha[:, :, None] + between, 1) + scores[t]
        alpha = np.where((lengths > t)[:, None], on, alpha)
    return log_sum(alpha + last, 1)


def marginals(scores: Array, lengths: Numbers, moves: Array | None) -> Array:
    """The probability of each tag of each word over all tags of the others: (T, N, K)."""
    if moves is None:
        return np.exp(_log_softmax(scores))
    between, first, last = _taken_apart(moves)
    alpha, beta = np.empty_like(scores), np.broadcast_to(last, scores.shape[1:])
    alpha[:1] = scores[:1] + first
    for t in range(1, len(scores)):
        alpha[t] = log_sum(alpha[t - 1][:, :, None] + between, 1) + scores[t]
    for t in range(len(scores) - 1, -1, -1):
        alpha[t] += beta
        on = log_sum(between + (scores[t] + beta)[:, None], 2)
        beta = np.where((lengths > t)[:, None], on, last)
    return np.exp(_log_softmax(alpha))


def step(scores: Array, moves: Array | None, before: Array | None) -> tuple[Array, Array]:
    """The probability of each tag of one more word of N sentences (N, K), if it were the last one; and the state.

    ``scores`` are (N, K). The state is what the forward algorithm has summed by now, None at first.
    """
    between, first, last = _taken_apart(np.zeros((scores.shape[1] + 1,) * 2) if moves is None else moves)
    came = first if before is None else log_sum(before[:, :, None] + between, 1)
    alpha = _log_softmax(scores + came)
    return np.exp(_log_softmax(alpha + last)), alpha


def in_words(numbers: Numbers, lengths: Numbers, tags: Sequence[str]) -> Sentences:
    """The tags by sentence, of which ``lengths`` (n,) are given, of their ``numbers``, one after the other."""
    names = (tags[number] for number in numbers.tolist())
    return [list(islice(names, length)) for length in lengths.tolist()]


def log_sum(x: Array, axis: int) -> Array:
    """The logarithm of the sum of exponentials over ``axis``."""
    most = x.max(axis, keepdims=True)
    return np.asarray(np.log(np.exp(x - most).sum(axis)) + most.squeeze(axis))


def _log_softmax(x: Array) -> Array:
    return x - log_sum(x, -1)[..., None]


def _taken_apart(moves: Any) -> tuple[Array, Array, Array]:
    moves = np.asarray(moves, np.float64)
    return moves[:-1, :-1], moves[-1, :-1], moves[:-1, -1]
