"""Sequences of any lengths without padding: the steps of all of them in one array, one sequence after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.columns import HUGE
from ...data.frames import as_numbers
from ...errors import InputError

Rows = NDArray[np.int64]

EXPECTED = "expected a list of arrays (T, I) or (T,), or an array (n, T, I) or (n, T)"


@dataclass(frozen=True, eq=False)
class Sequences:
    """``n`` sequences of ``I`` channels, of S steps together."""

    steps: NDArray[Any]  # (S, I), of any type of numbers
    lengths: Rows  # (n,)

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]]) -> Sequences:
        """Those in ``arrays``, each (T, I), T its own."""
        arrays = list(arrays)
        return cls(np.concatenate(arrays), np.array([len(a) for a in arrays], np.int64))

    @classmethod
    def equal(cls, block: NDArray[Any]) -> Sequences:
        """Those of one length in ``block`` (n, T, I)."""
        n, t, channels = block.shape
        return cls(np.ascontiguousarray(block).reshape(n * t, channels), np.full(n, t, np.int64))

    @classmethod
    def padded(cls, block: NDArray[Any], lengths: Rows) -> Sequences:
        """Those in ``block`` (n, T, I), of which the first ``lengths`` (n,) steps count."""
        return cls(block[np.arange(block.shape[1]) < lengths[:, None]], lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> NDArray[Any]:
        start = int(self.starts[row])
        return self.steps[start : start + int(self.lengths[row])]  # (T, I)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    @property
    def channels(self) -> int:
        """I."""
        return int(self.steps.shape[1])

    @cached_property
    def starts(self) -> Rows:
        """Where each sequence begins in ``steps``: (n,)."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def length(self) -> int | None:
        """The one that all have; None where they differ."""
        return int(self.lengths[0]) if len(self) and (self.lengths == self.lengths[0]).all() else None

    @property
    def usual_length(self) -> float:
        """The median of the lengths."""
        return float(np.median(self.lengths))

    def arrays(self) -> list[NDArray[Any]]:
        """The content, which tells these sequences from others."""
        return [self.steps, self.lengths]

    def described(self) -> str:
        """How many there are of what, in words."""
        least, most = int(self.lengths.min()), int(self.lengths.max())
        steps = f"{least}" if least == most else f"{least} to {most}"
        return f"{len(self)} sequences of {steps} steps, {self.channels} channel{'s' if self.channels != 1 else ''}"

    def select(self, rows: Rows) -> Sequences:
        """Those that ``rows`` name, in that order."""
        lengths = self.lengths[rows]
        begins = np.cumsum(lengths) - lengths
        places = np.repeat(self.starts[rows] - begins, lengths) + np.arange(lengths.sum())
        return Sequences(self.steps[places], lengths)

    def block(self, rows: Rows) -> tuple[NDArray[Any], Rows | None]:
        """Those that ``rows`` name as one block (T, N, I), and their lengths (N,), None where all sequences have one.

        Past its end a sequence repeats its last step.
        """
        lengths = self.lengths[rows]
        time = np.minimum(np.arange(lengths.max(initial=0))[:, None], lengths - 1)
        return self.steps[time + self.starts[rows]], None if self.length is not None else lengths

    def row_of(self, step: int) -> tuple[int, int]:
        """The sequence that a row of ``steps`` belongs to, and its place in it; both count from 0."""
        row = int(np.searchsorted(self.starts, step, side="right")) - 1
        return row, step - int(self.starts[row])


def segmented(sequences: Sequences, segment: int) -> Sequences:
    """``sequences`` with ``segment`` steps made one.

    Where the last ones are too few, the last step is repeated.
    """
    if segment == 1:
        return sequences
    steps, lengths = sequences.steps, sequences.lengths
    counts = -(-lengths // segment)  # (n,)
    row = np.repeat(np.arange(len(lengths)), counts)
    first = (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)) * segment  # in its sequence
    place = np.minimum(first[:, None] + np.arange(segment), lengths[row, None] - 1)  # (segments, segment)
    return Sequences(steps[sequences.starts[row, None] + place].reshape(len(row), -1), counts)


# What a program gives: lists of arrays and numpy's blocks


def as_sequences(X: Any, *, gaps: str = "refuse") -> Sequences:
    """``X`` as ``Sequences``: a list of arrays (T, I) or (T,), or an array or frame (n, T, I) or (n, T).

    Raises ``InputError`` where that is not what it is, or where values are missing and ``gaps`` isn't ``carry``.
    """
    if isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        sequences = _of_list(X)
    else:
        sequences = _of_block(X)
    check_values(sequences, gaps)
    return sequences


def check_values(sequences: Sequences, gaps: str, where: str = "") -> None:
    """Refuse what isn't finite, too large for its square, or, unless ``gaps`` is ``carry``, missing."""
    steps = sequences.steps
    if steps.dtype.kind in "iub":
        return
    with np.errstate(over="ignore"):
        bad = ~(np.abs(steps) <= HUGE)  # NaN too
    if gaps == "carry":
        bad &= ~np.isnan(steps)
    if not bad.any():
        return
    step, channel = (int(i) for i in np.argwhere(bad)[0])
    row, time = sequences.row_of(step)
    value = steps[step, channel]
    said = "the value is missing (NaN)" if np.isnan(value) else f"got {value:g}"
    hint = "; gaps: 'carry' takes the value before" if np.isnan(value) else ""
    raise InputError(
        f"{where}sequence {row + 1}, step {time + 1}, channel {channel + 1}: expected a finite number, {said}{hint}"
    )


def _of_list(X: Any) -> Sequences:
    if not len(X):
        raise InputError("expected at least one sequence, got none")
    arrays = [as_numbers(x, f"sequence {row}: {EXPECTED} of numbers") for row, x in enumerate(X, 1)]
    if all(a.ndim == 0 for a in arrays):
        raise InputError(f"{EXPECTED}, got a list of single numbers")
    for row, array in enumerate(arrays, 1):
        if array.ndim not in (1, 2):
            raise InputError(f"sequence {row}: expected an array (T, I) or (T,), got one of shape {array.shape}")
    blocks = [a[:, None] if a.ndim == 1 else a for a in arrays]
    for row, block in enumerate(blocks, 1):
        if block.shape[1] != blocks[0].shape[1] or not block.shape[1]:
            raise InputError(
                f"sequence {row} has {block.shape[1]} channels, sequence 1 has {blocks[0].shape[1]};"
                " expected the same number, and at least 1"
            )
        if not len(block):
            raise InputError(f"sequence {row} has no steps; expected at least 1")
    return Sequences.of(blocks)


def _of_block(X: Any) -> Sequences:
    block = as_numbers(X, f"{EXPECTED} of numbers")
    if block.ndim not in (2, 3):
        hint = " Reshape your data: one sequence is an array (1, T)" if block.ndim == 1 else ""
        raise InputError(f"{EXPECTED}, got an array of shape {block.shape}.{hint}")
    for size, what in zip(block.shape, ("sample(s)", "feature(s)", "channel(s)"), strict=False):
        if not size:
            raise InputError(f"Found array with 0 {what} (shape={block.shape}) while a minimum of 1 is required.")
    return Sequences.equal(block if block.ndim == 3 else block[:, :, None])
