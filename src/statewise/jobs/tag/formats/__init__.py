"""Files become a ``Corpus``: CoNLL's columns or CoNLL-U, packed as ``.gz`` or not.

lines.py     what both have: lines of cells, and which column is which
columns.py   a word a line, columns separated by tabs or blanks, an empty line after a sentence
conllu.py    ten columns with tabs, numbered words, ranges, empty nodes, comments
running.py   running text, cut into words, to be tagged
"""

from __future__ import annotations

from pathlib import Path

from ...text_file import read_text
from ..config import Layout
from ..corpus import Corpus
from . import columns, conllu
from .lines import Table, corpus_of

__all__ = ["read"]


def read(
    path: Path, layout: Layout | None = None, *, remembered: Layout | None = None, tagged: bool = True
) -> tuple[Corpus, Layout]:
    """The sentences in ``path``, and the layout with the columns that were found.

    What ``layout`` leaves open is as ``remembered`` from another file of the same format. With ``tagged`` there must be
    tags; without, a file may lack the column of the tags, or, in CoNLL-U, have ``_`` in all of it. Raises
    ``InputError`` with the line where the file is not what it should be.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    hint = "" if tagged else "; --text reads running text"
    table: Table = conllu.parse(path, lines) if conllu.is_conllu(lines) else columns.parse(path, lines, hint)
    layout = layout or Layout()
    if remembered is not None and remembered.format == table.format:
        layout = layout.over(remembered)
    return corpus_of(table, layout, tagged=tagged)
