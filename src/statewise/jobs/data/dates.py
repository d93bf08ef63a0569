"""Dates and times as people write them: read from some forty spellings, and written again in the one that was read.

Which of two readings is meant, the day or the month first, the whole column decides. A form is a pattern such as
``%d.%m.%Y``, by strftime's letters in English, with ``%q`` for the quarter and ``%-m`` for no zero in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

GLANCE = 50  # rows that decide what a column looks like

_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%b %Y", "%B %Y", "%d %b %Y", "%Y%m%d", "%G-W%V-%u")
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")
_ZONE = r"(:\d{2}(?:\.\d+)?) ?(Z|UTC|[+-]\d{2}:?\d{2})$"  # behind a clock alone: 2020-01 is a month

PLAIN = "%Y-%m-%d %H:%M:%S"
"""The form of what came in none that can be written."""
_ISO = {"%Y-%m": "M", "%Y-%m-%d": "D", "%Y-%m-%d %H:%M": "m", PLAIN: "s"}  # which numpy writes, by its precisions
_ISO |= {form.replace(" ", "T"): unit for form, unit in _ISO.items() if " " in form}
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d %b %Y", "%Y%m%d")
_HOURS = ("", " %H:%M", "T%H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %-I:%M %p", " %-I:%M:%S %p")
_BARE = tuple(day.replace("%m", "%-m").replace("%d", "%-d") for day in _DAYS[:-1])  # 1/31/2020
_FORMS = (
    *("%Y-%m", "%Y/%m", "%YQ%q", "%Y-Q%q", "%b %Y", "%B %Y", "%G-W%V", "%GW%V", "%G-W%V-%u"),
    *(day + hour for day in (*_DAYS, *_BARE) for hour in _HOURS if "T" not in hour or day.startswith("%Y")),
)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_LETTERS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04d}",
    "m": lambda t: f"{t.month:02d}",
    "-m": lambda t: str(t.month),
    "d": lambda t: f"{t.day:02d}",
    "-d": lambda t: str(t.day),
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "q": lambda t: str((t.month + 2) // 3),
    "G": lambda t: f"{t.isocalendar()[0]:04d}",
    "V": lambda t: f"{t.isocalendar()[1]:02d}",
    "u": lambda t: str(t.isocalendar()[2]),
    "H": lambda t: f"{t.hour:02d}",
    "I": lambda t: f"{(t.hour + 11) % 12 + 1:02d}",
    "-I": lambda t: str((t.hour + 11) % 12 + 1),
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "M": lambda t: f"{t.minute:02d}",
    "S": lambda t: f"{t.second:02d}",
}


def looks_like_dates(column: pl.Series) -> bool:
    """Whether most of the first rows are dates."""
    if column.dtype.is_temporal():
        return True
    glance = column.head(GLANCE)
    if glance.null_count() == len(glance):
        return False
    return any(2 * _parse(glance, form).count() > len(glance) for form in _readings(glance))


def read(column: pl.Series, *, daily: bool | None = None) -> pl.Series:
    """The cells of a column that looks like dates as datetimes without a zone, null where there is none.

    Times of a zone, or with an offset such as +01:00, are read as their clocks show them where they are ``daily``, all
    at the same hour (default: as the column says); else, since clocks change, in UTC.
    """
    wall, offset = _wall(column)
    if offset is None:
        return wall
    daily = wall.drop_nulls().dt.time().n_unique() <= 1 if daily is None else daily
    return wall if daily else wall - offset


def form_of(labels: Sequence[str], when: NDArray[Any], *, daily: bool) -> tuple[str, str]:
    """The form in which ``labels`` are written, and what stands behind times of the zone that ``read`` has them in.

    ``when`` are their times as it gave them, ``daily`` what it took them for. ``PLAIN`` for what is in no form.
    """
    glance = list(labels[-GLANCE:])
    zones = [found[2] if (found := re.search(_ZONE, label)) else "" for label in glance]
    bare = [re.sub(_ZONE, r"\1", label) for label in glance]
    wall = when[-GLANCE:].astype("datetime64[us]")
    if not daily:
        wall = wall + _from_utc(pl.Series("", zones, dtype=pl.String)).to_numpy()
    times = wall.tolist()
    form = next((form for form in _FORMS if [_written(time, form) for time in times] == bare), PLAIN)
    zone = zones[-1]
    if daily or zone in ("", "Z", "UTC"):
        return form, zone
    return form, "+00:00" if ":" in zone else "+0000"


def is_form(form: str, zone: str) -> bool:
    """Whether ``form_of`` may have given them."""
    return form in _FORMS and (not zone or re.fullmatch(_ZONE, f":00{zone}") is not None)


def written(when: NDArray[Any], form: str, zone: str = "") -> list[str]:
    """The times ``when``, datetime64, in that form."""
    if form in _ISO:
        texts = np.datetime_as_string(when.astype(f"datetime64[{_ISO[form]}]")).tolist()
        return [(text if "T" in form else text.replace("T", " ")) + zone for text in texts]
    distinct, which = np.unique(when.astype("datetime64[us]"), return_inverse=True)
    texts = [_written(time, form) + zone for time in distinct.tolist()]
    return [texts[place] for place in which]


def _written(time: datetime, form: str) -> str:
    return re.sub(r"%(-?\w)", lambda letter: _LETTERS[letter[1]](time), form)


def _wall(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """What clocks show, and how far that is from UTC, where the column says so."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        wall = column.dt.replace_time_zone(None)
        return _naive(column), _naive(wall) - _naive(column.dt.convert_time_zone("UTC"))
    if column.dtype.is_temporal():
        return _naive(column), None
    forms = list(_readings(column))
    glance = column.drop_nulls().head(GLANCE)
    counts = [_parse(glance, form).count() for form in forms]
    readings = [_parse(column, form) for form, n in zip(forms, counts, strict=True) if n == max(counts)]
    # Day and month can't be told apart by one cell; times that rise, or keep the same distance once sorted, can.
    best = max(readings, key=lambda r: (r.count(), r.drop_nulls().is_sorted(), -_uneven(r)))
    if column.dtype != pl.String:
        return best, None
    offset = column.str.strip_chars().str.extract(_ZONE, 2)
    return best, None if offset.null_count() == len(offset) else _from_utc(offset)


