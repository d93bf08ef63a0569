"""Texts as numbers, to be drawn as batches."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Ragged:
    """Rows of numbers of any lengths, to be drawn as batches (T, N)."""

    def __init__(self, rows: Iterable[NDArray[np.int64]]) -> None:
        arrays = list(rows)
        self.lengths = torch.tensor([len(row) for row in arrays], dtype=torch.int64)  # (n,), on the CPU always
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.numbers = torch.from_numpy(np.concatenate([*arrays, np.empty(0, np.int64)]))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (N,) as (T, N), and their lengths (N,), on the CPU; behind its end a row repeats it."""
        lengths = self.lengths[rows]
        places = torch.minimum(torch.arange(int(lengths.max()))[:, None], lengths - 1) + self.starts[rows]
        return self.numbers[places.to(self.numbers.device)], lengths
