"""Running text, cut into words and sentences by a rule that fits on a page.

A word is letters, digits and ``_``, and between them one at a time of ``. , : / - & @ +`` and apostrophes: *3.50*,
*don't*, *e-mail*. Any other character that isn't blank is a word by itself. A sentence ends with an empty line, or
after ``. ! ?``, an ellipsis, and closing quotes and brackets, where a blank follows and then no lower-case letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...data.content import read_text
from ...data.symbols import WORD
from ...errors import InputError
from .corpus import Corpus

ENDS, CLOSING = frozenset(".!?\u2026"), frozenset("\"'\u201d\u2019\u00bb)]}")


def read_running(path: Path) -> Corpus:
    """The sentences in ``path``. Raises ``InputError`` as ``read_text``, and where there are none."""
    corpus = cut(read_text(path, endings=False), str(path))
    if not len(corpus):
        raise InputError(f"{path}: no words in it")
    return corpus


def cut(text: str, source: str = "the text") -> Corpus:
    """The sentences of ``text``, and of every word the characters where it begins and ends, which count from 0."""
    found = list(_sentences(text))
    words = [[word[0] for word in sentence] for sentence in found]
    return Corpus(source, words, None, offsets=[[word.span() for word in sentence] for sentence in found])


def _sentences(text: str) -> Iterator[list[re.Match[str]]]:
    """Words, by sentence."""
    sentence: list[re.Match[str]] = []
    ended = False
    for word in WORD.finditer(text):
        gap = text[sentence[-1].end() : word.start()] if sentence else ""
        if (ended and gap and not word[0][0].islower()) or _has_empty_line(gap):
            yield sentence
            sentence, ended = [], False
        sentence.append(word)
        ended = word[0] in ENDS or (ended and word[0] in CLOSING and not gap)
    if sentence:
        yield sentence


def _has_empty_line(gap: str) -> bool:
    return gap.replace("\r\n", "\n").replace("\r", "\n").count("\n") > 1
