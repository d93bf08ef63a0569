"""Which rows train, which decide and calibrate, which test: each series in this order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
MOST_VALIDATION = 0.25  # of all rows


@dataclass(frozen=True)
class Split:
    """Of each series: training ends before row ``train``, validation before ``validation``, test before ``test``."""

    train: Rows  # (S,)
    validation: Rows  # (S,)
    test: Rows  # (S,)

    @property
    def parts(self) -> dict[str, Rows]:
        """How many rows of each series each part has, (S,)."""
        rows = np.diff(np.stack([0 * self.train, self.train, self.validation, self.test]), axis=0)  # (3, S)
        return dict(zip(("training", "validation", "test"), rows, strict=True))

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of all series each part has."""
        return {part: int(rows.sum()) for part, rows in self.parts.items()}


def split_rows(
    lengths: Sequence[int],
    names: Sequence[str],
    horizon: int,
    asked: Sequence[float] | None,
    test: int | None = None,
    held: int | None = None,
) -> Split:
    """The split of series of ``lengths`` rows.

    ``asked`` are rows, or shares below 1, of training, validation and test; rows beyond them stay unused. ``test`` is
    how many rows a test file brought, 0 for no test, ``held`` how many a validation set did. Without any, the last 30 %
    are the test, and the 10 % before them, or up to a quarter if that makes three horizons, the validation part. Raises
    ``InputError`` where one has no room.
    """
    parts = np.array([_parts(n, horizon, asked, test, held) for n in lengths], dtype=np.int64)  # (S, 3)
    ends = np.cumsum(parts, axis=1)
    for name, n, (train, validation, tested), total in zip(names, lengths, parts, ends[:, 2], strict=True):
        if total > n:
            raise InputError(f"--split: series {name!r} has {n} rows, the parts need {total}")
        for part, rows in (("validation", validation), ("test", tested)):
            if rows < horizon and not (part == "test" and test == 0):
                raise InputError(
                    f"series {name!r}: a horizon of {horizon} doesn't fit into the {rows} rows of its {part} part;"
                    " take a shorter --horizon or another --split"
                )
        if train < horizon + 2:
            raise InputError(
                f"series {name!r}: {train} rows are left for training, expected at least {horizon + 2} at a horizon"
                f" of {horizon}"
            )
    return Split(ends[:, 0], ends[:, 1], ends[:, 2])


def longest_horizon(
    lengths: Sequence[int], most: int, asked: Sequence[float] | None, test: int | None = None, held: int | None = None
) -> int:
    """The longest horizon, at most ``most`` and at least 1, that fits into the split of series of these ``lengths``."""
    for horizon in range(most, 1, -1):
        try:
            split_rows([min(lengths)], [""], horizon, asked, test, held)
        except InputError:
            continue
        return horizon
    return 1


def _parts(
    n: int, horizon: int, asked: Sequence[float] | None, test: int | None, held: int | None
) -> tuple[int, int, int]:
    if held is not None:
        return n - held, held, 0
    if asked is not None:
        rows = [int(part) if part >= 1 else int(part * n + 1e-9) for part in asked]
        if sum(asked) <= 1 + 1e-9:
            rows[0] = n - rows[1] - rows[2] if abs(sum(asked) - 1) < 1e-9 else rows[0]
        return rows[0], rows[1], rows[2]
    tested = int(TEST_SHARE * n) if test is None else test
    if test:
        validation = max(test, horizon)
        return n - test - validation, validation, test
    validation = int(max(VALIDATION_SHARE * n, min(3 * horizon, MOST_VALIDATION * n), horizon))
    return n - tested - validation, validation, tested


def origins(begin: Rows, end: Rows, horizon: int, stride: int = 1) -> tuple[Rows, Rows]:
    """Every ``stride``-th first row of a forecast that lies inside ``[begin, end)`` of its series.

    ``begin`` and ``end`` are (S,). Returns the rows and the series they belong to, (n,) each.
    """
    counts = np.maximum((end - horizon - begin) // stride + 1, 0)  # (S,)
    series = np.repeat(np.arange(len(begin)), counts)
    before = np.cumsum(counts) - counts
    rows = begin[series] + (np.arange(len(series)) - before[series]) * stride
    return rows, series


def thinned(rows: Rows, series: Rows, *, most: int) -> tuple[Rows, Rows]:
    """At most ``most`` of ``rows`` and ``series``, (n,) each, evenly."""
    every = slice(None, None, -(-len(rows) // most) or 1)
    return rows[every], series[every]
