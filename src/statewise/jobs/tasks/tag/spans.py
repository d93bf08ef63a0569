"""Tags that mark spans (chunks, names): which spans there are, by the rules of CoNLL's conlleval, and how tags may
follow one another.

A tag is ``O`` or a prefix and, after a hyphen, the type of the span: ``B-NP``. Prefixes are those of IOB (both kinds),
IOBES and BILOU. Scores count a span as right where its type, its first and its last word are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.symbols import Symbols
from .corpus import Sentences

OUTSIDE = "O"
TAG = re.compile(r"O|[BIESLU](-.+)?")
OPEN = ("B", "I")  # after which a span may go on
ON = ("I", "E", "L")  # with which it goes on
LAST = ("E", "L")
SINGLE = ("S", "U")


class Span(NamedTuple):
    """The words from ``begin`` to before ``end`` of a sentence."""

    begin: int
    end: int
    type: str


def are_spans(tags: Iterable[str]) -> bool:
    """Whether these tags, all that there are, mark spans: each ``O`` or with a prefix, some with ``B`` or ``I``."""
    tags = set(tags)
    return all(map(TAG.fullmatch, tags)) and any(tag.startswith(OPEN) for tag in tags)


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence, in their order.

    A word goes on with the span of the word before where that is of its type and not yet ended, and its own prefix is
    not that of a first word. So a span may begin with ``I``, as conlleval has it.
    """
    found: list[Span] = []
    before, begin = OUTSIDE, 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        if goes_on(before, tag):
            before = tag
            continue
        if before != OUTSIDE:
            found.append(Span(begin, place, type_of(before)))
        before, begin = tag, place
    return found


def words(tags: Sequence[str]) -> list[Span]:
    """Each word of a sentence as a span whose type is the tag."""
    return [Span(place, place + 1, tag) for place, tag in enumerate(tags)]


def goes_on(before: str, tag: str) -> bool:
    """Whether a word with ``tag`` belongs to the span of the word before, which has the tag ``before``."""
    return before[0] in OPEN and tag[0] in ON and type_of(before) == type_of(tag)


def type_of(tag: str) -> str:
    """``NP`` of ``B-NP``; empty where there is none."""
    return tag.partition("-")[2]


def grammar(tags: Sequence[str]) -> NDArray[np.bool_]:
    """Which of ``tags`` may stand after which: (K+1, K+1), row before column, the last of both for a sentence's end.

    Spans are begun with ``B`` before they go on. Where last words have prefixes of their own (IOBES, BILOU), a span is
    ended by one before anything else comes.
    """
    states, ends = [*tags, OUTSIDE], any(tag.startswith((*LAST, *SINGLE)) for tag in tags)

    def allows(before: str, tag: str) -> bool:
        return goes_on(before, tag) if tag[0] in ON else not (ends and before[0] in OPEN)

    return np.array([[allows(before, tag) for tag in states] for before in states])


def keep_to_grammar(sentences: Sentences, tags: Symbols) -> bool:
    """Whether all of ``sentences``, whose ``tags`` these are, keep to it. Those of the first kind of IOB do not."""
    pairs = {pair for told in sentences for pair in pairwise([-1, *tags.encode(told).tolist(), -1])}
    return bool(grammar(tags)[tuple(zip(*pairs, strict=True))].all())


class Counts(NamedTuple):
    """How many spans are ``right``, are ``said`` to be there, and are ``there``."""

    right: int
    said: int
    there: int

    @property
    def precision(self) -> float:
        """How many of those said to be there are; 0 where none is said."""
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        """How many of those that are there were found; 0 where there is none."""
        return self.right / self.there if self.there else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.right / (self.said + self.there) if self.right else 0.0


def count(truth: Sentences, predicted: Sentences, *, of_spans: bool = True) -> dict[str, Counts]:
    """The counts of every type of span or, not ``of_spans``, of every tag, by name, over all sentences."""
    found = spans if of_spans else words
    theirs, ours = ({(row, *span) for row, t in enumerate(part) for span in found(t)} for part in (truth, predicted))
    right, said, there = (Counter(unit[-1] for unit in units) for units in (ours & theirs, ours, theirs))
    return {name: Counts(right[name], said[name], there[name]) for name in sorted(said | there)}


def total(counts: Iterable[Counts]) -> Counts:
    """The sum over types."""
    return Counts(*map(sum, zip((0, 0, 0), *counts, strict=True)))
