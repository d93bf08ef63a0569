"""From a panel to a model: decide what is open, split, train, and learn from the validation part what is missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...artifacts.model_file import Arrays
from ...errors import InputError, remark
from ...training.callbacks import Record
from ...training.problem import Problem, Trainer, seeded
from ...training.task import Task
from ...training.weights import arrays_of
from . import holiday, statistical
from .baselines import intermittent, persistence, seasonal_naive
from .config import WARM, ForecastConfig, Plan, decided, decided_horizon
from .dataset import (
    EncodedSeries,
    Encoding,
    PanelDataset,
    Scaling,
    encode,
    find_encoding,
    grows_with_level,
    make_dataset,
    past_values,
    standardise,
    values_before,
    window_values,
)
from .direct import Direct, WindowInputs
from .intervals import find_ranks, lately, reach_of, shifted, shifts_of, transformed
from .learner import Learner
from .linear import LONGEST, SHARP, Decided, Linear, folds, independent, weigh
from .model import AGAIN, Model, calibration, make_tails, mix
from .networks import one_thread
from .recursive import Recursive, StepInputs, root_mean_square
from .season import choose_differences, choose_lags, common_season, nested_seasons, seasonal_spread
from .series import Panel
from .split import Array, Rows, Split, longest_horizon, origins, split_rows, thinned
from .tasks import StepTask, WindowTask

LEAST_ROWS = 20  # before the test part
MOST_CALIBRATED = 4000  # windows of the validation part that the shifts are taken from
MOST_BASES = 40_000_000  # numbers of linear forecasts that are kept for training
CHUNK = 4096  # of them at once
SHARES, SEVERAL = (0.25, 0.5, 0.75), 10  # of networks that read the series alone; the last of so many series only
LEAD = 1 / (1 + np.exp(-0.4 * SHARP))  # the weight of what is better by 0.4 standard errors
LEAD_SHORT = 1 / (1 + np.exp(-SHARP))  # by a whole one, where series are short
UNTOLD_TWO = 0.2  # as ``linear.UNTOLD``, where there are but two to choose from
LEAST_GAIN = 0.001  # of the error in the validation part, below which networks add nothing
MOST_NAIVE = 10_000  # windows that decide which naive forecast is better
MOST_STATISTICAL = 60  # series that AutoETS and AutoTheta are fitted to
JUDGED = 256  # origins in the validation part that a recursive network is judged by


@dataclass(frozen=True)
class ForecastProblem(Problem[Model]):
    """The series, split and encoded, and what is decided of them before anything is trained."""

    panel: Panel
    config: Plan
    split: Split
    known: Encoding
    observed: Encoding
    series: tuple[EncodedSeries, ...]
    dimensions: int = 0
    """Of the array that the series came as; 0: a table."""
    like: Model | None = None
    """What the networks have got used to."""

    @property
    def plan(self) -> Plan:
        """The configuration."""
        return self.config

    @cached_property
    def seasons(self) -> list[int]:
        """The season, those of the calendar, and without one what else repeats, that fit twice before the test part."""
        most = min(int(self.split.validation.min()) // 2, LONGEST)
        found = self.panel.grid.seasons or nested_seasons(self.before_test, self.plan.season)
        return sorted({s for s in (self.plan.season, *found) if 1 < s <= most})

    @property
    def folds(self) -> list[tuple[Rows, Rows]]:
        """The pieces [begin, end) of each series, (S,), on which is decided what counts how much, and calibrated.

        That is the validation part; of short series, whose networks train in no time, several that overlap it.
        """
        if self.plan.short and self.plan.combine:
            return folds(self.split.validation, self.plan.horizon, self.plan.season)
        return [(self.split.train, self.split.validation)]

    @property
    def before_test(self) -> list[Array]:
        """The values (T,) of each series before its test part."""
        return [each.real[:end] for each, end in zip(self.series, self.split.validation, strict=True)]

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it. Raises ``InputError`` as ``Problem.train``."""
        plan, split, series = self.plan, self.split, self.series
        decided = Decided(series, split.validation, plan.horizon, self.seasons) if plan.combine else None
        judges = []
        for number, (begin, end) in enumerate(self.folds, 1):
            linear = decided.linear(begin) if decided else None
            name, until = (calibration(number), None) if plan.short else ("", end)
            learner, kept = learn(plan, series, begin, until, trainer, linear, self.like, name)
            judges.append(Judge(learner, kept, linear, begin, end))
        if plan.short:
            # A short series has no rows to spare: those that calibrated train the networks that stay.
            learner, kept = learn(plan, series, split.validation, None, trainer, like=self.like)
        unit = np.array([seasonal_spread(transformed(values, plan), plan.season) for values in self.before_test])
        shifts, reach, ranks, share, beside = _calibrated(self, judges, unit)
        linear = decided.linear(split.validation) if decided else None
        if linear and share and not plan.short:
            # What the network is worth has been told: the newest rows are worth more than telling it again.
            longest = replace(plan, epochs=_best_epoch(trainer.history), patience=0)
            learner, kept = learn(longest, series, split.validation, None, trainer, linear, self.like, AGAIN)
            learner = replace(learner, plan=plan)
        model = Model(
            config=plan,
            columns=self.panel.columns,
            grid=self.panel.grid,
            known=self.known,
            observed=self.observed,
            names=tuple(each.name for each in series),
            scaling=kept,
            unit=unit,
            shifts=shifts,
            reach=reach,
            positive=all(np.nanmin(values) >= 0 for values in self.before_test),
            learner=learner,
            tails=(),
            ranks=ranks,
            dimensions=self.dimensions,
            linear=linear,
            share=share,
            statistical=beside,
            layout=self.panel.kind,
            heads=tuple(one.head for one in self.panel.series),
        )
        return make_tails(model, series)


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


