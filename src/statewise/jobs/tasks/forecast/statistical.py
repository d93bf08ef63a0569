"""AutoETS and AutoTheta beside the forecast of short series, where the package statsforecast is installed (the extra of
that name).

Each is fitted to a series once, to the rows before the first of the forecasts that are asked for together, and moved on
to the others. What they say moves all quantiles by the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...errors import InputError
from .dataset import EncodedSeries
from .linear.folds import weigh
from .split import Array, Rows

METHODS = ("AutoETS", "AutoTheta")
BEFORE = (2.0, 0.5, 0.5)  # how much the forecast and each of these count, before anything is known
ROWS = 600  # of a series that are read at most
LONGEST = 24  # season
MOST_SERIES, JUDGED = 20, 24  # series that decide how much each counts, and forecasts of them


def there() -> bool:
    """Whether the package is."""
    return find_spec("statsforecast") is not None


def points(method: str, series: Sequence[EncodedSeries], rows: Rows, of: Rows, season: int, horizon: int) -> Array:
    """What ``method`` says of the steps from ``rows`` (n,) of the series ``of`` on: (n, H); NaN where it fails.

    Raises ``InputError`` where statsforecast isn't installed.
    """
    try:
        from statsforecast import models
    except ImportError:
        raise InputError(
            f"{method} is part of this forecast, and statsforecast isn't installed:"
            " pip install 'statewise[statsforecast]', or train with --no-statistical"
        ) from None
    found = np.full((len(rows), horizon), np.nan)
    for s in np.unique(of):
        values, mine = series[s].values, np.flatnonzero(of == s)
        mine = mine[np.argsort(rows[mine], kind="stable")]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made: Any = getattr(models, method)(season_length=season)
                for place, at in enumerate(mine):
                    past = np.ascontiguousarray(values[max(0, rows[at] - ROWS) : rows[at]])
                    fitted = made if place else made.fit(past)
                    found[at] = fitted.forward(past, horizon)["mean"]
        except Exception:  # a series of zeros, or too short a one: they fail in many ways
            found[mine] = np.nan
    return found


def weights(
    series: Sequence[EncodedSeries],
    judged: Sequence[tuple[Any, Any]],
    found: Array,
    real: Array,
    unit: Array,
    season: int,
    independent: float,
) -> dict[str, float]:
    """How much each method counts beside the forecast ``found`` (n, H), where ``real`` (n, H) came; none: {}.

    ``judged`` are the rows and the series of all of these forecasts, those that know equally much together. ``unit``
    (S,) is what misses are counted in.
    """
    chosen, said, begin = list[Rows](), dict[str, list[Array]](), 0
    for rows, of in judged:
        every = np.unique(of)
        every = every[np.unique(np.linspace(0, len(every) - 1, MOST_SERIES).astype(int))]
        each = max(1, JUDGED // (len(judged) * len(every)))
        parts = [np.flatnonzero(of == s) for s in every]
        some = np.concatenate([p[np.unique(np.linspace(0, len(p) - 1, each).astype(int))] for p in parts])
        chosen.append(begin + some)
        for method in METHODS:
            told = points(method, series, rows[some], of[some], season, found.shape[1])
            said.setdefault(method, []).append(told)
        begin += len(rows)
    at = np.concatenate(chosen)
    forecasts = [found[at], *map(np.concatenate, said.values())]
    if not np.isfinite(forecasts).all():
        return {}
    whose = np.concatenate([of for _, of in judged])[at]
    count = np.maximum(np.isfinite(real[at]).sum(1), 1)
    misses = [np.nansum(np.abs(each - real[at]), axis=1) / count / unit[whose] for each in forecasts]
    shares = weigh(np.stack(misses), independent, np.array(BEFORE))
    return dict(zip(METHODS, shares[1:].tolist(), strict=True))


def moved(
    quantiles: Array, shares: Mapping[str, float], series: Sequence[EncodedSeries], rows: Rows, of: Rows, plan: Any
) -> Array:
    """``quantiles`` (n, H, Q), all moved by what the methods say beside the median, as far as each counts."""
    median, by = quantiles[..., plan.median], np.zeros(quantiles.shape[:2])
    for method, share in shares.items():
        said = points(method, series, rows, of, plan.season, plan.horizon)
        by += share * np.where(np.isfinite(said), said - median, 0.0)
    return np.asarray(quantiles + by[..., None])
