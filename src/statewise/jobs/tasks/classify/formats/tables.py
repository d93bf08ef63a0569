"""CSV and Parquet files and data frames, in long form (a row is a step, an id column says of which sequence) or in wide
form (a row is a sequence, its columns are the steps); or with a column of texts, see ``texts.py``.

Where ids repeat a row is a step, otherwise a sequence. In the wide form a sequence ends with its last value. A long
table's values that are no numbers are symbols, and so are any values where the layout says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....data.columns import listed, numbers, times
from ....data.content import plain_name
from ....data.tables import name_of
from ....errors import InputError
from ....lazy import LazyModule
from ..config import Layout
from ..examples import Examples
from ..sequences import Rows, Sequences
from ..texts import Texts
from . import texts

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

IDS = ("id", "sequence", "sequence_id", "series", "series_id", "case", "case_id")
LABELS = ("label", "class", "target")
TIMES = ("time", "timestamp", "date", "datetime", "t", "step")


@dataclass(frozen=True)
class _Table:
    """A frame and which column is what; None where there is none."""

    where: str
    name: str
    frame: pl.DataFrame
    id: str | None
    label: str | None
    time: str | None
    channels: Sequence[str]
    gaps: str
    several: bool
    """Whether a sequence has any number of labels, none too."""


def read(source: Any, layout: Layout) -> Examples:
    """The sequences in a file or a frame. Columns that the layout doesn't name are known by their usual names."""
    frame, where = texts.frame_of(source, layout), name_of(source)
    if not len(frame):
        raise InputError(f"{where}: no rows, expected at least one sequence")
    group = layout.group
    if group is None or group not in frame.columns:
        return _read(source, where, frame, layout)
    # Nothing is read from this column, and the rows below a line of names are all that there are.
    layout = replace(layout, header=True if layout.header is None else layout.header)
    return _read(source, where, frame.drop(group), layout, frame[group])


def _read(source: Any, where: str, frame: pl.DataFrame, layout: Layout, group: pl.Series | None = None) -> Examples:
    groups = None if group is None else _text(where, group)
    id, label, time = _columns(where, frame, layout)
    repeat = id is not None and frame[id].n_unique() < len(frame)
    long = id is not None and (repeat if layout.long is None else layout.long)
    name = plain_name(Path(source)) if isinstance(source, (str, PathLike)) else "frame"
    if not (long or time or layout.symbols):
        found = texts.columns_of(where, frame, layout, (id, label, time))
        if found is not None:
            frame, layout = texts.named(where, frame, found)
            examples = texts.of_frame(where, name, frame, layout)
            ids = _text(where, frame[id]) if id in frame.columns else ()
            labels = _text(where, frame[layout.label]) if layout.label in frame.columns else None
            return replace(examples, ids=ids or examples.ids, labels=labels, groups=groups)
    channels = _channels(where, frame, layout, [name for name in (id, label, time) if name is not None])
    table = _Table(where, name, frame, id, label, time, channels, layout.gaps, layout.separator is not None)
    symbols = layout.symbols or (long and len(channels) == 1 and texts.has_words(frame[channels[0]]))
    if long and id is not None:
        examples, first, number = _long(table, id, symbols=symbols)
        if group is not None and groups is not None:
            groups = _of_sequences(where, group.name, "of the group", groups, examples.ids, first, number)
        return replace(examples, groups=groups)
    if time is not None:
        raise InputError(f"{where}: {time!r} is the time, so a row is a step; name the sequences' column with --id")
    return replace(_wide_symbols(table) if symbols else _wide(table), groups=groups)


def _long(table: _Table, id: str, *, symbols: bool) -> tuple[Examples, Rows, Rows]:
    """Its sequences, the first row of each, and for each row the number of its sequence."""
    where, frame = table.where, table.frame
    names = _text(where, frame[id])
    ids, first, number = _numbered(names)
    order = np.argsort(number, kind="stable")
    if table.time is not None:
        when = times(where, frame[table.time])
        order = np.lexsort((when, number))
        _check_times(where, table.time, when, number, order)
    labels = None
    if table.label is not None:
        cells = _text(where, frame[table.label], table.several)
        labels = _of_sequences(where, table.label, "labelled", cells, ids, first, number)
    lengths = np.bincount(number).astype(np.int64)
    if symbols:
        if len(table.channels) > 1:
            raise InputError(
                f"{where}: {len(table.channels)} columns could be the symbols, choose with --channels:"
                f" {listed(table.channels)}"
            )
        found = np.array(_text(where, frame[table.channels[0]]), object)[order]
        rows = [tuple(row) for row in np.split(found, np.cumsum(lengths)[:-1])]
        return Examples(table.name, where, Texts(rows), labels, ids, tuple(table.channels)), first, number
    steps = np.stack(
        [numbers(where, frame[name], missing=table.gaps == "carry") for name in table.channels], axis=1
    )  # (S, I)
    sequences = Sequences(steps[order], lengths)
    return Examples(table.name, where, sequences, labels, ids, tuple(table.channels)), first, number