# Networks


def learn(
    plan: Plan,
    series: Sequence[EncodedSeries],
    train: Rows,
    validation: Rows | None,
    trainer: Trainer,
    linear: Linear | None = None,
    like: Model | None = None,
    name: str = "",
) -> tuple[Learner, Scaling]:
    """Networks that have seen the rows of ``series`` before ``train`` (S,), judged on those up to ``validation``.

    ``validation`` None: nothing judges them. ``linear`` is the forecast that direct ones correct, ``like`` what they
    have got used to. Returns them and the scaling they live on. ``name`` goes before that of each network in the curve.
    """
    if plan.recursive:
        with one_thread():
            return _learn_recursive(plan, series, train, validation, trainer, like, name)
    return _learn_direct(plan, series, train, validation, trainer, linear, like, name)


def _learn_recursive(
    plan: Plan,
    series: Sequence[EncodedSeries],
    train: Rows,
    validation: Rows | None,
    trainer: Trainer,
    like: Model | None,
    name: str,
) -> tuple[Recursive, Scaling]:
    if like is not None:
        learner, scaling = _as_before(like, plan, series)
    else:
        learner, scaling = _new_recursive(plan, series, train)
    dataset = make_dataset(series, scaling, plan.cycles, learner.before, plan.horizon)
    steps = learner.steps(dataset)
    learner = replace(learner, inputs=replace(learner.inputs, features=steps.inputs.shape[1]))
    judged = None if validation is None else thinned(*_rows(dataset, train, validation, plan.horizon), most=JUDGED)

    def judge(network: nn.Module) -> dict[str, float]:
        if judged is None:
            return {}
        found = replace(learner, weights=(arrays_of(network),)).forecast(dataset, *judged)[..., 0]
        return {"MAE over the horizon": float(np.nanmean(np.abs(found - dataset.window(judged[0], plan.horizon))))}

    def task(network: nn.Module) -> Task:
        return StepTask(
            network,
            steps,
            dataset.begin + train,
            width=WARM,
            windows=plan.batch * (1 if plan.short else 50),
            mirror=plan.short and steps.constant.shape[1] == 0,  # the calendar and covariates have no other way up
            judge=partial(judge, network),
        )

    return replace(learner, weights=_trained(learner, task, trainer, name)), scaling


