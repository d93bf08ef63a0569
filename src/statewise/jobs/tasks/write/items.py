"""The task of lines that have nothing to do with each other, such as names: each is read from its beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...training.task import Task
from .network import Network, counting
from .streams import Judge
from .vocabulary import Corpus


class Lines:
    """Lines on a device, to be drawn as batches. A line begins after an end, and its own end is to be predicted."""

    def __init__(self, corpus: Corpus) -> None:
        assert corpus.lengths is not None
        self.ids = torch.from_numpy(corpus.ids)  # (S,)
        self.before = self.ids.roll(1)  # before a line stands the end of another, before the first that of the last
        self.lengths = torch.from_numpy(corpus.lengths)  # (n,), on the CPU always
        self.starts = torch.from_numpy(corpus.starts)  # (n,)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> None:
        """Move the text to ``device``."""
        self.ids, self.before = self.ids.to(device), self.before.to(device)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the lines ``rows`` (N,): inputs (T, N), their lengths (N,), and the targets that count (S,), with places.

        T is the longest of these; past its end a line repeats its last symbol. The places, (S,), are those in ``ids``.
        """
        lengths, starts = self.lengths[rows], self.starts[rows]
        time = torch.arange(int(lengths.max()))[:, None]  # (T, 1)
        places = torch.minimum(time, lengths - 1) + starts  # (T, N)
        counted = places[counting(len(time), lengths)]  # (S,)
        return self.before[places.to(self.ids.device)], lengths, self.ids[counted.to(self.ids.device)], counted


class Items(Task):
    """Predict each symbol of each line from those before it in the line."""

    def __init__(self, network: Network, corpus: Corpus, judge: Judge, data: Sequence[Any] = ()) -> None:
        self.model, self.lines, self.judge, self.data = network, Lines(corpus), judge, data
        self.rows = len(self.lines)

    def to(self, device: torch.device) -> None:
        """Move the network and the text to ``device``."""
        super().to(device)
        self.lines.to(device)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of the lines ``rows``, and how many symbols they have."""
        inputs, lengths, targets, _ = self.lines.take(rows)
        logits, _ = model(inputs, None, lengths)
        return cross_entropy(logits.float(), targets, reduction="sum"), float(len(targets))

    def validate(self) -> Mapping[str, float]:
        """What the part held out says."""
        return self.judge()
