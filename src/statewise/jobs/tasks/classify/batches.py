"""Sequences as torch has them: drawn as batches, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from .sequences import Sequences


class Batches:
    """Sequences on a device, to be drawn as batches: their steps (S, K) as the network reads them."""

    def __init__(self, sequences: Sequences) -> None:
        self.steps = torch.from_numpy(sequences.steps)  # (S, K)
        self.lengths = torch.from_numpy(sequences.lengths)  # (n,), on the CPU always, where the layers look at them
        self.equal = sequences.length
        self.starts = torch.from_numpy(sequences.starts)  # (n,)
        self.time = torch.arange(int(self.lengths.max()) if len(self.lengths) else 0)[:, None]  # (T, 1)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> None:
        """Move the steps to ``device``."""
        self.steps, self.starts, self.time = (t.to(device) for t in (self.steps, self.starts, self.time))

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """The sequences ``rows`` (N,) as (T, N, K), and their lengths (N,), None where all are equal.

        T is the longest of these; past its end a sequence repeats its last step, which the layers don't look at.
        """
        starts = self.starts[rows.to(self.starts.device)]  # (N,)
        if self.equal is not None:
            return self._at(self.time + starts), None
        lengths = self.lengths[rows]
        last = (lengths - 1).to(starts.device)
        time = self.time[: int(lengths.max())]
        return self._at(torch.minimum(time, last) + starts), lengths

    def _at(self, places: Tensor) -> Tensor:
        """The steps at ``places`` (T, N): (T, N, K)."""
        return self.steps.index_select(0, places.view(-1)).view(*places.shape, -1)
