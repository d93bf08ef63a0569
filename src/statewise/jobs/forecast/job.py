"""The job from a file to a run folder: read, split, fit, forecast, score, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..progress import bar
from ..runs import new_run
from . import picture, report
from .forecaster import LEAST_TRAINING_ROWS, Forecaster, fit
from .scores import Score, mase_scale, score, shifted
from .series import Series
from .settings import Settings
from .storage import save

Array = NDArray[np.float64]

TEST_SHARE = 0.3


def forecast(
    series: Series, settings: Settings, *, season: int | None, out: Path | None, say: Callable[[str], None]
) -> Path:
    """Run the job; the folder with the results. ``say`` gets what the user is to read."""
    split = len(series) - int(TEST_SHARE * len(series))
    _check(series, split, season)
    with new_run("forecast", series.name, out) as run:
        say(report.data_lines(series, split))
        with bar(f"training {settings.seeds} {settings.cell.upper()}s") as progress, _one_thread():
            forecaster = fit(
                series.values[:split], cycles=series.cycles, season=season, settings=settings, progress=progress
            )
        predicted = forecaster.predict(series.values)[:-1]
        model, *baselines = scores(series, split, forecaster, predicted)
        say(report.choice_lines(forecaster) + "\n")
        say(report.table([model, *baselines], forecaster.transform.season))
        say(report.verdict(model, baselines))
        picture.draw(run.draft / "forecast.png", series, predicted, split, [model, *baselines])
        report.write_predictions(run.draft / "predictions.csv", series, predicted, split)
        report.write_metrics(run.draft / "metrics.json", series, split, forecaster, [model, *baselines])
        save(forecaster, run.draft / "model.safetensors")
    assert run.folder is not None
    files = ", ".join(sorted(p.name for p in run.folder.iterdir()))
    say(f"\n{run.folder}: {files}")
    return run.folder


@contextmanager
def _one_thread() -> Iterator[None]:
    """Nets this small lose more by handing work over than a second thread gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def scores(series: Series, split: int, forecaster: Forecaster, predicted: Array) -> list[Score]:
    """The scores on the test part: the model, itself with networks that output zero, and what costs nothing."""
    values, season = series.values, forecaster.transform.season
    scale = mase_scale(values[:split], season)
    forecasts = {
        forecaster.settings.cell.upper(): predicted,
        "the same, network outputs zero": forecaster.predict_zero(values)[:-1],
        "persistence": shifted(values, 1),
    }
    if season > 1:
        forecasts[f"seasonal naive ({season})"] = shifted(values, season)
    return [score(name, values[split:], f[split:], scale) for name, f in forecasts.items()]


def _check(series: Series, split: int, season: int | None) -> None:
    train = series.values[:split]
    if train.min() == train.max():
        raise InputError(f"column {series.target!r} never changes in the training part: {split} times {train[0]:g}")
    if season is not None and not 1 <= season <= split // 2:
        raise InputError(
            f"--season {season}: two seasons must fit into the {split} training rows, so 1 to {split // 2}"
        )
    assert split >= LEAST_TRAINING_ROWS  # read_series asked for enough
