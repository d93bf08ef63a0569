"""``ForecastRegressor``: the job for arrays, as scikit-learn's other regressors."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ...errors import InputError
from ...estimator import Estimator, Stream, pair_of
from .ahead import forecast_ahead
from .config import ForecastConfig
from .dataset import EncodedSeries
from .forecaster import FittedSeries, SeriesStream
from .model import Model
from .panel import array_panel, features
from .series import joined
from .split import Array

if TYPE_CHECKING:
    from .training import ForecastProblem


@dataclass(kw_only=True, eq=False, repr=False)
class ForecastRegressor(FittedSeries, RegressorMixin, Estimator, ForecastConfig):  # type: ignore[misc]
    """A ``Forecaster`` for arrays, with scikit-learn's conventions.

    ``fit(X, y)`` takes ``y`` (n,) or (n, channels), the values in the order of time, and ``X`` (n, columns), what is
    known of each row ahead of time, such as prices or holidays; no columns, (n, 0), where nothing is. ``predict(X)``
    continues ``y`` by as many rows as ``X`` has, told what is known of them. So ``cross_val_score(regressor, X, y,
    cv=TimeSeriesSplit())`` is a backtest: each fold continues the one that was learnt from. A split that shuffles makes
    no sense here. ``fit(y)`` is ``fit(X, y)`` without covariates.

    Attributes:
        model_: the trained ``Model``.
        history_: the loss curve, a list of records.
        horizon_: rows ahead.
        n_features_in_: columns of ``X``.

    Example:
        >>> regressor = ForecastRegressor(horizon=12).fit(X, y)
        >>> regressor.predict(X_of_the_rows_to_come)
    """

    configuration: ClassVar[type[ForecastConfig]] = ForecastConfig
    model_class: ClassVar[type[Model]] = Model

    def predict(self, X: Any = None) -> Array:
        """The forecast of each row of ``X``, or of the horizon, the median: (rows,) or (rows, channels).

        Raises ``InputError`` for covariates that can't be used.
        """
        check_is_fitted(self, "model_")
        return self._shaped(self._quantiles(X, spread=False)[..., self.model_.plan.median])

    def predict_quantiles(self, X: Any = None) -> Array:
        """The quantiles of each row of ``X``, or of the horizon, rising: (rows, Q) or (rows, channels, Q).

        Beyond the horizon they are those of many paths that the forecast might take, so their errors add up.
        """
        check_is_fitted(self, "model_")
        return self._shaped(self._quantiles(X))

    def stream(self, rows: int | None = None) -> Stream:
        """Go on from the last rows that were fitted, as ``Forecaster.stream``; ``rows`` has no meaning here."""
        check_is_fitted(self, "model_")
        return SeriesStream(self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ForecastRegressor:
        """What is in ``path``, also where a command wrote it. Raises ``InputError`` for any other file."""
        found = super().load(path)
        if not found.model_.dimensions:
            raise InputError(f"{path}: has learnt a table; Forecaster.load reads it")
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # by their covariates alone: rows in another order are another series
        return tags

    def _problem(
        self, config: ForecastConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None
    ) -> ForecastProblem:
        known, values = (np.zeros((len(X), 0)), X) if y is None else (X, y)
        panel, held = array_panel(known, values, self.gaps), None
        if eval_set is not None:
            after, truth = (np.zeros((len(eval_set), 0)), eval_set) if y is None else pair_of(eval_set)
            later = array_panel(after, truth, self.gaps)
            panel, held = joined(panel, later), max(map(len, later.series))
        from .training import prepare

        return prepare(panel, config, test_rows=0, dimensions=np.asarray(values).ndim, held=held, like=like)

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.n_features_in_ = len(model.columns.known)

    def _quantiles(self, X: Any, *, spread: bool = True) -> Array:
        """The quantiles of all rows of ``X``, or of the horizon, (channels, rows, Q); ``spread`` as there."""
        model, known = self.model_, None if X is None else features(X)
        width = len(model.known.columns)
        if known is None:
            if width:
                raise InputError(f"predict: expected X, the {width} covariates of the rows to forecast, got nothing")
            known = np.zeros((self.horizon_, 0))
        if known.shape[1] != width:
            hint = ". Reshape your data: one row is an array (1, columns)" if np.ndim(X) == 1 else ""
            raise InputError(f"predict: expected X with {width} columns as in fit, got {known.shape[1]}{hint}")
        cells = {column.name: known[:, c] for c, column in enumerate(model.known.columns)}
        told = model.known.encode("X", cells, [str(row) for row in range(len(known))], len(known))
        series = [_told(tail, told) for tail in model.tails]
        return forecast_ahead(model, series, rows=len(known), spread=spread).quantiles


def _told(series: EncodedSeries, known: Array) -> EncodedSeries:
    """``series`` with what is ``known`` (F, K) of the rows behind its end."""
    past = series.known[: len(series.values)]
    return EncodedSeries(series.name, series.first, series.values, np.concatenate([past, known]), series.observed)