def _wide(table: _Table) -> Examples:
    where, frame = table.where, table.frame
    block = np.stack([numbers(where, frame[name], missing=True) for name in table.channels], axis=1)  # (n, T)
    known = ~np.isnan(block)
    lengths = np.where(known.any(1), block.shape[1] - known[:, ::-1].argmax(1), 0).astype(np.int64)
    if not lengths.all():
        raise InputError(f"{where}: row {int(lengths.argmin()) + 1}: a sequence without a value")
    holes = ~known & (np.arange(block.shape[1]) < lengths[:, None])
    if table.gaps != "carry" and holes.any():
        row, column = (int(i) for i in np.argwhere(holes)[0])
        raise InputError(
            f"{where}: column {table.channels[column]!r}, row {row + 1}: expected a number, the value is missing and"
            " others follow; --gaps carry takes the value before it"
        )
    ids = () if table.id is None else _text(where, frame[table.id])
    labels = None if table.label is None else _text(where, frame[table.label], table.several)
    return Examples(table.name, where, Sequences.padded(block[:, :, None], lengths), labels, ids)


def _wide_symbols(table: _Table) -> Examples:
    where, frame = table.where, table.frame
    rows = []
    for row, cells in enumerate(frame.select(table.channels).iter_rows(), 1):
        found = [_written(cell) for cell in cells]
        while found and not found[-1]:
            found.pop()
        if not found or "" in found:
            raise InputError(f"{where}: row {row}: expected symbols without gaps between them, got {found!r:.40}")
        rows.append(tuple(found))
    ids = () if table.id is None else _text(where, frame[table.id])
    labels = None if table.label is None else _text(where, frame[table.label])
    return Examples(table.name, where, Texts(rows), labels, ids)


def _columns(where: str, frame: pl.DataFrame, layout: Layout) -> tuple[str | None, str | None, str | None]:
    """The columns of the id, the label and the time."""
    named = (("--id", layout.id), ("--label", layout.label), ("--time", layout.time))
    for option, name in (*named, *(("--channels", name) for name in layout.channels or ())):
        if name not in (None, *frame.columns) and (layout.labelled or option != "--label"):
            raise InputError(f"{where}: no column {name!r} for {option}; there are: {listed(frame.columns)}")
    taken = {*(layout.channels or ()), layout.id, layout.label, layout.time}
    free = [name for name in frame.columns if name not in taken]
    id, label, time = (
        name or next((column for column in free if column.lower() in usual), None)
        for (_, name), usual in zip(named, (IDS, LABELS, TIMES), strict=True)
    )
    return id, label if label in frame.columns else None, time


def _channels(where: str, frame: pl.DataFrame, layout: Layout, taken: Sequence[str]) -> list[str]:
    channels = list(layout.channels or [name for name in frame.columns if name not in taken])
    twice = next((name for name in (*channels, *taken) if [*channels, *taken].count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: the column {twice!r} is named twice among id, label, time and channels")
    if not channels:
        raise InputError(f"{where}: no column of values beside {listed(taken)}")
    return channels


def _numbered(names: Sequence[str]) -> tuple[list[str], Rows, Rows]:
    """The ids in the order in which they come, the first row of each, and for each row the number of its sequence."""
    _, first, number = np.unique(np.array(names, object), return_index=True, return_inverse=True)
    order = first.argsort()
    return [names[row] for row in first[order]], first[order], order.argsort()[number]


def _of_sequences(
    where: str, column: str, what: str, cells: Sequence[str], ids: Sequence[str], first: Rows, number: Rows
) -> list[str]:
    """Of ``cells``, one a row, that of each sequence; refuses one that changes within it."""
    for row, cell in enumerate(cells):
        begin = first[number[row]]
        if cell != cells[begin]:
            raise InputError(
                f"{where}: column {column!r}, row {row + 1}: sequence {ids[number[row]]!r} is {what} {cell!r} here"
                f" and {cells[begin]!r} in row {begin + 1}; expected one"
            )
    return [cells[row] for row in first]


def _check_times(where: str, column: str, when: NDArray[Any], number: Rows, order: Rows) -> None:
    """Refuse a time that comes twice in a sequence."""
    same = (when[order][1:] == when[order][:-1]) & (number[order][1:] == number[order][:-1])
    if same.any():
        earlier, later = sorted(int(row) + 1 for row in order[same.argmax() :][:2])
        raise InputError(f"{where}: column {column!r}, row {later}: the time of row {earlier} again, in one sequence")


def _text(where: str, column: pl.Series, empty: bool = False) -> list[str]:
    """The cells of the id or label column as text; refuses an empty one unless ``empty``."""
    cells = [_written(cell) for cell in column.to_list()]
    if "" in cells and not empty:
        raise InputError(f"{where}: column {column.name!r}, row {cells.index('') + 1}: the cell is empty")
    return cells


def _written(cell: Any) -> str:
    """A cell as text. A whole number is written as one, whatever its type: a gap makes whole numbers floats."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
