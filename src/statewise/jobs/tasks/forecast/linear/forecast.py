"""The matrices of a linear forecast, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....config import from_json
from ..split import Array


@dataclass(frozen=True)
class Linear:
    """The matrices of a forecast that is linear in the window, its values (L,) and 1, or their logarithms."""

    matrices: Array  # (2, L + 1, H), for values and for logarithms
    unit: Array  # (S, 2), what the last row of each matrix is counted in: how much a series moves in a row
    logs: float = 0.0
    """The share of the second."""
    members: dict[str, float] = field(default_factory=dict)
    """What it is a mean of, with weights, the largest first."""

    @property
    def lookback(self) -> int:
        """L."""
        return len(self.matrices[0]) - 1

    def forecast(self, past: Array, unit: Array) -> Array:
        """(n, H), from windows (n, at least L) without gaps of series with the units (n, 2)."""
        past = past[:, past.shape[1] - self.lookback :]
        found = (1 - self.logs) * (past @ self.matrices[0, :-1] + unit[:, :1] * self.matrices[0, -1])
        if not self.logs:
            return np.asarray(found)
        logs = np.log(np.maximum(past, np.finfo(np.float64).tiny))
        low, high = logs.min(1, keepdims=True), logs.max(1, keepdims=True)
        room = high - low + unit[:, 1:] * np.sqrt(self.matrices.shape[2])  # how far off a logarithm may come to be
        ahead = np.clip(logs @ self.matrices[1, :-1] + unit[:, 1:] * self.matrices[1, -1], low - room, high + room)
        return np.asarray(found + self.logs * np.exp(ahead))

    def to_json(self) -> dict[str, Any]:
        """What a model's header has of it."""
        return {"logs": self.logs, "members": self.members}

    def tensors(self) -> dict[str, Array]:
        """What a model's file has of it beside that."""
        return {"linear.matrices": self.matrices, "linear.unit": self.unit}

    @staticmethod
    def build(content: Any, tensors: Mapping[str, Array], series: int, horizon: int) -> Linear:
        """What the other two gave. ValueError for what they can't have given."""
        matrices, unit = (tensors[f"linear.{name}"] for name in ("matrices", "unit"))
        if matrices.ndim != 3 or matrices.shape[::2] != (2, horizon) or matrices.shape[1] < 2:
            raise ValueError(f"expected the matrices of a forecast of {horizon} steps, got {matrices.shape}")
        if unit.shape != (series, 2) or not (unit > 0).all() or {unit.dtype, matrices.dtype} != {np.dtype("float64")}:
            raise ValueError("expected a unit above 0 for every series")
        told = from_json(_Told, content)
        if not 0 <= told.logs <= 1:
            raise ValueError(f"expected a share, got {told.logs}")
        return Linear(matrices, unit, told.logs, told.members)


@dataclass(frozen=True)
class _Told:
    logs: float
    members: dict[str, float]


def units(values: Array) -> tuple[float, float]:
    """The standard deviation of the steps of ``values`` (T,), without gaps, and of their logarithms."""
    found = [float(np.std(np.diff(each))) for each in (values, np.log(np.maximum(values, np.finfo(np.float64).tiny)))]
    return found[0] or 1.0, found[1] or 1.0
