"""One series of numbers with its times, read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .cadence import cadence, check_order
from .columns import labels, numbers, pick, times
from .table import read_table

BUNDLED = Path(__file__).parent.parent / "data" / "airline-passengers.csv"
LEAST_ROWS = 30


@dataclass(frozen=True)
class Series:
    """``when`` is what ``labels`` say, as datetime64 or numbers; ``cycles`` is None where no calendar is known."""

    name: str
    target: str
    time: str | None
    values: NDArray[np.float64]
    labels: list[str]
    when: NDArray[Any]
    step: str
    cycles: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def ahead(self) -> str:
        """How far a forecast looks: "one month ahead", "30 minutes ahead"."""
        return f"{self.step} ahead" if self.step[0].isdigit() else f"one {self.step} ahead"


def read_series(
    path: Path = BUNDLED, time: str | None = None, target: str | None = None, *, ignore_gaps: bool = False
) -> Series:
    """The series in a CSV or Parquet file. Columns not named are guessed where there is one candidate."""
    frame = read_table(path)
    if len(frame) < LEAST_ROWS:
        raise InputError(f"{path}: {len(frame)} rows, at least {LEAST_ROWS} are needed")
    time, target = pick(path, frame, time, target)
    values = numbers(path, frame[target])
    if time is None:
        rows = np.arange(1, len(values) + 1)
        return Series(path.stem, target, None, values, [str(r) for r in rows], rows, "row", None)
    when, written = times(path, frame[time]), labels(frame[time])
    check_order(path, time, when, written)
    step, cycles = ("row", ()) if ignore_gaps else cadence(path, time, when, written)
    return Series(path.stem, target, time, values, written, when, step, cycles or None)
