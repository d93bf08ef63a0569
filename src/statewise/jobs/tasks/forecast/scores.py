"""How good forecasts are: RMSE, MAE, sMAPE, MASE, pinball loss, coverage of the intervals; overall and by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """One row of the table. RMSE, MAE and pinball are in the series' own units, over all forecasts alike.

    ``mase`` is the mean over the series of MAE divided by that of the seasonal naive forecast one step ahead inside the
    part before the test, None where no series ever changes there. ``smape`` is in percent. What is
    called standardised is that of series with mean 0 and variance 1 in the training part, as papers on long horizons
    give it.
    """

    name: str
    rmse: float
    mae: float
    smape: float
    mase: float | None
    mse_standardised: float
    mae_standardised: float
    pinball: float
    coverage: float
    """The share of real values between the outermost quantiles."""
    width: float
    """The mean distance of the outermost quantiles."""
    rmse_by_step: tuple[float, ...]
    mae_by_step: tuple[float, ...]
    mase_by_series: tuple[float | None, ...]


@dataclass(frozen=True)
class Truth:
    """What forecasts are held against: n windows of H steps."""

    real: Array  # (n, H), NaN where missing
    series: Rows  # (n,)
    scale: Array  # (S,), of MASE; 0 where a series never changes
    spread: Array  # (S,), the standard deviation of the training part
    levels: tuple[float, ...]  # (Q,)


def score(name: str, truth: Truth, quantiles: Array) -> Score:
    """The score of ``quantiles`` (n, H, Q), of which that of 0.5 is the point forecast."""
    real, middle = truth.real, quantiles[..., truth.levels.index(0.5)]
    error = middle - real  # (n, H)
    size = np.abs(error)
    both = np.abs(middle) + np.abs(real)
    relative = np.where(np.isnan(real), np.nan, 200 * size / np.where(both > 0, both, 1.0))
    own = error / truth.spread[truth.series][:, None]
    above = real[..., None] - quantiles  # (n, H, Q)
    levels = np.array(truth.levels)
    inside = (real >= quantiles[..., 0]) & (real <= quantiles[..., -1])
    by_series = mase_by_series(size, truth)
    known = [value for value in by_series if value is not None]
    return Score(
        name,
        rmse=_root(error),
        mae=float(np.nanmean(size)),
        smape=float(np.nanmean(relative)),
        mase=float(np.mean(known)) if known else None,
        mse_standardised=float(np.nanmean(own**2)),
        mae_standardised=float(np.nanmean(np.abs(own))),
        pinball=float(np.nanmean(np.maximum(levels * above, (levels - 1) * above))),
        coverage=float(np.mean(inside[np.isfinite(real)])),
        width=float(np.mean(quantiles[..., -1] - quantiles[..., 0])),
        rmse_by_step=tuple(map(_root, error.T)),
        mae_by_step=tuple(float(_mean(column)) for column in size.T),
        mase_by_series=by_series,
    )


def mase_by_series(size: Array, truth: Truth) -> tuple[float | None, ...]:
    """Each series' mean absolute error in its scale; None where it has no scale or no forecast."""
    count = np.isfinite(size).sum(1)
    total = np.where(np.isfinite(size), size, 0.0).sum(1)
    series = len(truth.scale)
    terms, sums = (np.bincount(truth.series, weights=w, minlength=series) for w in (count, total))
    return tuple(
        float(s / n / scale) if n and scale > 0 else None for s, n, scale in zip(sums, terms, truth.scale, strict=True)
    )


def seasonal_error(values: Array, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast inside ``values`` (T,); 0 where there is none."""
    steps = np.abs(values[season:] - values[:-season])
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if len(steps) else 0.0


def lost_to(model: Score, baselines: Sequence[Score]) -> list[str]:
    """Where the model is no better than a baseline, in words."""
    measures = [("RMSE", "rmse"), ("MAE", "mae")] + ([("MASE", "mase")] if len(model.mase_by_series) > 1 else [])
    return [
        f"{baseline.name} in {title} ({getattr(model, measure):.4g} against {getattr(baseline, measure):.4g})"
        for title, measure in measures
        for baseline in baselines
        if getattr(model, measure) is not None and getattr(model, measure) >= getattr(baseline, measure)
    ]


def _root(error: Array) -> float:
    return float(np.sqrt(_mean(error**2)))


def _mean(values: Array) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")
