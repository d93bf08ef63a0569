"""What the training parts say of the past that matters: the season, the differences to take, the lags to look back at.

All of it is decided on rows before the test part, from autocorrelations and from what naive forecasts miss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .dataset import bridged
from .split import Array

LEAST_CORRELATION = 0.3
LONGEST = 1000
LEAST_COMMON = 0.15  # of the median over a panel, in which what is each series' own cancels out
JUDGES = 50  # series that vote
NESTED = 0.5  # of the season's correlation that a shorter one inside it has at least
CLEARER = 0.7  # of what a season leaves unexplained a longer one of several turns leaves at most
TURNS = 14  # of a season in a longer one
MOST_LAGS = 6


def common_season(trains: Sequence[Array], candidates: Sequence[int] | None) -> int:
    """The season that most series have; of equals the shortest. Missing values may be NaN.

    Where noise hides it in most of them, the median of their autocorrelations tells.
    """
    judges = _judges(trains)
    votes = Counter(find_season(train, candidates)[0] for train in judges)
    season = min(votes, key=lambda season: (-votes[season], season))
    if season > 1 or len(judges) == 1:
        return season
    longest = min(_longest(train, candidates) for train in judges)
    if longest < 2:
        return 1
    median = np.median([_correlation(train, longest) for train in judges], axis=0)
    chance = 1.25 / np.sqrt(sum(map(len, judges)))
    return _clearest(median, candidates, max(LEAST_COMMON, 3 * chance), chance)[0]


def nested_seasons(trains: Sequence[Array], season: int) -> list[int]:
    """What else most series repeat, beside their ``season``: a part of it as well, or several turns of it better.

    Hourly values without dates have a day and a week.
    """
    if season < 2:
        return []
    judges = _judges(trains)
    votes = Counter(found for train in judges for found in _nested(train, season))
    return sorted(found for found, count in votes.items() if 2 * count > len(judges))


def _nested(train: Array, season: int) -> list[int]:
    longest = min(len(train) // 3, TURNS * season + 1)
    if longest <= season:
        return []
    correlation = _correlation(train, longest)
    unexplained = CLEARER * (1 - correlation[season])
    parts = [season // turns for turns in range(2, TURNS + 1) if season % turns == 0 and season // turns > 3]
    whole = [season * turns for turns in range(2, TURNS + 1) if season * turns < longest]
    shorter = [p for p in parts if correlation[p] >= max(NESTED * correlation[season], LEAST_CORRELATION)]
    shorter = [p for p in shorter if correlation[p] >= correlation[p // 2 : p + p // 2 + 1].max()]
    longer = [p for p in whole if 1 - correlation[p] <= unexplained]
    best = [max(longer, key=lambda p: (float(correlation[p]), -p))] if longer else []
    return [*shorter[-1:], *best]


def _judges(trains: Sequence[Array]) -> list[Array]:
    return [trains[i] for i in np.unique(np.linspace(0, len(trains) - 1, JUDGES).astype(int))]


def _longest(train: Array, candidates: Sequence[int] | None) -> int:
    """Of which two whole periods fit, three where no calendar vouches for them."""
    return min(len(train) // (3 if candidates is None else 2), LONGEST)


def _correlation(train: Array, longest: int) -> Array:
    """That of the first differences with themselves, as if none of them were lost at the ends: (longest + 1,)."""
    train = bridged(train)
    steps = np.diff(np.log(train) if train.min() > 0 else train)
    correlation = autocorrelation(steps, longest)
    return np.minimum(correlation * len(steps) / (len(steps) - np.arange(longest + 1)), 1.0)


def autocorrelation(values: Array, longest: int) -> Array:
    """Correlation of ``values`` with themselves 0 to ``longest`` rows before, by the fast Fourier transform."""
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: longest + 1]  # (longest + 1,)
    return np.asarray(products / products[0] if products[0] > 0 else np.zeros_like(products))


def find_season(train: Array, candidates: Sequence[int] | None) -> tuple[int, float]:
    """The period, in rows, that ``train`` repeats, 1 for none, and its autocorrelation.

    With dates only the calendar's own periods are ``candidates`` (a month has 12 a year); None stands for every period.
    A candidate is a season when the first differences correlate with themselves that many rows before. Two whole
    periods must fit, three where no calendar vouches for them. A multiple of the true period correlates as well as the
    period itself, so of several the shortest is taken that leaves little more unexplained than the best.
    """
    longest = _longest(train, candidates)
    if longest < 2:
        return 1, 0.0
    chance = 1 / np.sqrt(len(train) - 1)
    return _clearest(_correlation(train, longest), candidates, max(LEAST_CORRELATION, 3 * chance), chance)


def _clearest(
    correlation: Array, candidates: Sequence[int] | None, threshold: float, chance: float
) -> tuple[int, float]:
    """``chance`` is by how much the correlation of a multiple may be higher."""
    if candidates is None:
        inner = correlation[1:-1]
        peaks = (inner >= correlation[:-2]) & (inner >= correlation[2:])
        periods = [int(p) for p in np.flatnonzero(peaks) + 1 if p > 1]
    else:
        periods = [p for p in candidates if 2 <= p < len(correlation)]
    best = max((float(correlation[p]) for p in periods), default=0.0)
    if best < threshold:
        return 1, best
    season = min(p for p in periods if 1 - correlation[p] <= 1.25 * (1 - best) + chance)
    return season, float(correlation[season])


def seasonal_error(values: Array, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast inside ``values`` (T,); 0 where there is none."""
    steps = np.abs(values[season:] - values[:-season])
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if len(steps) else 0.0


