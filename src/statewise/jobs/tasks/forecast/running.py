"""Trained networks on arrays: what networks.py says in torch's modules, by the runtime's, without torch.

Sizes are looked at before anything is made of them: ValueError where weights aren't a network's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....runtime.jobs import CELLS, kept_in
from ....runtime.network import Network, State
from ...artifacts.model_file import Arrays, Kernels
from .config import Plan

STEP = 16  # numbers that tell a step of the horizon from the others

Numbers = NDArray[np.float32]


class _Weights:
    """Weights of a network, of which each is taken once."""

    def __init__(self, arrays: Mapping[str, Any], kernels: Kernels) -> None:
        self.left, self.kernels = dict(arrays), kernels

    def take(self, name: str, *shape: int) -> Numbers:
        """One of this size."""
        if name not in self.left:
            raise ValueError(f"no weights {name!r}")
        array: Numbers = self.left.pop(name)
        if array.shape != shape:
            raise ValueError(f"expected {name} of size {shape}, got {array.shape}")
        return array

    def network(self, width: int, *ops: dict[str, Any], shared: Sequence[str] = ()) -> Network:
        """The network of ``ops``, which takes the weights of their names; those of ``shared`` are left too."""
        names = {op.get("name") for op in ops}
        taken = {name: array for name, array in self.left.items() if name.partition(".")[0] in names}
        for name in taken:
            if name.partition(".")[0] not in shared:
                del self.left[name]
        if left_out := [op["name"] for op in ops if op["op"] == "linear" and f"{op['name']}.bias" not in taken]:
            raise ValueError(f"no weights '{left_out[0]}.bias'")
        inputs = [{"name": "x", "kind": "values", "width": width}]
        content = kept_in(self.kernels.dtype, {"inputs": inputs, "ops": list(ops)})
        found = Network(content, taken, self.kernels.number)
        if found.width != ops[-1].get("width", found.width):
            raise ValueError(f"expected {ops[-1]['width']} numbers of {ops[-1]['name']}, got {found.width}")
        return found

    def check_empty(self) -> None:
        """ValueError where there are more."""
        if self.left:
            raise ValueError(f"weights that belong to nothing: {min(self.left)!r}")


def recurrent(name: str, plan: Plan) -> dict[str, Any]:
    """The recurrent layers of ``plan``."""
    told = {"cell": CELLS[plan.cell], "hidden_size": plan.units, "num_layers": plan.layers}
    return {"op": "recurrent", "name": name, **told}


def linear(name: str, width: int) -> dict[str, Any]:
    """A linear layer that gives so many numbers."""
    return {"op": "linear", "name": name, "width": width}


class StepRunner:
    """Runs a ``StepNetwork``: of K of them side by side ``count`` is K."""

    def __init__(self, plan: Plan, features: int, arrays: Mapping[str, Any], kernels: Kernels, count: int = 1) -> None:
        weights = _Weights(arrays, kernels)
        self.network = weights.network(features, recurrent("recurrent", plan), linear("head", count))
        weights.check_empty()

    def begin(self, x: Numbers, lengths: NDArray[np.int64]) -> tuple[Numbers, State]:
        """The correction after the last of ``lengths`` (N,) rows of ``x`` (T, N, features), (N, K), and the state."""
        said, state = self.network.feed(x, self.network.start(len(lengths)), lengths)
        return said[lengths - 1, np.arange(len(lengths))], state

    def step(self, x: Numbers, state: State) -> tuple[Numbers, State]:
        """The correction after one more row (N, features), (N, K), and the state."""
        return self.network.step(x, state)


def side_by_side(parts: Sequence[Arrays], plan: Plan, features: int, kernels: Kernels) -> StepRunner:
    """One network that does what K of them do, each with inputs and units of its own: from K * features to K numbers.

    All else in its matrices is 0. A step of it is one call where theirs are K, which is worth it for a few rows.
    """
    count, whole = len(parts), dict[str, Numbers]()
    for name, first in parts[0].items():
        gates = len(first) // (1 if name.startswith("head") else plan.units)
        own = [part[name].reshape(gates, -1, *first.shape[1:]) for part in parts]  # (gates, units, ...)
        if first.ndim == 1:
            whole[name] = np.concatenate(own, axis=1).reshape(-1)
            continue
        wide = np.zeros((gates, count, own[0].shape[1], count, first.shape[1]), np.float32)
        for k, each in enumerate(own):
            wide[:, k, :, k] = each
        whole[name] = wide.reshape(-1, count * first.shape[1])
    return StepRunner(replace(plan, units=count * plan.units), count * features, whole, kernels, count)


def merged(states: Sequence[State]) -> State:
    """The states of K networks as that of all of them side by side."""
    return tuple(
        [tuple([np.concatenate(a, axis=-1) for a in zip(*each, strict=True)]) for each in zip(*states, strict=True)]
    )


class Seq2SeqRunner:
    """Runs a ``Seq2Seq``. Sizes are those of its arguments."""

    def __init__(
        self,
        plan: Plan,
        arrays: Mapping[str, Any],
        kernels: Kernels,
        *,
        features: int,
        known: int,
        channels: int,
        size: int,
    ) -> None:
        weights = _Weights(arrays, kernels)
        self.position = weights.take("position", plan.horizon, STEP)
        self.channel = weights.take("channel", channels, STEP) if channels else None
        self.offsets = weights.take("offsets", plan.horizon, size)
        told = known + (2 * STEP if channels else STEP)
        self.reader = weights.network(features, recurrent("reader", plan))
        self.writer = weights.network(told, recurrent("writer", plan), linear("head", size))
        weights.check_empty()

    def __call__(self, past: Numbers, future: Numbers, channel: NDArray[np.int64]) -> Numbers:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows, horizon = len(channel), len(self.position)
        _, (read,) = self.reader.feed(past.swapaxes(0, 1), self.reader.start(rows))
        told = [future, np.broadcast_to(self.position, (rows, horizon, STEP))]
        if self.channel is not None:
            told.append(np.broadcast_to(self.channel[channel][:, None], (rows, horizon, STEP)))
        state = (read, *self.writer.start(rows)[1:])
        said, _ = self.writer.feed(np.concatenate(told, axis=-1).swapaxes(0, 1), state)  # (H, N, size)
        return np.asarray(said.swapaxes(0, 1) + self.offsets)


class SegRNNRunner:
    """Runs a ``SegRNN``. Sizes are those of its arguments."""

    def __init__(
        self,
        plan: Plan,
        arrays: Mapping[str, Any],
        kernels: Kernels,
        *,
        features: int,
        known: int,
        channels: int,
        size: int,
    ) -> None:
        weights, units = _Weights(arrays, kernels), plan.units
        self.horizon, self.segment, self.size = plan.horizon, plan.segment, size
        pieces, own = -(-plan.horizon // plan.segment), units // 2 if channels else 0
        self.position = weights.take("position", pieces, units - own)
        self.channel = weights.take("channel", channels, own) if channels else None
        self.ahead = weights.take("ahead.weight", units, plan.segment * known).T if known else None
        self.offsets = weights.take("offsets", plan.horizon, size)
        layers = recurrent("recurrent", plan)
        project, relu = linear("project", units), {"op": "activation", "function": "relu"}
        self.reader = weights.network(plan.segment * features, project, relu, layers, shared=("recurrent",))
        self.writer = weights.network(units, layers, linear("head", plan.segment * size))
        weights.check_empty()

    def __call__(self, past: Numbers, future: Numbers, channel: NDArray[np.int64]) -> Numbers:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows, count = len(past), len(self.position)
        pieces = past.reshape(rows, -1, self.segment * past.shape[2]).swapaxes(0, 1)  # (L / segment, N, ...)
        _, (*_, read) = self.reader.feed(pieces, self.reader.start(rows))
        questions = self._questions(future, channel).reshape(rows * count, -1)
        state = (tuple([each.repeat(count, axis=-2) for each in read]), *self.writer.start(rows * count)[1:])
        written, _ = self.writer.step(questions, state)  # (N * M, segment * size)
        steps = written.reshape(rows, count * self.segment, self.size)
        return np.asarray(steps[:, : self.horizon] + self.offsets)

    def _questions(self, future: Numbers, channel: NDArray[np.int64]) -> Numbers:
        """What tells the segments of the future apart, (N, M, units): where, whose, and what is known of them."""
        rows, count = len(channel), len(self.position)
        questions: Numbers = np.broadcast_to(self.position, (rows, *self.position.shape))
        if self.channel is not None:
            own = np.broadcast_to(self.channel[channel][:, None], (rows, count, self.channel.shape[1]))
            questions = np.concatenate([questions, own], axis=-1)
        if self.ahead is not None:
            padded = np.pad(future, ((0, 0), (0, count * self.segment - self.horizon), (0, 0)))
            questions = questions + padded.reshape(rows, count, -1) @ self.ahead
        return questions
