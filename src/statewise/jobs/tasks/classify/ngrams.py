"""A linear model of n-grams beside the network: logistic regression on their tf-idf, as most would begin with a text.

The network is trained alone. What both say is then added, each with the share at which the part held out is told best:
the two err in different places.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, pad

from ...data.vocabulary import END
from .sequences import Batches, Rows

FACTOR = 0x5851F42D4C957F2D  # odd, of no pattern (the multiplier of Knuth's MMIX): tells n-grams by one number
SEEN, MOST_WEIGHTS = 2, 1 << 22  # texts that an n-gram must be in; numbers in the table
STRENGTH, ITERATIONS = 10.0, 100  # of the regression: the inverse of its penalty, and steps at most
SHARES, SHARE = np.linspace(0, 1, 11), 0.5  # of the two, to choose from; where nothing is held out to choose by
ROWS_AT_ONCE, NEVER = 512, -20.0  # the bias of a class that isn't there


class NGrams(nn.Module):
    """What the n-grams of up to ``most`` symbols say, of which ``keys`` (F,), rising, are known.

    A text begins and ends with a symbol of its own. ``table`` (F, 1 + outputs) has of each n-gram its idf, and the
    weight of each output times that; others count for nothing. What is said is divided by the norm of the idf.
    """

    keys: Tensor
    table: Tensor
    bias: Tensor
    share: Tensor
    """Of what is said together: a number from 0 to 1."""

    def __init__(self, most: int, keys: Tensor, table: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.most = most
        for name, tensor in (("keys", keys), ("table", table), ("bias", bias), ("share", torch.tensor(SHARE))):
            self.register_buffer(name, tensor)

    @classmethod
    def empty(cls, most: int, known: int, outputs: int) -> NGrams:
        """One of ``known`` n-grams, to be filled."""
        return cls(most, torch.zeros(known, dtype=torch.int64), torch.zeros(known, 1 + outputs), torch.zeros(outputs))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """What the symbols x (T, N, 1), of which the first ``lengths`` (N,) count, add to the outputs: (N, outputs)."""
        keys, there = ngrams_of(x, lengths, self.most)
        found, known = self._places(keys)
        rows = embedding(found, self.table) * (known & there)[..., None]  # (G, N, 1 + outputs)
        return self._said(rows[..., 0].square().sum(0), rows[..., 1:].sum(0))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The same after one more symbol x (N, 1) of each text; the state: the last symbols, and two sums."""
        edge = x.new_full((1, len(x)), END)
        if state is None:
            state = edge, *self._ending(edge)
        tail, norm, total = state
        tail = torch.cat((tail, x.T))[-self.most :]
        now = self._ending(tail)
        state = tail, norm + now[0], total + now[1]
        end = self._ending(torch.cat((tail, edge))[-self.most :])
        return self._said(state[1] + end[0], state[2] + end[1]), state

    def _ending(self, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """The sums over the n-grams that end with the last of ``symbols`` (S, N): (N,), (N, outputs)."""
        keys = []
        for n in range(1, len(symbols) + 1):
            key = torch.zeros_like(symbols[0])
            for place, symbol in enumerate(symbols[-n:], 1):
                key = key * FACTOR + symbol + place
            keys.append(key)
        found, known = self._places(torch.stack(keys))
        rows = embedding(found, self.table) * known[..., None]
        return rows[..., 0].square().sum(0), rows[..., 1:].sum(0)

    def _places(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The places of ``keys`` in the table, and which are there."""
        found = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return found, self.keys[found] == keys

    def _said(self, norm: Tensor, total: Tensor) -> Tensor:
        return total * norm.clamp(min=1e-12).rsqrt()[:, None] + self.bias


def ngrams_of(x: Tensor, lengths: Tensor | None, most: int) -> tuple[Tensor, Tensor]:
    """The keys (G, N) of all n-grams of the symbols x (T, N, 1), and which of them are within the ``lengths`` (N,)."""
    steps, rows = x.shape[:2]
    last = x.new_full((rows,), steps) if lengths is None else lengths.to(x)  # (N,)
    time = torch.arange(steps + 2, device=x.device)[:, None]
    symbols = pad(x[..., 0], (0, 0, 1, 1), value=END).masked_fill(time > last, END)  # (T+2, N)
    keys, found, there = torch.zeros_like(symbols), [], []
    for n in range(1, min(most, steps + 2) + 1):
        keys = keys[: steps + 3 - n] * FACTOR + symbols[n - 1 :] + n  # of the n-grams that begin at each step
        found.append(keys)
        there.append(time[n - 1 :] <= last + 1)
    return torch.cat(found), torch.cat(there)


def fitted(
    batches: Batches, targets: Rows, outputs: int, most: int, sample_weight: NDArray[np.float32] | None = None
) -> NGrams | None:
    """The linear model of the n-grams in ``batches``; None where none is in several texts, or all are of one class."""
    rows, keys = (np.concatenate(part) for part in zip(*_drawn(batches, most), strict=True))
    known, place = np.unique(keys, return_inverse=True)
    counts = csr_array((np.ones(len(rows)), (rows, place)), shape=(len(batches), len(known)))  # of each in each text
    counts.sum_duplicates()
    seen = np.bincount(counts.indices, minlength=len(known))
    kept = np.flatnonzero(seen >= SEEN)
    kept = np.sort(kept[np.argsort(-seen[kept], kind="stable")][: MOST_WEIGHTS // (1 + outputs)])
    if not len(kept) or len(np.unique(targets)) < 2:
        return None
    idf = 1 + np.log((1 + len(batches)) / (1 + seen[kept]))
    counts = csr_array(counts[:, kept])
    norm = np.sqrt(counts @ idf**2)
    scaled = csr_array(counts * idf / np.where(norm, norm, 1)[:, None])
    model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not wholly converged is as good here
        model.fit(scaled, targets, sample_weight)
    weights, bias = np.zeros((len(kept), outputs)), np.full(outputs, NEVER)
    half = [-0.5, 0.5] if len(model.classes_) == 2 else 1  # of two classes the regression has the second's alone
    weights[:, model.classes_], bias[model.classes_] = model.coef_.T * half, model.intercept_ * half
    table = np.concatenate((idf[:, None], idf[:, None] * weights), axis=1)
    numbers = (torch.from_numpy(array.astype(np.float32)) for array in (table, bias))
    return NGrams(most, torch.from_numpy(known[kept]), *numbers)


def share(network: Tensor, ngrams: Tensor, targets: Rows) -> float:
    """Of what ``ngrams`` (n, C) say beside the ``network`` (n, C): that with which the loss is least."""
    truth = torch.from_numpy(targets)
    lost = [float(cross_entropy((1 - w) * network.double() + w * ngrams.double(), truth)) for w in SHARES]
    return float(SHARES[int(np.argmin(lost))])


def _drawn(batches: Batches, most: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of all n-grams of ``batches`` the text and the key, piece by piece."""
    for rows in batches.lengths.argsort(stable=True).split(ROWS_AT_ONCE):
        keys, there = ngrams_of(*batches.take(rows), most)
        yield rows.expand_as(keys)[there].numpy(), keys[there].numpy()
