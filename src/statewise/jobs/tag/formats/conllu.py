"""CoNLL-U, as universaldependencies.org describes it: ten columns with tabs, words numbered from 1 in every sentence.

Ranges (``3-4``: several words written as one) and empty nodes (``3.1``) are kept, and not tagged; so are comments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from ..config import CONLLU
from .lines import Row, Table

NAMES = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
ID = re.compile(r"([1-9]\d*)|([1-9]\d*)-([1-9]\d*)|(\d+)\.([1-9]\d*)")


def is_conllu(lines: Sequence[str]) -> bool:
    """Whether the first line that is no comment looks like CoNLL-U."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    cells = first.split("\t")
    return len(cells) == len(NAMES) and ID.fullmatch(cells[0]) is not None


def parse(path: Path, lines: Sequence[str]) -> Table:
    """The words in ``lines``. Raises ``InputError`` at the first line that breaks the format."""
    sentences: list[list[Row]] = []
    rows: list[Row] = []
    for place, line in enumerate([*lines, ""]):
        if not line.strip():
            if rows:
                sentences.append(rows)
            rows = []
        elif not line.startswith("#"):
            cells = line.split("\t")
            if _is_word(path, place, cells, len(rows)):
                rows.append(Row(place, cells))
    if not sentences:
        raise InputError(f"{path}: no words, expected one a line")
    return Table(path, CONLLU, lines, sentences, NAMES, tabs=True)


def _is_word(path: Path, place: int, cells: Sequence[str], before: int) -> bool:
    """Whether the line is a word, the one after ``before`` others; ranges and empty nodes are not."""
    where = f"{path}: line {place + 1}"
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
    return word is not None
