"""What was recorded, as numbers: where gates saturate, which units are dead, how far back gradients reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cells import Cell
from .recording import Recording, Scan, seen

Array = NDArray[Any]

FLAT = 0.1  # a gate is saturated where its slope is less than this share of the steepest
TINY = 1e-30
STILL = 0.01  # a unit is dead where it varies by less than this share of what units in the middle do


@dataclass(frozen=True)
class LayerStates:
    """One layer in one direction.

    Letters: T steps, N rows, H units. Past a row's end everything is NaN.

    Attributes:
        name: of the layer.
        cell: its description.
        backward: whether it reads from the end.
        gates: by name, (T, N, H).
        states: by letter, those after each step, (T, N, H).
        gradients: (T, N): by how much h after the row's last step changes with the states after each step: the norm of
            the gradient of a random projection of that h, beside the same at that last step, which is 1.
        lengths: (N,).
    """

    name: str
    cell: Cell
    backward: bool
    gates: Mapping[str, Array]
    states: Mapping[str, Array]
    gradients: Array
    lengths: Array

    @property
    def h(self) -> Array:
        """The state that is put out, (T, N, H)."""
        return self.states[self.cell.states[0]]

    @property
    def saturation(self) -> dict[str, tuple[float, float]]:
        """Of each gate or state that a function bounds, the share of values stuck at the lower and the upper bound."""
        values = {**self.gates, **self.states}
        return {name: _stuck(values[name], squash) for name, squash in seen(self.cell).squashed.items()}

    @property
    def spread(self) -> Array:
        """How much each unit of h varies over steps and rows: standard deviations (H,)."""
        return np.asarray(np.nanstd(self.h, axis=(0, 1)))

    @property
    def dead(self) -> list[int]:
        """The units of h that hardly vary: under 1 % of what units in the middle do."""
        spread = self.spread
        return [int(k) for k in np.flatnonzero(spread <= STILL * max(np.median(spread), STILL**2))]

    @property
    def reach(self) -> Array:
        """(T,): ``gradients`` by how many steps before the last one a state lies: the geometric mean of all rows."""
        table = np.full(self.gradients.shape[::-1], np.nan)  # (N, T)
        for n, length in enumerate(self.lengths):
            row = self.gradients[:length, n]
            table[n, :length] = row if self.backward else row[::-1]
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(table, TINY))
        return np.asarray(np.exp(np.nanmean(logs[:, : int(self.lengths.max(initial=0))], axis=0)))


def _stuck(values: Array, squash: str) -> tuple[float, float]:
    """The shares at both bounds: where the slope, s (1 - s) or 1 - t^2, is under ``FLAT`` of the steepest."""
    values = values[~np.isnan(values)]
    middle = values if squash == "tanh" else 2 * values - 1
    edge = np.sqrt(1 - FLAT)
    return float((middle < -edge).mean()), float((middle > edge).mean())


def measured(recording: Recording) -> list[LayerStates]:
    """The layers of ``recording``, in both directions where they have them."""
    return [_layer(scan, recording.order) for scan in recording.scans]


def _layer(scan: Scan, order: Tensor | None) -> LayerStates:
    valid = scan.valid if order is None else scan.valid[:, order]  # (T, N)

    def whole(values: list[Tensor]) -> Array:
        block = torch.stack([v.detach().float() for v in values])  # (T, N, H)
        block = block if order is None else block[:, order]
        return block.masked_fill(~valid.unsqueeze(-1), torch.nan).numpy()

    norms = _gradients(scan)
    norms = norms if order is None else norms[:, order]
    return LayerStates(
        scan.name,
        scan.cell,
        scan.backward,
        {name: whole(values) for name, values in scan.gates.items()},
        {name: whole(values) for name, values in scan.states.items()},
        norms.masked_fill(~valid, torch.nan).numpy(),
        valid.sum(0).numpy(),
    )


def _gradients(scan: Scan) -> Tensor:
    """(T, N): see ``LayerStates.gradients``."""
    valid, (first, *_) = scan.valid, scan.states.values()
    lengths = valid.sum(0)  # (N,)
    last = torch.zeros_like(lengths) if scan.backward else (lengths - 1).clamp(min=0)
    random = torch.Generator().manual_seed(0)
    probe = torch.randn(first[0].shape, generator=random, dtype=torch.float64).to(first[0].dtype)
    ends = sum((state[last == t] * probe[last == t]).sum() for t, state in enumerate(first))
    flat = [state for states in scan.states.values() for state in states]
    assert isinstance(ends, Tensor)
    found = torch.autograd.grad(ends, flat, retain_graph=True, allow_unused=True)
    squares = torch.zeros(valid.shape, dtype=torch.float64)
    for k, gradient in enumerate(found):
        if gradient is not None:
            squares[k % len(valid)] += gradient.double().square().sum(-1)
    norms = squares.sqrt()
    return norms / norms.gather(0, last.unsqueeze(0)).clamp(min=TINY)


@dataclass(frozen=True)
class Attributions:
    """What of the input the result comes from, by integrated gradients (Sundararajan et al., 2017).

    Attributes:
        values: (T, N, I): how much a number adds to the row's result, against an input of zeros; NaN past its end.
        inputs: (T, N, I): what was read.
        told: (N,): what the values of a row add up to when exact: the result's difference from that of zeros.
    """

    values: Array
    inputs: Array
    told: Array

    @property
    def error(self) -> float:
        """By how much the values miss what they should add up to: of all rows together, a share."""
        sums = np.nansum(self.values, axis=(0, 2))
        return float(np.abs(sums - self.told).sum() / max(np.abs(self.told).sum(), 1e-12))

    @property
    def features(self) -> Array:
        """The share of each feature, signs left out: (I,)."""
        found = np.nansum(np.abs(self.values), axis=(0, 1))
        return np.asarray(found / max(found.sum(), 1e-300))

    @property
    def steps(self) -> Array:
        """The share of each step in its row, signs left out: (T, N)."""
        found = np.nansum(np.abs(self.values), axis=2)
        return np.asarray(found / np.maximum(found.sum(0), 1e-300))


def integrate(
    run: Callable[[float], tuple[Tensor, list[Tensor]]], points: int
) -> tuple[list[Array], list[Array], Array]:
    """Attributions of the inputs that ``run(share)`` read, scaled by ``share``, and gave its scalars (N,) for.

    They are the mean gradient from 0 to the input, times the input: by the midpoints of ``points`` pieces.
    """
    scalars, inputs = run(1.0)
    zero, _ = run(0.0)
    total = [np.zeros(tuple(x.shape)) for x in inputs]
    for k in range(points):
        share = (k + 0.5) / points
        at, read = run(share)
        gradients = torch.autograd.grad(at.sum(), read, allow_unused=True)
        for sum_, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                sum_ += gradient.double().numpy() / points
    given = [x.detach().double().numpy() for x in inputs]
    return [a * b for a, b in zip(total, given, strict=True)], given, (scalars - zero).detach().double().numpy()
