"""The grid that the rows of a series stand on: equal steps in time or in a number, or, without either, one row a step.

A row's *place* counts the steps from a fixed zero, so that rows of two files, or of two series, can be told to be the
same hour, and a place in the calendar's cycles follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import from_json
from ...data.dates import PLAIN, form_of, is_form, written
from ...errors import InputError

Places = NDArray[np.int64]

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_YEAR = 365.25 * 86_400
_MONTHS = {1: "month", 3: "quarter", 12: "year"}
_MICRO = 1_000_000
_PRECISIONS = {"M": "%Y-%m", "D": "%Y-%m-%d", "m": "%Y-%m-%d %H:%M", "s": PLAIN}  # what former models have as a form
END = -1  # of a month
UNITS = ("month", "microsecond", "number", "row")


@dataclass(frozen=True)
class Grid:
    """``size`` units a step, place 0 ``offset`` units after the unit's zero. Units: month, microsecond, number, row."""

    unit: str = "row"
    size: float = 1
    offset: float = 0
    into: int = 0
    """Where in the month, in microseconds from its beginning; ``END`` for its last day."""
    form: str = PLAIN
    """How a time is written, see ``data.dates``."""
    zone: str = ""
    """What stands behind it, such as +00:00."""

    def __post_init__(self) -> None:
        whole = self.unit not in ("month", "microsecond") or (self.size == int(self.size) and self.offset % 1 == 0)
        if self.unit not in UNITS or not is_form(self.form, self.zone) or not self.size > 0 or not whole:
            raise ValueError(f"no grid: {self}")

    @property
    def daily(self) -> bool:
        """Whether all its times are at the same hour of a day."""
        return self.unit != "microsecond" or self.size % (86_400 * _MICRO) == 0

    @property
    def step(self) -> str:
        """A step in words: month, 30 minutes, row."""
        if self.unit == "month":
            return _MONTHS.get(int(self.size), f"{self.size:g} months")
        return _span(self.size / _MICRO) if self.unit == "microsecond" else "row"

    @property
    def _one(self) -> str:
        return self.step if self.step[0].isdigit() else f"one {self.step}"

    def steps(self, count: int) -> str:
        """``count`` steps in words: 12 months, 12 x 30 minutes."""
        if self.step[0].isdigit():
            return f"{count} x {self.step}"
        return f"{count} {self.step}{'s' if count > 1 else ''}"

    @property
    def cycles(self) -> tuple[int, ...]:
        """The calendar's periods in steps; () where there is no calendar."""
        if self.unit == "month":
            return _whole(12 / self.size)
        if self.unit == "microsecond":
            seconds = self.size / _MICRO
            hour = () if seconds > 900 else (3600 / seconds,)
            return _whole(*hour, 86_400 / seconds, 604_800 / seconds, _YEAR / seconds)
        return ()

    @property
    def seasons(self) -> tuple[int, ...]:
        """Those of the cycles in which series repeat: an hour is none where the day can be told."""
        day = 86_400 * _MICRO / self.size if self.unit == "microsecond" else 0
        return tuple(cycle for cycle in self.cycles if cycle >= day)

    def places(self, where: str, column: str, when: NDArray[Any], labels: Sequence[str], rows: Places) -> Places:
        """The place of every time in ``when``, whose rows in the table are ``rows``, counted from 0.

        Raises ``InputError`` for a time between two places.
        """
        if self.unit == "row":
            return np.arange(len(when), dtype=np.int64)
        steps = (_measure(self.unit, when) - self.offset) / self.size
        places = np.round(steps).astype(np.int64)
        off = np.abs(steps - places) > 1e-6
        if self.unit == "month" and len(when):
            off |= _into(when, self.into) != self.into
        if off.any():
            at = int(np.flatnonzero(off)[0])
            raise InputError(
                f"{where}: column {column!r}, row {rows[at] + 1}: {labels[at]} is not the usual step of {self._one}"
                " from the rows before; the rows must be equally spaced (--gaps ignore takes them as if they were)"
            )
        return places

    def when(self, places: Places) -> NDArray[Any]:
        """The times of ``places``, or the numbers; plain row numbers count from 1."""
        if self.unit == "row":
            return places + 1
        if self.unit == "number":
            return places * self.size + self.offset
        if self.unit == "microsecond":
            return (places * int(self.size) + int(self.offset)).astype("datetime64[us]")
        months = (places * int(self.size) + int(self.offset)).astype("datetime64[M]")
        if self.into == END:
            return ((months + 1).astype("datetime64[D]") - 1).astype("datetime64[us]")
        return months.astype("datetime64[us]") + np.timedelta64(self.into, "us")

    def labels(self, places: Places) -> list[str]:
        """The times of ``places`` as they are written."""
        when = self.when(places)
        if self.unit in ("row", "number"):
            return [f"{x:.10g}" for x in when]
        return written(when, self.form, self.zone)


