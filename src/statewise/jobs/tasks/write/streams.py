"""The task of a running text: truncated back-propagation through time, the state carried on from chunk to chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...training.task import Task
from .network import Network
from .vocabulary import Ids

Judge = Callable[[], Mapping[str, float]]
"""What the part held out says."""


class Streams(Task):
    """Predict each symbol of ``ids`` (S,) from those before it.

    The text is cut into ``count`` streams, N, that are read side by side, ``steps`` steps, T, in an update. A row is
    one chunk of one stream, and an epoch's rows are those of the first chunks, then those of the second: a batch of
    ``count`` rows is the next chunk of all streams. Where several processes share a batch, each has the same streams in
    every update, and carries on their states.
    """

    def __init__(
        self, network: Network, ids: Ids, count: int, steps: int, judge: Judge, data: Sequence[Any] = ()
    ) -> None:
        length = (len(ids) - 1) // count  # of a stream; up to count - 1 symbols at the end are left over
        text = torch.from_numpy(ids)
        self.model, self.count, self.steps = network, count, steps
        self.inputs = text[: count * length].view(count, length).T.contiguous()  # (length, N)
        self.targets = text[1 : count * length + 1].view(count, length).T.contiguous()  # (length, N)
        self.rows = count * -(-length // steps)
        self.carried: list[Tensor] = []  # what follows from the chunk before; none at the beginning of the text
        self.judge, self.data = judge, [*data, count, steps]

    def to(self, device: torch.device) -> None:
        """Move the network and the text to ``device``."""
        super().to(device)
        self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """The rows as they stand in the text."""
        return torch.arange(self.rows)

    def loss(self, model: torch.nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        """The cross entropy of one chunk of the streams that ``rows`` name, and how many symbols that are."""
        begin = int(rows[0]) // self.count * self.steps
        streams = rows % self.count
        if begin == 0:
            self.carried = []
        inputs, targets = (x[begin : begin + self.steps] for x in (self.inputs, self.targets))
        if len(streams) < self.count:
            inputs, targets = inputs[:, streams], targets[:, streams]  # (T, n)
        logits, state = model(inputs, self._state(streams))
        last = begin + self.steps >= len(self.inputs)
        self.carried = [] if last else [part.detach() for part in _flat(state)]
        return cross_entropy(logits.float(), targets.flatten(), reduction="sum"), float(targets.numel())

    def _state(self, streams: Tensor) -> list[Any] | None:
        """What the ``streams`` (n,) carry, a layer at a time, as the layers take it."""
        parts = self.carried
        if not parts:
            return None
        if parts[0].shape[1] != len(streams):  # the checkpoint is of one process, and we are several
            parts = [part[:, streams] for part in parts]
        depth = len(self.model.recurrent)  # type: ignore[arg-type]
        each = len(parts) // depth
        return [tuple(parts[each * k : each * (k + 1)]) if each > 1 else parts[k] for k in range(depth)]

    def state(self) -> dict[str, Tensor]:
        """What the next chunk begins with; nothing at an epoch's end."""
        return {f"carried.{number:03d}": part for number, part in enumerate(self.carried)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        self.carried = [state[name].to(self.inputs.device) for name in sorted(state)]

    def validate(self) -> Mapping[str, float]:
        """What the part held out says."""
        return self.judge()


def _flat(state: list[Any]) -> list[Tensor]:
    """The tensors of ``state``, layer after layer."""
    return [part for layer in state for part in (layer if isinstance(layer, tuple) else (layer,))]
