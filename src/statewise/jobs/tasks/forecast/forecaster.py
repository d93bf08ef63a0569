"""``Forecaster``: the job for programs, with the conventions of forecasting; regressor.py has scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ...config import Count, Whole, checked, part_of, short
from ...errors import InputError
from ...estimator import Estimator, Stream
from ...lazy import LazyModule
from ...training.callbacks import Callback
from .ahead import Forecast, forecast_ahead
from .answer import Words, shares_of
from .config import Columns, ForecastConfig
from .model import Model
from .newer import after, hear, updated
from .panel import array_panel, read_panel
from .series import Panel, joined
from .split import Array, Rows

if TYPE_CHECKING:
    import polars as pl

    from .training import ForecastProblem
else:
    pl = LazyModule("polars")


class FittedSeries:
    """What the classes share: what a trained ``Model`` says of the length and the shape of its forecasts."""

    model_: Model
    horizon_: int
    shape_: tuple[int, ...] | None
    """() where one series was fitted as (n,), (channels,) of an array (n, channels), None of a table."""

    def _take(self, model: Model) -> None:
        self.model_, self.horizon_, self.shape_ = model, model.plan.horizon, None
        if model.dimensions:
            self.shape_ = () if model.dimensions == 1 else (len(model.columns.target),)

    def _shaped(self, quantiles: Array) -> Array:
        """(channels, rows, ...) as (rows, channels, ...), without the channels where one series was fitted as (n,)."""
        return quantiles.swapaxes(0, 1) if self.shape_ else quantiles[0]


@dataclass(kw_only=True, eq=False, repr=False)
class Forecaster(FittedSeries, Estimator, Columns, ForecastConfig):
    """A recurrent network, and what is simple beside it, that continue one series or many.

    ``fit(df)`` takes a frame of polars, pandas or Arrow, or a CSV or Parquet file. Tables as Nixtla's (``unique_id``,
    ``ds``, ``y``), Prophet's and AutoGluon's (``item_id``, ``timestamp``, ``target``) need no further word; of others
    the arguments below name the columns, where there is more than one that each could be. ``predict()`` continues every
    series by the horizon, ``predict(df)`` those of another table, such as one with newer rows; ``h`` is another
    horizon, shorter or longer, ``level`` the intervals in per cent. What comes back is the same kind of frame, with ids
    and times of the same names and types, in the same convention: see docs/jobs/forecast.md.

    ``fit(values)`` takes plain numbers as well, (n,) or (n, channels) in the order of time; forecasts are arrays then.

    The last tenth of the rows, or more where that is no three horizons, decides when training stops, and how wide the
    intervals are. A short series is learnt from as a whole in the end.

    Attributes:
        model_: the trained ``Model``.
        history_: the loss curve, a list of records.
        horizon_: rows ahead.

    Example:
        >>> forecaster = Forecaster(horizon=12).fit(df)
        >>> forecaster.predict(level=[80, 95])
    """

    configuration: ClassVar[type[ForecastConfig]] = ForecastConfig
    model_class: ClassVar[type[Model]] = Model

    def fit(
        self,
        df: Any,
        y: None = None,
        *,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Forecaster:
        """Learn the series in ``df``, a table or plain numbers.

        Args:
            df: what to learn from.
            y: nothing: what is forecast is in ``df``.
            eval_set: the rows that follow, to validate with in the place of the last ones of ``df``.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written where training stands; a ``fit`` that was broken off goes on from there.

        With ``warm_start`` a network that is trained already goes on from its weights, as with ``partial_fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        return super().fit(df, y, eval_set=eval_set, callbacks=callbacks, folder=folder)

    def partial_fit(
        self,
        df: Any,
        y: None = None,
        *,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Forecaster:
        """Train the network further on ``df``, with the scales and covariates that it has got used to (fine-tuning).

        Args:
            df: what to learn from, as in ``fit``.
            y: nothing: what is forecast is in ``df``.
            eval_set: the rows that follow, to validate with in the place of the last ones of ``df``.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written where training stands, as in ``fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        return super().partial_fit(df, y, eval_set=eval_set, callbacks=callbacks, folder=folder)

    def update(self, df: Any) -> Forecaster:
        """Take in newer rows: forecasts go on from them, and intervals follow them. Networks aren't trained.

        ``df`` is a table or values as in ``fit``, of some series or all; rows that were there already change nothing,
        and needn't be in it. Of values, and of tables without times, all rows are new. Raises ``InputError`` for what
        can't be used, such as a series that is new, or that begins behind the next row.
        """
        check_is_fitted(self, "model_")
        model = self.model_
        if self.shape_ is None:
            panel = read_panel(df, model.columns, gaps=model.plan.gaps, grid=model.grid)
        else:
            panel = self._alike("update", df)
        self.model_ = updated(model, panel)
        return self

    def predict(
        self,
        df: Any = None,
        *,
        X_df: Any = None,
        h: int | None = None,
        level: Any = None,
        samples: int | None = None,
        seed: int = 0,
    ) -> Any:
        """What follows the series of ``df``, or those that were learnt: a table, or an array of medians for values.

        Args:
            df: the series so far, with what is known ahead in rows behind their ends; None: as they were fitted.
            X_df: a table of ids, times and what is known ahead, where that isn't in ``df``.
            h: rows ahead, by default the horizon. Intervals of what lies beyond that come of simulated paths.
            level: intervals in per cent, such as ``[80, 95]``, for tables; None: the quantiles that were learnt.
            samples: that many ways the rows may go, in the place of a forecast: columns of a table, or the first
                dimension of an array. Their steps hang together as those of real windows did.
            seed: of what samples draw; the same gives the same.

        Raises ``InputError`` for what can't be used.
        """
        check_is_fitted(self, "model_")
        rows = None if h is None else checked("h", Whole, h)
        count = 0 if samples is None else checked("samples", Whole, samples)
        if level is not None and count:
            raise InputError("level: samples have no intervals; ask for one of the two")
        if self.shape_ is None:
            return self.model_.predict(df, ahead=X_df, rows=rows, level=level, samples=count, seed=seed)[1]
        if X_df is not None:
            raise InputError("X_df: values were fitted, without covariates; ForecastRegressor takes X and y")
        if level is not None:
            raise InputError("level: values were fitted, whose forecast is an array; predict_quantiles has intervals")
        if count:
            paths = self._ahead(df, rows, samples=count, seed=seed).quantiles  # (channels, h, N)
            return np.moveaxis(self._shaped(paths), -1, 0)
        return self._shaped(self._ahead(df, rows, spread=False).quantiles[..., self.model_.plan.median])

    def predict_quantiles(self, df: Any = None, *, h: int | None = None, level: Any = None) -> Array:
        """The quantiles of values, rising, as the last dimension: (h, K) or (h, channels, K). A table's has columns.

        Those of ``level`` and the median, or those that were learnt. ``df`` and ``h`` are as of ``predict``. Raises
        ``InputError`` where a table was fitted.
        """
        check_is_fitted(self, "model_")
        if self.shape_ is None:
            raise InputError("predict_quantiles: a table was fitted; predict gives its quantiles as columns")
        model, rows = self.model_, None if h is None else checked("h", Whole, h)
        shares = shares_of(level, model.plan.quantiles)
        found = self._ahead(df, rows)
        return self._shaped(model.at_shares(found.quantiles, shares, found.floor))

    def _ahead(self, values: Any, rows: int | None, **how: Any) -> Forecast:
        """What follows the channels of ``values``."""
        model = self.model_
        series = model.tails
        if values is not None:
            series = tuple(model.encode(self._alike("predict", values)))
        return forecast_ahead(model, series, rows=rows, **how)

    def _alike(self, what: str, values: Any) -> Panel:
        """``values`` as series. Raises ``InputError`` where their shape isn't that of those that were fitted."""
        (panel, dimensions), count = self._panel(values), len(self.model_.tails)
        if (dimensions, len(panel.series)) != (self.model_.dimensions, count):
            shape = f"(n, {count})" if self.shape_ else "(n,)"
            raise InputError(f"{what}: expected values of the shape {shape}, as in fit, got {short(values)}")
        return panel

    def cross_validation(
        self,
        df: Any,
        h: int | None = None,
        *,
        n_windows: int = 1,
        step_size: int | None = None,
        refit: bool | int = False,
        level: Any = None,
    ) -> Any:
        """Forecasts of the last rows of every series in ``df`` from ``n_windows`` cutoffs, and what came.

        Each forecast has seen the rows up to its cutoff and nothing of what follows. This object stays as it is.

        Args:
            df: a table, as in ``fit``.
            h: rows ahead, by default the horizon.
            n_windows: cutoffs of each series; the last is ``h`` rows before its end.
            step_size: rows from cutoff to cutoff, by default ``h``.
            refit: False: trained once, on the rows before the first cutoff. True: anew for every cutoff; a number: for
                every so many of them.
            level: intervals in per cent, as in ``predict``.

        Returns:
            A table with a row for each step of each forecast: ids, time, cutoff, what came, and the forecast.

        Raises ``InputError`` for what can't be used, such as series that are too short for all that.
        """
        panel, dimensions = self._panel(df)
        if dimensions:
            raise InputError("cross_validation: expected a table; ForecastRegressor takes arrays, with cross_val_score")
        count, every = checked("n_windows", Whole, n_windows), checked("refit", Count, int(refit))
        config = self.config()
        wanted = h if h is not None else config.horizon
        if wanted is None:
            from .training import prepare

            wanted = prepare(panel, config, test_rows=0).plan.horizon
        horizon = checked("h", Whole, wanted)
        step = horizon if step_size is None else checked("step_size", Whole, step_size)
        ends = np.array([len(series) for series in panel.series], dtype=np.int64)
        cutoffs = [ends - horizon - step * window for window in range(count - 1, -1, -1)]
        if (least := int(cutoffs[0].min())) < 1:
            name = panel.series[int(cutoffs[0].argmin())].name
            raise InputError(
                f"cross_validation: series {name!r} has {least + horizon + step * (count - 1)} rows, {count} windows of"
                f" {horizon} rows, {step} apart, take {horizon + step * (count - 1)} of them"
            )
        parts, model = list[Array](), None
        for window, cutoff in enumerate(cutoffs):
            if model is None or (every and window % every == 0):
                one = clone(self).set_params(horizon=horizon)
                model = one._fit_panel(panel.before(cutoff)).model_
                encoded = model.encode(panel)
            heard = hear(model, model.encode(panel.before(cutoff)))  # as a forecast of newer rows does
            at = (encoded, cutoff, np.arange(len(cutoff)))
            shares = shares_of(level, model.plan.quantiles)
            parts.append(model.at_shares(heard.forecast(*at), shares, model.floor(*at)))  # (S, h, K)
        assert model is not None
        return _windows(panel, cutoffs, parts, shares_of(level, model.plan.quantiles))

    def stream(self, rows: int | None = None) -> Stream:
        """Go on from the last rows that were fitted, row by row: ``step`` takes what has come in the next row.

        That is a value, or one of each channel or series; it gives what ``predict()`` would if the series ended there.
        ``rows`` has no meaning here. Raises ``InputError`` where covariates have to be known of the rows to come.
        """
        check_is_fitted(self, "model_")
        return SeriesStream(self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Forecaster:
        """What is in ``path``, also where the command wrote it. Raises ``InputError`` for any other file."""
        found = super().load(path)
        if found.model_.dimensions and found.model_.columns.known:
            raise InputError(f"{path}: has learnt arrays X and y; ForecastRegressor.load reads it")
        return found

    @classmethod
    def _arguments(cls, model: Model) -> dict[str, Any]:
        columns = Columns() if model.dimensions else model.columns
        return super()._arguments(model) | {each.name: getattr(columns, each.name) for each in fields(Columns)}

    def _problem(
        self, config: ForecastConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None
    ) -> ForecastProblem:
        if y is not None:
            raise InputError(f"y: expected a table or values alone, got {short(y)}; ForecastRegressor takes X and y")
        panel, dimensions = (X, 0) if isinstance(X, Panel) else self._panel(X)
        held = None
        if eval_set is not None:
            later, _ = self._panel(eval_set, panel)
            panel, held = joined(panel, later), max(map(len, later.series))
        from .training import prepare

        return prepare(panel, config, test_rows=0, dimensions=dimensions, held=held, like=like)

    def _fit_panel(self, panel: Panel) -> Forecaster:
        return self._fit(panel, None, None, (), None)

    def _panel(self, source: Any, before: Panel | None = None) -> tuple[Panel, int]:
        """The series of ``source``, and of how many dimensions their array is, 0: a table; read as ``before``."""
        shape = _shape(source)
        if shape is not None:
            return array_panel(np.zeros((shape[0] if shape else 0, 0)), source, self.gaps), len(shape)
        columns = part_of(Columns, self) if before is None else before.columns
        return read_panel(source, columns, gaps=self.gaps, grid=None if before is None else before.grid), 0


class SeriesStream(Stream):
    """Forecasts after every row; ``state`` are the last rows of each series, as many as decide the next forecast."""

    def __init__(self, forecaster: Any) -> None:
        self.forecaster, self.state = copy(forecaster), forecaster.model_.tails
        if forecaster.model_.columns.covariates:
            raise InputError("a stream is told values alone; the model reads covariates as well: use predict")

    def step(self, x: Any) -> Any:
        values = np.asarray(x, np.float64).reshape(-1, 1)
        if len(values) != len(self.state) or not np.isfinite(values).all():
            raise InputError(f"expected {len(self.state)} finite numbers, the next of each series, got {short(x)}")
        self.forecaster.model_ = after(self.forecaster.model_, values)
        self.state = self.forecaster.model_.tails
        return self.forecaster.predict()


def _windows(panel: Panel, cutoffs: Sequence[Rows], parts: Sequence[Array], shares: Sequence[float]) -> Any:
    """The table of the forecasts (S, h, K) of each cutoff (S,), series by series."""
    quantiles = np.stack(parts, axis=1)  # (S, W, h, K)
    rows = np.stack(cutoffs, axis=1)  # (S, W)
    horizon, windows = quantiles.shape[2], rows.shape[1]
    series = [one for one in panel.series for _ in range(windows)]
    firsts = np.array([one.first for one in series], dtype=np.int64) + rows.ravel()
    at = list(zip(series, rows.ravel().tolist(), strict=True))
    return Words(panel.columns, panel.grid, panel.kind).table(
        [one.head for one in series],
        firsts[:, None] + np.arange(horizon),
        [one.labels[row : row + horizon] for one, row in at],
        shares,
        quantiles.reshape(-1, *quantiles.shape[2:]),
        cutoffs=(firsts - 1, [one.labels[row - 1] for one, row in at]),
        real=np.stack([one.values[row : row + horizon] for one, row in at]),
    )


def _shape(values: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of a list of numbers; None for a table."""
    if isinstance(values, (list, tuple, np.ndarray)) and not getattr(np.asarray(values).dtype, "names", None):
        return np.asarray(values).shape
    if isinstance(values, pl.Series):
        return (len(values),)
    return None
