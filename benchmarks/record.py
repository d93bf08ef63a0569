"""What was measured: one long table for every kind of run, a row for each side of each case, and its file.

The file's ``records`` are flat rows, so that ``polars.DataFrame(json.load(file)["records"])`` is a frame to ask.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import geometric_mean
from typing import Any, TypeVar

from .case import Case, Shape

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Record:
    """One side of one case. ``value`` and all times are medians over the clean samples, a call each."""

    case: Case
    side: str
    value: float  # in ``unit``
    ratio: float  # over the value of the side that the case takes as its unit, statewise unless it says otherwise
    unit: str = "us"
    kernels: float | None = None  # us of it inside statewise's kernels
    way: str = ""  # how a library was called, where there are several ways: the fastest
    error: float | None = None  # from float64, of the largest value; the worst of all outputs or of all gradients
    preparation: float | None = None  # seconds until the first result, compilation included
    peak: float | None = None  # GFLOP/s of the reference product beside the samples, on as many threads
    clean: int = 0  # samples,
    taken: int = 0  # of so many
    disturbed: bool = False  # too few were clean: the machine was busy
    samples: tuple[float, ...] = field(default=(), repr=False)  # the clean ones, in ``unit``

    @property
    def peak_fraction(self) -> float:
        """The share of peak at which the unit's side of a plain call does its matrix products, all else in its time."""
        return self.ratio / self.limit

    @property
    def limit(self) -> float:
        """What ``ratio`` would be if the matrix products of a plain call ran at peak and all else took no time."""
        assert self.peak is not None
        return self.value * 1e-6 * self.peak * 1e9 / self.case.flops

    @property
    def busy(self) -> str:
        """A mark for tables."""
        return " (busy)" if self.disturbed else ""

    def as_row(self) -> dict[str, Any]:
        """Flat, rounded, without what the side doesn't have."""
        row: dict[str, Any] = {**asdict(self.case), **asdict(self.case.shape)}
        del row["shape"]
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value != one.default:
                row[one.name] = [_short(v, 4) for v in value] if one.name == "samples" else _short(value, 6)
        return row

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Record:
        """The inverse of ``as_row``, but for the rounding."""
        row = dict(row)
        shape = Shape(*(row.pop(size) for size in "TNIHL"))
        case = Case(row.pop("cell"), shape, row.pop("mode"), row.pop("threads"), row.pop("name"))
        return cls(case, **row | {"samples": tuple(row.get("samples", ()))})


def _short(value: Any, digits: int) -> Any:
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Results:
    """One run: its kind, where it was measured, what it found."""

    kind: str
    machine: dict[str, str | int]
    records: list[Record]

    def write(self, path: Path) -> None:
        """As JSON, a record a line."""
        rows = ",\n  ".join(json.dumps(record.as_row()) for record in self.records)
        head = json.dumps({"kind": self.kind, "machine": self.machine}, indent=1).removesuffix("\n}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head},\n "records": [\n  {rows}\n ]\n}}\n', encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """OSError or ValueError where that isn't the file of a run."""
        found = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(found["kind"], found["machine"], [Record.from_row(row) for row in found["records"]])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected the figures of a run, without them: {error}") from None


def grouped(records: Iterable[Record], key: Callable[[Record], K]) -> dict[K, list[Record]]:
    """The records by ``key``, in the order in which each first occurs."""
    groups: dict[K, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def by_case(records: Iterable[Record]) -> dict[Case, dict[str, Record]]:
    """The sides of each case by their names."""
    return {case: {r.side: r for r in group} for case, group in grouped(records, lambda r: r.case).items()}


def mean_and_range(records: Iterable[Record]) -> str:
    """The geometric mean of the ratios, that of 2 and 1/2 is 1; in brackets the lowest and the highest."""
    ratios = [record.ratio for record in records]
    return f"**{geometric_mean(ratios):.1f}** ({min(ratios):.1f} to {max(ratios):.1f})"


def pivot(entries: Iterable[tuple[Sequence[str], str, str]], *heads: str) -> str:
    """A markdown table of (row, column, text): a row for each, by one or more words, a column for each; ``-``: none.

    ``heads`` stand over the words of the rows, which align left; the figures align right.
    """
    table: dict[tuple[str, ...], dict[str, str]] = {}
    for row, column, text in entries:
        table.setdefault(tuple(row), {})[column] = text
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    rows = ([*row, *(cells.get(column, "-") for column in columns)] for row, cells in table.items())
    return markdown([[*heads, *columns], *rows], left=len(heads))


def markdown(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A markdown table; the first row is its head, the columns after so many on the left align right."""
    rule = ["---"] * left + ["---:"] * (len(rows[0]) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
