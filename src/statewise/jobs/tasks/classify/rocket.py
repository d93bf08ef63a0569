"""MiniROCKET (Dempster, Schmidt and Webb 2021): how often each of 84 fixed kernels, widened and at several heights, is
exceeded along a sequence. Some 10,000 numbers that say much of a sequence's shape and that a linear model can use.

A kernel has 9 weights, three of them 2 and the others -1, so that a level that is added changes nothing. Heights are
quantiles of what a kernel says of training sequences. Of several channels each kernel sees a few, drawn at random.
Beyond both ends of a sequence there are zeros, the scaled mean; where all are of one length, every other kernel keeps
to the places where it needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .features import Features, Floats, Lesson, Scores
from .ridge import ridge
from .sequences import Rows, Sequences

LENGTH = 9  # of a kernel
KERNELS = np.array([[2 if i in twos else -1 for i in range(LENGTH)] for twos in combinations(range(LENGTH), 3)])
FEATURES = 10_000
MOST_DILATIONS = 32
MOST_CHANNELS = 9  # that a kernel sees
AT_ONCE = 1 << 18  # numbers in memory at a time: what a cache holds
FARTHEST = 1 << 24  # a dilation: no sequence is as long
GOLDEN = (5**0.5 + 1) / 2


@dataclass(frozen=True, eq=False)
class Rocket(Features):
    """The features of sequences of I channels.

    ``kernels`` (D, 84, I * 9) has a row for each kernel at each of D ``dilations``, zero for channels that it doesn't
    see; ``heights`` (84, F / 84) are those of all dilations side by side, ``counts`` (D,) says how many are whose.
    """

    KIND: ClassVar[str] = "MiniROCKET"
    LINEAR: ClassVar[str] = "ridge regression on MiniROCKET's features"
    LEFT_OUT: ClassVar[bool] = True
    ARRAYS: ClassVar[Mapping[str, str]] = {
        "kernels": "float32",
        "heights": "float32",
        "dilations": "int64",
        "counts": "int64",
        "padded": "bool",
    }

    kernels: Floats
    heights: Floats
    dilations: NDArray[np.int64]
    counts: NDArray[np.int64]
    padded: NDArray[np.bool_]
    """Whether every kernel looks beyond the ends: ()."""

    @classmethod
    def of(cls, sequences: Sequences, seed: int = 0) -> Rocket:
        """With heights from ``sequences``, read a step at a time."""
        random = np.random.default_rng(seed)
        channels, longest = sequences.channels, int(sequences.lengths.max())
        dilations, counts = _dilations(longest)
        kernels = np.zeros((len(dilations), len(KERNELS), channels, LENGTH))
        for seen in kernels.reshape(len(dilations) * len(KERNELS), channels, LENGTH):
            count = int(2 ** random.uniform(0, np.log2(min(channels, MOST_CHANNELS) + 1)))
            seen[random.choice(channels, count, replace=False)] = 1
        kernels *= KERNELS[:, None]
        # Quantiles that lie evenly however many of them a kernel gets, each of a sequence of its own.
        heights = np.zeros((len(KERNELS), FEATURES // len(KERNELS)), np.float32)
        shares = np.arange(1, heights.size + 1) * GOLDEN % 1
        parts = np.split(shares, np.cumsum(counts * len(KERNELS))[:-1])
        shares = np.concatenate([part.reshape(len(KERNELS), -1) for part in parts], 1)
        drawn = random.integers(len(sequences), size=len(KERNELS))
        flat = kernels.reshape(len(dilations), len(KERNELS), -1).astype(np.float32)
        rocket = cls(flat, heights, dilations, counts, np.array(sequences.length is None))
        x, lengths = sequences.block(drawn)  # (T, 84, I)
        for said, which, columns in rocket._said(x, lengths):
            for row, kernel in enumerate(range(len(KERNELS))[which]):
                values = said[kernel, row] if lengths is None else said[kernel, row, : int(lengths[kernel])]
                heights[kernel, columns] = np.quantile(values, shares[kernel, columns])
        return rocket

    @classmethod
    def fitted(cls, lesson: Lesson) -> tuple[Rocket, Floats, Floats, Scores]:
        """Always something."""
        rocket = cls.of(lesson.sequences, lesson.seed)
        x = np.empty((len(lesson.sequences), rocket.count), np.float32)
        for rows, features in rocket.parts(lesson.sequences):
            x[rows] = features
        return rocket, *ridge(x, lesson.target.responses(lesson.values), lesson.weights, lesson.groups)

    @property
    def count(self) -> int:
        """F."""
        return self.heights.size

    def times(self, sequences: Sequences, weights: Floats) -> Scores:
        """In float64: what cancels is large."""
        wide, said = weights.astype(np.float64), np.empty((len(sequences), weights.shape[1]))
        for rows, features in self.parts(sequences):
            said[rows] = features @ wide
        return said

    def check(self, channels: int) -> None:
        """ValueError where these are no features of sequences of so many channels."""
        counts, sizes = self.counts, (len(self.dilations), len(KERNELS), channels * LENGTH)
        if self.kernels.shape != sizes or self.heights.shape[:1] != sizes[1:2] or self.padded.shape:
            raise ValueError("expected kernels for each dilation, and their heights")
        if counts.shape != sizes[:1] or int(counts.sum()) != self.heights.shape[1] or int(counts.min()) < 0:
            raise ValueError("expected as many heights as the dilations count")
        if not 1 <= int(self.dilations.min()) <= int(self.dilations.max()) <= FARTHEST:
            raise ValueError("expected dilations of a length that sequences have")

    def parts(self, sequences: Sequences) -> Iterator[tuple[Rows, Floats]]:
        """Some rows of ``sequences`` after others, those of like length together, and their features (n, F)."""
        order = np.argsort(sequences.lengths, kind="stable")
        rows = max(1, AT_ONCE // (int(sequences.lengths.max(initial=1)) * len(KERNELS)))
        for begin in range(0, len(order), rows):
            part = order[begin : begin + rows]
            yield part, self._of(*sequences.block(part))

    def _of(self, x: Floats, lengths: Rows | None) -> Floats:
        """The features of x (T, N, I), of which the first ``lengths`` (N,) steps count: (N, F)."""
        shares = np.empty((x.shape[1], *self.heights.shape), np.float32)  # (N, 84, F / 84)
        for said, which, columns in self._said(x, lengths):
            heights, found = self.heights[which, columns], shares[:, which, columns]
            ones = np.ones(said.shape[2], np.float32)
            count = said.shape[2] if lengths is None else lengths[:, None]
            over = np.empty(said.shape, np.bool_)
            for column in range(heights.shape[1]):
                np.greater(said, heights[:, column, None], out=over)
                found[:, :, column] = (over.astype(np.float32) @ ones) / count  # a product: a fifth of a sum's time
        return shares.reshape(len(shares), -1)

    def _said(self, x: Floats, lengths: Rows | None) -> Iterator[tuple[Floats, slice, slice]]:
        """What kernels say at each place, (N, k, T), which of them, and which of their heights; by dilation."""
        x = np.ascontiguousarray(x.transpose(1, 2, 0))  # (N, I, T)
        rows, channels, steps = x.shape
        past = None if lengths is None else (np.arange(steps) >= lengths[:, None])[:, None]  # (N, 1, T)
        if past is not None:
            x = np.where(past, np.float32(0), x)
        columns = slice(0, 0)
        for place, dilation in enumerate(self.dilations.tolist()):
            columns = slice(columns.stop, columns.stop + int(self.counts[place]))
            reach = dilation * (LENGTH // 2)
            taps = np.zeros((rows, channels, LENGTH, steps), np.float32)
            for i, by in enumerate(range(-reach, reach + 1, dilation)):
                if abs(by) < steps:
                    taps[:, :, i, max(0, -by) : steps - max(0, by)] = x[:, :, max(0, by) : steps - max(0, -by)]
            shifted = taps.reshape(rows, channels * LENGTH, steps)
            if self.padded or 2 * reach >= steps:
                said = self.kernels[place] @ shifted
                yield said if past is None else np.where(past, np.float32(-np.inf), said), slice(None), columns
                continue
            for which, begin in ((slice(place % 2, None, 2), 0), (slice(1 - place % 2, None, 2), reach)):
                yield self.kernels[place, which] @ shifted[:, :, begin : steps - begin], which, columns


def _dilations(longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps between a kernel's weights, doubling until it spans ``longest`` steps, and how many heights each gets."""
    heights = FEATURES // len(KERNELS)
    widest = max(0.0, np.log2(max(longest - 1, 1) / (LENGTH - 1)))
    drawn = np.logspace(0, widest, min(heights, MOST_DILATIONS), base=2).astype(np.int64)
    dilations, often = np.unique(drawn, return_counts=True)
    counts = often * heights // len(drawn)
    counts[: heights - counts.sum()] += 1
    return dilations, counts