def _new_recursive(plan: Plan, series: Sequence[EncodedSeries], train: Rows) -> tuple[Recursive, Scaling]:
    """What recursive networks are to read of ``series``, and on which scale."""
    parts = values_before(series, train)
    scaling = standardise(parts, plan.log)
    scaled = [scaling.forward(part, s) for s, part in enumerate(parts)]
    differences = choose_differences(scaled, plan.season)
    misses = [differences.missed(each)[0][differences.start :] for each in scaled]
    scales = [root_mean_square(miss) for miss in misses]
    lags = choose_lags([miss / scale for miss, scale in zip(misses, scales, strict=True)], plan.season)
    scaling = replace(scaling, spread=scaling.spread * np.array(scales))
    return Recursive(plan, StepInputs(differences, lags, _gaps(series))), scaling


def _as_before(like: Model, plan: Plan, series: Sequence[EncodedSeries]) -> tuple[Any, Scaling]:
    """What the networks of ``like`` read, and on which scale. Raises ``InputError`` where they don't know of gaps."""
    if _gaps(series) and not like.learner.inputs.flags:
        raise InputError(
            "the model has learnt without missing values, and some are (gaps='carry' repeats the last one)"
        )
    return replace(like.learner, plan=plan, weights=()), like.constants(series)[0]


