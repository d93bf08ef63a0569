"""``Forecaster``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ...config import part_of, short
from ...errors import InputError
from ...estimator import Estimator, Stream, pair_of
from .config import Columns, ForecastConfig
from .intervals import continued, longer
from .model import Model
from .panel import Panel, array_panel, features, joined, read_panel
from .split import Array
from .training import ForecastProblem, prepare


@dataclass(kw_only=True, eq=False, repr=False)
class Forecaster(RegressorMixin, Estimator, Columns, ForecastConfig):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that continues one series or many.

    There are two ways to use it.

    *Arrays*, as scikit-learn's other regressors: ``fit(X, y)`` with ``y`` (n,) or (n, channels), the values in the
    order of time, and ``X`` (n, columns) what is known of each row ahead of time, such as prices or holidays; no
    columns, (n, 0), where nothing is. ``predict(X)`` continues ``y`` by as many rows as ``X`` has, told what is known
    of them. So ``cross_val_score(forecaster, X, y, cv=TimeSeriesSplit())`` is a backtest: each fold continues the one
    that was learnt from. A split that shuffles makes no sense here.

    *Tables*: ``fit(table)`` with a CSV or Parquet file or a frame of polars, pandas or Arrow, its columns named by the
    arguments below; ``predict()`` continues every series by the horizon, ``predict(table)`` the series in another
    table. Both give a polars frame with a row for each series and step. ``fit(values)`` with an array (n,) or
    (n, channels) is ``fit(X, y)`` without covariates; ``predict()`` gives an array then.

    The last tenth of the rows, or more where that is no three horizons, decides when training stops, and how wide the
    intervals are. A short series is learnt from as a whole in the end.

    Attributes:
        model_: the trained ``Model``.
        history_: the loss curve, a list of records.
        horizon_: rows ahead.
        n_features_in_: columns of ``X``, where arrays were fitted.

    Example:
        >>> forecaster = Forecaster(horizon=12).fit(values)
        >>> forecaster.predict()
    """

    configuration: ClassVar[type[ForecastConfig]] = ForecastConfig
    model_class: ClassVar[type[Model]] = Model

    def _problem(
        self, config: ForecastConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None
    ) -> ForecastProblem:
        (panel, dimensions), held = self._panel(X, y), None
        if eval_set is not None:
            after, truth = (eval_set, None) if y is None else pair_of(eval_set)
            later, _ = self._panel(after, truth, panel)
            panel, held = joined(panel, later), max(map(len, later.series))
        return prepare(panel, config, test_rows=0, dimensions=dimensions, held=held, like=like)

    def _panel(self, X: Any, y: Any, before: Panel | None = None) -> tuple[Panel, int]:
        """The series of ``X`` and ``y``, and of how many dimensions their array is, 0: none; read as ``before``."""
        shape = _shape(X) if y is None else np.asarray(y).shape
        if shape is None:
            columns = part_of(Columns, self) if before is None else before.columns
            return read_panel(X, columns, gaps=self.gaps, grid=None if before is None else before.grid), 0
        known, values = (np.zeros((shape[0] if shape else 0, 0)), X) if y is None else (X, y)
        return array_panel(known, values, self.gaps), len(shape)

    def predict(self, X: Any = None) -> Any:
        """The forecast, the median: an array for arrays, a polars frame for tables; see the class.

        Raises ``InputError`` for covariates or a table that can't be used.
        """
        check_is_fitted(self, "model_")
        if self.shape_ is None:
            return self.model_.forecast_frame(X)
        return self._shaped(self._continued(X, spread=False)[..., self.model_.plan.median])

    def predict_quantiles(self, X: Any = None) -> Array:
        """The quantiles, rising, as the last dimension: (rows, Q) or (rows, channels, Q). For arrays; tables have them.

        Beyond the horizon they are those of many paths that the forecast might take, so their errors add up.

        Raises ``InputError`` where a table was fitted.
        """
        check_is_fitted(self, "model_")
        if self.shape_ is None:
            raise InputError("predict_quantiles: a table was fitted; predict gives its quantiles as columns")
        return self._shaped(self._continued(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # by their covariates alone: rows in another order are another series
        return tags

    def stream(self, rows: int | None = None) -> Stream:
        """Go on from the last rows that were fitted, row by row: ``step`` takes what has come in the next row.

        That is a value, or one of each channel or series; it gives what ``predict()`` would if the series ended there.
        ``rows`` has no meaning here. Raises ``InputError`` where covariates have to be known of the rows to come.
        """
        check_is_fitted(self, "model_")
        if self.model_.columns.covariates:
            raise InputError("a stream is told values alone; the model reads covariates as well: use predict")
        return _SeriesStream(self)

    @classmethod
    def _arguments(cls, model: Model) -> dict[str, Any]:
        columns = Columns() if model.dimensions else model.columns
        return super()._arguments(model) | {each.name: getattr(columns, each.name) for each in fields(Columns)}

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.horizon_, self.shape_ = model.plan.horizon, None
        if model.dimensions:
            self.shape_ = (0,) if model.dimensions == 1 else (0, len(model.columns.target))
            self.n_features_in_ = len(model.columns.known)

    def _continued(self, X: Any, *, spread: bool = True) -> Array:
        """The quantiles of all rows of ``X``, or of the horizon, (rows, channels, Q); ``spread`` as there."""
        known = None if X is None else features(X)
        if known is None:
            if self.model_.known.columns:
                names = len(self.model_.known.columns)
                raise InputError(f"predict: expected X, the {names} covariates of the rows to forecast, got nothing")
            known = np.zeros((self.horizon_, 0))
        width = len(self.model_.known.columns)
        if known.shape[1] != width:
            hint = ". Reshape your data: one row is an array (1, columns)" if np.ndim(X) == 1 else ""
            raise InputError(f"predict: expected X with {width} columns as in fit, got {known.shape[1]}{hint}")
        return continued(self.model_, known, spread=spread).transpose(1, 0, 2)

    def _shaped(self, forecast: Array) -> Array:
        """(rows, channels, ...) without the channels where one series was fitted as (n,)."""
        assert self.shape_ is not None
        return forecast if len(self.shape_) == 2 else forecast[:, 0]


class _SeriesStream(Stream):
    """Forecasts after every row; ``state`` are the last rows of each series, as many as decide the next forecast."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster, self.state = copy(forecaster), forecaster.model_.tails

    def step(self, x: Any) -> Any:
        values = np.asarray(x, np.float64).reshape(-1, 1)
        if len(values) != len(self.state) or not np.isfinite(values).all():
            raise InputError(f"expected {len(self.state)} finite numbers, the next of each series, got {short(x)}")
        model = self.forecaster.model_
        self.state = tuple(longer(model, self.state, values, np.zeros((1, 0))))
        self.forecaster.model_ = replace(model, tails=self.state)
        return self.forecaster.predict()


def _shape(values: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of a list of numbers; None for a table."""
    if isinstance(values, (list, tuple, np.ndarray)) and not getattr(np.asarray(values).dtype, "names", None):
        return np.asarray(values).shape
    if isinstance(values, pl.Series):
        return (len(values),)
    return None
