"""What a network reads: numbers around 0 of spread 1, by what the training part alone says, and nothing missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .config import ClassifyConfig
from .encoder import Encoder, Kind
from .sequences import Rows, Sequences, as_sequences, segmented

Array = NDArray[np.float64]

CHUNK = 1 << 16  # steps that become float64 at a time


@dataclass(frozen=True, eq=False)
class Scaler(Encoder):
    """(x - mean) / scale, a mean and a scale for each of I channels."""

    KIND: ClassVar[Kind] = "numbers"

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

    @property
    def channels(self) -> int:
        """I, of the sequences."""
        return len(self.mean)

    def check(self, sequences: Any) -> None:
        """Raises ``InputError`` where there are no numbers, or other channels than were fitted."""
        if not isinstance(sequences, Sequences):
            raise InputError("the model reads numbers, the sequences are symbols")
        if sequences.channels != self.channels:
            raise InputError(f"the model reads {_counted(self.channels)}, the sequences have {sequences.channels}")

    def width(self, config: ClassifyConfig) -> int:
        """The layers read a segment as it is."""
        return self.channels * (config.segment or 1)

    def blank(self, rows: int) -> Array:
        """The mean: (rows, I)."""
        return np.zeros((rows, self.channels))

    def read(self, x: Any, before: NDArray[Any], gaps: str) -> NDArray[Any]:
        """``x`` (rows, I), scaled, with the step ``before`` in the place of what is missing."""
        read = as_sequences(np.asarray(x)[:, None], gaps=gaps).steps  # (rows, I)
        if read.shape != before.shape:
            raise InputError(f"expected a step of each sequence, (rows, channels) {before.shape}, got {read.shape}")
        read = (read - self.mean) / self.scale
        return np.where(np.isnan(read), before, read)

    def content(self) -> dict[str, Any]:
        """How many channels there are."""
        return {"channels": self.channels}

    def tensors(self) -> dict[str, Any]:
        """Means and scales."""
        return {"scaler.mean": self.mean, "scaler.scale": self.scale}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any]) -> Scaler:
        """The scaler in ``arrays``."""
        made = cls(*(arrays.pop(f"scaler.{name}") for name in ("mean", "scale")))
        channels = len(made.mean)
        sizes = {(array.shape, array.dtype.name) for array in (made.mean, made.scale)}
        if content["channels"] != channels or sizes != {((channels,), "float64")} or not (made.scale > 0).all():
            raise ValueError(f"expected {_counted(channels)}")
        return made

    def encoded(self, sequences: Sequences, segment: int = 1) -> Sequences:
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
        return segmented(Sequences(steps, sequences.lengths), segment)


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


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''}"
