"""MiniROCKET (Dempster, Schmidt and Webb 2021): how often each of 84 fixed kernels, widened and at several heights, is
exceeded along a sequence. Some 10,000 numbers that say much of a sequence's shape and that a linear model can use.

A kernel has 9 weights, three of them 2 and the others -1, so that a level that is added changes nothing. Heights are
quantiles of what a kernel says of training sequences. Of several channels each kernel sees a few, drawn at random.
Beyond both ends of a sequence there are zeros, the scaled mean; where all are of one length, every other kernel keeps
to the places where it needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .sequences import Batches

LENGTH = 9  # of a kernel
KERNELS = np.array([[2 if i in twos else -1 for i in range(LENGTH)] for twos in combinations(range(LENGTH), 3)])
FEATURES = 10_000
MOST_DILATIONS = 32
MOST_CHANNELS = 9  # that a kernel sees
AT_ONCE = 1 << 18  # numbers in memory at a time: what a cache holds
GOLDEN = (5**0.5 + 1) / 2


class Rocket(nn.Module):
    """The features of sequences: ``weights`` and ``heights`` are found by ``fitted``, nothing is trained.

    ``weights`` (D, 84, I * 9) has a row for each kernel at each of D ``dilations``, zero for channels that it doesn't
    see; ``heights`` (84, F / 84) are those of all dilations side by side, ``counts`` (D,) says how many are whose.
    """

    weights: Tensor
    heights: Tensor
    dilations: Tensor
    counts: Tensor
    padded: Tensor

    def __init__(self, channels: int, dilations: int, padded: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("weights", torch.zeros(dilations, len(KERNELS), channels * LENGTH))
        self.register_buffer("heights", torch.zeros(len(KERNELS), FEATURES // len(KERNELS)))
        self.register_buffer("dilations", torch.ones(dilations, dtype=torch.int64))
        self.register_buffer("counts", torch.ones(dilations, dtype=torch.int64))
        self.register_buffer("padded", torch.tensor(padded))

    @classmethod
    def fitted(cls, batches: Batches, seed: int = 0) -> Rocket:
        """With heights from the sequences of ``batches``, read a step at a time."""
        random = np.random.default_rng(seed)
        channels, longest = batches.steps.shape[1], int(batches.lengths.max())
        dilations, counts = _dilations(longest)
        rocket = cls(channels, len(dilations), padded=batches.equal is None)
        rocket.dilations, rocket.counts = torch.from_numpy(dilations), torch.from_numpy(counts)
        weights = np.zeros((len(dilations), len(KERNELS), channels, LENGTH))
        for seen in weights.reshape(len(dilations) * len(KERNELS), channels, LENGTH):
            count = int(2 ** random.uniform(0, np.log2(min(channels, MOST_CHANNELS) + 1)))
            seen[random.choice(channels, count, replace=False)] = 1
        weights *= KERNELS[:, None]
        rocket.weights = torch.from_numpy(weights.reshape(len(dilations), len(KERNELS), -1)).float()
        # Quantiles that lie evenly however many of them a kernel gets, each of a sequence of its own.
        shares = torch.from_numpy(np.arange(1, rocket.heights.numel() + 1) * GOLDEN % 1).float()
        shares = torch.cat([part.view(len(KERNELS), -1) for part in shares.split((counts * len(KERNELS)).tolist())], 1)
        drawn = torch.from_numpy(random.integers(len(batches), size=len(KERNELS)))
        x, lengths = batches.take(drawn)  # (T, 84, I)
        for said, kernels, columns in rocket._said(x, lengths):
            for row, kernel in enumerate(range(len(KERNELS))[kernels]):
                values = said[kernel, row] if lengths is None else said[kernel, row, : int(lengths[kernel])]
                rocket.heights[kernel, columns] = torch.quantile(values, shares[kernel, columns])
        return rocket

    @torch.no_grad()
    def of(self, batches: Batches) -> NDArray[np.float32]:
        """The features of all sequences of ``batches``: (n, F)."""
        order = batches.lengths.argsort(stable=True)
        rows = max(1, AT_ONCE // (int(batches.lengths.max()) * len(KERNELS)))
        found = [self(*batches.take(part)) for part in order.split(rows)]
        features: NDArray[np.float32] = torch.cat(found)[order.argsort()].numpy()
        return features

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The features of x (T, N, I), of which the first ``lengths`` (N,) steps count: (N, F)."""
        shares = x.new_empty(x.shape[1], *self.heights.shape)  # (N, 84, F / 84)
        for said, kernels, columns in self._said(x, lengths):
            heights, found = self.heights[kernels, columns], shares[:, kernels, columns]
            count = said.shape[2] if lengths is None else lengths[:, None]
            over = torch.empty_like(said)
            for column in range(heights.shape[1]):
                torch.gt(said, heights[:, column, None], out=over)  # numbers, not bools: a third of the time
                found[:, :, column] = over.sum(-1) / count
        return shares.flatten(1)

    def _said(self, x: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, slice, slice]]:
        """What kernels say at each place, (N, k, T), which of them, and which of their heights; by dilation."""
        x = x.permute(1, 2, 0)  # (N, I, T)
        steps, past = x.shape[2], None
        if lengths is not None:
            past = (torch.arange(steps) >= lengths[:, None])[:, None]  # (N, 1, T)
            x = x.masked_fill(past, 0.0)
        columns = slice(0, 0)
        for place, dilation in enumerate(self.dilations.tolist()):
            columns = slice(columns.stop, columns.stop + int(self.counts[place]))
            reach = dilation * (LENGTH // 2)
            wide = nn.functional.pad(x, (reach, reach))
            shifted = torch.stack([wide[:, :, i * dilation : i * dilation + steps] for i in range(LENGTH)], 2)
            shifted = shifted.flatten(1, 2)  # (N, I * 9, T)
            if bool(self.padded) or 2 * reach >= steps:
                said = self.weights[place] @ shifted
                yield said if past is None else said.masked_fill(past, -torch.inf), slice(None), columns
                continue
            for kernels, begin in ((slice(place % 2, None, 2), 0), (slice(1 - place % 2, None, 2), reach)):
                yield self.weights[place, kernels] @ shifted[:, :, begin : steps - begin], kernels, columns


def _dilations(longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps between a kernel's weights, doubling until it spans ``longest`` steps, and how many heights each gets."""
    heights = FEATURES // len(KERNELS)
    widest = max(0.0, np.log2(max(longest - 1, 1) / (LENGTH - 1)))
    drawn = np.logspace(0, widest, min(heights, MOST_DILATIONS), base=2).astype(np.int64)
    dilations, often = np.unique(drawn, return_counts=True)
    counts = often * heights // len(drawn)
    counts[: heights - counts.sum()] += 1
    return dilations, counts
