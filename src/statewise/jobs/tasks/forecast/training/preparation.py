"""Settle what is open before anything is trained, and refuse what doesn't fit the series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import InputError, remark
from .. import holiday
from ..baselines import intermittent
from ..config import WARM, ForecastConfig, Plan, decided, decided_horizon
from ..dataset import encode, find_encoding, grows_with_level
from ..model import Model
from ..season import common_season
from ..series import Panel
from ..split import Array, longest_horizon, split_rows
from .problem import ForecastProblem

LEAST_ROWS = 20  # before the test part


def prepare(
    panel: Panel,
    config: ForecastConfig,
    *,
    split: Sequence[float] | None = None,
    test_rows: int | None = None,
    dimensions: int = 0,
    held: int | None = None,
    like: Model | None = None,
) -> ForecastProblem:
    """Settle season, horizon, model and split. ``split``, ``test_rows`` and ``held`` are those of ``split_rows``.

    ``like`` is a model whose scales, covariates and calendar the networks have got used to. Raises ``InputError`` where
    the series are too short, never change, or the settings don't fit them.
    """
    lengths, names = [len(series) for series in panel.series], [series.name for series in panel.series]
    for series in panel.series:
        if len(series) < LEAST_ROWS:
            raise InputError(
                f"{panel.source}: series {series.name!r} has {len(series)} rows, at least {LEAST_ROWS} are needed"
            )
    rough = split_rows(lengths, names, 1, split, test_rows, held)
    before = [s.values[:end] for s, end in zip(panel.series, rough.validation, strict=True)]
    _check_change(panel, before)
    if like is not None and config.model == "auto":
        config = replace(
            config, model=like.plan.model, distribution=config.distribution or like.plan.distribution or "quantiles"
        )
    season = config.season or common_season(before, panel.grid.seasons or None)
    _check_told(config, season, list(map(len, before)))
    horizon = _horizon(panel, config, season, split, test_rows, held)
    parts = split_rows(lengths, names, horizon, split, test_rows, held)
    plan = decided(
        config,
        horizon=horizon,
        season=season,
        cycles=_cycles(panel, season, int(parts.train.max())),
        rows=min(map(len, before)),
        learnt=parts.counts["training"],
        observed=bool(panel.columns.observed),
        channels=len(panel.columns.target) > 1 and not panel.columns.id,
        log=grows_with_level(before, season),
        demand=_demand(before),
    )
    if plan.log and any(np.nanmin(train) <= 0 for train in before):
        raise InputError("--log: expected values above 0 in all series")
    if plan.from_zero:
        _check_from_zero(plan, panel, before)
    if like is not None:
        if panel.columns.covariates != like.columns.covariates:
            raise InputError(f"expected the covariates {like.columns.covariates}, got {panel.columns.covariates}")
        known, observed = like.known, like.observed
        plan = replace(plan, cycles=like.plan.cycles, channels=like.plan.channels)
    else:
        told = holiday.names(panel.columns.holidays) if panel.columns.holidays else ()
        known = find_encoding(panel, (*panel.columns.ahead, *told), parts.train, ahead=True)
        observed = find_encoding(panel, panel.columns.observed, parts.train, ahead=False)
    return ForecastProblem(panel, plan, parts, known, observed, tuple(encode(panel, known, observed)), dimensions, like)


def _horizon(panel: Panel, config: ForecastConfig, season: int, *parts: Any) -> int:
    """The horizon that was asked for or, by default, as much of the usual one as fits into the parts."""
    usual = decided_horizon(config, season)
    if config.horizon is not None:
        return usual
    fits = longest_horizon([len(series) for series in panel.series], usual, *parts)
    if fits < usual:
        rows = min(map(len, panel.series))
        remark(
            f"{panel.source}: the horizon is {panel.grid.steps(fits)}: {panel.grid.steps(usual)}, which would be usual,"
            f" don't fit into the parts of {rows} rows; --horizon and --split say otherwise"
        )
    return fits


def _cycles(panel: Panel, season: int, rows: int) -> tuple[int, ...]:
    """The calendar's cycles, and the season where rows are numbered, of which two whole turns can be learnt from."""
    if panel.grid.unit == "row":
        return ()
    return tuple(sorted(c for c in {*panel.grid.cycles, season} if 2 <= c <= rows // 2))


def _check_change(panel: Panel, before: Sequence[Array]) -> None:
    for series, values in zip(panel.series, before, strict=True):
        if not np.isfinite(values).any():
            raise InputError(f"{panel.source}: series {series.name!r} has no value before its test part")
    if all(np.nanmin(values) == np.nanmax(values) for values in before):
        name, value = panel.series[0].name, np.nanmin(before[0])
        raise InputError(
            f"{panel.source}: column {name!r} never changes before the test part: {len(before[0])} times {value:g}"
        )


def _demand(before: Sequence[Array]) -> str | None:
    """The distribution of what comes now and then; None where that isn't what the series have."""
    if not intermittent(before):
        return None
    counts = all((values[np.isfinite(values)] % 1 == 0).all() for values in before)
    return "negative-binomial" if counts else "tweedie"


def _check_from_zero(plan: Plan, panel: Panel, before: Sequence[Array]) -> None:
    counts = plan.distribution == "negative-binomial"
    expected = "counts, 0, 1, 2, ..." if counts else "no value below 0"
    for series, values in zip(panel.series, before, strict=True):
        there = values[np.isfinite(values)]
        wrong = there[(there < 0) | (there % 1 != 0 if counts else there < 0)]
        if len(wrong):
            raise InputError(
                f"--distribution {plan.distribution}: expected {expected}, series {series.name!r} has {wrong[0]:g}"
            )


def _check_told(config: ForecastConfig, season: int, before: Sequence[int]) -> None:
    """``InputError`` where season or lookback don't fit into the rows before the test part."""
    shortest, longest = min(before), max(before)
    if season > max(1, shortest // 2):
        raise InputError(
            f"--season {season}: two seasons must fit into the {shortest} rows before the test part,"
            f" so 1 to {shortest // 2}"
        )
    if config.lookback is not None and config.lookback > max(longest, WARM):
        raise InputError(f"--lookback {config.lookback}: there are no more than {longest} rows before the test part")
