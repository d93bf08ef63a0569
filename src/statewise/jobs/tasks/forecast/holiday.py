"""The public holidays of a country, told to the networks of every row, those to come too: by the package holidays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .grid import Grid, Places
from .split import Array

DAY = np.timedelta64(1, "D")
AROUND = {"holiday": 0, "day before a holiday": 1, "day after a holiday": -1}


def names(country: str) -> tuple[str, ...]:
    """What its columns are called."""
    return tuple(f"{name} ({country})" for name in AROUND)


def cells(country: str, grid: Grid, places: Places) -> dict[str, Array]:
    """Of each of ``places`` (n,): how many of its days are holidays, come before one, and after one; (n,) each.

    Raises ``InputError`` where rows have no dates or nothing is known of the country.
    """
    if grid.unit not in ("month", "microsecond"):
        raise InputError(f"--holidays {country}: expected a column of dates, the rows have none")
    begin = grid.when(places).astype("datetime64[D]")
    end = np.maximum(grid.when(places + 1).astype("datetime64[D]"), begin + DAY)
    years = [int(day.astype("datetime64[Y]").astype(int)) + 1970 for day in (begin.min() - DAY, end.max() + DAY)]
    days = _days(country, *years)
    return {
        name: (np.searchsorted(days, end + ahead * DAY) - np.searchsorted(days, begin + ahead * DAY)).astype(np.float64)
        for name, ahead in zip(names(country), AROUND.values(), strict=True)
    }


@lru_cache(maxsize=64)
def _days(country: str, first: int, last: int) -> NDArray[np.datetime64]:
    """All holidays from the year ``first`` to the year ``last``, rising."""
    import holidays

    code, _, part = country.partition("-")
    try:
        found = holidays.country_holidays(code, subdiv=part or None, years=range(first, last + 1))
    except (NotImplementedError, AttributeError):
        raise InputError(
            f"--holidays {country}: expected the code of a country or of a part of one, such as DE, US or DE-BY, that"
            " the package holidays knows"
        ) from None
    return np.array(sorted(found), dtype="datetime64[D]")
