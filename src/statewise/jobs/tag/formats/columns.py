"""CoNLL's columns: a word a line, columns separated by tabs or by blanks, an empty line after a sentence.

The word ``#`` occurs in such files, so a line that begins with it is a comment only where it can't be a word: before a
sentence, with another number of columns than the words have, or as ``# name = value``. A line of ``-DOCSTART-`` is
kept, and not tagged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from ..config import COLUMNS
from ..corpus import CELL, counted
from .lines import Row, Table

DOCUMENT = "-DOCSTART-"
SETTING = re.compile(r"#\s*[^\s=]+\s*=(\s|$)")
NAMES = re.compile(r"#\s*global\.columns\s*=(.*)")


def parse(path: Path, lines: Sequence[str], hint: str = "") -> Table:
    """The words in ``lines``.

    Raises ``InputError`` at the first line that has not as many columns as the others; ``hint`` ends its message.
    """
    first = next((line for line in lines if line.strip() and not line.startswith(("#", DOCUMENT))), None)
    if first is None:
        first = next((line for line in lines if line.strip() and not line.startswith(DOCUMENT)), None)
    if first is None:
        raise InputError(f"{path}: no words, expected one a line")
    tabs = "\t" in first
    sentences = _sentences(path, lines, lines.index(first), tabs, hint)
    if not sentences:
        raise InputError(f"{path}: no words, expected one a line")
    return Table(path, COLUMNS, lines, sentences, _names(lines, len(_cells(first, tabs))), tabs)


def _sentences(path: Path, lines: Sequence[str], model: int, tabs: bool, hint: str) -> list[list[Row]]:
    """The rows by sentence, each as wide as line ``model``."""
    width = len(_cells(lines[model], tabs))
    sentences: list[list[Row]] = []
    inside = False
    for place, line in enumerate(lines):
        if not line.strip():
            inside = False
            continue
        cells = _cells(line, tabs)
        if cells[0] == DOCUMENT or (not inside and _is_comment(line, len(cells), width)):
            inside = False
            continue
        if len(cells) != width:
            expected = f"{counted(width, 'column')} as in line {model + 1}"
            raise InputError(f"{path}: line {place + 1}: expected {expected}, got {len(cells)}{hint}")
        if not inside:
            sentences.append([])
            inside = True
        sentences[-1].append(Row(place, cells))
    return sentences


def _cells(line: str, tabs: bool) -> list[str]:
    return line.split("\t") if tabs else CELL.findall(line)


def _is_comment(line: str, cells: int, width: int) -> bool:
    return line.startswith("#") and (cells != width or SETTING.match(line) is not None)


def _names(lines: Sequence[str], width: int) -> list[str]:
    """The names of the columns, where a comment like CoNLL-U Plus's says them."""
    found = NAMES.match(lines[0])
    names = found[1].split() if found else []
    return names if len(names) == width else []
