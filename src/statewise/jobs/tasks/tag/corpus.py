"""Sentences with a tag for every word, and the text that they were read from, to write other tags into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

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
