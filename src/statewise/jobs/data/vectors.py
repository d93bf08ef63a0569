"""Pretrained vectors of words from a text file: word2vec's, GloVe's or fastText's ``.vec``, packed as ``.gz`` or not.

A line is a word and its numbers, between blanks. word2vec's and fastText's files begin with a line of two numbers: how
many words there are, and how long the vectors. Such files have millions of words: they are read line by line, and the
numbers of those alone that are needed. A word may have blanks in it, as some of GloVe's; the numbers are the last ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .content import PACKED, refusing
from .symbols import plain

LONGEST = 1 << 20  # bytes of a line
MOST = 1 << 14  # numbers of a vector
LARGEST = 1e6


def read_vectors(path: Path, words: Collection[str], first: int = 0) -> dict[str, NDArray[np.float32]]:
    """The vectors of those of ``words`` that ``path`` has, each (E,), and of its ``first`` ones, as ``plain`` has them.

    A word that isn't there as it is has the vector of the first that is the same in lower case with 0 for each digit.
    Raises ``InputError`` with the line where the file isn't what it should be.
    """
    needed = set(words)
    exact: dict[str, NDArray[np.float32]] = {}
    alike: dict[str, NDArray[np.float32]] = {}
    with refusing(path, "a file of vectors"), path.open("rb") as opened:
        packed = opened.read(2) == PACKED
        opened.seek(0)
        file = cast("BinaryIO", gzip.GzipFile(fileobj=opened)) if packed else opened
        size, said, count, number = 0, None, 0, 0
        while line := file.readline(LONGEST):
            number += 1
            where = f"{path}, line {number}"
            if len(line) == LONGEST:
                raise InputError(f"{where}: longer than {LONGEST:,} bytes; expected a word and its vector, as text")
            cells = line.rstrip().split(b" ")
            if number == 1:
                if len(cells) == 2 and all(cell.isdigit() for cell in cells):
                    said, size = int(cells[0]), int(cells[1])
                else:
                    size = len(cells) - 1
                if not 1 <= size <= MOST:
                    raise InputError(
                        f"{where}: expected a word and 1 to {MOST:,} numbers between blanks, or how many words and"
                        " numbers there are"
                    )
                if said is not None:
                    continue
            if len(cells) <= size:
                raise InputError(f"{where}: expected a word and {size} numbers, got {len(cells)} entries")
            count += 1
            try:
                word = b" ".join(cells[:-size]).decode()
            except UnicodeDecodeError:
                raise InputError(f"{where}: expected a word in UTF-8; a file in word2vec's binary form?") from None
            if word in needed:
                exact.setdefault(word, _numbers(where, cells[-size:]))
            elif ((same := plain(word)) in needed or count <= first) and same not in alike:
                alike[same] = _numbers(where, cells[-size:])
    if not count:
        raise InputError(f"{path}: there are no vectors in it")
    if said is not None and said != count:
        raise InputError(f"{path}: its first line speaks of {said:,} words, there are {count:,}; cut short?")
    return alike | exact


def _numbers(where: str, cells: list[bytes]) -> NDArray[np.float32]:
    try:
        found = np.array(cells).astype(np.float64)
    except ValueError:
        found = np.array([np.nan])
    if not (np.abs(found) <= LARGEST).all():
        raise InputError(f"{where}: expected {len(cells)} finite numbers after the word, at most {LARGEST:g} in size")
    return found.astype(np.float32)


def table_of(
    vectors: Mapping[str, NDArray[np.float32]], words: Collection[str], random: np.random.Generator
) -> NDArray[np.float32]:
    """A row for each of ``words``: its vector, or one drawn at random that is as long: (V, E)."""
    known = np.stack(list(vectors.values()))
    table = random.normal(0, known.std(), (len(words), known.shape[1])).astype(np.float32)
    for row, word in enumerate(words):
        if word in vectors:
            table[row] = vectors[word]
    return table
