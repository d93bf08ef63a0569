"""``Forecaster``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError
from ..estimator import seed_of
from ..recipe import Recipe
from ..watch import Record, Watch
from . import storage
from .ahead import ahead, to_frame
from .grid import Grid
from .learning import Trainer
from .panel import Columns, Panel, Series
from .paths import continued
from .reading import read_panel
from .settings import Settings
from .training import prepare, train

Array = NDArray[np.float64]


class Forecaster(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
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

    Args:
        model: ``lstm``, ``gru``, ``rnn`` (step by step), ``direct``, ``segment`` (the horizon at once) or ``auto``.
        horizon: rows ahead. Default: a season, or 12. Beyond it ``predict(X)`` goes on from its own forecasts.
        lookback: rows that a forecast reads. Default: by the model.
        season: rows in a season, 1 for none. Default: found.
        quantiles: what ``predict_quantiles`` gives; 0.5 is always among them.
        distribution: ``gaussian`` or ``student-t``, which a window model writes in the place of quantiles.
        time, target, id, known, observed, static: columns of a table; all but ``time`` and ``id`` are lists of names.
        layout: ``long``, or ``rows`` where each row of a table is a whole series.
        gaps: what missing values are: an error (``refuse``), left out (``mask``), the last value (``fill``); ``ignore``
            takes rows as equally spaced, whatever their times say.
        cell, hidden, layers, dropout, segment, seeds, windows, base, calendar, log: of the networks, as
            ``statewise forecast --help`` describes them.
        epochs, batch, learning_rate, patience: of the training. Default: by the model.
        random_state: seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one.
        device: ``cpu``, ``cuda`` or ``cuda:1``.

    Attributes:
        model_: the trained ``Model``.
        history_: the loss curve, a list of records.
        horizon_: rows ahead.
        n_features_in_: columns of ``X``, where arrays were fitted.

    Example:
        >>> forecaster = Forecaster(horizon=12).fit(values)
        >>> forecaster.predict()
    """

    def __init__(
        self,
        *,
        model: str = "auto",
        horizon: int | None = None,
        lookback: int | None = None,
        season: int | None = None,
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        distribution: str | None = None,
        time: str | None = None,
        target: Any = (),
        id: str | None = None,
        known: Any = (),
        observed: Any = (),
        static: Any = (),
        layout: str = "long",
        gaps: str = "refuse",
        cell: str = "gru",
        hidden: int | None = None,
        layers: int = 1,
        dropout: float | None = None,
        segment: int | None = None,
        seeds: int | None = None,
        windows: int = 60_000,
        base: str = "auto",
        calendar: bool = True,
        log: bool | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        patience: int | None = None,
        random_state: Any = 0,
        device: str = "cpu",
    ) -> None:
        self.model = model
        self.horizon = horizon
        self.lookback = lookback
        self.season = season
        self.quantiles = quantiles
        self.distribution = distribution
        self.time = time
        self.target = target
        self.id = id
        self.known = known
        self.observed = observed
        self.static = static
        self.layout = layout
        self.gaps = gaps
        self.cell = cell
        self.hidden = hidden
        self.layers = layers
        self.dropout = dropout
        self.segment = segment
        self.seeds = seeds
        self.windows = windows
        self.base = base
        self.calendar = calendar
        self.log = log
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.patience = patience
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Forecaster:
        """Train on the values ``y`` with covariates ``X``, or on the table or array ``X`` alone.

        Raises ``InputError``, a ValueError, where they or an argument can't be used.
        """
        settings = self._settings()
        self.shape_ = _shape(X if y is None else y)
        if y is not None:
            panel = _of_arrays(X, y, self.gaps)
            self.n_features_in_ = _features(X).shape[1]
        elif self.shape_ is not None:
            panel = _of_arrays(np.zeros((self.shape_[0], 0)), X, self.gaps)
        else:
            panel = read_panel(X, self._columns(), gaps=self.gaps)
        prepared = prepare(panel, settings, gaps=self.gaps, test_rows=0)
        recipe = self._recipe(prepared.recipe)
        curve = _Curve()
        self.model_ = replace(train(prepared, Trainer(recipe, curve)), dimensions=len(self.shape_ or ()))
        self.history_, self.horizon_ = curve.history, prepared.plan.horizon
        return self

    def predict(self, X: Any = None) -> Any:
        """The forecast, the median: an array for arrays, a polars frame for tables; see the class.

        Raises ``InputError`` for covariates or a table that can't be used.
        """
        check_is_fitted(self, "model_")
        if self.shape_ is None:
            return to_frame(ahead(self.model_, X), self.model_)
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

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained forecaster as one ``.safetensors`` file, which ``statewise forecast predict`` reads too."""
        check_is_fitted(self, "model_")
        storage.save(self.model_, Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Forecaster:
        """The forecaster in ``path``, also one that ``statewise forecast`` wrote; on the CPU.

        Of the arguments it has those of the network and the table; how it was trained isn't in the file. Raises
        ``InputError`` for any other file.
        """
        model = storage.load(Path(path))
        plan, columns = model.plan, model.columns
        same = {field.name for field in fields(Settings)} & set(cls().get_params()) - {"model"}
        forecaster: Forecaster = cls(
            model=plan.model,
            quantiles=plan.levels,
            distribution=None if plan.output == "quantiles" else plan.output,
            time=columns.time,
            target=columns.targets,
            id=columns.id,
            known=columns.known,
            observed=columns.observed,
            static=columns.static,
            layout=columns.layout,
            gaps=model.gaps,
        )
        forecaster.set_params(**{name: getattr(plan, name) for name in same if hasattr(plan, name)})
        forecaster.model_, forecaster.history_, forecaster.horizon_ = model, [], plan.horizon
        forecaster.shape_ = None
        if model.dimensions:
            forecaster.shape_ = (0,) if model.dimensions == 1 else (0, len(columns.targets))
            forecaster.n_features_in_ = len(columns.known)
        return forecaster

    def _settings(self) -> Settings:
        return Settings(
            model=self.model,
            cell=self.cell,
            horizon=self.horizon,
            lookback=self.lookback,
            season=self.season,
            levels=tuple(self.quantiles),
            output=self.distribution or "quantiles",
            hidden=self.hidden,
            layers=self.layers,
            dropout=self.dropout,
            segment=self.segment,
            seeds=self.seeds,
            windows=self.windows,
            base=self.base,
            calendar=self.calendar,
            log=self.log,
        )

    def _recipe(self, defaults: Recipe) -> Recipe:
        given = {name: getattr(self, name) for name in ("epochs", "batch", "learning_rate", "patience")}
        given = {name: value for name, value in given.items() if value is not None}
        return replace(defaults, **given, seed=seed_of(self.random_state), device=self.device)

    def _columns(self) -> Columns:
        def names(given: Any) -> tuple[str, ...]:
            return (given,) if isinstance(given, str) else tuple(given)

        return Columns(
            self.time,
            self.id,
            names(self.target),
            names(self.known),
            names(self.observed),
            names(self.static),
            self.layout,
        )

    def _continued(self, X: Any, *, spread: bool = True) -> Array:
        """The quantiles of all rows of ``X``, or of the horizon, (rows, channels, Q); ``spread`` as there."""
        known = None if X is None else _features(X)
        if known is None:
            if self.model_.known.columns:
                names = len(self.model_.known.columns)
                raise InputError(f"predict: expected X, the {names} covariates of the rows to forecast, got nothing")
            known = np.zeros((self.horizon_, 0))
        width = len(self.model_.known.columns)
        if known.shape[1] != width:
            raise InputError(f"predict: expected X with {width} columns as in fit, got {known.shape[1]}")
        return continued(self.model_, known, spread=spread).transpose(1, 0, 2)

    def _shaped(self, forecast: Array) -> Array:
        """(rows, channels, ...) without the channels where one series was fitted as (n,)."""
        assert self.shape_ is not None
        return forecast if len(self.shape_) == 2 else forecast[:, 0]


class _Curve(Watch):
    """Keeps the loss curve."""

    def __init__(self) -> None:
        self.history: list[Record] = []

    def record(self, record: Record) -> None:
        self.history.append(record)


_NAME = "y"


def _shape(values: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of a list of numbers; None for a table."""
    if isinstance(values, (list, tuple, np.ndarray)) and not getattr(np.asarray(values).dtype, "names", None):
        return np.asarray(values).shape
    if isinstance(values, pl.Series):
        return (len(values),)
    return None


