"""Fit a forecaster to the training part of a series, and forecast one step ahead with it.

Everything is decided and measured on the rows that ``fit`` is given. ``predict`` runs the networks once over the whole
series; the forecast of a row depends on the rows before it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..progress import Progress, Silent
from .effort import find_effort
from .inputs import choose_lags, inputs
from .network import Network
from .season import find_season
from .settings import Settings
from .training import mean_output, train
from .transform import Transform, choose_transform

Array = NDArray[np.float64]

LEAST_TRAINING_ROWS = 20


@dataclass(frozen=True)
class Forecaster:
    """Trained networks and the constants of the training part. ``settings`` says how they were trained."""

    transform: Transform
    scale: float
    lags: tuple[int, ...]
    cycles: tuple[int, ...]
    settings: Settings
    trained_rows: int
    networks: tuple[Network, ...]

    def predict(self, values: Array) -> Array:
        """One-step forecasts of every row of ``values`` and of the row after the last: (n + 1,).

        The first rows, up to ``transform.start``, have no forecast and are NaN. ``values`` must begin where the
        training part began, for the calendar is counted from there.
        """
        start = self.transform.start
        if len(values) < start:
            raise InputError(f"a forecast looks back {start} rows; got {len(values)}")
        levels = self.transform.forward(values)
        forecast = self.transform.naive(levels)
        missed = (levels - forecast[:-1])[start:] / self.scale
        x = _tensor(inputs(missed, self.lags, self.cycles, first=start))
        forecast[start:] += mean_output(list(self.networks), x).numpy() * self.scale
        return self.transform.backward(forecast)

    def predict_zero(self, values: Array) -> Array:
        """The same with networks that output zero: what is forecast without having learnt anything."""
        return self.transform.backward(self.transform.naive(self.transform.forward(values)))


def fit(
    train_values: Array,
    *,
    cycles: Sequence[int] | None = None,
    season: int | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Forecaster:
    """A forecaster for the series that begins with ``train_values``.

    ``cycles`` are the periods of its calendar in rows, None if it has none; ``season`` is found where it isn't given.
    """
    settings, progress = settings or Settings(), progress or Silent()
    _check(train_values)
    if season is None:
        season, _ = find_season(train_values, cycles)
    transform = choose_transform(train_values, season)
    levels = transform.forward(train_values)
    missed = (levels - transform.naive(levels)[:-1])[transform.start :]
    scale = float(np.sqrt(np.mean(missed**2))) or 1.0  # nothing is missed where the series repeats exactly
    lags = choose_lags(missed / scale, season)
    told = {c for c in (*(cycles or ()), season) if 2 <= c <= len(train_values) // 2}  # two whole turns must be seen
    known = tuple(sorted(told))
    x = _tensor(inputs(missed / scale, lags, known, first=transform.start)[:-1])
    y = _tensor(missed / scale)
    mirrored = torch.tensor([-1.0] * len(lags) + [1.0] * (x.shape[1] - len(lags)))
    settings = find_effort(x, y, mirrored, settings, progress)
    progress.plan((settings.updates or 0) * settings.seeds)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    networks = tuple(train(x, y, mirrored, seed, settings, progress) for seed in seeds)
    return Forecaster(transform, scale, lags, known, settings, len(train_values), networks)


def _check(train_values: Array) -> None:
    if len(train_values) < LEAST_TRAINING_ROWS:
        raise InputError(f"the training part has {len(train_values)} rows, at least {LEAST_TRAINING_ROWS} are needed")
    if not np.isfinite(train_values).all():
        raise InputError("the training part has values that aren't finite")
    if train_values.min() == train_values.max():
        raise InputError(f"the training part never changes: {len(train_values)} times {train_values[0]:g}")


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
