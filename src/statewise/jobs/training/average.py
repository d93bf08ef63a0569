"""A moving average of the weights: less noisy than the weights themselves, and judged and kept in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Follows what of ``model`` is trained, by ``decay``: what an update did fades by it with each one after.

    The first updates, on which an average of so many would be mostly the beginning, are averaged over fewer: after
    n of them the decay is at most n / (n + 9). With a decay of 0 it does nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        named = {name: p for name, p in model.named_parameters() if p.requires_grad and decay}
        self.followed: list[Tensor] = list(named.values())
        self.tensors = {name: p.detach().clone() for name, p in named.items()}

    def follow(self, updates: int) -> None:
        """Take in the weights after so many ``updates``."""
        if self.decay:
            weight = 1 - min(self.decay, updates / (updates + 9))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.tensors.values()), self.followed, weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the model compute with the average."""
        weights = [p.detach().clone() for p in self.followed]
        self._put(self.tensors.values())
        yield
        self._put(weights)

    def settle(self) -> None:
        """Leave the average in the model."""
        self._put(self.tensors.values())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from these ``tensors``."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def _put(self, values: Iterable[Tensor]) -> None:
        for parameter, value in zip(self.followed, values, strict=True):
            parameter.copy_(value)
