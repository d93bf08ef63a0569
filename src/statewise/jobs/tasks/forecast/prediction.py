"""From a table to what follows its series, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.frames import FrameKind
from ...errors import remark
from .ahead import Forecast, forecast_ahead, told_ahead
from .answer import Words, shares_of
from .config import Columns
from .dataset import EncodedSeries
from .panel import read_panel
from .split import Array

if TYPE_CHECKING:
    from .model import Model

FAR_OFF = 3.0  # times the range of what was learnt from


def predict(
    model: Model,
    source: Any = None,
    *,
    ahead: Any = None,
    rows: int | None = None,
    level: Any = None,
    samples: int = 0,
    seed: int = 0,
    text: bool = False,
) -> tuple[Forecast, Any]:
    """What follows the series of ``source``, a file or a frame, and that as a table; None: those seen last.

    ``rows``, ``samples`` and ``seed`` are those of ``forecast_ahead``, ``level`` the intervals in per cent; None: the
    quantiles that were learnt. ``ahead`` is another table, of the covariates of rows to come; None: they are in
    ``source``. With ``text`` the table is CSV.
    """
    shares = shares_of(level, model.plan.quantiles)
    if source is None:
        heads, words = model.heads, Words(model.columns, model.grid, model.layout or _text(model.columns))
        tails = model.tails if ahead is None else told_ahead(model, model.tails, heads, ahead)
        found = forecast_ahead(model, tails, rows=rows, samples=samples, seed=seed)
    else:
        panel = read_panel(source, model.columns, gaps=model.plan.gaps, grid=model.grid)
        heads, words = tuple(one.head for one in panel.series), Words(model.columns, model.grid, panel.kind)
        labels = [series.labels[len(series) :] for series in panel.series]
        series = model.encode(panel)
        series = series if ahead is None else told_ahead(model, series, heads, ahead)
        found = forecast_ahead(model, series, labels, rows, samples=samples, seed=seed)
        _look_at(model, panel.source, series)
    said = words.text if text else words.table
    if samples:
        return found, said(heads, found.places, found.labels, (), found.quantiles)
    quantiles = model.at_shares(found.quantiles, shares, found.floor)
    return found, said(heads, found.places, found.labels, shares, quantiles)


def _look_at(model: Model, where: str, series: Sequence[EncodedSeries]) -> None:
    """Remark series that are shorter than what a forecast reads, and values far off those that were learnt from."""
    read = model.linear.lookback if model.linear else model.learner.before
    short = [each for each in series if len(each.values) < read]
    if short:
        remark(
            f"{where}: series {short[0].name!r}{_and_more(short)}: {len(short[0].values)} rows, the model looks"
            f" back at {read}; those before count as the first one"
        )
    known = {tail.name: tail.values for tail in model.tails}
    far = [each for each in series if each.name in known and _far(each.values, known[each.name])]
    if far:
        name, (low, high) = far[0].name, _range(far[0].values)
        learnt = _range(known[name])
        remark(
            f"{where}: series {name!r}{_and_more(far)}: values from {low:g} to {high:g}, far off those that the"
            f" model saw last, {learnt[0]:g} to {learnt[1]:g}"
        )


def _range(values: Array) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _far(values: Array, known: Array) -> bool:
    """Whether the middle of the last ``values``, as many as ``known``, is ``FAR_OFF`` times the range of those away."""
    low, high = _range(known)
    last = values[-len(known) :]
    last = last[np.isfinite(last)]
    middle = float(np.median(last)) if len(last) else low
    return max(low - middle, middle - high) > FAR_OFF * ((high - low) or abs(high) or 1.0)


def _and_more(series: Sequence[EncodedSeries]) -> str:
    return f" and {len(series) - 1} more" if len(series) > 1 else ""


def _text(columns: Columns) -> FrameKind:
    """What tables were answered with before their kind was noted."""
    return FrameKind(types=dict.fromkeys((*columns.id, columns.time or ""), ("String",)))
