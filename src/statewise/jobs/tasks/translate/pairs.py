"""Pairs of a source and a target: read from tables, split, as numbers; and those that are built in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.columns import listed
from ...data.content import read_text
from ...data.split import random_split
from ...data.tables import name_of, read_table
from ...errors import InputError
from ...lazy import LazyModule
from .config import Layout

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")


@dataclass(frozen=True, eq=False)
class Pairs:
    """``n`` sources and, where they are known, their targets."""

    where: str
    """What messages call them."""
    sources: Sequence[str]
    targets: Sequence[str] | None
    features: Sequence[Sequence[str]]
    """What else is known of each source, as symbols."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def known_targets(self) -> Sequence[str]:
        """The targets. Raises ``InputError`` where there are none."""
        if self.targets is None:
            raise InputError(f"{self.where}: has no targets")
        return self.targets

    def select(self, rows: Sequence[int]) -> Pairs:
        """Those that ``rows`` name, in that order."""
        targets = None if self.targets is None else [self.targets[row] for row in rows]
        return Pairs(self.where, [self.sources[r] for r in rows], targets, [self.features[r] for r in rows])

    def groups(self) -> dict[tuple[str, Sequence[str]], list[int]]:
        """The rows of each source: it may have several targets."""
        found: dict[tuple[str, Sequence[str]], list[int]] = {}
        for row, source in enumerate(zip(self.sources, map(tuple, self.features), strict=True)):
            found.setdefault(source, []).append(row)
        return found

    def split(self, share: float, seed: int) -> tuple[Pairs, Pairs | None]:
        """Those that stay and those held out, a ``share`` of the sources, see ``random_split``; None: there are none.

        Pairs of the same source stay together.
        """
        groups = list(self.groups().values())
        kept, held = (
            self.select(sorted(row for place in places for row in groups[place]))
            for places in random_split(len(groups), share, seed)
        )
        return kept, held if len(held) else None

    def described(self) -> str:
        """How many there are, in words."""
        n, pairs = len(self.groups()), len(self)
        return f"{pairs:,} pairs" + (f" of {n:,} sources" if n < pairs else "")


def read(source: Any, layout: Layout, *, targets: bool = True) -> tuple[Pairs, Layout]:
    """The pairs in ``source``, a path or a frame, and the layout with the columns' names.

    Raises ``InputError`` where a column isn't there or a cell is empty; without ``targets`` there may be none.
    """
    where, features = name_of(source), layout.features
    frame = read_table(source) if layout.header or not isinstance(source, (str, PathLike)) else _lines(Path(source))
    names = [name for name in frame.columns if name not in features]
    if len(names) < 1 + targets:
        there = listed(frame.columns) or "nothing"
        raise InputError(f"{where}: expected a column of sources{' and one of targets' * targets}, got {there}")
    first = layout.source or ("source" if "source" in names else names[0])
    names = [*(name for name in names if name != first), ""]
    second = layout.target or ("target" if "target" in names else names[0])
    known = second in frame.columns
    for option, name in (("source", first), *([("target", second)] * targets), *(("features", n) for n in features)):
        if name not in frame.columns:
            raise InputError(f"{where}: no column {name!r} for --{option}; there are: {listed(frame.columns)}")
    if first == second or {first, second} & {*features}:
        raise InputError(f"{where}: one column can't be two of --source {first}, --target {second} and --features")
    if not len(frame):
        raise InputError(f"{where}: there are no pairs in it")
    columns = [_cells(where, frame[name]) for name in (*features, first, *([second] * known))]
    more = [
        [part for cell in row for part in cell.replace(";", " ").split()]
        for row in zip(*columns[: len(features)], strict=True)
    ]
    pairs = Pairs(where, columns[len(features)], columns[-1] if known else None, more or [[]] * len(frame))
    return pairs, Layout(source=first, target=second or None, features=features, header=layout.header)


def _lines(path: Path) -> pl.DataFrame:
    """Fields between tabs, in columns named by their number."""
    rows = [line.split("\t") for line in read_text(path).split("\n") if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}: expected {len(rows[0])} fields between tabs, got {len(row)} in line {number}")
    return pl.DataFrame({str(n): list(column) for n, column in enumerate(zip(*rows, strict=True), 1)})


def _cells(where: str, column: pl.Series) -> list[str]:
    """The cells as text; refuses an empty one."""
    cells = ["" if cell is None else " ".join(str(cell).split("\n")).strip() for cell in column.to_list()]
    if "" in cells:
        raise InputError(f"{where}: column {column.name!r}, row {cells.index('') + 1}: expected a text, got nothing")
    return cells


# Built in

BUILT_IN, MISSPELT = 1500, 0.15
MONTHS, DAYS, ONES, TENS = (
    text.split()
    for text in (
        "January February March April May June July August September October November December",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen",
        "- - twenty thirty forty fifty sixty seventy eighty ninety",
    )
)
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}


def dates(count: int = BUILT_IN, seed: int = 0) -> Pairs:
    """Dates as people write and say them, with those of a calendar; the same seed gives the same."""
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < count:
        day = date(1900, 1, 1) + timedelta(draw.randrange(365 * 150))
        found.setdefault(_written(day, draw), day.isoformat())
    return Pairs("the built-in dates", list(found), list(found.values()), [()] * count)


def _written(day: date, draw: random.Random) -> str:
    month = draw.choice((MONTHS[day.month - 1], MONTHS[day.month - 1][:3]))
    number = _in_words(day.day).rpartition("-")
    last = ORDINALS.get(number[2], f"{number[2]}th")
    ordinal = "".join((*number[:2], last))
    suffix = "th" if 10 < day.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    century, year = divmod(day.year, 100)
    rest = "hundred" if not year else f"oh {ONES[year]}" if year < 10 else _in_words(year)
    said = f"{_in_words(century)} {rest}" if century != 20 or year > 9 else f"two thousand {ONES[year] * bool(year)}"
    form = draw.choice(
        (
            f"the {ordinal} of {month} {said}",
            f"{month} the {ordinal}, {said}",
            f"{month} {day.day}, {day.year}",
            f"{day.day} {month} {day.year}",
            f"{DAYS[day.weekday()]}, {day.day}{suffix} {month} {day.year}",
            f"{day.day}{suffix} of {month} {said}",
            f"{day.day}.{day.month}.{day.year}",
        )
    )
    words = draw.choice((form, form.lower())).split()
    return " ".join(_misspelt(word, draw) if draw.random() < MISSPELT else word for word in words)


def _misspelt(word: str, draw: random.Random) -> str:
    """With a letter left out; digits and short words stay."""
    place = draw.randrange(len(word))
    return word if len(word) < 4 or not word[place].isalpha() else word[:place] + word[place + 1 :]


def _in_words(number: int) -> str:
    if number < 20:
        return ONES[number]
    return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
