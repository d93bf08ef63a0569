"""What is simple: a forecast that is linear in the window, which the network corrects.

Exponential smoothing with given constants, begun on the window's own first seasons, is linear in the window, and so are
Theta, naive forecasts and ridge regressions: each is a matrix from L rows to H steps, and so is their mean. There is
one matrix for values and, where all of them are above 0, one for logarithms. Nothing has a state, a new series is
forecast like any.

Which members there are, and how much each counts before anything is known, was chosen on a panel of public series. How
much it counts after all is decided on rolling origins inside the rows before the test part;
docs/jobs/forecast-method.md tells how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...config import from_json
from .baselines import intermittent
from .dataset import EncodedSeries, bridged, grows_with_level
from .season import seasonal_spread
from .split import Array, Rows, origins, thinned

# Of ridges, times the mean square of an input, times the windows:
PENALTIES: Array = np.array([1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
NONE = PENALTIES[:0]
WINDOWS, MOST_WINDOWS = 16_000, 64_000  # to fit on; of many series, up to 150 of each
SHOWN = 300  # windows that the constants of smoothing are chosen by
BLOCK = 1 << 17  # numbers
JUDGED = 400  # windows that decide how much a member counts, at most
SHARP = 1.0  # how fast a weight falls with the standard errors that a member is behind the best
TREND = ((0.0, 0.0), (0.05, 0.9), (0.1, 0.98), (0.02, 1.0))  # of exponential smoothing: slope's constant, damping
SPANS, ROWS = (2, 3, 5, 8), 48  # seasons that smoothing looks back, and rows without a season
SMOOTHED, FURTHEST = 420, 700  # rows that smoothing looks back at most, but for two seasons
LONGEST, MOST_LAGS = 2100, 400  # season; rows that a ridge reads one after another
SURE = 20.0  # the power of a constant's error in its weight, where there are windows enough
LEAST_SPREAD = 0.05  # of a window, in the median of all
ENOUGH = 3  # times as many rows as lags
FOLDS, MANY = 3, 1000  # pieces to decide on, and from how many rows on one is enough
UNTOLD, LEAST_ERROR, MOST_ERROR = 1.5, 0.002, 0.2  # of the best member's error: what a single window can't tell
LEAST_WEIGHT = 0.01
SEASONAL = 2.0  # times as much as others does counts what smooths a season, before anything is known
LOGS = 2.0  # times as much count logarithms where the spread inside a season grows with its level
RIDGES, MOST_RIDGES = 6, 4.5  # seasons of rows from which on a ridge counts as others do, and how much at most
UNSEASONAL = 6  # rows that stand for a season where there is none


@dataclass(frozen=True)
class Linear:
    """The matrices of a forecast that is linear in the window, its values (L,) and 1, or their logarithms."""

    matrices: Array  # (2, L + 1, H), for values and for logarithms
    unit: Array  # (S, 2), what the last row of each matrix is counted in: how much a series moves in a row
    logs: float = 0.0
    """The share of the second."""
    members: dict[str, float] = field(default_factory=dict)
    """What it is a mean of, with weights, the largest first."""

    @property
    def lookback(self) -> int:
        """L."""
        return len(self.matrices[0]) - 1

    def forecast(self, past: Array, unit: Array) -> Array:
        """(n, H), from windows (n, at least L) without gaps of series with the units (n, 2)."""
        past = past[:, past.shape[1] - self.lookback :]
        found = (1 - self.logs) * (past @ self.matrices[0, :-1] + unit[:, :1] * self.matrices[0, -1])
        if not self.logs:
            return np.asarray(found)
        logs = np.log(np.maximum(past, np.finfo(np.float64).tiny))
        low, high = logs.min(1, keepdims=True), logs.max(1, keepdims=True)
        room = high - low + unit[:, 1:] * np.sqrt(self.matrices.shape[2])  # how far off a logarithm may come to be
        ahead = np.clip(logs @ self.matrices[1, :-1] + unit[:, 1:] * self.matrices[1, -1], low - room, high + room)
        return np.asarray(found + self.logs * np.exp(ahead))

    def to_json(self) -> dict[str, Any]:
        """What a model's header has of it."""
        return {"logs": self.logs, "members": self.members}

    def tensors(self) -> dict[str, Array]:
        """What a model's file has of it beside that."""
        return {"linear.matrices": self.matrices, "linear.unit": self.unit}

    @staticmethod
    def build(content: Any, tensors: Mapping[str, Array], series: int, horizon: int) -> Linear:
        """What the other two gave. ValueError for what they can't have given."""
        matrices, unit = (tensors[f"linear.{name}"] for name in ("matrices", "unit"))
        if matrices.ndim != 3 or matrices.shape[::2] != (2, horizon) or matrices.shape[1] < 2:
            raise ValueError(f"expected the matrices of a forecast of {horizon} steps, got {matrices.shape}")
        if unit.shape != (series, 2) or not (unit > 0).all() or {unit.dtype, matrices.dtype} != {np.dtype("float64")}:
            raise ValueError("expected a unit above 0 for every series")
        told = from_json(_Told, content)
        if not 0 <= told.logs <= 1:
            raise ValueError(f"expected a share, got {told.logs}")
        return Linear(matrices, unit, told.logs, told.members)


