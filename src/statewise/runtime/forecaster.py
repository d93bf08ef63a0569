"""A forecaster: series of numbers go on, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from .network import Array


class Forecaster:
    """Continues the series that it has learnt, from where it has heard them. Calls change nothing in it."""

    def __init__(self, model: Any) -> None:
        """Of a model of the job's."""
        self._model = model
        self.names: list[str] = list(model.names)
        """Of the S series."""
        self.horizon: int = model.plan.horizon
        """Rows ahead."""
        self.shares: tuple[float, ...] = model.plan.quantiles
        """Which quantiles it has learnt: 0.5 is the forecast itself."""

    def run(self, rows: int | None = None, *, level: Any = None) -> Array:
        """The quantiles of the rows to come of each series: (S, rows, Q), rising.

        Args:
            rows: how many. Default: the horizon. Further ahead errors add up, by simulated paths.
            level: intervals in per cent, such as ``(80, 95)``: the quantiles are their ends and the median, 0.5.
                Default: those that were learnt.

        Raises:
            ValueError: the model needs covariates of the rows to come, which only ``predict`` takes.
        """
        from ..jobs.tasks.forecast.ahead import forecast_ahead
        from ..jobs.tasks.forecast.answer import shares_of

        model = self._model
        found = forecast_ahead(model, model.tails, rows=rows)
        return np.asarray(model.at_shares(found.quantiles, shares_of(level, self.shares), found.floor))

    def paths(self, count: int, rows: int | None = None, *, seed: int = 0) -> Array:
        """``count`` ways that the ``rows`` may go: (count, S, rows). Their steps hang together as real ones did.

        ``rows`` is the horizon by default; the same ``seed`` draws the same.
        """
        from ..jobs.tasks.forecast.ahead import forecast_ahead

        found = forecast_ahead(self._model, self._model.tails, rows=rows, samples=count, seed=seed).quantiles
        return np.moveaxis(found, -1, 0)

    def after(self, values: Any) -> Forecaster:
        """The forecaster once ``values`` (S, h) have come, the next rows of each series.

        It goes on from there, its intervals wider or narrower by how well the last forecasts did. ValueError for
        anything else, and where the model reads covariates beside the series.
        """
        from ..jobs.tasks.forecast.newer import after

        came = np.asarray(values, np.float64)
        if came.ndim != 2 or len(came) != len(self.names) or not np.isfinite(came).all():
            raise ValueError(f"expected finite numbers ({len(self.names)}, h), the next rows, got {came.shape}")
        if self._model.columns.covariates:
            raise ValueError("the model reads covariates beside the series: use predict, with a table")
        return Forecaster(after(self._model, came))

    def predict(self, table: Any = None, rows: int | None = None, *, level: Any = None) -> Any:
        """What follows the series of ``table``, a frame or a file, as a table: see ``statewise.jobs.Forecaster``.

        ``rows`` is how many, by default the horizon, ``level`` the intervals in per cent, such as ``(80, 95)``.

        It needs polars and narwhals, which nothing else here does.
        """
        return self._model.predict(table, rows=rows, level=level)[1]
