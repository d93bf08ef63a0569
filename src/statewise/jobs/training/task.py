"""What a job hands to the fitting loop: a network, rows to train on, a loss, and how to judge the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Task:
    """A network and its data. ``fit`` asks for nothing else, so each job derives one class from this.

    A *row* is whatever the job draws at random: a sequence, a window of a series, a chunk of text. ``rows`` is how many
    there are. Data lives in the task, on the device that ``to`` names.
    """

    model: nn.Module
    rows: int
    judged_first: bool = False
    """Whether the weights before the first update count among those of which the best are left, as validation says."""
    data: Sequence[Any] = ()
    """What else a checkpoint must agree in: arrays, tensors, and what JSON can hold. It never changes."""

    def to(self, device: torch.device) -> None:
        """Move the network and the data to ``device``; a task whose data are tensors of its own extends this."""
        self.model.to(device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """The rows of one epoch in the order of training, (rows,): each once, shuffled, unless a task changes that."""
        return torch.randperm(self.rows, generator=random)

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The sum of the losses of ``rows``, a scalar tensor, and how many terms it has: what their mean divides by.

        ``model`` is ``self.model`` or, where several processes train together, what wraps it: call it as a whole. In
        that case each of them is asked for its part of a batch, and the terms of all are added up. Random numbers are
        torch's own, so that a training that goes on from a checkpoint draws the same ones.
        """
        raise NotImplementedError

    def validate(self) -> Mapping[str, float]:
        """How good the network is on data held out. The first entry decides, less is better; {}: no such data.

        The network is in evaluation mode and gradients are off.
        """
        return {}

    def state(self) -> dict[str, Tensor]:
        """What, beside the network, carries over from one update to the next, such as a recurrent state over chunks.

        At the end of an epoch it must be the same in all processes: the checkpoint keeps what the first one has.
        """
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave."""

    def fingerprint(self) -> Any:
        """What must agree, as JSON, for a checkpoint to go on with this task: sizes, and a hash of ``data``."""
        return [self.rows, [[name, list(p.shape)] for name, p in self.model.named_parameters()], self._digest]

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for part in self.data:
            if isinstance(part, (np.ndarray, Tensor)):
                array = np.ascontiguousarray(part.cpu().numpy() if isinstance(part, Tensor) else part)
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(array.data)
            else:
                digest.update(json.dumps(part).encode() + b"\n")
        return digest.hexdigest()
