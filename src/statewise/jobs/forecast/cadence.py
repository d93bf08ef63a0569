"""How far the rows of a series lie apart, and which cycles of the calendar that means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_YEAR = 365.25 * 86_400
_MONTHS = {1: "month", 3: "quarter", 12: "year"}


def check_order(path: Path, column: str, when: NDArray[Any], labels: Sequence[str]) -> None:
    """Refuse times that repeat or go back."""
    bad = np.flatnonzero(when[1:] <= when[:-1])
    if len(bad):
        row = int(bad[0]) + 1
        if when[row] == when[row - 1]:
            reason = f"the time {labels[row]} comes twice in a row"
        else:
            reason = f"the time goes back from {labels[row - 1]} to {labels[row]}; sort the rows by time"
        raise InputError(f"{path}: column {column!r}, row {row + 1}: {reason}")


def cadence(path: Path, column: str, when: NDArray[Any], labels: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The step in words ("month", "30 minutes") and the calendar's cycles in rows; refuses gaps and uneven steps."""
    months = _months(when)
    places = when if months is None else months
    steps = np.diff(places)
    usual = np.sort(steps)[len(steps) // 2]
    odd = np.flatnonzero(steps != usual)
    if len(odd):
        row = int(odd[0]) + 1
        ratio = steps[odd[0]] / usual
        what = f"{round(ratio) - 1} missing" if ratio > 1 and ratio == round(ratio) else "not the usual step"
        raise InputError(
            f"{path}: column {column!r}, row {row + 1}: from {labels[row - 1]} to {labels[row]} is {what};"
            " the rows must be equally spaced (--ignore-gaps takes them as if they were)"
        )
    if months is not None:
        return _MONTHS.get(int(usual), f"{usual} months"), _whole(12 / int(usual))
    if np.issubdtype(when.dtype, np.datetime64):
        seconds = float(usual / np.timedelta64(1, "s"))
        hour = () if seconds > 900 else (3600 / seconds,)
        return _span(seconds), _whole(*hour, 86_400 / seconds, 604_800 / seconds, _YEAR / seconds)
    return "row", ()


def _months(when: NDArray[Any]) -> NDArray[np.int64] | None:
    """The months counted, where every time is the first or the last day of one, or the same day; otherwise None."""
    if not np.issubdtype(when.dtype, np.datetime64):
        return None
    month = when.astype("datetime64[M]")
    into = when - month
    left = (month + 1).astype(when.dtype) - when
    once = bool(np.all(np.diff(month.astype(np.int64)) > 0))
    return month.astype(np.int64) if once and (np.all(into == into[0]) or np.all(left == left[0])) else None


def _whole(*rows: float) -> tuple[int, ...]:
    return tuple(round(r) for r in rows if r >= 2 and abs(r - round(r)) < 0.01 * r)


def _span(seconds: float) -> str:
    name, size = max(((n, s) for n, s in _SECONDS.items() if seconds % s == 0), key=lambda x: x[1], default=("", 0))
    if not size:
        return f"{seconds:g} seconds"
    return name if seconds == size else f"{round(seconds / size)} {name}s"
