"""What a model learns of rows that have come since training: how wide its intervals are, and where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from .dataset import EncodedSeries, window_values
from .following import follow
from .intervals import longer
from .series import Panel
from .split import Array, Rows, origins

if TYPE_CHECKING:
    from .model import Model

MOST_HEARD = 1000  # of the rows that have come since training, the last ones, tell how wide intervals are


def forecast_following(
    model: Model, series: Sequence[EncodedSeries], rows: Rows, of: Rows, real: Array
) -> tuple[Array, Array, Model]:
    """The quantiles from ``rows`` on, of intervals that learn from what has come before, and of those that don't.

    ``real`` (n, H) came, NaN where nothing did. The third is the model that has heard all of it.
    """
    found, floor = model.calibrated(series, rows, of), model.floor(series, rows, of)
    stretch, heard = _following(model, found, series, rows, of, real)
    still = model.stretch_of(series)[of]
    following, still = (model.finished(found, each, floor) for each in (stretch, still))
    return following, still, heard


def _following(
    model: Model, found: Array, series: Sequence[EncodedSeries], rows: Rows, of: Rows, real: Array
) -> tuple[Array, Model]:
    """The stretch at each origin of forecasts ``found`` (n, H, Q), and the model that has heard what came."""
    start = model.stretch_of(series)
    stretch, last = follow(found, real, rows, of, start, model.plan)
    place = {each.name: s for s, each in enumerate(series)}
    known = [(s, place[name]) for s, name in enumerate(model.names) if name in place]
    heard = model.stretch_of(model.tails) if model.tails else start.copy()
    for s, mine in known:
        heard[s] = last[mine]
    return stretch, replace(model, stretch=heard)


def hear(model: Model, series: Sequence[EncodedSeries]) -> Model:
    """The model that has heard the values of the series it has learnt that have come since."""
    return hear_each(model, [series])[0]


def hear_each(model: Model, asked: Sequence[Sequence[EncodedSeries]]) -> list[Model]:
    """``hear`` for several, each for itself: the forecasts that the values are held against are made at once."""
    told = [_news(model, series) for series in asked]
    every, rows, of = list[EncodedSeries](), list[Rows](), list[Rows]()
    for new, at, whose, _ in told:
        rows.append(at)
        of.append(whose + len(every))
        every += new
    heard, count = [model] * len(told), sum(map(len, rows))
    if not count:
        return heard
    found = model.calibrated(every, np.concatenate(rows), np.concatenate(of))
    parts = np.split(found, np.cumsum([len(at) for at in rows])[:-1])
    for k, ((new, at, whose, real), part) in enumerate(zip(told, parts, strict=True)):
        if len(at):
            heard[k] = _following(model, part, new, at, whose, real)[1]
    return heard


def _news(model: Model, series: Sequence[EncodedSeries]) -> tuple[list[EncodedSeries], Rows, Rows, Array]:
    """The series of which there are new values, the origins and series of forecasts of these, and what came."""
    ends = {tail.name: tail.first + len(tail.values) for tail in model.tails}
    new = [each for each in series if ends.get(each.name, np.inf) < each.first + len(each.values)]
    horizon = model.plan.horizon
    if not new:
        return [], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, horizon))
    whole = horizon if model.known.columns else 1  # what is known of a row further ahead may not be there
    came = np.array([ends[each.name] - each.first for each in new])  # rows that were heard before
    end = np.array([len(each.values) for each in new]) - whole + 1
    begin = np.maximum(np.maximum(came - horizon + 1, model.memory), end - MOST_HEARD)
    rows, of = origins(begin, end, 1, max(1, horizon // 8))
    padded = [replace(each, values=np.append(each.real, np.full(horizon, np.nan)), filled=None) for each in new]
    real = window_values(padded, rows, of, horizon)
    real[rows[:, None] + np.arange(horizon) < came[of][:, None]] = np.nan
    return new, rows, of, real


def after(model: Model, values: Array) -> Model:
    """The model once ``values`` (S, h) have come."""
    newer = longer(model, model.tails, values, model.kept)
    return make_tails(hear(model, newer), newer)


def updated(model: Model, panel: Panel) -> Model:
    """The model once the rows of ``panel`` have come that follow those it has heard; older ones change nothing.

    Raises ``InputError`` for a series that is new, and for one that doesn't go on where it ended.
    """
    later = {each.name: each for each in model.encode(panel)}
    if new := [name for name in later if name not in model.names]:
        raise InputError(f"{panel.source}: series {new[0]!r} is new: predict takes new series, fit learns them")
    counted = model.grid.unit == "row"
    newer = [_followed(panel.source, tail, later.get(tail.name), counted=counted) for tail in model.tails]
    return make_tails(hear(model, newer), newer)


def make_tails(model: Model, series: Sequence[EncodedSeries]) -> Model:
    """``model`` with the ends of ``series``, so that it can go on from them, and hear how its last forecasts did."""
    return replace(model, tails=tuple(each.tail(model.kept) for each in series))


def _followed(where: str, tail: EncodedSeries, after: EncodedSeries | None, *, counted: bool) -> EncodedSeries:
    """``tail`` with the rows of ``after`` behind it. Where rows are ``counted`` these are the next ones."""
    if after is None:
        return tail
    count, end = len(tail.values), tail.first + len(tail.values)
    heard = 0 if counted else end - after.first  # rows of it that aren't new
    if heard < 0:
        raise InputError(
            f"{where}: series {tail.name!r} begins {-heard} rows too late: expected the rows after the last one heard"
        )
    if heard >= len(after.values):
        return tail
    new = np.zeros(len(after.values), np.bool_) if after.filled is None else after.filled
    return replace(
        tail,
        values=np.concatenate([tail.values, after.values[heard:]]),
        known=np.concatenate([tail.known[:count], after.known[heard:]]),
        observed=np.concatenate([tail.observed, after.observed[heard:]]),
        filled=np.concatenate([np.zeros(count, np.bool_), new[heard:]]),
    )