class Name(NamedTuple):
    """What tells members apart."""

    kind: str
    """smoothing, theta, naive, ridge, scaled ridge, or zero."""
    of: str
    """A season, or which rows are read."""
    span: int = 0
    """How many seasons are."""
    log: bool = False

    def __str__(self) -> str:
        return f"{'log ' if self.log else ''}{self.kind} ({self.of})"


Penalties = Callable[[Name], Array]
"""Those of a member that are asked for."""


@dataclass(frozen=True)
class _Told:
    logs: float
    members: dict[str, float]


def units(values: Array) -> tuple[float, float]:
    """The standard deviation of the steps of ``values`` (T,), without gaps, and of their logarithms."""
    found = [float(np.std(np.diff(each))) for each in (values, np.log(np.maximum(values, np.finfo(np.float64).tiny)))]
    return found[0] or 1.0, found[1] or 1.0


class Decided:
    """How much each member counts, decided on rolling origins before ``end`` (S,) of the series.

    ``seasons`` are those that a calendar or a search suggests, rising.
    """

    def __init__(self, panel: Sequence[EncodedSeries], end: Rows, horizon: int, seasons: Sequence[int]) -> None:
        series = [bridged(each.values[:to]) for each, to in zip(panel, end, strict=True)]
        real = [each.real for each in panel]
        self.horizon, self.seasons = horizon, [s for s in seasons if 1 < s <= LONGEST]
        self.rows = int(end.min())
        self.grows = grows_with_level(series, self.seasons[0] if self.seasons else 1)
        self.positive = all(float(values[:to].min()) > 0 for values, to in zip(series, end, strict=True))
        season = self.seasons[0] if self.seasons else 1
        self.folds = folds(end, horizon, season)
        first = self.folds[-1][0]
        self.unit = np.array([units(values[:to]) for values, to in zip(series, first, strict=True)])  # (S, 2)
        self.scale = np.array([seasonal_spread(v[:to], season) for v, to in zip(series, first, strict=True)])
        self.spaces = [self._space(series, log) for log in ((False, True) if self.positive else (False,))]
        self.responses = cache(smoothing)  # those of as many rows are the same, whichever have been seen
        self.found: list[dict[Name, Array]] = []
        """The members that have seen the rows before each of ``folds``, with the penalties that were chosen."""
        self.penalty, self.weights = self._judge(real)

    def _space(self, series: Sequence[Array], log: bool) -> list[Array]:
        tiny = np.finfo(np.float64).tiny
        found = [np.log(np.maximum(values, tiny)) if log else values for values in series]
        return [values / unit[int(log)] for values, unit in zip(found, self.unit, strict=True)]

    def _judge(self, values: Sequence[Array]) -> tuple[dict[Name, int], dict[Name, float]]:
        """For each member which of its penalties, and how much it counts."""
        count = len(values)
        found: dict[Name, list[Array]] = {}
        for begin, end in self.folds:
            at, of = thinned(*origins(begin, end, self.horizon), most=max(JUDGED // len(self.folds), count))
            back = at[:, None] + np.arange(self.horizon)
            real = np.stack([values[s][row] for s, row in zip(of, back, strict=True)])
            there = np.isfinite(real)
            self.found.append(self.members(begin))
            for name, matrices in self.found[-1].items():
                past = self._past(self.spaces[int(name.log)], at, of, matrices.shape[1] - 1)
                ahead = applied(matrices, past) * self.unit[of, int(name.log)][:, None]
                with np.errstate(over="ignore"):
                    said = np.exp(ahead) if name.log else ahead
                    missed = np.where(there, np.abs(said - real), 0.0).sum(2) / np.maximum(there.sum(1), 1)  # (P, n)
                found.setdefault(name, []).append(np.nan_to_num(missed / self.scale[of], nan=1e9, posinf=1e9))
        # A season that doesn't fit into the rows of every fold is left to those that can tell.
        errors = {name: np.concatenate(parts, axis=1) for name, parts in found.items() if len(parts) == len(self.folds)}
        penalty = {name: int(np.argmin(each.mean(1))) for name, each in errors.items()}
        self.found = [{name: each[name][at : at + 1].copy() for name, at in penalty.items()} for each in self.found]
        misses = np.stack([errors[name][penalty[name]] for name in errors])
        before = np.array([self._before(name) for name in errors])
        nothing = np.array([name.kind == "zero" for name in errors])
        before[nothing] = before[~nothing].sum()  # as much as all others: it is what most rows are
        weights = weigh(misses, independent(self.folds, self.horizon), before)
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        return penalty, dict(zip(errors, (weights / weights.sum()).tolist(), strict=True))

    def _before(self, name: Name) -> float:
        """How much a member counts where nothing is known of what it misses."""
        season = self.seasons[0] if self.seasons else 1
        logs = LOGS if name.log and self.grows else 1.0
        if "ridge" in name.kind:  # has much to learn from the rows
            return logs * min((self.rows / (RIDGES * (season if season > 1 else UNSEASONAL))) ** 4, MOST_RIDGES)
        return logs * (SEASONAL if name.span > 0 and name.of == str(season) and season > 1 else 1.0)

    def _past(self, series: Sequence[Array], at: Rows, of: Rows, lookback: int) -> Array:
        return np.stack([series[s][row - lookback : row] for s, row in zip(of, at, strict=True)])

    def members(self, end: Rows, penalties: Penalties = lambda _: PENALTIES) -> dict[Name, Array]:
        """``members`` that have seen the rows before ``end`` (S,)."""
        return members(self.spaces, end, self.horizon, self.seasons, self.responses, penalties)

    def linear(self, end: Rows) -> Linear:
        """The mean of the members that have seen the rows before ``end`` (S,)."""
        logs = sum(weight for name, weight in self.weights.items() if name.log)
        known = [part for part, (begin, _) in zip(self.found, self.folds, strict=True) if np.array_equal(begin, end)]
        counting = {name: PENALTIES[[self.penalty[name]]] for name, weight in self.weights.items() if weight}
        every = known[0] if known else self.members(end, lambda name: counting.get(name, NONE))
        found = {name: every[name][0] for name in counting if name in every}
        lookback = max(len(matrix) for matrix in found.values()) - 1
        matrices, told = np.zeros((2, lookback + 1, self.horizon)), dict[str, float]()
        for name, matrix in found.items():
            weight = self.weights[name]
            matrices[int(name.log), lookback + 1 - len(matrix) :] += weight / (logs if name.log else 1 - logs) * matrix
            told[str(name)] = told.get(str(name), 0.0) + weight
        return Linear(matrices, self.unit, logs, dict(sorted(told.items(), key=lambda each: -each[1])))


def folds(stop: Rows, horizon: int, season: int) -> list[tuple[Rows, Rows]]:
    """Pieces [begin, end) of each series (S,), one after another before ``stop``, the last one first.

    What is decided on each of them knows the rows before it, of which enough are left to learn from.
    """
    rows = int(stop.min())
    count = FOLDS if rows < MANY else 1
    least = max(2 * season + horizon, 1.5 * horizon, 0.45 * rows, 12)
    size = int(max(0.15 * rows, min(4 * horizon, 0.35 * rows), horizon))
    if count > 1:
        size = int(max(horizon, min(0.55 * rows / count, 3 * horizon)))
    while count > 1 and rows - count * size < least:
        count -= 1
    size = max(horizon, min(size, rows - max(2 * season, horizon) - 6))
    return [(stop - (fold + 1) * size, stop - fold * size) for fold in range(count)]


def independent(folds: Sequence[tuple[Rows, Rows]], horizon: int) -> float:
    """How many windows in them have no row in common, as far as series say the same."""
    rows = sum(float((end - begin).mean()) for begin, end in folds)
    return rows / horizon * float(np.sqrt(len(folds[0][0])))


def weigh(misses: Array, independent: float, before: Array | float = 1.0, *, untold: float = UNTOLD) -> Array:
    """(K,) from the mean absolute misses of K members in n windows (K, n), as if ``independent`` of them had no row in
    common: exp(-d / s) for a member that is d behind the best, where d is known up to s, times what it counted
    ``before``.

    A single miss that is far off makes s large, and must not save what misses by far: s has a most.
    """
    mean, known = misses.mean(1), max(independent, 1.0)
    best = mean.min() + 1e-12
    error = (misses - misses[np.argmin(mean)]).std(axis=1) / np.sqrt(known) / best
    error = np.minimum(error, MOST_ERROR) + LEAST_ERROR + untold / known
    weights = before * np.exp(-SHARP * (mean / best - mean.min() / best) / error)
    return np.asarray(weights / weights.sum())


# Members


def members(
    spaces: Sequence[Sequence[Array]],
    end: Rows,
    horizon: int,
    seasons: Sequence[int],
    responses: Callable[..., Array],
    penalties: Penalties,
) -> dict[Name, Array]:
    """Each (P, L + 1, H), one for each of its ``penalties``, 1 of those that know none; without any it isn't there.

    ``spaces`` are the values of the series and, where there is a second one, their logarithms. The series of a space
    are in one unit, and read before ``end`` (S,) alone. ``responses`` is ``smoothing``, which may remember.
    """
    rows, found, logs = int(end.min()), dict[Name, Array](), (False, True)[: len(spaces)]

    def asked(name: Name) -> list[Name]:
        return [own for log in logs if len(penalties(own := name._replace(log=log)))]

    found |= {name: repeating(1, 1, horizon) for name in asked(Name("naive", "1"))}
    for season in seasons:
        for span in range(1, min(3, rows // season) + 1):
            found |= {n: repeating(season, span, horizon) for n in asked(Name("naive", f"{season}", -span))}
    for season, span in _spans(seasons):
        lookback = min(season * span, rows)
        if lookback < 2 * season:
            continue
        lags = np.arange(1, lookback + 1)
        shown = cache(lambda log, lags=lags: windows(spaces[log], end, lags, horizon, most=SHOWN))
        apart = max(0.0, float(end.mean()) - lookback - horizon + 1) / horizon * np.sqrt(len(end))
        for kind in ("smoothing", "theta"):
            for name in asked(Name(kind, f"{season}", span)):
                x, y = shown(name.log)
                told = responses(lookback, horizon, season, theta=kind == "theta")
                found[name] = smoothed(np.ascontiguousarray(x[:, ::-1]), y, told, independent=apart)
    rows -= horizon
    lookback = max(2, min(_lookback(seasons, horizon), rows - max(6, min(horizon, 24) // max(1, min(len(end), 4)))))
    for of, lags in _lags(seasons, horizon, lookback, rows).items():
        for log, series in zip(logs, spaces, strict=True):
            kinds = [Name(kind, of, log=log) for kind in ("ridge", "scaled ridge")]
            kinds = [name for name in kinds if len(penalties(name))]
            x, y = windows(series, end, lags, horizon) if kinds else (NONE, NONE)
            longest = max(lookback, int(lags.max()))
            for name in kinds:
                found[name] = ridges(x, y, lags, longest, penalties(name), scaled=name.kind == "scaled ridge")
    for name in asked(Name("zero", "always")):
        if intermittent([values[:to] for values, to in zip(spaces[name.log], end, strict=True)]):
            found[name] = np.zeros((1, 2, horizon))
    return found


def _spans(seasons: Sequence[int]) -> list[tuple[int, int]]:
    """The seasons that are smoothed, and how many of each are looked back: of others than the first one, two."""
    found = [(1, ROWS)]
    for season in seasons:
        spans = SPANS if season == seasons[0] else SPANS[:1]
        found += [(season, n) for n in spans if season * n <= (FURTHEST if n == SPANS[0] else SMOOTHED)]
    return found


def repeating(season: int, turns: int, horizon: int) -> Array:
    """(1, L + 1, H): the mean of the last ``turns`` seasons."""
    found = np.zeros((1, season * turns + 1, horizon))
    for turn in range(turns):
        found[0, turn * season + np.arange(horizon) % season, np.arange(horizon)] = 1 / turns
    return found


def applied(matrices: Array, past: Array) -> Array:
    """(P, n, H) from (P, L + 1, H) and windows (n, L)."""
    return np.asarray(past @ matrices[:, :-1] + matrices[:, None, -1])


def _lookback(seasons: Sequence[int], horizon: int) -> int:
    """Five seasons (two of a long one), four horizons, and room for the longest season."""
    season, longest = (seasons[0], max(seasons)) if seasons else (1, 1)
    room = 0 if longest == season else longest + horizon + 2
    return max(5 * season if season <= 60 else 2 * season, 4 * horizon, 48, room)


def _lags(seasons: Sequence[int], horizon: int, lookback: int, rows: int) -> dict[str, Rows]:
    """What each ridge reads: two seasons; a few rows, and those around one, two and three seasons ago; all of them.

    Where there are several seasons, and ``rows`` enough, one reads all rows of the longest twice.
    """
    season = seasons[0] if seasons else 1
    around = {
        lag
        for s in seasons
        for turn in ((1, 2, 3) if s < 100 else (1,))
        for lag in range(s * turn - horizon - 1, s * turn + 2)
    }
    found = {
        "short": range(1, min(max(2 * season + 1, 12), FURTHEST) + 1),
        "seasonal": sorted({*range(1, 14), *around}),
        "long": range(1, min(lookback, MOST_LAGS) + 1),
    }
    known = {name: np.array([lag for lag in lags if 1 <= lag <= lookback]) for name, lags in found.items()}
    if len(seasons) > 1 and lookback < 2 * seasons[-1] <= min(FURTHEST, rows // ENOUGH):
        known["longest"] = np.arange(1, 2 * seasons[-1] + 1)
    return known


def windows(
    series: Sequence[Array], end: Rows, lags: Rows, after: int, *, most: int | None = None
) -> tuple[Array, Array]:
    """What was ``lags``, rising, rows before, (n, lags), and ``after`` rows that follow, (n, H), up to ``end``, thinned
    out, to about ``most`` of all series."""
    each = max(WINDOWS // len(series), min(150, MOST_WINDOWS // len(series)), 1)
    longest = int(lags[-1])
    starts = np.cumsum([0, *map(len, series)])  # of each in all of them, one behind another
    first = [np.arange(start + longest, start + int(to) - after + 1) for start, to in zip(starts, end, strict=False)]
    rows = np.concatenate([some[:: max(1, len(some) // each)] for some in first])
    rows = rows[:: max(1, len(rows) // most) if most else 1]
    if not len(rows):
        return np.zeros((0, len(lags))), np.zeros((0, after))
    values = np.concatenate(series)
    past = sliding_window_view(values[::-1], longest)[len(values) - rows]
    runs = np.split(lags - 1, np.flatnonzero(np.diff(lags) > 1) + 1)  # rows that stand together are copied together
    x = past if len(lags) == longest else np.concatenate([past[:, run[0] : run[-1] + 1] for run in runs], axis=1)
    return x, sliding_window_view(values, after)[rows]


def smoothing(lookback: int, horizon: int, season: int, *, theta: bool) -> Array:
    """(G, L, H): Holt-Winters or, with half the window's slope in the place of a trend of its own, Theta.

    One for each of G constants.
    """
    levels = (0.02, 0.1, 0.3, 0.8) if season > 60 else (0.02, 0.1, 0.25, 0.5, 0.8, 0.99)
    trends = TREND[: 1 if theta else 2 if season > 60 else None]
    seasonal = (0.03, 0.12, 0.35) if season > 1 else (0.0,)
    constants = np.array([(a, b, damping, c) for a, (b, damping), c in product(levels, trends, seasonal)])
    found = holt_winters(lookback, horizon, season, constants)
    if theta:
        found += 0.5 * _slope(lookback, season)[:, None] * np.arange(1, horizon + 1)
    return found


def smoothed(x: Array, y: Array, found: Array, *, independent: float) -> Array:
    """(1, L + 1, H): the mean of the forecasts ``found`` (G, L, H), and 0 for the constant.

    Each is weighted by how little it misses in the windows ``x`` (n, L) and ``y`` (n, H), the more so the more of them
    are ``independent``; all alike where there is no window.
    """
    weights = np.ones(len(found))
    if len(x):
        misses = np.array([np.abs(x @ one - y).mean() for one in found]) + 1e-12
        weights = (misses.min() / misses) ** (SURE * independent / (independent + 1))
    mean = np.tensordot(weights / weights.sum(), found, 1)
    return np.concatenate([mean, np.zeros((1, y.shape[1]))])[None]


def holt_winters(lookback: int, horizon: int, season: int, constants: Array) -> Array:
    """(G, L, H): the response of each forecast to each row of a window.

    ``constants`` (G, 4) are those of level and slope, the damping, and that of the season.
    """
    alpha, beta, damping, gamma = (column[:, None] for column in constants.T)
    rows, kept, count = np.eye(lookback), max(season, 1), len(constants)
    seasons = min(3, lookback // season) if season > 1 else 1
    profile = np.zeros((kept, count, lookback))
    level, trend = np.repeat(rows[: min(3, lookback)].mean(0)[None], count, 0), np.zeros((count, lookback))
    if seasons > 1:
        head = rows[: seasons * season].reshape(seasons, season, lookback)
        means = head.mean(1)
        slope = (means[-1] - means[0]) / (season * (seasons - 1))
        centred = (head - means[:, None] - (np.arange(season) - (season - 1) / 2)[:, None] * slope).mean(0)
        profile += (centred - centred.mean(0))[:, None]
        trend = np.where(damping > 0, slope, 0.0)
        level = means[0] - (season - 1) / 2 * trend - trend
    for t in range(lookback):
        ahead, now = level + damping * trend, profile[t % kept]
        miss = rows[t] - ahead - now
        level, trend = ahead + alpha * miss, damping * trend + alpha * beta * miss
        if season > 1:
            now += gamma * (1 - alpha) * miss
    growth = np.cumsum(damping[None] ** np.arange(1, horizon + 1)[:, None, None], 0)  # (H, G, 1)
    paths = level + growth * trend + profile[(lookback + np.arange(horizon)) % kept]  # (H, G, L)
    return np.ascontiguousarray(paths.transpose(1, 2, 0))


def _slope(lookback: int, season: int) -> Array:
    """(L,): the least-squares slope of a window, from the means of its last whole seasons where there are two."""
    season = season if lookback >= 2 * season else 1
    turns = lookback // season
    place = np.arange(turns) - (turns - 1) / 2
    found = np.zeros(lookback)
    found[lookback - turns * season :] = np.repeat(place / (place @ place) / season**2, season)
    return found


def ridges(
    x: Array, y: Array, lags: Rows, lookback: int, penalties: Array = PENALTIES, *, scaled: bool = False
) -> Array:
    """(P, L + 1, H), for all ``penalties``: from rows before the origin, less the last, to what follows, less the last.

    ``x`` (n, lags) are those rows, the last among them; the matrices are for ``lookback`` rows. Where it is ``scaled``,
    windows count in units of their own spread, so that wild ones say no more than calm ones.
    """
    inputs, outputs = np.zeros(x.shape[1]), np.zeros(y.shape[1])  # their sums
    square, product = np.zeros((len(inputs), len(inputs))), np.zeros((len(inputs), len(outputs)))
    unit = _spread(x) if scaled else np.ones((len(x), 1))
    for rows in _blocks(x):
        last = x[rows, np.argmin(lags), None]
        before, after = (x[rows] - last) / unit[rows], (y[rows] - last) / unit[rows]
        square += before.T @ before
        product += before.T @ after
        inputs += before.sum(0)
        outputs += after.sum(0)
    middle, mean = (total / len(x) * (not scaled) for total in (inputs, outputs))
    square -= len(x) * np.outer(middle, middle)
    product -= len(x) * np.outer(middle, mean)
    result = np.zeros((len(penalties), lookback + 1, y.shape[1]))
    for weights, slopes in zip(result, solved(square, product, penalties), strict=True):
        weights[lookback - lags] = slopes
        weights[lookback - 1] += 1 - slopes.sum(0)
        weights[-1] = mean - middle @ slopes
    return result


def _spread(x: Array) -> Array:
    """The mean distance of a window's rows from their mean, (n, 1); of calm ones a part of what is usual."""
    parts = [np.abs(x[rows] - x[rows].mean(1, keepdims=True)).mean(1, keepdims=True) for rows in _blocks(x)]
    spread = np.concatenate(parts)
    return np.asarray(np.maximum(spread, LEAST_SPREAD * np.median(spread)) + 1e-12)


def _blocks(x: Array) -> list[slice]:
    """The rows of ``x``, as many at once as a processor's cache holds."""
    size = max(x.shape[1], BLOCK // x.shape[1])
    return [slice(row, row + size) for row in range(0, len(x), size)]


def solved(square: Array, product: Array, penalties: Array) -> Iterator[Array]:
    """(K, H) for each of the penalties (P,), which count in the mean of ``square``'s (K, K) diagonal."""
    unit = float(np.trace(square)) / len(square) or 1.0
    if len(penalties) == 1:  # a fifth of what the eigenvectors take
        square[np.diag_indices_from(square)] += penalties[0] * unit
        yield np.asarray(np.linalg.solve(square, product))
        return
    values, vectors = np.linalg.eigh(square)
    values, turned = np.maximum(values, 0.0), vectors.T @ product
    for penalty in penalties:
        yield np.asarray(vectors @ (turned / (values + penalty * unit)[:, None]))
