"""What a linear forecast is a mean of: smoothings, naive forecasts and ridges, each a matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ..baselines import intermittent
from ..split import Array, Rows
from .ridge import Sums, ridges, windows
from .smoothing import smoothed

SHOWN = 300  # windows that the constants of smoothing are chosen by
SPANS, ROWS = (2, 3, 5, 8), 48  # seasons that smoothing looks back, and rows without a season
SMOOTHED, FURTHEST = 420, 700  # rows that smoothing looks back at most, but for two seasons
MOST_LAGS = 400  # rows that a ridge reads one after another
ENOUGH = 3  # times as many rows as lags


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
Read = Callable[[bool, Rows, Sequence[bool]], Sequence[Sums]]
"""What a ridge knows of windows: of logarithms or not, which rows are read, and whether scaled, for several."""


def members(
    spaces: Sequence[Sequence[Array]],
    end: Rows,
    horizon: int,
    seasons: Sequence[int],
    responses: Callable[[int, int, int], Mapping[str, Array]],
    read: Read,
    penalties: Penalties,
) -> dict[Name, Array]:
    """Each (P, L + 1, H), one for each of its ``penalties``, 1 of those that know none; without any it isn't there.

    ``spaces`` are the values of the series and, where there is a second one, their logarithms. The series of a space
    are in one unit, and read before ``end`` (S,) alone. ``responses`` is ``smoothing``, which may remember, ``read``
    tells of the windows of ridges.
    """
    rows, found, logs = int(end.min()), dict[Name, Array](), (False, True)[: len(spaces)]

    def asked(name: Name) -> list[Name]:
        return [own for log in logs if len(penalties(own := name._replace(log=log)))]

    found |= {name: repeating(1, 1, horizon) for name in asked(Name("naive", "1"))}
    for season in seasons:
        for span in range(1, min(3, rows // season) + 1):
            found |= {n: repeating(season, span, horizon) for n in asked(Name("naive", f"{season}", -span))}
    for season, span in spans_of(seasons):
        lookback = min(season * span, rows)
        if lookback < 2 * season:
            continue
        lags = np.arange(1, lookback + 1)
        shown = cache(lambda log, lags=lags: windows(spaces[log], end, lags, horizon, most=SHOWN))
        apart = max(0.0, float(end.mean()) - lookback - horizon + 1) / horizon * np.sqrt(len(end))
        for kind in ("smoothing", "theta"):
            for name in asked(Name(kind, f"{season}", span)):
                x, y = shown(name.log)
                told = responses(lookback, horizon, season)[kind]
                found[name] = smoothed(np.ascontiguousarray(x[:, ::-1]), y, told, independent=apart)
    rows -= horizon
    lookback = max(2, min(lookback_of(seasons, horizon), rows - max(6, min(horizon, 24) // max(1, min(len(end), 4)))))
    for of, lags in lags_of(seasons, horizon, lookback, rows).items():
        longest = max(lookback, int(lags.max()))
        for log in logs:
            kinds = [Name(kind, of, log=log) for kind in ("ridge", "scaled ridge")]
            kinds = [name for name in kinds if len(penalties(name))]
            known = read(log, lags, [name.kind == "scaled ridge" for name in kinds])
            for name, each in zip(kinds, known, strict=True):
                found[name] = ridges(each, lags, longest, penalties(name))
    for name in asked(Name("zero", "always")):
        if intermittent([values[:to] for values, to in zip(spaces[name.log], end, strict=True)]):
            found[name] = np.zeros((1, 2, horizon))
    return found


def spans_of(seasons: Sequence[int]) -> list[tuple[int, int]]:
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


def lookback_of(seasons: Sequence[int], horizon: int) -> int:
    """Five seasons (two of a long one), four horizons, and room for the longest season."""
    season, longest = (seasons[0], max(seasons)) if seasons else (1, 1)
    room = 0 if longest == season else longest + horizon + 2
    return max(5 * season if season <= 60 else 2 * season, 4 * horizon, 48, room)


def lags_of(seasons: Sequence[int], horizon: int, lookback: int, rows: int) -> dict[str, Rows]:
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
