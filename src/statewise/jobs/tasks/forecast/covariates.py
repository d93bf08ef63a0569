"""From the cells of covariates to numbers that a network reads: standardised, or one column of 0 and 1 a category.

What a column means (its mean, its spread, its categories) is decided on the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import from_json
from ...errors import InputError
from .panel import Panel

Array = NDArray[np.float64]

MOST_CATEGORIES = 200


@dataclass(frozen=True)
class Column:
    """How one covariate becomes numbers; ``flagged`` adds a column that is 1 where the value is missing."""

    name: str
    categories: tuple[str, ...] | None
    mean: float = 0.0
    spread: float = 1.0
    flagged: bool = False

    def __post_init__(self) -> None:
        if not self.spread > 0:
            raise ValueError(f"{self.name}: expected a spread above 0, got {self.spread}")

    @property
    def width(self) -> int:
        """How many numbers a cell becomes."""
        return (1 if self.categories is None else len(self.categories)) + self.flagged

    def encode(self, where: str, cells: NDArray[Any], labels: Sequence[str]) -> Array:
        """The numbers of ``cells`` (T,): (T, width). A missing value is the mean, a category never seen is all 0.

        Raises ``InputError`` where a value is missing and none was in training.
        """
        if (cells.dtype.kind == "f") != (self.categories is None):
            expected = "numbers" if self.categories is None else "text"
            raise InputError(f"{where}: column {self.name!r}: expected {expected}, as in training")
        missing = np.isnan(cells) if self.categories is None else np.asarray(cells == "", dtype=np.bool_)
        if missing.any() and not self.flagged:
            row = labels[int(np.flatnonzero(missing)[0])]
            raise InputError(
                f"{where}: column {self.name!r}, row {row}: expected a value; none was missing where the model learnt"
            )
        if self.categories is None:
            encoded = np.where(missing, 0.0, (cells - self.mean) / self.spread)[:, None]
        else:
            encoded = (cells[:, None] == np.array(self.categories, dtype=object)).astype(np.float64)
        return np.concatenate([encoded, missing[:, None].astype(np.float64)], axis=1) if self.flagged else encoded


@dataclass(frozen=True)
class Encoding:
    """Some covariates of a panel."""

    columns: tuple[Column, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(column.width for column in self.columns)

    def encode(self, where: str, cells: Mapping[str, NDArray[Any]], labels: Sequence[str], rows: int) -> Array:
        """The numbers of the first ``rows`` rows: (rows, width)."""
        parts = [column.encode(where, cells[column.name][:rows], labels) for column in self.columns]
        return np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0))

    def to_json(self) -> list[dict[str, Any]]:
        """As a model file keeps it."""
        return [asdict(column) for column in self.columns]

    @staticmethod
    def from_json(content: Sequence[Any]) -> Encoding:
        """What ``to_json`` gave. ValueError for what it can't have given."""
        return Encoding(tuple(from_json(Column, column) for column in content))


def find_encoding(panel: Panel, names: Sequence[str], train: NDArray[np.int64], *, ahead: bool) -> Encoding:
    """How the covariates ``names`` are encoded; ``train`` is where each series' training part ends, (S,).

    Whether a column has missing values is looked up in all rows, so that a gap after the training part has its flag.
    """
    return Encoding(tuple(_column(panel, name, train, ahead) for name in names))


def _column(panel: Panel, name: str, train: NDArray[np.int64], ahead: bool) -> Column:
    every = [s.cells[name] if ahead else s.cells[name][: len(s)] for s in panel.series]
    seen = np.concatenate([cells[:end] for cells, end in zip(every, train, strict=True)])
    if seen.dtype.kind == "f":
        there = seen[np.isfinite(seen)]
        mean, spread = (float(there.mean()), float(there.std()) or 1.0) if len(there) else (0.0, 1.0)
        return Column(name, None, mean, spread, any(bool(np.isnan(cells).any()) for cells in every))
    categories = sorted({str(cell) for cell in seen} - {""})
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"{panel.source}: column {name!r} has {len(categories)} different texts, expected at most"
            f" {MOST_CATEGORIES} categories or numbers"
        )
    return Column(name, tuple(categories), flagged=any(bool((cells == "").any()) for cells in every))
