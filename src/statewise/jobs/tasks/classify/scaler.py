"""What a network reads: numbers around 0 of spread 1, by what the training part alone says, and nothing missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .sequences import Batches, Rows, Sequences, segmented

Array = NDArray[np.float64]

CHUNK = 1 << 16  # steps that become float64 at a time


@dataclass(frozen=True, eq=False)
class Scaler:
    """(x - mean) / scale, a mean and a scale for each of I channels."""

    mean: Array  # (I,)
    scale: Array  # (I,)

    @classmethod
    def fitted(cls, sequences: Sequences, scaling: str) -> Scaler:
        """Of the values of ``sequences``: of each ``channel`` for itself, of ``all`` together, or nothing (``none``).

        A channel that never changes keeps its scale. Missing values (NaN) don't count.
        """
        ones = np.ones(sequences.channels)
        if scaling == "none":
            return cls(0 * ones, ones)
        count, mean, square = _moments(sequences.steps)
        if scaling == "all":
            together = (count * mean).sum() / count.sum()
            square = (count * (square + (mean - together) ** 2)).sum() / count.sum() * ones
            mean = together * ones
        scale = np.sqrt(square)
        # What a constant of this size shows as spread is rounding.
        return cls(mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1.0))

    def batches(self, sequences: Sequences, segment: int = 1) -> Batches:
        """``sequences`` as the network reads them, ``segment`` steps at a time.

        A missing value is the last one before it, or else the mean. Raises ``InputError`` where float32 ends.
        """
        steps = np.empty(sequences.steps.shape, np.float32)
        for begin in range(0, len(steps), CHUNK):
            part = slice(begin, begin + CHUNK)
            with np.errstate(over="ignore"):
                steps[part] = (sequences.steps[part] - self.mean) / self.scale
            if np.isinf(steps[part]).any():
                step, channel = (int(i) for i in np.argwhere(np.isinf(steps[part]))[0])
                value, scale = sequences.steps[begin + step, channel], self.scale[channel]
                raise InputError(f"{value:g} is too large beside the scale of its channel, {scale:g}")
        if np.isnan(steps).any():
            steps = _carried(steps, sequences)
        return Batches(*segmented(steps, sequences.lengths, segment))


def _moments(steps: NDArray[Any]) -> tuple[Array, Array, Array]:
    """How many values each channel has, their mean and their mean squared distance from it: each (I,)."""
    chunks = [slice(begin, begin + CHUNK) for begin in range(0, len(steps), CHUNK)]
    present = sum((~np.isnan(steps[c])).sum(0) for c in chunks)
    count = np.maximum(np.asarray(present, np.float64), 1)
    mean = sum(np.nansum(steps[c], axis=0, dtype=np.float64) for c in chunks) / count
    square = sum(np.nansum((steps[c] - mean) ** 2, axis=0) for c in chunks) / count
    return count, mean, square


def _carried(steps: NDArray[np.float32], sequences: Sequences) -> NDArray[np.float32]:
    """``steps`` (S, I) with each gap filled by the value before it in the same sequence, 0 where there is none."""
    places: Rows = np.arange(len(steps))[:, None]
    known = np.maximum.accumulate(np.where(np.isnan(steps), -1, places), axis=0)
    begins = np.repeat(sequences.starts, sequences.lengths)[:, None]
    filled = np.take_along_axis(steps, np.maximum(known, 0), axis=0)
    return np.where(known >= begins, filled, np.float32(0))
