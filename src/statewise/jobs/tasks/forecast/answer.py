"""A forecast as a table: in the words, the types and the kind of frame of the table that was given."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import checked
from ...data.frames import FrameKind
from .config import Columns, Levels
from .conventions import forecast_names, style
from .grid import Grid
from .series import Head
from .split import Array

TEXT = ("String", "Categorical", "Enum", "Object", "Unknown")  # narwhals' names of what times are written into


@dataclass(frozen=True)
class Words:
    """How a table called things, and what an answer to it calls them."""

    columns: Columns
    grid: Grid
    kind: FrameKind

    def table(self, *told: Any, **more: Any) -> Any:
        """As a frame, see ``_columns``."""
        columns, types = self._columns(*told, **more)
        return replace(self.kind, types=types).frame(columns)

    def text(self, *told: Any) -> str:
        """As CSV, see ``_columns``. Plain columns are written without a library of frames, which takes a while."""
        columns, types = self._columns(*told)
        typed = any(types.get(name, TEXT)[0] not in TEXT for name in columns)
        if typed or any(isinstance(column, np.ndarray) and column.dtype.kind == "M" for column in columns.values()):
            frame = replace(self.kind, implementation="polars", types=types, index=()).frame(columns)
            return str(frame.write_csv(datetime_format="%Y-%m-%d %H:%M:%S"))
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        cells = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
        writer.writerows(zip(*cells, strict=True))
        return text.getvalue()

    def _columns(
        self,
        heads: Sequence[Head],
        places: NDArray[np.int64],
        labels: Sequence[Sequence[str]],
        shares: Sequence[float],
        quantiles: Array,
        *,
        cutoffs: tuple[NDArray[np.int64], Sequence[str]] | None = None,
        real: Array | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The columns of a table and their types: a row for each of n forecasts and each of its H steps.

        ``places`` (n, H) and ``labels`` are the times, ``quantiles`` (n, H, K) those of the rising ``shares``, 0.5
        among them, or, without shares, K ways that it may go. ``cutoffs`` are the places and labels (n,) of the last
        rows that each saw, ``real`` (n, H) what was.
        """
        words, columns = style(self.columns), self.columns
        several = len(columns.target) > 1
        targets = columns.target if words == "darts" else [None]
        rows = np.array([targets[0] in (None, head.target) for head in heads], dtype=np.bool_)
        count = quantiles.shape[1]
        shown = [head for head, kept in zip(heads, rows, strict=True) if kept]
        found: dict[str, Any] = {}
        for n, name in enumerate(columns.id or ("series",) * bool(heads[0].key)):
            found[name] = [head.key[n] for head in shown for _ in range(count)]
        if several and words != "darts":
            found["target"] = [head.target for head in shown for _ in range(count)]
        written = [label for label, kept in zip(labels, rows, strict=True) if kept]
        name, times = self._times(places[rows].ravel(), [label for row in written for label in row])
        found[name] = times
        if words == "plain":
            found["step"] = np.tile(np.arange(1, count + 1), len(shown))
        types = dict(self.kind.types)
        if name in types and not self.grid.daily:
            types[name] = (*types[name], "UTC")
        if cutoffs is not None:
            at = [label for label, kept in zip(cutoffs[1], rows, strict=True) if kept]
            _, ends = self._times(cutoffs[0][rows].repeat(count), [label for label in at for _ in range(count)])
            found["cutoff"] = ends
            types |= {"cutoff": types[name]} if name in types else {}
        for target in targets:
            mine = rows if target is None else np.array([head.target == target for head in heads])
            value = target or ("real" if several or not columns.target[:1] else columns.target[0])
            if real is not None:
                _add(found, value, real[mine].ravel())
            named = f"{value}_forecast" if real is not None else value
            columns_of = np.moveaxis(quantiles[mine], -1, 0)  # (K, n, H)
            if shares:
                titles = {title: list(shares).index(share) for title, share in forecast_names(words, shares, named)}
            else:
                titles = {f"{target} sample {k + 1}".removeprefix("None "): k for k in range(len(columns_of))}
            for title, k in titles.items():
                _add(found, title, columns_of[k].ravel())
        return found, types

    def _times(self, places: NDArray[np.int64], labels: Sequence[str]) -> tuple[str, Any]:
        """The column of times: as it came, or of text as it would have been written."""
        name = self.columns.time or "time"
        kind = self.kind.types.get(name, ("",))[0]
        if self.columns.time is None or (self.grid.unit == "row" and kind not in TEXT):
            return "row" if self.columns.time else "time", places + 1 if self.grid.unit == "row" else places
        return name, list(labels) if kind in TEXT else self.grid.when(places)


def _add(columns: dict[str, Any], name: str, values: Array) -> None:
    while name in columns:
        name += "_"
    columns[name] = values


def shares_of(level: Any, quantiles: Sequence[float]) -> tuple[float, ...]:
    """The quantiles of the intervals of so many per cent ``level``, and the median; without any ``quantiles``."""
    if level is None:
        return tuple(quantiles)
    levels = checked("level", Levels, (level,) if isinstance(level, (int, float)) else level)
    return tuple(sorted({0.5, *(round(0.5 + side * each / 200, 9) for each in levels for side in (-1, 1))}))
