"""Running text, to be tagged: cut into words and sentences by a rule that fits on a page, each word with its place.

A word is letters, digits and ``_``, and between them one at a time of ``. , : / - & @ +`` and apostrophes: *3.50*,
*don't*, *e-mail*. Any other character that isn't blank is a word by itself. A sentence ends with an empty line, or
after ``. ! ?``, an ellipsis, and closing quotes and brackets, where a blank follows and then no lower-case letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...data.text import read_text
from ...errors import InputError
from .corpus import Corpus, Document

WORD = re.compile(r"\w+(?:[.,:/'\u2019\-&@+]\w+)*|\S")
ENDS, CLOSING = frozenset(".!?\u2026"), frozenset("\"'\u201d\u2019\u00bb)]}")


def read(path: Path) -> Corpus:
    """The sentences in ``path``; their document has a line for every word: the word, where it begins, where it ends.

    Both count the characters of the text from 0, but for a byte order mark. Raises ``InputError`` as ``read_text``.
    """
    text = read_text(path, endings=False)
    words: list[list[str]] = []
    lines: list[str] = []
    places: list[list[int]] = []
    for sentence in _sentences(text):
        words.append([word for word, _, _ in sentence])
        places.append(list(range(len(lines), len(lines) + len(sentence))))
        lines += ["\t".join(map(str, token)) for token in sentence] + [""]
    if not words:
        raise InputError(f"{path}: no words in it")
    return Corpus(str(path), words, None, document=Document(lines, places, None, tabs=True))


def _sentences(text: str) -> Iterator[list[tuple[str, int, int]]]:
    """Words with their begin and end, by sentence."""
    sentence: list[tuple[str, int, int]] = []
    ended = False
    for found in WORD.finditer(text):
        begin, end = found.span()
        gap = text[sentence[-1][2] : begin] if sentence else ""
        if (ended and gap and not text[begin].islower()) or _has_empty_line(gap):
            yield sentence
            sentence, ended = [], False
        sentence.append((found[0], begin, end))
        ended = found[0] in ENDS or (ended and found[0] in CLOSING and not gap)
    if sentence:
        yield sentence


def _has_empty_line(gap: str) -> bool:
    return gap.replace("\r\n", "\n").replace("\r", "\n").count("\n") > 1
