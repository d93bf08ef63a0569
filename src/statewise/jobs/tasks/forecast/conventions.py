"""What others call the columns of a table of series, and those of a forecast of it.

A table that speaks one of these conventions is known by its columns' names, and its forecast is written in the same
words, so that what reads the ones reads the others:

plain       whatever the user calls them; ``step``, ``forecast``, ``q0.1``, ``q0.9``
nixtla      unique_id, ds, y (Prophet's are the same without an id); ``statewise``, ``statewise-lo-80``, ``-hi-80``
autogluon   item_id, timestamp, target; ``mean``, as the point forecast is called there, ``0.1``, ``0.5``, ``0.9``
darts       time, and a column for each component, beside one another in the forecast too; ``sales``, ``sales_q0.10``

The point forecast is the median in all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from .config import Columns, Style

MODEL = "statewise"  # what Nixtla's columns are named after


@dataclass(frozen=True)
class Convention:
    """The names of one. ``id`` and ``target`` are empty where they can be anything."""

    name: Style
    time: str = ""
    id: str = ""
    target: str = ""

    def speaks(self, names: Collection[str]) -> bool:
        """Whether a table with columns of these ``names`` does."""
        told = {self.id, self.target} & set(names) - {""}
        return self.time in names and (self.id in told if self.name == "autogluon" else bool(told))


NIXTLA = Convention("nixtla", "ds", "unique_id", "y")
AUTOGLUON = Convention("autogluon", "timestamp", "item_id", "target")
DARTS = Convention("darts", "time")
KNOWN = {each.name: each for each in (NIXTLA, AUTOGLUON, DARTS)}


def recognised(columns: Columns, names: Collection[str]) -> Columns:
    """``columns``, and what it leaves open as the convention of a table with columns of these ``names`` says."""
    if columns.convention == "auto":
        found = next((each for each in (NIXTLA, AUTOGLUON) if each.speaks(names)), None)
    else:
        found = KNOWN.get(columns.convention)
    if found is None:
        return columns
    told = {*columns.id, *columns.target, *columns.covariates, columns.time}
    free = set(names) - told
    return replace(
        columns,
        time=columns.time or (found.time if found.time in free else None),
        id=columns.id or ((found.id,) if found.id in free else ()),
        target=columns.target or ((found.target,) if found.target in free else ("*",) if found is DARTS else ()),
    )


def style(columns: Columns) -> Style:
    """The convention that a table with these ``columns``, none of them open any more, speaks."""
    if columns.convention != "auto":
        return columns.convention
    names = {*columns.id, *columns.target, columns.time or ""}
    return next((each.name for each in (NIXTLA, AUTOGLUON) if each.speaks(names)), "plain")


def forecast_names(style: Style, shares: Sequence[float], target: str) -> Iterator[tuple[str, float]]:
    """The columns of a forecast of ``target`` and the quantile that each has, the point forecast's first."""
    point = {"nixtla": MODEL, "autogluon": "mean", "darts": target}.get(style, "forecast")
    yield point, 0.5
    if style == "autogluon":
        yield from ((f"{share:g}", share) for share in shares)
        return
    for share in shares:
        if share == 0.5:
            continue
        if style == "nixtla":
            side, level = ("lo", 1 - 2 * share) if share < 0.5 else ("hi", 2 * share - 1)
            yield f"{MODEL}-{side}-{100 * level:.10g}", share
        else:
            yield (f"{target}_q{share:.2f}" if style == "darts" else f"q{share:g}"), share
