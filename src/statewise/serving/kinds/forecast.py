"""Forecasters.

What has come since its training a model hears of each client by itself: two may each have a series of one name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field, create_model

from ...jobs.artifacts.model_file import Kernels
from ...jobs.errors import InputError
from ...jobs.tasks.forecast.ahead import Forecast, forecast_each
from ...jobs.tasks.forecast.answer import shares_of
from ...jobs.tasks.forecast.dataset import EncodedSeries
from ...jobs.tasks.forecast.model import Model
from ...jobs.tasks.forecast.panel import read_panel
from ..limits import Limits
from .base import Array, Operation, Served, Shape, listed

SHOWN = 200  # of the last values of a series


class Quantile(Shape):
    """Values that a share of what may come is below."""

    share: float
    values: list[float | None]


class Forecasted(Shape):
    """One series."""

    name: str
    last: list[float | None] = Field(description=f"its last values, {SHOWN} at most")
    times: list[str] = Field(description="of the rows to come")
    values: list[float | None] = Field(description="the forecast, the median")
    quantiles: list[Quantile]


class Forecasts(Shape):
    """All series."""

    series: list[Forecasted]


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """What follows the newest rows of series."""
    model = Model.load(path, kernels)

    def compute(asked: Sequence[Any]) -> list[Any]:
        outcomes: list[Any] = [read_or_refused(told) for told in asked]
        there = [k for k, each in enumerate(outcomes) if not isinstance(each, InputError)]
        for k, found in zip(there, forecast_each(model, [outcomes[k][1] for k in there]), strict=True):
            shares, (series, *_) = outcomes[k]
            outcomes[k] = answer(shares, series, found)
        return outcomes

    def read_or_refused(told: Any) -> Any:
        try:
            return read(told)
        except InputError as error:
            return error

    def read(told: Any) -> tuple[Any, tuple[Any, Any, int]]:
        """The shares that are asked for, and what ``forecast_each`` takes: series, labels, rows."""
        shares, labels, series = shares_of(told.level, model.plan.quantiles), None, list(model.tails)
        if told.rows is not None:
            panel = read_panel(_frame(told.rows), model.columns, gaps=model.plan.gaps, grid=model.grid)
            labels = [each.labels[len(each) :] for each in panel.series]
            series = model.encode(panel)
        horizon = told.horizon or model.plan.horizon
        numbers = len(series) * horizon * (1 + len(shares))
        if numbers > limits.answer:
            raise InputError(f"expected an answer of {limits.answer} numbers at most, this one would have {numbers}")
        return shares, (series, labels, horizon)

    def answer(shares: Sequence[float], series: Sequence[EncodedSeries], found: Forecast) -> dict[str, Any]:
        quantiles = model.at_shares(found.quantiles, shares, found.floor)  # (S, H, K)
        return {
            "series": [
                {
                    "name": name,
                    "last": _plain(each.values[-SHOWN:]),
                    "times": times,
                    "values": _plain(values[:, shares.index(0.5)]),
                    "quantiles": [
                        {"share": share, "values": _plain(values[:, k])}
                        for k, share in enumerate(shares)
                        if share != 0.5
                    ],
                }
                for name, each, times, values in zip(found.names, series, found.labels, quantiles, strict=True)
            ]
        }

    cell = str | float | int | bool | None
    row = Annotated[dict[str, cell], Field(max_length=1000)]
    percent = Annotated[float, Field(gt=0, lt=100)]
    asked = create_model(
        "ForecastRequest",
        __base__=Shape,
        rows=(
            listed(row, 1, limits.length) | None,
            Field(None, description="the newest rows, oldest first; by default those that the model has seen last"),
        ),
        horizon=(
            Annotated[int, Field(ge=1, le=limits.length)] | None,
            Field(None, description=f"rows ahead, {model.plan.horizon} by default"),
        ),
        level=(
            listed(percent, 0, 20) | None,
            Field(None, description="intervals, in per cent; by default the quantiles that the model has learnt"),
        ),
    )
    operation = Operation(
        "forecast", "What follows the newest rows of series.", asked, Forecasts, lambda told: told, compute
    )
    columns = model.columns
    return Served([operation], about={"columns": [*columns.id, columns.time, *columns.target, *columns.known]})


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"rows: expected one kind of value in a column: {str(error)[:200]}") from None


def _plain(values: Array) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
