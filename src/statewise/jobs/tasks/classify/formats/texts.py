"""Texts and their labels: a table with a column of each, or a folder with a folder of files for each class.

Which columns of a table they are is found so, where no option names them. The labels are in the column of a usual
name, else in the only one that has few different cells, each twice or more in the mean. The texts are in the column of
a usual name, else in the only one, of those that hold neither numbers nor dates, in which more than half of the cells
differ, or the only one that is left. A table with several columns of numbers beside them may be one of numbers. What
could be meant in two ways is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....data import tables
from ....data.columns import listed, looks_like_time, reads_as_numbers
from ....data.content import beginning_of, decoded, plain_name, read_text
from ....errors import InputError
from ....lazy import LazyModule
from ..config import Layout
from ..examples import Examples
from ..texts import Texts

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

TEXTS = ("text", "texts", "sentence", "review", "comment", "message", "content", "document", "question")
LEFT_OUT = "unsup"  # what aclImdb calls its texts without a label
MOST_NUMBERS = 1  # columns of numbers beside texts


def read_folder(path: Path) -> Examples:
    """The texts of the files in the folders of ``path``, each labelled by its folder's name."""
    folders = sorted(each for each in path.iterdir() if each.is_dir() and each.name != LEFT_OUT)
    files = [file for folder in folders for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    if not files:
        raise InputError(f"{path}: expected a folder for each class, with a file for each text")
    texts = [read_text(file).strip() for file in files]
    labels, ids = [file.parent.name for file in files], [f"{file.parent.name}/{file.name}" for file in files]
    return Examples(plain_name(path), str(path), Texts(texts), labels, ids)


def parts_of(path: Path) -> tuple[Path, Path | None]:
    """The folders of the training and the test part where ``path`` has both, else ``path`` itself."""
    parts = path / "train", path / "test"
    return parts if all(map(Path.is_dir, parts)) else (path, None)


def frame_of(source: Any, layout: Layout) -> pl.DataFrame:
    """The table in ``source``. With tabs its quotes are signs like others, unless its lines are irregular."""
    frame = None
    if isinstance(source, (str, PathLike)):
        first = beginning_of(Path(source)).partition(b"\n")[0]
        if b"\t" in first and not first.startswith(tables.PARQUET):
            frame = fields_of(decoded(Path(source)))
    frame = tables.read_table(source) if frame is None else frame
    return _unnamed(frame) if layout.header is False else frame


def fields_of(content: str) -> pl.DataFrame | None:
    """A table of fields between tabs, as many in every line, whose quotes are signs like others; None: it is none.

    Quotes around a whole field are not part of it. Columns are named by the first line.
    """
    rows = [line.rstrip("\r").split("\t") for line in content.split("\n") if line.strip()]
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    names, *cells = [[_unquoted(cell) for cell in row] for row in rows]
    if len(set(names)) < len(names):
        return None
    return pl.DataFrame(dict(zip(names, map(list, zip(*cells, strict=True)), strict=True)))


def columns_of(where: str, frame: pl.DataFrame, layout: Layout, known: Sequence[str | None]) -> Layout | None:
    """``layout`` with the columns of the texts and of their labels; None where the table holds numbers.

    ``known`` are the columns of the id, the label and the time, as far as options or usual names tell.
    """
    label = known[1]
    if layout.text:
        missing = next((name for name in layout.text if name not in frame.columns), None)
        if missing is not None:
            raise InputError(f"{where}: no column {missing!r} for --text; there are: {listed(frame.columns)}")
        if label is None and layout.labelled:
            label = _label(where, frame, [name for name in frame.columns if name not in (*layout.text, *known)])
        return replace(layout, label=label or layout.label)
    free = [name for name in frame.columns if name not in known]
    words = [name for name in free if has_words(frame[name])]
    if layout.channels or not words:
        return None
    usual = [name for name in words if name.lower() in TEXTS]
    if label is None and layout.labelled:
        label = _label(where, frame, [name for name in free if name not in usual])
    numbers = [name for name in free if name not in (*words, label) and reads_as_numbers(frame[name])]
    if len(numbers) > MOST_NUMBERS and not usual:
        raise InputError(
            f"{where}: has columns of numbers ({listed(numbers, 4)}) and of text ({listed(words, 4)}); choose with"
            " --channels or --text"
        )
    words = [name for name in words if name != label]
    differ = [name for name in words if 2 * frame[name].n_unique() > len(frame)]
    found = usual or differ or words
    if len(found) != 1:
        there = f": {listed(found)}" if found else f"; there are: {listed(frame.columns)}"
        raise InputError(f"{where}: {len(found)} columns could be the texts, choose with --text{there}")
    return replace(layout, text=tuple(found), label=label or layout.label)


def named(where: str, frame: pl.DataFrame, layout: Layout) -> tuple[pl.DataFrame, Layout]:
    """The same with columns called 1, 2 and so on, where the first line is no header but has a label that others have.

    Says what was taken for what where no option told it.
    """
    label, text = layout.label, layout.text or ()
    if layout.header is None and label is not None and label in frame.columns and label in set(frame[label].to_list()):
        places = {name: str(place) for place, name in enumerate(frame.columns, 1)}
        frame, label, text = _unnamed(frame), places[label], tuple(places[name] for name in text)
        layout = replace(layout, text=text, label=label, header=False)
    return frame, layout


def of_frame(where: str, name: str, frame: pl.DataFrame, layout: Layout) -> Examples:
    """The texts in the columns that ``layout`` names, with a blank between those of several columns."""
    columns = []
    for column in layout.text or ():
        cells = ["" if cell is None else str(cell).strip() for cell in frame[column].to_list()]
        if "" in cells and layout.gaps != "carry":
            row = cells.index("") + 1
            raise InputError(
                f"{where}: column {column!r}, row {row}: expected a text, got nothing; --gaps carry takes it so"
            )
        columns.append(cells)
    texts = Texts([" ".join(row) for row in zip(*columns, strict=True)])
    return Examples(name, where, texts, None, layout=layout)


def _unnamed(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with its columns' names as its first row, and columns called 1, 2 and so on."""
    names = {name: str(place) for place, name in enumerate(frame.columns, 1)}
    first = pl.DataFrame({name: [name] for name in frame.columns})
    return pl.concat([first, frame.cast(pl.String)]).rename(names)


def _label(where: str, frame: pl.DataFrame, names: Sequence[str]) -> str | None:
    """The only one of the columns ``names`` that has few different cells; None: there is none. Refuses several."""
    found = [name for name in names if frame[name].n_unique() >= 2 and 2 * frame[name].n_unique() <= len(frame)]
    if len(found) > 1:
        raise InputError(f"{where}: {len(found)} columns could be the labels, choose with --label: {listed(found)}")
    return found[0] if found else None


def has_words(column: pl.Series) -> bool:
    """Whether the cells are text: no dates, and numbers at most in one of four."""
    if column.dtype not in (pl.String, pl.Categorical) or looks_like_time(column):
        return False
    filled = column.drop_nulls().cast(pl.String).str.strip_chars()
    return 4 * filled.cast(pl.Float64, strict=False).count() <= len(filled) > 0


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        cell = cell[1:-1].replace('""', '"')
    return cell