def find_grid(when: NDArray[Any], labels: Sequence[str], groups: Sequence[Places]) -> Grid:
    """The grid whose step most neighbouring rows have; ``groups`` are the rows of each series in the order of time."""
    unit, into = _unit(when, groups)
    measured = _measure(unit, when)
    steps = np.concatenate([np.diff(measured[rows]) for rows in groups])
    size = float(np.sort(steps)[len(steps) // 2]) if len(steps) else 1.0
    grid = Grid(unit, size, float(measured[groups[0][0]] % size), into)
    if unit == "number":
        return grid
    form, zone = form_of(labels, when, daily=grid.daily)
    return replace(grid, form=form, zone=zone)


def grid_of(content: Any) -> Grid:
    """The grid that a model's file holds as ``content``; ValueError for what is none."""
    if isinstance(content, dict) and content.get("precision") in _PRECISIONS:
        content = {**content, "form": _PRECISIONS[content["precision"]]}
        del content["precision"]
    return from_json(Grid, content)


def _unit(when: NDArray[Any], groups: Sequence[Places]) -> tuple[str, int]:
    """Months, where every time is the first or the last day of one, or the same day; else microseconds or numbers."""
    if not np.issubdtype(when.dtype, np.datetime64):
        return "number", 0
    if all(bool(np.all(np.diff(when[rows].astype("datetime64[M]").astype(np.int64)) > 0)) for rows in groups):
        for candidate in (int(_into(when[:1], 0)[0]), END):
            if np.all(_into(when, candidate) == candidate):
                return "month", candidate
    return "microsecond", 0


def _into(when: NDArray[Any], like: int) -> NDArray[np.int64]:
    """How far into its month each time is, in microseconds, or ``END`` where that is asked for and so."""
    month = when.astype("datetime64[M]")
    into = (when.astype("datetime64[us]") - month.astype("datetime64[us]")).astype(np.int64)
    if like == END:
        last = when.astype("datetime64[D]") + 1 == (month + 1).astype("datetime64[D]")
        return np.asarray(np.where(last & (into % (86_400 * _MICRO) == 0), END, into), dtype=np.int64)
    return np.asarray(into, dtype=np.int64)


def _measure(unit: str, when: NDArray[Any]) -> NDArray[np.float64]:
    if unit == "month":
        return when.astype("datetime64[M]").astype(np.int64).astype(np.float64)
    if unit == "microsecond":
        return when.astype("datetime64[us]").astype(np.int64).astype(np.float64)
    return np.asarray(when, dtype=np.float64)


def _whole(*rows: float) -> tuple[int, ...]:
    return tuple(round(r) for r in rows if r >= 2 and abs(r - round(r)) < 0.01 * r)


def _span(seconds: float) -> str:
    name, size = max(((n, s) for n, s in _SECONDS.items() if seconds % s == 0), key=lambda x: x[1], default=("", 0))
    if not size:
        return f"{seconds:g} seconds"
    return name if seconds == size else f"{round(seconds / size)} {name}s"
