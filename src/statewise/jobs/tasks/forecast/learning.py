"""Train the networks of a plan on the rows it may see, and have back what forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from ...training.problem import Trainer, seeded
from .bank import Bank, Rows, Track, make_bank
from .baselines import persistence, seasonal_naive
from .config import WARM, Plan
from .differences import choose_differences
from .lags import choose_lags
from .outputs import Output
from .scaling import Scaling, standardise
from .split import origins
from .stepwise import StepLearner, StepNetwork, Steps, StepTask
from .windowed import WindowLearner, Windows, WindowTask, make_network, seasonal_spread

MOST_NAIVE = 10_000  # windows that decide which naive forecast is better
JUDGED = 256  # origins in the validation part that a stepwise network is judged by


Learner = StepLearner | WindowLearner


def learn(
    plan: Plan, tracks: Sequence[Track], train: Rows, validation: Rows | None, trainer: Trainer, name: str = ""
) -> tuple[Learner, Scaling]:
    """Networks that have seen the rows of ``tracks`` before ``train`` (S,), judged on those up to ``validation``.

    ``validation`` None: nothing judges them. Returns them and the scaling they live on. ``name`` goes before that of
    each network in the curve.
    """
    if plan.stepwise:
        with _one_thread():
            return _learn_steps(plan, tracks, train, validation, trainer, name)
    assert validation is not None  # a window model has an end only where something judges it
    return _learn_windows(plan, tracks, train, validation, trainer, name)


def _learn_steps(
    plan: Plan, tracks: Sequence[Track], train: Rows, validation: Rows | None, trainer: Trainer, name: str
) -> tuple[StepLearner, Scaling]:
    parts = [track.values[:end] for track, end in zip(tracks, train, strict=True)]
    scaling = standardise(parts, plan.log)
    levels = [scaling.forward(part, s) for s, part in enumerate(parts)]
    differences = choose_differences(levels, plan.season)
    misses = [differences.missed(level)[0][differences.start :] for level in levels]
    scales = [float(np.sqrt(np.mean(miss**2))) if len(miss) else 1.0 for miss in misses]
    scales = [scale or 1.0 for scale in scales]  # nothing is missed where a series repeats exactly
    lags = choose_lags([miss / scale for miss, scale in zip(misses, scales, strict=True)], plan.season)
    scaling = replace(scaling, spread=scaling.spread * np.array(scales))
    flags = any(bool(np.isnan(track.values).any()) for track in tracks)
    bank = make_bank(tracks, scaling, plan.cycles, max(lags), plan.horizon)
    steps = Steps(bank, differences, lags, flags, plan.cycles)

    learner = StepLearner(plan, differences, lags, flags, steps.inputs.shape[1], ())
    judged = _judged(bank, train, validation, plan.horizon) if validation is not None else None
    networks = []
    for number in range(plan.ensemble):
        network = seeded(
            plan.seed + number,
            lambda: StepNetwork(plan.cell, learner.features, plan.units, plan.layers, plan.dropout),
        )

        def judge(network: StepNetwork = network) -> dict[str, float]:
            if judged is None:
                return {}
            device = next(network.parameters()).device
            found = replace(learner, networks=(network.cpu(),)).forecast(bank, *judged)[..., 0]
            network.to(device)
            error = np.abs(found - bank.window(judged[0], plan.horizon))
            return {"MAE over the horizon": float(np.nanmean(error))}

        task = StepTask(
            network,
            steps,
            bank.begin + train,
            width=WARM,
            windows=plan.batch * (1 if plan.short else 50),
            mirror=plan.short and steps.constant.shape[1] == 0,  # the calendar and covariates have no other way up
            judge=judge,
        )
        trainer.fit(task, replace(plan, seed=plan.seed + number), f"{name}network {number + 1}")
        networks.append(network)
    return replace(learner, networks=tuple(networks)), scaling


def _learn_windows(
    plan: Plan, tracks: Sequence[Track], train: Rows, validation: Rows, trainer: Trainer, name: str
) -> tuple[WindowLearner, Scaling]:
    scaling = standardise([track.values[:end] for track, end in zip(tracks, train, strict=True)], plan.log)
    if not plan.channels:  # channels of one table are compared as they are standardised
        levels = [
            scaling.forward(track.values[:end], s) for s, (track, end) in enumerate(zip(tracks, train, strict=True))
        ]
        scaling = replace(scaling, spread=scaling.spread * [seasonal_spread(level, plan.season) for level in levels])
    bank = make_bank(tracks, scaling, plan.cycles, max(plan.lookback, plan.season), plan.horizon)
    first = np.minimum(plan.lookback, np.maximum(1, (train - plan.horizon) // 2))
    short = bool((train - plan.horizon < plan.lookback).any())
    flags = short or any(bool(np.isnan(track.values).any()) for track in tracks)
    season = _naive_season(plan, bank, first, train)
    windows = Windows(bank, plan.lookback, plan.horizon, flags=flags, season=season)
    output = Output(plan.output, plan.quantiles)
    learnt, judged = _rows(bank, first, train, plan.horizon), _rows(bank, train, validation, plan.horizon)
    seen = np.isfinite(bank.window(learnt[0], plan.horizon)).any(1)
    learnt = (learnt[0][seen], learnt[1][seen])
    features, known = windows.rows.shape[1], windows.known.shape[1]
    channels = len(tracks) if plan.channels else 0
    networks = []
    for number in range(plan.ensemble):
        network = seeded(plan.seed + number, lambda: make_network(plan, features, known, channels, output.size))
        task = WindowTask(network, output, windows, learnt, judged, plan.windows)
        trainer.fit(task, replace(plan, seed=plan.seed + number), f"{name}network {number + 1}")
        windows.to(torch.device("cpu"))
        networks.append(network)
    return WindowLearner(plan, features, known, channels, flags, season, tuple(networks)), scaling


def _naive_season(plan: Plan, bank: Bank, first: Rows, train: Rows) -> int:
    """1 or the season: the one that the plan names, or that misses less, repeated, in the training parts."""
    if plan.base != "auto":
        return plan.season if plan.base == "season" else 1
    rows, _ = _rows(bank, np.maximum(first, plan.season), train, plan.horizon)
    rows = rows[:: -(-len(rows) // MOST_NAIVE) or 1]
    real = bank.window(rows, plan.horizon)
    last = np.nanmean(np.abs(persistence(bank, rows, plan.horizon) - real)) if len(rows) else 0.0
    seasonal = np.nanmean(np.abs(seasonal_naive(bank, rows, plan.horizon, plan.season) - real)) if len(rows) else 0.0
    return plan.season if seasonal < last else 1


def _judged(bank: Bank, train: Rows, validation: Rows, horizon: int) -> tuple[Rows, Rows]:
    rows, series = _rows(bank, train, validation, horizon)
    every = slice(None, None, -(-len(rows) // JUDGED))
    return rows[every], series[every]


def _rows(bank: Bank, begin: Rows, end: Rows, horizon: int) -> tuple[Rows, Rows]:
    """Every first row of a forecast inside ``[begin, end)`` of its series, as a row of the bank, and the series."""
    rows, series = origins(begin, end, horizon)
    return rows + bank.begin[series], series


@contextmanager
def _one_thread() -> Iterator[None]:
    """Nets this small lose more by handing work over than a second thread gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
