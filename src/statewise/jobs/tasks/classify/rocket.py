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
        for row, kernel in zip(weights.reshape(-1, channels, LENGTH), np.tile(KERNELS, (len(dilations), 1)), strict=True):
            count = int(2 ** random.uniform(0, np.log2(min(channels, MOST_CHANNELS) + 1)))
            row[random.choice(channels, count, replace=False)] = kernel
        rocket.weights = torch.from_numpy(weights.reshape(len(dilations), len(KERNELS), -1)).float()
        # Quantiles that lie evenly however many of them a kernel gets, each of a sequence of its own.
        shares = torch.from_numpy(np.arange(1, rocket.heights.numel() + 1) * GOLDEN % 1).float()
        shares = torch.cat([part.view(len(KERNELS), -1) for part in shares.split((counts * len(KERNELS)).tolist())], 1)
        drawn = torch.from_numpy(random.integers(len(batches), size=len(KERNELS)))
        x, lengths = batches.take(drawn)  # (T, 84, I)
        for place, (said, heights) in enumerate(rocket._said(x, lengths)):
            for kernels, begin in rocket._kernels(place, len(x)):
                for kernel in range(len(KERNELS))[kernels]:
                    end = len(x) if lengths is None else int(lengths[kernel])
                    values = said[kernel, kernel, begin : end - begin]
                    heights[kernel] = torch.quantile(values, shares[kernel, rocket._columns(place)])
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
        found = []
        for place, (said, heights) in enumerate(self._said(x, lengths)):
            shares = said.new_empty(len(said), *heights.shape)  # (N, 84, m)
            over = torch.empty_like(said)
            for kernels, begin in self._kernels(place, len(x)):
                places = slice(begin, len(x) - begin)
                part, above = said[:, kernels, places], over[:, kernels, places]
                count = torch.tensor([len(x) - 2 * begin]) if lengths is None else lengths
                for column in range(heights.shape[1]):
                    torch.gt(part, heights[kernels, column, None], out=above)  # as numbers: that is what takes time
                    shares[:, kernels, column] = above.sum(-1) / count[:, None]
            found.append(shares.flatten(1))
        return torch.cat(found, 1)

    def _said(self, x: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """What the kernels say at each step, (N, 84, T), and their heights (84, m), a dilation at a time."""
        x = x.permute(1, 2, 0)  # (N, I, T)
        past = None
        if lengths is not None:
            past = torch.arange(x.shape[2]) >= lengths[:, None]  # (N, T)
            x = x.masked_fill(past[:, None], 0.0)
        for place, dilation in enumerate(self.dilations.tolist()):
            reach = dilation * (LENGTH // 2)
            wide = nn.functional.pad(x, (reach, reach))
            shifted = torch.stack([wide[:, :, i * dilation : i * dilation + x.shape[2]] for i in range(LENGTH)], 2)
            said = self.weights[place] @ shifted.flatten(1, 2)  # (N, 84, T)
            if past is not None:
                said = said.masked_fill(past[:, None], -torch.inf)
            yield said, self.heights[:, self._columns(place)]

    def _columns(self, place: int) -> slice:
        """Those of ``heights`` that belong to a dilation."""
        begin = int(self.counts[:place].sum())
        return slice(begin, begin + int(self.counts[place]))

    def _kernels(self, place: int, steps: int) -> Iterator[tuple[slice, int]]:
        """The kernels that look at all of ``steps`` places, and those that leave some out at both ends; how many."""
        reach = int(self.dilations[place]) * (LENGTH // 2)
        if bool(self.padded) or 2 * reach >= steps:
            yield slice(None), 0
        else:
            yield slice(place % 2, None, 2), 0
            yield slice(1 - place % 2, None, 2), reach


def _dilations(longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps between a kernel's weights, doubling until it spans ``longest`` steps, and how many heights each gets."""
    heights = FEATURES // len(KERNELS)
    widest = max(0.0, np.log2(max(longest - 1, 1) / (LENGTH - 1)))
    drawn = np.logspace(0, widest, min(heights, MOST_DILATIONS), base=2).astype(np.int64)
    dilations, often = np.unique(drawn, return_counts=True)
    counts = often * heights // len(drawn)
    counts[: heights - counts.sum()] += 1
    return dilations, counts
