"""From a panel to a model: decide what is open, split, train, and learn from the validation part what is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...training.problem import Problem, Trainer
from .bank import Array, Rows, Track, make_bank
from .config import WARM, ForecastConfig, Plan, decided, decided_horizon
from .conformal import shifts
from .covariates import Encoding, find_encoding
from .learning import Learner, learn
from .model import Model, encode, height_unit, heights, make_tails, shifted
from .panel import Panel
from .paths import find_ranks
from .scaling import Scaling, grows_with_level
from .season import common_season
from .split import Split, origins, split_rows

LEAST_ROWS = 20  # before the test part
MOST_CALIBRATED = 4000  # windows of the validation part that the shifts are taken from


@dataclass(frozen=True)
class ForecastProblem(Problem[Model]):
    """The series, split and encoded, and what is decided of them before anything is trained."""

    panel: Panel
    config: Plan
    split: Split
    known: Encoding
    observed: Encoding
    tracks: tuple[Track, ...]
    dimensions: int = 0
    """Of the array that the series came as; 0: a table."""

    @property
    def plan(self) -> Plan:
        """The configuration."""
        return self.config

    @property
    def before_test(self) -> list[Array]:
        """The values (T,) of each series before its test part."""
        return [t.real[:end] for t, end in zip(self.tracks, self.split.validation, strict=True)]

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it. Raises ``InputError`` as ``Problem.train``."""
        plan, split, tracks = self.config, self.split, self.tracks
        if plan.short:
            # A short series has no rows to spare: those that calibrated train the networks that stay.
            judge, scaling = learn(plan, tracks, split.train, None, trainer, "calibration ")
            learner, kept = learn(plan, tracks, split.validation, None, trainer)
        else:
            learner, kept = learn(plan, tracks, split.train, split.validation, trainer)
            judge, scaling = learner, kept
        unit = np.array([height_unit(values, plan) for values in self.before_test])
        moved, ranks = _calibrated(self, judge, scaling, unit)
        model = Model(
            config=plan,
            columns=self.panel.columns,
            grid=self.panel.grid,
            known=self.known,
            observed=self.observed,
            names=tuple(track.name for track in tracks),
            scaling=kept,
            unit=unit,
            shifts=moved,
            learner=learner,
            tails=(),
            ranks=ranks,
            dimensions=self.dimensions,
        )
        return make_tails(model, tracks)


def prepare(
    panel: Panel,
    config: ForecastConfig,
    *,
    split: Sequence[float] | None = None,
    test_rows: int | None = None,
    dimensions: int = 0,
) -> ForecastProblem:
    """Settle season, horizon, model and split. ``split`` and ``test_rows`` are those of ``split_rows``.

    Raises ``InputError`` where the series are too short, never change, or the settings don't fit them.
    """
    lengths, names = [len(series) for series in panel.series], [series.name for series in panel.series]
    _check_lengths(panel)
    rough = split_rows(lengths, names, 1, split, test_rows)
    before = [s.values[:end] for s, end in zip(panel.series, rough.validation, strict=True)]
    _check_change(panel, before)
    season = config.season or common_season(before, panel.grid.cycles or None)
    _check_season(season, before)
    _check_lookback(config, before)
    horizon = decided_horizon(config, season)
    parts = split_rows(lengths, names, horizon, split, test_rows)
    trains = [s.values[:end] for s, end in zip(panel.series, parts.train, strict=True)]
    plan = decided(
        config,
        horizon=horizon,
        season=season,
        cycles=_cycles(panel, season, max(map(len, trains))),
        rows=min(map(len, before)),
        learnt=parts.counts["training"],
        observed=bool(panel.columns.observed),
        channels=len(panel.columns.target) > 1 and panel.columns.id is None,
        log=grows_with_level(before, season),
    )
    if plan.log and any(np.nanmin(train) <= 0 for train in before):
        raise InputError("--log: expected values above 0 in all series")
    known = find_encoding(panel, panel.columns.ahead, parts.train, ahead=True)
    observed = find_encoding(panel, panel.columns.observed, parts.train, ahead=False)
    return ForecastProblem(panel, plan, parts, known, observed, tuple(encode(panel, known, observed)), dimensions)


def _calibrated(
    prepared: ForecastProblem, learner: Learner, scaling: Scaling, unit: Array
) -> tuple[Array, NDArray[np.float32]]:
    """The quantiles' shifts, (H, Q) and the ranks (n, H), from what ``learner`` misses in the validation part."""
    plan, (rows, series) = prepared.plan, calibration_origins(prepared)
    bank = make_bank(prepared.tracks, scaling, plan.cycles, learner.before, plan.horizon)
    found = scaling.backward(learner.forecast(bank, rows + bank.begin[series], series), series)
    real = window_values(prepared.tracks, rows, series, plan.horizon)
    own = unit[series][:, None]
    moved = shifts(heights(found, plan) / own[..., None], heights(real, plan) / own, plan.quantiles)
    return moved, find_ranks(shifted(found, moved, unit[series], plan), real, plan.median)


def calibration_origins(prepared: ForecastProblem) -> tuple[Rows, Rows]:
    """The first rows of the forecasts inside the validation part, and their series."""
    rows, series = origins(prepared.split.train, prepared.split.validation, prepared.plan.horizon)
    every = slice(None, None, -(-len(rows) // MOST_CALIBRATED))
    return rows[every], series[every]


def window_values(tracks: Sequence[Track], rows: Rows, series: Rows, steps: int) -> Array:
    """The values of ``steps`` rows from each of ``rows`` of its series on: (n, steps), NaN where missing."""
    values = np.concatenate([track.real for track in tracks])
    starts = np.cumsum([0] + [len(track.values) for track in tracks])[:-1]
    return np.asarray(values[(starts[series] + rows)[:, None] + np.arange(steps)])


def _cycles(panel: Panel, season: int, rows: int) -> tuple[int, ...]:
    """The calendar's cycles, and the season where rows are numbered, of which two whole turns can be learnt from."""
    if panel.grid.unit == "row":
        return ()
    return tuple(sorted(c for c in {*panel.grid.cycles, season} if 2 <= c <= rows // 2))


def _check_lengths(panel: Panel) -> None:
    for series in panel.series:
        if len(series) < LEAST_ROWS:
            raise InputError(
                f"{panel.source}: series {series.name!r} has {len(series)} rows, at least {LEAST_ROWS} are needed"
            )


def _check_change(panel: Panel, before: Sequence[Array]) -> None:
    for series, values in zip(panel.series, before, strict=True):
        if not np.isfinite(values).any():
            raise InputError(f"{panel.source}: series {series.name!r} has no value before its test part")
    if all(np.nanmin(values) == np.nanmax(values) for values in before):
        name, value = panel.series[0].name, np.nanmin(before[0])
        raise InputError(
            f"{panel.source}: column {name!r} never changes before the test part: {len(before[0])} times {value:g}"
        )


def _check_lookback(config: ForecastConfig, before: Sequence[Array]) -> None:
    longest = max(map(len, before))
    if config.lookback is not None and config.lookback > max(longest, WARM):
        raise InputError(f"--lookback {config.lookback}: there are no more than {longest} rows before the test part")


def _check_season(season: int, before: Sequence[Array]) -> None:
    shortest = min(map(len, before))
    if season > max(1, shortest // 2):
        raise InputError(
            f"--season {season}: two seasons must fit into the {shortest} rows before the test part,"
            f" so 1 to {shortest // 2}"
        )
