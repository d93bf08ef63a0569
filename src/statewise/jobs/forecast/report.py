"""What a run says: the table on the terminal, ``predictions.csv`` and ``metrics.json``."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..._version import __version__
from .forecaster import Forecaster
from .scores import Score, losses
from .series import Series

Array = NDArray[np.float64]


def data_lines(series: Series, split: int) -> str:
    """What is forecast, and where it is split."""
    first, last, begin, end = (series.labels[i] for i in (0, split - 1, split, -1))
    return (
        f"{series.name}: {series.target}, {series.ahead}\n"
        f"  training  {split} rows, {first} to {last}\n"
        f"  test      {len(series) - split} rows, {begin} to {end}"
    )


def choice_lines(forecaster: Forecaster) -> str:
    """What was chosen on the training part."""
    transform, settings = forecaster.transform, forecaster.settings
    season = f"{transform.season} rows" if transform.season > 1 else "none found"
    cycles = f", place in the cycle of {_list(forecaster.cycles)}" if forecaster.cycles else ""
    return (
        f"  season    {season}\n"
        f"  scale     {transform}\n"
        f"  inputs    lags {_list(forecaster.lags)}{cycles}\n"
        f"  network   {settings.cell.upper()}, {settings.hidden} units,"
        f" {settings.seeds} seeds averaged, {settings.updates} updates each"
        f"{', mirrored' if settings.mirror else ''}"
    )


def table(scores: Sequence[Score], season: int) -> str:
    """The table of scores, and what MASE is relative to."""
    width = max(len(s.name) for s in scores)
    head = f"{'one-step forecasts of the test part':{width}}  {'RMSE':>9} {'MAE':>9} {'MASE':>7}"
    width = len(head) - 29
    rows = [f"{s.name:{width}}  {s.rmse:9.4g} {s.mae:9.4g} {_cell(s.mase):>7}" for s in scores]
    naive = f"the seasonal naive forecast ({season} rows before)" if season > 1 else "persistence"
    return "\n".join([head, *rows, f"MASE 1 is the mean absolute error of {naive} inside the training part."])


def verdict(model: Score, baselines: Sequence[Score]) -> str:
    """One line: does the model beat the baselines, and where not."""
    lost = losses(model, list(baselines))
    if lost:
        return f"The {model.name} loses to {'; to '.join(lost)}."
    best = min(baselines, key=lambda s: s.rmse)
    return f"The {model.name} beats the best baseline by {100 * (1 - model.rmse / best.rmse):.0f} % in RMSE."


def write_predictions(path: Path, series: Series, predicted: Array, split: int) -> None:
    """One line per row of the series; rows too early for a forecast have none."""
    columns = {
        "time": series.labels,
        "real": series.values,
        "predicted": pl.Series(predicted).fill_nan(None),
        "part": ["train"] * split + ["test"] * (len(series) - split),
    }
    pl.DataFrame(columns).write_csv(path)


def write_metrics(path: Path, series: Series, split: int, forecaster: Forecaster, scores: Sequence[Score]) -> None:
    """Everything that is needed to know what was run, and what came out."""
    content: dict[str, Any] = {
        "data": {"name": series.name, "target": series.target, "time": series.time, "step": series.step},
        "rows": {"training": split, "test": len(series) - split},
        "transform": asdict(forecaster.transform),
        "scale": forecaster.scale,
        "lags": forecaster.lags,
        "cycles": forecaster.cycles,
        "settings": asdict(forecaster.settings),
        "scores": [asdict(s) for s in scores],
        "versions": {"statewise": __version__, "torch": version("torch"), "python": platform.python_version()},
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