def _from_utc(offset: pl.Series) -> pl.Series:
    """Offsets such as +01:00, -0530 and Z as durations; 0 where there is none."""
    minutes = offset.str.extract(r"^[+-](\d{2})", 1).cast(pl.Int64).fill_null(0) * 60
    minutes += offset.str.extract(r"(\d{2})$", 1).cast(pl.Int64).fill_null(0)
    minutes *= offset.str.starts_with("-").fill_null(False).cast(pl.Int64) * -2 + 1
    return (minutes * 60_000_000).cast(pl.Duration("us"))


def _uneven(times: pl.Series) -> float:
    """How many times as long as usual the longest gap between ``times`` is."""
    steps = np.diff(times.drop_nulls().unique().sort().to_numpy().astype("datetime64[us]").astype(np.float64))
    return float(steps.max() / np.median(steps)) if len(steps) else 1.0


def _readings(column: pl.Series) -> Iterator[str]:
    """By which patterns the column may be read, polars' own."""
    if column.dtype.is_temporal():
        yield ""
    elif column.dtype == pl.String:
        glance = column.head(GLANCE)
        if glance.str.strip_chars().cast(pl.Float64, strict=False).null_count() == 0:
            yield "%Y%m%d"  # the only date that reads as a number; a wide table is looked through in no time
        else:
            yield from (date + clock for date in _DATES for clock in _CLOCKS)


def _parse(column: pl.Series, form: str) -> pl.Series:
    """``column`` read by one pattern, null where it doesn't fit."""
    if not form:
        return _naive(column)
    distinct = column.unique()
    if 2 * len(distinct) < len(column):  # series of the same times
        return column.replace_strict(distinct, _parse(distinct, form), return_dtype=pl.Datetime("us"))
    cells = _normal(column)
    if form == "%Y%m%d":  # chrono would take a year of any length
        cells = cells.set(~cells.str.contains(r"^(19|20)\d{6}$"), None)
    return cells.str.to_datetime(form, strict=False, time_unit="us")


def _naive(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"), strict=False)


def _normal(column: pl.Series) -> pl.Series:
    """One spelling for what has several: 2020/1/2T10:00Z is 2020-1-2 10:00; months, quarters, weeks begin some day."""
    cells = column.str.strip_chars().str.replace(_ZONE, "${1}").str.replace_all("/", "-", literal=True)
    cells = cells.str.replace(r"^(\d[\d-]*)T(\d)", "${1} ${2}")
    for quarter in range(1, 5):
        cells = cells.str.replace(rf"^(\d{{4}})-?[Qq]{quarter}$", f"${{1}}-{3 * quarter - 2}-01")
    cells = cells.str.replace(r"^(\d{4})-?W(\d{2})$", "${1}-W${2}-1")
    return cells.str.replace(r"^(\d{4}-\d{1,2})$", "${1}-01")
