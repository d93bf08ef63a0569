"""Sentences with a tag for every word, and the text that they were read from, to write other tags into."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ...errors import InputError

Sentences = Sequence[Sequence[str]]
"""Something of every word (the word itself, its tag, a feature), by sentence."""

CELL = re.compile(r"[^ \t]+")


@dataclass(frozen=True, eq=False)
class Document:
    """A text with a line for every word. Everything in it but the tags stays as it is."""

    lines: Sequence[str]
    places: Sequence[Sequence[int]]
    """The line of each word, by sentence; both count from 0."""
    column: int | None
    """Where the tag stands, from 0; None: after all that stands there."""
    tabs: bool
    """Whether columns are separated by tabs, else by any blanks."""

    def with_tags(self, tags: Sentences, *, beside: bool = False) -> str:
        """The text with ``tags`` in the place of those it has or, with ``beside``, after them in a further column."""
        lines = list(self.lines)
        for places, told in zip(self.places, tags, strict=True):
            for place, tag in zip(places, told, strict=True):
                lines[place] = self._with_tag(lines[place], tag, beside)
        return "\n".join(lines) + "\n"

    def _with_tag(self, line: str, tag: str, beside: bool) -> str:
        if beside or self.column is None:
            return line.rstrip(" ") + ("\t" if self.tabs else " ") + tag
        if self.tabs:
            cells = line.split("\t")
            cells[self.column] = tag
            return "\t".join(cells)
        begin, end = [found.span() for found in CELL.finditer(line)][self.column]
        return line[:begin] + tag + line[end:]


@dataclass(frozen=True, eq=False)
class Corpus:
    """``n`` sentences of at least one word."""

    source: str
    """What messages call it: a path, or what it is."""
    words: Sentences
    tags: Sentences | None
    features: Sequence[Sentences] = ()
    """What else is known of every word, a list of sentences for each feature."""
    document: Document | None = None
    offsets: Sequence[Sequence[tuple[int, int]]] | None = None
    """The characters of a running text where each word begins and ends."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def tokens(self) -> int:
        """How many words there are, each counted as often as it occurs."""
        return sum(map(len, self.words))

    @property
    def known_tags(self) -> Sentences:
        """The tags. Raises ``InputError`` where there are none."""
        if self.tags is None:
            raise InputError(f"{self.source}: has no tags")
        return self.tags

    def select(self, rows: Sequence[int]) -> Corpus:
        """The sentences ``rows``, without the text around them."""
        words, *features = ([column[row] for row in rows] for column in (self.words, *self.features))
        tags = None if self.tags is None else [self.tags[row] for row in rows]
        return Corpus(self.source, words, tags, features)

    def described(self) -> str:
        """How much there is, in words."""
        return f"{counted(len(self), 'sentence')} of {counted(self.tokens, 'word')}"

    def as_document(self) -> Document:
        """The text that the sentences were read from or, where there is none, one made of them.

        In that one words, offsets, features and tags are columns, and a sentence ends with an empty line.
        """
        return self.document or _made(self)


def _made(corpus: Corpus) -> Document:
    offsets = [] if corpus.offsets is None else [[[f"{b}\t{e}" for b, e in spans] for spans in corpus.offsets]]
    columns = [corpus.words, *offsets, *corpus.features, *([] if corpus.tags is None else [corpus.tags])]
    lines: list[str] = []
    places: list[list[int]] = []
    for sentence in zip(*columns, strict=True):
        rows = list(zip(*sentence, strict=True))
        places.append(list(range(len(lines), len(lines) + len(rows))))
        lines += ["\t".join(row) for row in rows] + [""]
    return Document(lines, places, None if corpus.tags is None else len(columns) - 1, tabs=True)


def counted(number: int, what: str) -> str:
    """``1 word``, ``2 words``."""
    return f"{number:,} {what}{'s' if number != 1 else ''}"


all_of = chain.from_iterable
"""Everything in sentences, one after the other."""


LISTS = "{}: expected a list of sentences, each a list"


def as_corpus(X: Any, y: Any = None) -> Corpus:
    """The sentences of ``X`` that have words, and their tags. Raises ``InputError`` by the first that can't be used."""
    sentences = [_words(sentence, place) for place, sentence in enumerate(as_rows(X, LISTS.format("X")))]
    tags = None if y is None else [_tags(told, place) for place, told in enumerate(as_rows(y, LISTS.format("y")))]
    if tags is not None:
        if len(tags) != len(sentences):
            raise InputError(f"expected tags for each of {len(sentences)} sentences, got {len(tags)}")
        for place, (words, told) in enumerate(zip(sentences, tags, strict=True)):
            if len(words) != len(told):
                raise InputError(f"sentence {place}: {len(words)} words, but {len(told)} tags")
        tags = [told for told in tags if told]
    sentences = [sentence for sentence in sentences if sentence]
    widths = {len(word): place for place, sentence in reversed(list(enumerate(sentences))) for word in sentence}
    if len(widths) > 1:
        raise InputError(f"sentence {max(widths.values())}: expected as many features of every word")
    columns = [[[word[k] for word in sentence] for sentence in sentences] for k in range(max(widths, default=1))]
    return Corpus("the sentences", columns[0], tags, columns[1:])


def as_rows(given: Any, expected: str) -> list[Any]:
    """``given`` as a list. Raises ``InputError`` where it is none, with what was ``expected``."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InputError(f"{expected}, got {type(given).__name__}")
    return list(given)


def _words(sentence: Any, place: int) -> list[tuple[str, ...]]:
    """The words of a sentence, each with its features."""
    given = as_rows(sentence, f"sentence {place}: expected a list of words")
    words = [(word,) if isinstance(word, str) else word for word in given]
    for word in words:
        if not isinstance(word, (tuple, list)) or not word or not all(isinstance(item, str) and item for item in word):
            raise InputError(f"sentence {place}: expected words, or tuples of a word and its features, got {word!r}")
    return [tuple(word) for word in words]


def _tags(told: Any, place: int) -> list[str]:
    tags = as_rows(told, f"sentence {place}: expected a list of tags")
    for tag in tags:
        if not isinstance(tag, str) or not tag:
            raise InputError(f"sentence {place}: expected tags that are text, got {tag!r}")
    return [str(tag) for tag in tags]
