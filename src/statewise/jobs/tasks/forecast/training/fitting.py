"""Networks learn the rows before a piece of the series, and are judged by that piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ....artifacts.model_file import Arrays
from ....errors import InputError
from ....training.callbacks import Record
from ....training.problem import Trainer, seeded
from ....training.task import Task
from ....training.weights import arrays_of
from ..baselines import persistence, seasonal_naive
from ..config import WARM, Plan
from ..dataset import EncodedSeries, PanelDataset, Scaling, make_dataset, past_values, standardise, values_before
from ..direct import Direct, WindowInputs
from ..learner import Learner
from ..linear.forecast import Linear
from ..model import Model
from ..networks import one_thread
from ..recursive import Recursive, StepInputs, root_mean_square
from ..season import choose_differences, choose_lags, seasonal_spread
from ..split import Array, Rows, origins, thinned
from ..tasks import StepTask, WindowTask

MOST_BASES = 40_000_000  # numbers of linear forecasts that are kept for training
CHUNK = 4096  # of them at once
MOST_NAIVE = 10_000  # windows that decide which naive forecast is better
JUDGED = 256  # origins in the validation part that a recursive network is judged by


def learn(
    plan: Plan,
    series: Sequence[EncodedSeries],
    train: Rows,
    validation: Rows | None,
    trainer: Trainer,
    linear: Linear | None = None,
    like: Model | None = None,
    name: str = "",
    passes: Sequence[int] = (),
) -> tuple[Learner, Scaling]:
    """Networks that have seen the rows of ``series`` before ``train`` (S,), judged on those up to ``validation``.

    ``validation`` None: nothing judges them. ``linear`` is the forecast that direct ones correct, ``like`` what they
    have got used to. Returns them and the scaling they live on. ``name`` goes before that of each network in the curve.
    ``passes`` are the epochs of each direct one, where it is known how many are best.
    """
    if plan.recursive:
        with one_thread():
            return _learn_recursive(plan, series, train, validation, trainer, like, name)
    return _learn_direct(plan, series, train, validation, trainer, linear, like, name, passes)


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

    def task(network: nn.Module, number: int) -> Task:
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
    return Recursive(plan, StepInputs(differences, lags, have_gaps(series))), scaling


def _as_before(like: Model, plan: Plan, series: Sequence[EncodedSeries]) -> tuple[Any, Scaling]:
    """What the networks of ``like`` read, and on which scale. Raises ``InputError`` where they don't know of gaps."""
    if have_gaps(series) and not like.learner.inputs.flags:
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
    passes: Sequence[int],
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
        season, second = _corrected(plan, dataset, first, train, linear)
        known = dataset.calendar.shape[1] + dataset.known.shape[1]
        flags = have_gaps(series) or bool((train - horizon < plan.lookback).any())
        features, channels = 1 + flags + dataset.observed.shape[1] + known, len(series) if plan.channels else 0
        learner = Direct(plan, WindowInputs(features, known, channels, flags, season, second))
    if learner.inputs.season:
        linear = None
    elif linear is None:
        raise InputError("the model's networks correct a linear forecast, so combine must be on as it was")
    rows, of = _rows(dataset, first, train, horizon)
    seen = np.isfinite(dataset.window(rows, horizon)).any(1)
    rows, of = thinned(rows[seen], of[seen], most=max(MOST_BASES // horizon, len(series)))
    windows = learner.windows(dataset)
    judged = _rows(dataset, train, train if validation is None else validation, horizon)
    bases: tuple[Array | None, Array | None] = (None, None)
    if linear:
        told, held = (base_of(linear, scaling, series, at - dataset.begin[s], s) for at, s in ((rows, of), judged))
        bases = (told, held)

    def task(network: Any, number: int) -> Task:
        own, held = (None, None) if learner.inputs.naive(number) else bases
        if like is None:
            base = windows.repeated(rows) if own is None else own
            offsets = learner.output.offsets(dataset.window(rows, horizon) - base)
            network.offsets.data.copy_(torch.from_numpy(offsets))
        return WindowTask(network, learner.output, windows, (rows, of), judged, plan.windows, (own, held))

    return replace(learner, weights=_trained(learner, task, trainer, name, passes)), scaling


def base_of(linear: Linear, scaling: Scaling, series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
    """The linear forecast from each of ``rows`` of the series ``of`` on, scaled: (n, H)."""
    if not len(rows):
        return np.zeros((0, linear.matrices.shape[2]))
    parts = [
        scaling.forward(linear.forecast(past_values(series, at, s, linear.lookback), linear.unit[s]), s)
        for at, s in zip(*(np.array_split(each, -(-len(rows) // CHUNK) or 1) for each in (rows, of)), strict=True)
    ]
    return np.concatenate(parts)


def best_epochs(history: Sequence[Record], count: int) -> list[int]:
    """After how many epochs each of the ``count`` networks that ``history`` ends with was best."""
    judged = [record for record in history if "validation" in record]
    begins = [n for n, record in enumerate(judged) if record["epoch"] == 1]
    curves = [judged[begin:end] for begin, end in zip(begins, [*begins[1:], None], strict=True)]
    best = [min(curve, key=lambda record: next(iter(record["validation"].values()))) for curve in curves[-count:]]
    return [record["epoch"] for record in best]


def _trained(
    learner: Learner,
    task: Callable[[nn.Module, int], Task],
    trainer: Trainer,
    name: str,
    passes: Sequence[int] = (),
) -> tuple[Arrays, ...]:
    """The weights of the networks of ``learner``, each from a seed of its own, trained on the ``task`` of its number.

    ``passes``: for so many epochs each.
    """
    found, plan = [], learner.plan
    for number in range(plan.ensemble):
        own = replace(plan, seed=plan.seed + number)
        own = replace(own, epochs=passes[number], patience=0) if passes else own
        network = seeded(own.seed, learner.network)
        trainer.fit(task(network, number), own, f"{name}network {number + 1}")
        found.append(arrays_of(network))
    return tuple(found)


def have_gaps(series: Sequence[EncodedSeries]) -> bool:
    return any(bool(np.isnan(each.values).any()) for each in series)


def _corrected(plan: Plan, dataset: PanelDataset, first: Rows, train: Rows, linear: Linear | None) -> tuple[int, int]:
    """``season`` and ``second`` of ``WindowInputs``: what networks correct."""
    if linear is None or plan.base in ("last", "season"):
        return _naive_season(plan, dataset, first, train), 0
    return 0, int(plan.base == "both")


def _naive_season(plan: Plan, dataset: PanelDataset, first: Rows, train: Rows) -> int:
    """1 or the season: the one that the plan names, or that misses less, repeated, in the training parts."""
    if plan.base in ("last", "season"):
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
