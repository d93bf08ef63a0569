"""RMSE, MAE and MASE of forecasts, and the baselines to hold them against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One row of the table. ``mase`` is None where the scale of it is zero."""

    name: str
    rmse: float
    mae: float
    mase: float | None


def score(name: str, real: Array, predicted: Array, scale: float) -> Score:
    """The score of ``predicted``; ``scale`` is what ``mase_scale`` gives."""
    error = predicted - real
    mae = float(np.mean(np.abs(error)))
    return Score(name, float(np.sqrt(np.mean(error**2))), mae, mae / scale if scale > 0 else None)


def mase_scale(train: Array, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast inside the training part."""
    return float(np.mean(np.abs(train[season:] - train[:-season])))


def shifted(values: Array, lag: int) -> Array:
    """The forecast that repeats the value ``lag`` rows before: persistence at 1, seasonal naive at the season."""
    return np.concatenate([np.full(lag, np.nan), values[:-lag]])


def losses(model: Score, baselines: list[Score]) -> list[str]:
    """Where the model is no better than a baseline, in words."""
    return [
        f"{baseline.name} in {measure.upper()} ({getattr(model, measure):.4g} against {getattr(baseline, measure):.4g})"
        for measure in ("rmse", "mae")
        for baseline in baselines
        if getattr(model, measure) >= getattr(baseline, measure)
    ]
