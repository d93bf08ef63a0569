"""Tags that mark spans (chunks, names): which spans there are, by the rules of CoNLL's conlleval, and how tags may
follow one another.

A tag is ``O`` or a prefix and, after a hyphen, the type of the span: ``B-NP``. Prefixes are those of IOB (both kinds),
IOBES and BILOU. Scores count a span as right where its type, its first and its last word are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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


def goes_on(before: str, tag: str) -> bool:
    """Whether a word with ``tag`` belongs to the span of the word before, which has the tag ``before``."""
    return before[0] in OPEN and tag[0] in ON and type_of(before) == type_of(tag)


def type_of(tag: str) -> str:
    """``NP`` of ``B-NP``; empty where there is none."""
    return tag.partition("-")[2]


@dataclass(frozen=True)
class Grammar:
    """Which of ``tags`` may stand after which. Spans are begun with ``B`` before they go on.

    Where last words have prefixes of their own (IOBES, BILOU), a span is ended by one before anything else comes.
    """

    tags: Sequence[str]

    def keeps(self, sentences: Iterable[Sequence[str]]) -> bool:
        """Whether all of ``sentences`` keep to it. The first kind of IOB does not."""
        pairs = {pair for tags in sentences for pair in zip([None, *tags], [*tags, None], strict=True)}
        return all(self.allows(before, tag) for before, tag in pairs)

    def allows(self, before: str | None, tag: str | None) -> bool:
        """Whether ``tag`` may stand after ``before``; None is a sentence's end."""
        if tag is not None and tag[0] in ON:
            return before is not None and goes_on(before, tag)
        return not (self._marks_ends and before is not None and before[0] in OPEN)

    @cached_property
    def _marks_ends(self) -> bool:
        return any(tag.startswith((*LAST, *SINGLE)) for tag in self.tags)


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


def count(truth: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> dict[str, Counts]:
    """The counts of every type of span, by name, over all sentences."""
    right, said, there = dict[str, int](), dict[str, int](), dict[str, int]()
    for real, told in zip(truth, predicted, strict=True):
        ours, theirs = set(spans(told)), set(spans(real))
        for found, counts in ((ours & theirs, right), (ours, said), (theirs, there)):
            for span in found:
                counts[span.type] = counts.get(span.type, 0) + 1
    types = sorted({**said, **there})
    return {t: Counts(right.get(t, 0), said.get(t, 0), there.get(t, 0)) for t in types}


def total(counts: Iterable[Counts]) -> Counts:
    """The sum over types."""
    counts = list(counts)
    return Counts(*(sum(c[place] for c in counts) for place in range(3)))
