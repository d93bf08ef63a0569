"""Files become a ``Corpus``: CoNLL's columns or CoNLL-U, packed as ``.gz`` or not.

**Columns**: a word a line, columns separated by tabs or by blanks, an empty line after a sentence. The word ``#``
occurs in such files, so a line that begins with it is a comment only where it can't be a word: before a sentence, with
another number of columns than the words have, or as ``# name = value``. A line of ``-DOCSTART-`` is kept, and not
tagged.

**CoNLL-U**, as universaldependencies.org describes it: ten columns with tabs, words numbered from 1 in every sentence.
Ranges (``3-4``: several words written as one) and empty nodes (``3.1``) are kept, and not tagged; so are comments.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...data.content import read_text
from ...errors import InputError
from .config import COLUMNS, CONLLU, Layout
from .corpus import CELL, Corpus, Document, Sentences, counted

NOTHING = "_"
"""What stands in CoNLL-U, and by custom in columns, where nothing is said."""
DOCUMENT = "-DOCSTART-"
SETTING = re.compile(r"#\s*[^\s=]+\s*=(\s|$)")
GLOBAL_NAMES = re.compile(r"#\s*global\.columns\s*=(.*)")
NAMES = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
ID = re.compile(r"([1-9]\d*)|([1-9]\d*)-([1-9]\d*)|(\d+)\.([1-9]\d*)")


class Row(NamedTuple):
    """The cells of a word."""

    line: int
    """Counts from 0."""
    cells: Sequence[str]


@dataclass(frozen=True)
class Table:
    """What a file holds, whatever its format."""

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
        found = [[row.cells[column] for row in rows] for rows in self.sentences]
        for rows, cells in zip(self.sentences, found, strict=True):
            if all(map(str.strip, cells)):
                continue
            for row in rows:  # a blank of another kind is a text
                if not row.cells[column].strip(" "):
                    raise InputError(f"{self.path}: line {row.line + 1}: column {column + 1} is empty")
        return found


def read(
    path: Path, layout: Layout | None = None, *, remembered: Layout | None = None, tagged: bool = True
) -> tuple[Corpus, Layout]:
    """The sentences in ``path``, and the layout with the columns that were found.

    What ``layout`` leaves open is as ``remembered`` from another file of the same format. With ``tagged`` there must be
    tags; without, a file may lack the column of the tags, or, in CoNLL-U, have ``_`` in all of it. Raises
    ``InputError`` with the line where the file is not what it should be.
    """
    with all_kept():
        return _read(path, layout or Layout(), remembered, tagged)


@contextmanager
def all_kept() -> Iterator[None]:
    """Python looks for no cycles to throw away: to look again and again at rows that stay took two thirds."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def _read(path: Path, layout: Layout, remembered: Layout | None, tagged: bool) -> tuple[Corpus, Layout]:
    lines = read_text(path).removesuffix("\n").split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "").split("\t")
    conllu = len(first) == len(NAMES) and ID.fullmatch(first[0]) is not None
    table = _conllu(path, lines) if conllu else _columns(path, lines, "" if tagged else "; --text reads running text")
    if remembered is not None and remembered.format == table.format:
        layout = layout.over(remembered)
    return _corpus(table, layout, tagged=tagged)


# Running text


# Lines


def _rows(
    path: Path, lines: Sequence[str], cells_of: Callable[[int, str, int], Sequence[str] | None]
) -> list[list[Row]]:
    """The rows by sentence. ``cells_of`` is told a line's place, it, and how many words its sentence has before it.

    It gives the word's cells, none where the line ends a sentence, or None where the line is to be passed over.
    """
    sentences: list[list[Row]] = [[]]
    for place, line in enumerate([*lines, ""]):
        cells = cells_of(place, line, len(sentences[-1])) if line.strip() else ()
        if cells:
            sentences[-1].append(Row(place, cells))
        elif cells is not None and sentences[-1]:
            sentences.append([])
    if len(sentences) == 1:
        raise InputError(f"{path}: no words, expected one a line")
    return sentences[:-1]


def _columns(path: Path, lines: Sequence[str], hint: str) -> Table:
    """CoNLL's columns; ``hint`` ends what is said against the first line that has not as many as the others."""
    filled = [place for place, line in enumerate(lines) if line.strip() and not line.startswith(DOCUMENT)]
    first = next((place for place in filled if not lines[place].startswith("#")), filled[0] if filled else 0)
    tabs = "\t" in lines[first]

    def cells_in(line: str) -> list[str]:
        if tabs:
            return line.split("\t")
        cells = line.split(" ")  # as most files have it, and three times as fast
        return CELL.findall(line) if "" in cells or "\t" in line else cells

    width = len(cells_in(lines[first]))

    def cells_of(place: int, line: str, before: int) -> list[str]:
        cells = cells_in(line)
        comment = not before and line.startswith("#") and (len(cells) != width or SETTING.match(line) is not None)
        if comment or cells[0] == DOCUMENT:
            return []
        if len(cells) != width:
            expected = f"{counted(width, 'column')} as in line {first + 1}"
            raise InputError(f"{path}: line {place + 1}: expected {expected}, got {len(cells)}{hint}")
        return cells

    sentences, named = _rows(path, lines, cells_of), GLOBAL_NAMES.match(lines[0])
    names = named[1].split() if named else []
    return Table(path, COLUMNS, lines, sentences, names if len(names) == width else [], tabs)


def _conllu(path: Path, lines: Sequence[str]) -> Table:
    """CoNLL-U. Raises ``InputError`` at the first line that breaks the format."""

    def cells_of(place: int, line: str, before: int) -> list[str] | None:
        if line.startswith("#"):
            return None
        cells, where = line.split("\t"), f"{path}: line {place + 1}"
        if len(cells) != len(NAMES):
            raise InputError(f"{where}: expected {len(NAMES)} columns separated by tabs, got {len(cells)}")
        found = ID.fullmatch(cells[0])
        if found is None:
            raise InputError(
                f"{where}: expected a word's number, a range like 3-4 or an empty node like 3.1, got {cells[0]!r}"
            )
        word, begin, end, after, _ = found.groups()
        if word is not None and int(word) != before + 1:
            raise InputError(f"{where}: expected word {before + 1} of the sentence, got {word}")
        if begin is not None and not before + 1 == int(begin) <= int(end):
            raise InputError(f"{where}: expected a range that begins with {before + 1}, got {cells[0]}")
        if after is not None and int(after) != before:
            raise InputError(f"{where}: expected an empty node after word {before}, got {cells[0]}")
        return cells if word is not None else None

    return Table(path, CONLLU, lines, _rows(path, lines, cells_of), NAMES, tabs=True)


# Columns


def _corpus(table: Table, layout: Layout, *, tagged: bool) -> tuple[Corpus, Layout]:
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
    columns = [table.cells(feature) for feature in features]
    numbers = tuple(str(feature + 1) for feature in features)
    found = Layout(words=str(words + 1), column=str(tag + 1), features=numbers, format=table.format)
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
