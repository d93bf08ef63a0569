"""How much each member of a linear forecast counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..dataset import EncodedSeries, bridged, grows_with_level
from ..season import seasonal_spread
from ..split import Array, Rows, origins, thinned
from .folds import folds, independent, weigh
from .forecast import Linear, units
from .members import Name, Penalties, applied, members
from .ridge import NONE, PENALTIES, Growing, Sums
from .smoothing import smoothing

JUDGED = 400  # windows that decide how much a member counts, at most
LONGEST = 2100  # season
LEAST_WEIGHT = 0.01
SEASONAL = 2.0  # times as much as others does counts what smooths a season, before anything is known
LOGS = 2.0  # times as much count logarithms where the spread inside a season grows with its level
RIDGES, MOST_RIDGES = 6, 4.5  # seasons of rows from which on a ridge counts as others do, and how much at most
UNSEASONAL = 6  # rows that stand for a season where there is none


class Decided:
    """How much each member counts, decided on rolling origins before ``end`` (S,) of the series.

    ``seasons`` are those that a calendar or a search suggests, rising; ``ends`` (S,) those before ``end`` that
    ``linear`` will be asked for.
    """

    def __init__(
        self,
        panel: Sequence[EncodedSeries],
        end: Rows,
        horizon: int,
        seasons: Sequence[int],
        ends: Sequence[Rows] = (),
    ) -> None:
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
        self.ends = _rising([*(begin for begin, _ in self.folds), *ends, end])
        self.growing: dict[tuple[bool, bytes], Growing] = {}
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
        for begin, end in reversed(self.folds):  # of which each goes on from the one before
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
        self.found = [
            {name: each[name][at : at + 1].copy() for name, at in penalty.items()} for each in self.found[::-1]
        ]
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

        def read(log: bool, lags: Rows, kinds: Sequence[bool]) -> list[Sums]:
            key = (log, lags.tobytes())
            if key not in self.growing:
                self.growing[key] = Growing(self.spaces[int(log)], lags, self.horizon, self.ends)
            return self.growing[key].until(end, kinds) if kinds else []

        return members(self.spaces, end, self.horizon, self.seasons, self.responses, read, penalties)

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


def _rising(ends: Sequence[Rows]) -> list[Rows]:
    """``ends`` (S,), each once and none without what is before it in every series; the last one is the last."""
    last, found = ends[-1], list[Rows]()
    for each in sorted(ends[:-1], key=lambda end: int(end.sum())):
        if (
            (each <= last).all()
            and (each < last).any()
            and (not found or ((found[-1] <= each).all() and (found[-1] < each).any()))
        ):
            found.append(each)
    return [*found, last]