def _features(X: Any) -> Array:
    """``X`` as (n, columns) numbers."""
    features = np.asarray(X.to_numpy() if hasattr(X, "to_numpy") else X)
    if features.ndim == 1 and len(features):
        features = features[:, None]
    if features.ndim != 2 or features.dtype.kind not in "biuf":
        raise InputError(f"X: expected numbers of the shape (n, columns), got {features.dtype} {features.shape}")
    return features.astype(np.float64)


def _of_arrays(X: Any, y: Any, gaps: str) -> Panel:
    """The panel of the columns of ``y`` with the covariates ``X``."""
    values = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
    if values.ndim not in (1, 2) or values.dtype.kind not in "biuf" or 0 in values.shape:
        raise InputError(f"y: expected numbers of the shape (n,) or (n, channels), got {values.dtype} {values.shape}")
    features = _features(X)
    if len(features) != len(values):
        raise InputError(f"expected as many rows of X as of y, got {len(features)} and {len(values)}")
    names = (_NAME,) if values.ndim == 1 else tuple(f"{_NAME}{c}" for c in range(values.shape[1]))
    known = tuple(f"x{c}" for c in range(features.shape[1]))
    frame = pl.DataFrame(
        {
            **dict(zip(names, values.reshape(len(values), -1).T.astype(np.float64), strict=True)),
            **dict(zip(known, features.T, strict=True)),
        }
    )
    columns = Columns(time=None, targets=names, known=known)
    return _array_panel(frame, columns, gaps)


def _array_panel(frame: pl.DataFrame, columns: Columns, gaps: str) -> Panel:
    """The panel of a frame that has no column of times, however its columns look."""
    targets = {name: frame[name].to_numpy() for name in columns.targets}
    for name, values in targets.items():
        if np.isinf(values).any() or (np.isnan(values).any() and gaps in ("refuse", "ignore")):
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"{name}, row {row}: expected a finite number, got {values[row]}; gaps='mask' leaves NaN out"
            )
    known = {name: frame[name].to_numpy() for name in columns.known}
    for name, values in known.items():
        if not np.isfinite(values).all():
            raise InputError(f"X: expected finite numbers, column {name} has {values[~np.isfinite(values)][0]}")
    labels = [str(row + 1) for row in range(len(frame))]
    series = tuple(_series(name, values, labels, known, gaps) for name, values in targets.items())
    return Panel("series", "the array", series, Grid(), columns)


def _series(name: str, values: Array, labels: list[str], known: dict[str, Array], gaps: str) -> Series:
    there = np.flatnonzero(np.isfinite(values))
    if not len(there) or there[-1] != len(values) - 1:
        raise InputError(f"{name}: the last value must be there, it is what a forecast continues")
    first = int(there[0])
    filled = np.isnan(values[first:]) if gaps == "fill" else None
    if gaps == "fill":
        values = values[np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), first))]
    cells = {c: column[first:] for c, column in known.items()}
    return Series(name, first, values[first:], labels[first:], cells, filled)