def seasonal_spread(values: Array, season: int) -> float:
    """How much ``values`` (T,) move from a season, if there is one, to the next on average; 1 where they don't.

    On this scale the errors of all series count as they do in MASE, however large the series' own swings are.
    """
    return seasonal_error(values, min(season, max(1, len(values) - 1))) or 1.0


@dataclass(frozen=True)
class Differences:
    """The differences whose naive forecast a recursive network starts from: at lag 1, at lag ``season``, both or none.

    That forecast is the mean, persistence, the seasonal naive one, or y[t-1] + y[t-m] - y[t-m-1]. What it misses is the
    network's target, so a network that outputs zero gives the naive forecast itself. All of it happens on scaled
    values, whose mean in the training part is 0.
    """

    first: bool
    seasonal: bool
    season: int

    def __post_init__(self) -> None:
        if self.season < 1:
            raise ValueError(f"a season of {self.season} rows")

    def told(self, cycles: Sequence[int]) -> list[int]:
        """Which columns of the calendar, two for each of ``cycles``, say something that these have not taken out."""
        return [c for c in range(2 * len(cycles)) if not (self.seasonal and cycles[c // 2] == self.season)]

    @property
    def start(self) -> int:
        """How many rows the naive forecast looks back."""
        return int(self.first) + self.season * int(self.seasonal)

    def naive(self, past: Array) -> Array:
        """The forecast of the row after ``past`` (n, at least ``start``): (n,)."""
        forecast = np.zeros(len(past))
        if self.first:
            forecast += past[:, -1]
        if self.seasonal:
            forecast += past[:, -self.season]
        if self.first and self.seasonal:
            forecast -= past[:, -self.season - 1]
        return forecast

    def missed(self, scaled: Array) -> tuple[Array, Array]:
        """What the naive forecast misses in ``scaled`` (T,), and the values with every gap filled by that forecast.

        The first ``start`` rows have no forecast: NaN. Where a value is missing, nothing is missed: 0.
        """
        filled = scaled.copy()
        self._fill(filled)
        missed = np.full_like(scaled, np.nan)
        if len(scaled) > self.start:
            past = np.lib.stride_tricks.sliding_window_view(filled, max(self.start, 1))  # (T - start + 1, start)
            naive = self.naive(past[: len(scaled) - self.start]) if self.start else np.zeros(len(scaled))
            missed[self.start :] = np.where(np.isfinite(scaled[self.start :]), filled[self.start :] - naive, 0.0)
        return missed, filled

    def _fill(self, scaled: Array) -> None:
        """Fill gaps one after another, each by the naive forecast from what is before it."""
        there = np.flatnonzero(np.isfinite(scaled))
        for at in np.flatnonzero(np.isnan(scaled)):
            if at >= max(self.start, 1):
                scaled[at] = self.naive(scaled[None, :at])[0]
            else:  # before any forecast: the last value, or the first there is
                scaled[at] = scaled[at - 1] if at else scaled[there[0]] if len(there) else 0.0

    def __str__(self) -> str:
        lags = [str(lag) for lag, taken in ((1, self.first), (self.season, self.seasonal)) if taken]
        return f"differences at lag {' and '.join(lags)}" if lags else "no differences"


def choose_differences(scaled: Sequence[Array], season: int) -> Differences:
    """The differences whose naive forecast misses least in the training parts ``scaled``, each (T,)."""
    skip = season + 1 if season > 1 else 1  # every candidate is judged on the same rows
    choices = [Differences(f, s, season) for s in ((False, True) if season > 1 else (False,)) for f in (False, True)]

    def badness(choice: Differences) -> float:
        squares = [choice.missed(series)[0][skip:] ** 2 for series in scaled if len(series) > skip]
        return float(np.mean([np.mean(square) for square in squares])) if squares else float(choice.start)

    return min(choices, key=badness)


def choose_lags(misses: Sequence[Array], season: int) -> tuple[int, ...]:
    """Which earlier misses a recursive network is handed beside the last one, since its state can't look them up.

    Lags 1, the season and twice the season, and what stands out in the partial autocorrelation up to 1.5 seasons. A
    recurrent state remembers, so a lag must be far beyond chance (four standard errors) to be handed over as well.
    ``misses`` are those of the training part, one array a series; the median over the series decides.
    """
    shortest, total = min(map(len, misses)), sum(map(len, misses))
    lags = {lag for lag in (1, season, 2 * season) if lag <= max(1, shortest // 3)}
    longest = min(max(24, season + season // 2), shortest // 4)
    if longest >= 2:
        partial = np.abs(np.median([partial_autocorrelation(miss, longest) for miss in misses], axis=0))
        strong = [k for k in range(1, longest + 1) if partial[k] > max(4 / np.sqrt(total), 0.1)]
        lags |= set(sorted(strong, key=lambda k: -partial[k])[:MOST_LAGS])
    return tuple(sorted(lags))


def partial_autocorrelation(values: Array, longest: int) -> Array:
    """Partial autocorrelation at lags 0 to ``longest``, by Durbin and Levinson's recursion."""
    r = autocorrelation(values, longest)
    partial = np.zeros(longest + 1)
    phi = np.zeros(0)
    for k in range(1, longest + 1):
        error = 1 - phi @ r[1:k]
        if error <= 1e-9:  # the past tells everything: nothing is left to explain
            break
        partial[k] = (r[k] - phi @ r[k - 1 : 0 : -1]) / error
        phi = np.append(phi - partial[k] * phi[::-1], partial[k])
    return partial
