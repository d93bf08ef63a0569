"""What comes after the last row of each series of a table, or of those that a model has seen last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from .bank import Track
from .model import Forecast, Model
from .reading import read_panel


def ahead(model: Model, source: object = None) -> Forecast:
    """What follows the series of ``source``, a file or a frame; None: those the model has seen last."""
    if source is None:
        return model.forecast_ahead(model.tails)
    panel = read_panel(source, model.columns, gaps=model.plan.gaps, grid=model.grid)
    tracks: Sequence[Track] = model.tracks(panel)
    return model.forecast_ahead(tracks, [series.labels[len(series) :] for series in panel.series])


def to_frame(forecast: Forecast, model: Model) -> pl.DataFrame:
    """One row for each series and step: series, time, step, forecast, and a column for each other quantile."""
    horizon = model.plan.horizon
    columns: dict[str, object] = {
        "series": np.repeat(forecast.names, horizon),
        "time": [label for labels in forecast.labels for label in labels],
        "step": np.tile(np.arange(1, horizon + 1), len(forecast.names)),
        "forecast": forecast.quantiles[..., model.plan.median].ravel(),
    }
    for q, level in enumerate(model.plan.quantiles):
        if level != 0.5:
            columns[quantile_name(level)] = forecast.quantiles[..., q].ravel()
    return pl.DataFrame(columns)


def quantile_name(level: float) -> str:
    """What the column of a quantile is called: q0.1."""
    return f"q{level:g}"