def _learn_direct(
    plan: Plan,
    series: Sequence[EncodedSeries],
    train: Rows,
    validation: Rows | None,
    trainer: Trainer,
    linear: Linear | None,
    like: Model | None,
    name: str,
) -> tuple[Direct, Scaling]:
    parts, horizon = values_before(series, train), plan.horizon
    if like is not None:
        learner, scaling = _as_before(like, plan, series)
    else:
        scaling = standardise(parts, plan.log, from_zero=plan.from_zero)
        if not plan.channels:  # channels of one table are compared as they are standardised
            spreads = [seasonal_spread(scaling.forward(part, s), plan.season) for s, part in enumerate(parts)]
            scaling = replace(scaling, spread=scaling.spread * spreads)
    dataset = make_dataset(series, scaling, plan.cycles, max(plan.lookback, plan.season), horizon)
    first = np.minimum(plan.lookback, np.maximum(1, (train - horizon) // 2))
    if like is None:
        season = 0 if linear and plan.base == "auto" else _naive_season(plan, dataset, first, train)
        known = dataset.calendar.shape[1] + dataset.known.shape[1]
        flags = _gaps(series) or bool((train - horizon < plan.lookback).any())
        features = 1 + flags + dataset.observed.shape[1] + known
        learner = Direct(plan, WindowInputs(features, known, len(series) if plan.channels else 0, flags, season))
    if learner.inputs.season:
        linear = None
    elif linear is None:
        raise InputError("the model's networks correct a linear forecast, so combine must be on as it was")
    rows, of = _rows(dataset, first, train, horizon)
    seen = np.isfinite(dataset.window(rows, horizon)).any(1)
    rows, of = thinned(rows[seen], of[seen], most=max(MOST_BASES // horizon, len(series)) if linear else len(rows))
    windows = learner.windows(dataset)
    judged = _rows(dataset, train, train if validation is None else validation, horizon)
    bases: tuple[Array | None, Array | None] = (None, None)
    offsets = None
    if linear:
        told, held = (base_of(linear, scaling, series, at - dataset.begin[s], s) for at, s in ((rows, of), judged))
        offsets = learner.output.offsets(dataset.window(rows, horizon) - told)
        bases = (told, held)

    def task(network: Any) -> Task:
        if offsets is not None and like is None:
            network.offsets.data.copy_(torch.from_numpy(offsets))
        return WindowTask(network, learner.output, windows, (rows, of), judged, plan.windows, bases)

    return replace(learner, weights=_trained(learner, task, trainer, name)), scaling


def base_of(linear: Linear, scaling: Scaling, series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
    """The linear forecast from each of ``rows`` of the series ``of`` on, scaled: (n, H)."""
    if not len(rows):
        return np.zeros((0, linear.matrices.shape[2]))
    parts = [
        scaling.forward(linear.forecast(past_values(series, at, s, linear.lookback), linear.unit[s]), s)
        for at, s in zip(*(np.array_split(each, -(-len(rows) // CHUNK) or 1) for each in (rows, of)), strict=True)
    ]
    return np.concatenate(parts)


def _best_epoch(history: Sequence[Record]) -> int:
    """After how many epochs the network that ``history`` ends with was best."""
    judged = [record for record in history if "validation" in record]
    begin = max(n for n, record in enumerate(judged) if record["epoch"] == 1)
    return int(min(judged[begin:], key=lambda record: next(iter(record["validation"].values())))["epoch"])


def _trained(learner: Learner, task: Callable[[nn.Module], Task], trainer: Trainer, name: str) -> tuple[Arrays, ...]:
    """The weights of the networks of ``learner``, each from a seed of its own and trained on its ``task``."""
    found = []
    for number in range(learner.plan.ensemble):
        seed = learner.plan.seed + number
        network = seeded(seed, learner.network)
        trainer.fit(task(network), replace(learner.plan, seed=seed), f"{name}network {number + 1}")
        found.append(arrays_of(network))
    return tuple(found)


def _gaps(series: Sequence[EncodedSeries]) -> bool:
    return any(bool(np.isnan(each.values).any()) for each in series)


def _naive_season(plan: Plan, dataset: PanelDataset, first: Rows, train: Rows) -> int:
    """1 or the season: the one that the plan names, or that misses less, repeated, in the training parts."""
    if plan.base != "auto":
        return plan.season if plan.base == "season" else 1
    rows, of = _rows(dataset, np.maximum(first, plan.season), train, plan.horizon)
    rows, _ = thinned(rows, of, most=MOST_NAIVE)
    if not len(rows):
        return 1
    real = dataset.window(rows, plan.horizon)
    last = np.nanmean(np.abs(persistence(dataset, rows, plan.horizon) - real))
    seasonal = np.nanmean(np.abs(seasonal_naive(dataset, rows, plan.horizon, plan.season) - real))
    return plan.season if seasonal < last else 1


def _rows(dataset: PanelDataset, begin: Rows, end: Rows, horizon: int) -> tuple[Rows, Rows]:
    """Every first row of a forecast inside ``[begin, end)`` of its series, as a row of the dataset, and the series."""
    rows, series = origins(begin, end, horizon)
    return rows + dataset.begin[series], series


# What the validation part teaches


@dataclass(frozen=True)
class Judge:
    """What has seen the rows before ``begin`` (S,) and is judged by those up to ``end``."""

    learner: Learner
    scaling: Scaling
    linear: Linear | None
    begin: Rows
    end: Rows


def _calibrated(
    problem: ForecastProblem, judges: Sequence[Judge], unit: Array
) -> tuple[Array, Array, NDArray[np.float32], float, dict[str, float]]:
    """The quantiles' shifts, (H, Q), their reach, the ranks (n, H), how much the networks count, and what is beside.

    All of it follows from what is missed in rows that were not learnt from.
    """
    plan, parts = problem.plan, []
    for judge in judges:
        rows, of = thinned(*origins(judge.begin, judge.end, plan.horizon), most=MOST_CALIBRATED)
        dataset = make_dataset(problem.series, judge.scaling, plan.cycles, judge.learner.before, plan.horizon)
        base = base_of(judge.linear, judge.scaling, problem.series, rows, of) if judge.linear else None
        found = judge.learner.forecast(dataset, rows + dataset.begin[of], of, base)
        base = found[..., plan.median] if base is None else base
        parts.append((rows, of, *(judge.scaling.backward(each, of) for each in (base, found))))
    rows, of, base, found = (np.concatenate(column) for column in zip(*parts, strict=True))
    real = window_values(problem.series, rows, of, plan.horizon)
    apart = independent(problem.folds, plan.horizon)
    alone = not (problem.known.columns or problem.observed.columns)  # which the linear forecast can't read
    sides = (base, found[..., plan.median])
    plain = np.array([seasonal_spread(values, plan.season) for values in problem.before_test])  # no logarithms
    how = partial(_share, alone=alone, short=plan.short, series=len(problem.series))
    share = how(sides, real, plain[of], apart) if plan.combine else 1.0
    moved = mix(transformed(base, plan), transformed(found, plan), share)
    found = np.exp(moved) if plan.log else moved
    own = lately(problem.series, rows, of, unit, plan)
    shifts = shifts_of(found, real, own, plan, apart)
    reach = reach_of(found, real, own, plan, apart)
    found = shifted(found, shifts, own, plan)
    beside: dict[str, float] = {}
    if _statistical(problem):
        judged = [(part[0], part[1]) for part in parts]
        beside = statistical.weights(problem.series, judged, found[..., plan.median], real, plain, plan.season, apart)
    return shifts, reach, find_ranks(found, real, plan.median), share, beside


def _statistical(problem: ForecastProblem) -> bool:
    """Whether statistical methods may count. Raises ``InputError`` where they are asked for and aren't there."""
    plan, there = problem.plan, statistical.there()
    if plan.statistical and not there:
        raise InputError("--statistical: statsforecast isn't installed: pip install 'statewise[statsforecast]'")
    suits = plan.short and plan.combine and not plan.channels and plan.season <= statistical.LONGEST
    suits = suits and not plan.from_zero and len(problem.series) <= MOST_STATISTICAL and not _gaps(problem.series)
    return there and suits and plan.statistical is not False


def _share(
    sides: Sequence[Array], real: Array, unit: Array, independent: float, *, alone: bool, short: bool, series: int = 1
) -> float:
    """How much the second of two forecasts (n, H) of ``series`` counts beside the first one; 0 where it adds nothing.

    ``alone``: they read the same. Then networks that have won a validation part by far lose after it about as often as
    not, so that they count for nothing without a lead, where few series are ``short`` of a standard error, and of few
    for half at most. Of several it is enough that what both say together has a lead.
    """
    there = np.isfinite(real)
    whole = there.any(1)
    count, own = np.maximum(there.sum(1), 1), unit[:, None]

    def misses(share: float) -> Array:
        forecast = sides[0] + share * (sides[1] - sides[0])
        return np.asarray((np.where(there, np.abs(forecast - real) / own, 0.0).sum(1) / count)[whole])

    def weight(share: float) -> float:
        return float(weigh(np.stack([misses(0.0), misses(share)]), independent, untold=UNTOLD_TWO)[1])

    if not whole.any():
        return 0.0
    share = weight(1.0)
    if alone:
        tried = SHARES if series >= SEVERAL else SHARES[:-1]
        best = min(tried, key=lambda each: float(misses(each).mean()))
        lead, least = share, LEAD_SHORT if short else LEAD
        if series >= SEVERAL:
            lead, least = max(share, weight(best)), LEAD
        share = best if lead >= least else 0.0
    gain = 1 - misses(share).mean() / (misses(0.0).mean() or 1.0)
    return share if gain >= LEAST_GAIN else 0.0


def calibration_origins(problem: ForecastProblem) -> tuple[Rows, Rows]:
    """The first rows of the forecasts inside the validation part, and their series."""
    split = problem.split
    return thinned(*origins(split.train, split.validation, problem.plan.horizon), most=MOST_CALIBRATED)
