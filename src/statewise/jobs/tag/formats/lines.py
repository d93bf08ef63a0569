"""Lines of cells, by sentence, whatever the format; which column is which, and what they are as a ``Corpus``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from ..config import COLUMNS, Layout
from ..corpus import Corpus, Document, Sentences, counted

NOTHING = "_"
"""What stands in CoNLL-U, and by custom in columns, where nothing is said."""


class Row(NamedTuple):
    """The cells of a word."""

    line: int
    """Counts from 0."""
    cells: Sequence[str]


@dataclass(frozen=True)
class Table:
    """What a format's reader finds in a file."""

    path: Path
    format: str
    lines: Sequence[str]
    sentences: Sequence[Sequence[Row]]
    names: Sequence[str]
    """Of the columns; empty where they have none."""
    tabs: bool

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.sentences[0][0].cells)

    def cells(self, column: int) -> Sentences:
        """Those of one column; refuses empty ones."""
        for rows in self.sentences:
            for row in rows:
                if not row.cells[column].strip(" "):
                    raise InputError(f"{self.path}: line {row.line + 1}: column {column + 1} is empty")
        return [[row.cells[column] for row in rows] for rows in self.sentences]


def corpus_of(table: Table, layout: Layout, *, tagged: bool) -> tuple[Corpus, Layout]:
    """The sentences of ``table``, and ``layout`` with the columns that were found, as numbers."""
    named = {name.lower(): index for index, name in enumerate(table.names)}
    last = table.width - 1 if tagged or table.width > 1 else table.width
    words = _column(table, named, "--words", layout.words, named.get("form", 0))
    tag = _column(table, named, "--column", layout.column, named.get("upos", last), absent=not tagged)
    features = [_column(table, named, "--features", name, 0) for name in layout.features]
    _check_apart(table, words, tag, features)
    tags = None if tag >= table.width else table.cells(tag)
    if tags is not None and all(t == NOTHING for sentence in tags for t in sentence):
        tags = None
    if tags is None and tagged:
        raise InputError(f"{table.path}: column {tag + 1} has no tags: {NOTHING} everywhere")
    places = [[row.line for row in rows] for rows in table.sentences]
    document = Document(table.lines, places, tag if tag < table.width else None, table.tabs)
    found = Layout(
        words=str(words + 1),
        column=str(tag + 1),
        features=tuple(str(f + 1) for f in features),
        format=table.format,
    )
    columns = [table.cells(feature) for feature in features]
    return Corpus(str(table.path), table.cells(words), tags, columns, document), found


def _column(
    table: Table, named: dict[str, int], option: str, given: str | None, default: int, *, absent: bool = False
) -> int:
    """The column that is ``given`` by number or name; with ``absent`` it may be one past those that are there."""
    if given is None:
        return default
    if given.lower() in named:
        return named[given.lower()]
    there = counted(table.width, "column") + (f": {', '.join(table.names)}" if named else "")
    if not given.isdecimal():
        names = "" if named else ", which have no names, only numbers"
        raise InputError(f"{table.path}: no column {given!r} for {option}; the file has {there}{names}")
    if int(given) < 1 or (int(given) > table.width and not absent):
        raise InputError(f"{table.path}: no column {given} for {option}; the file has {there}")
    return int(given) - 1


def _check_apart(table: Table, words: int, tag: int, features: Sequence[int]) -> None:
    if table.width == 1 and tag == 0:
        raise InputError(
            f"{table.path}: line {table.sentences[0][0].line + 1}: expected a word and its tag in columns separated by"
            f" blanks or tabs, got one column"
        )
    for column, what in ((words, "the words"), *((f, "a feature") for f in features)):
        if column == tag:
            raise InputError(f"{table.path}: column {tag + 1} is both the tag and {what}")
    if table.format == COLUMNS and tag > table.width:
        expected = f"{counted(tag, 'column')} before the tags, or {tag + 1} with them"
        raise InputError(f"{table.path}: expected {expected}, got {table.width}")
