"""Which words, characters, features and tags a tagger knows, each as a number. What it doesn't know is number 0."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...errors import InputError
from .corpus import Corpus, all_of

UNKNOWN = 0
MOST_TAGS = 5000  # more are no tags, but words or numbers
SHAPES = ("other", "lower", "Title", "UPPER", "miXed", "number", "with digits")
"""How a word may be written."""
DIGIT = re.compile(r"\d")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What there is in a training part."""

    words: Sequence[str]
    """In the form of ``plain``."""
    rare: Sequence[bool]
    """Which of them occur only once."""
    characters: Sequence[str]
    features: Sequence[Sequence[str]]
    """The values of each feature column."""
    tags: Sequence[str]

    @cached_property
    def word_numbers(self) -> dict[str, int]:
        """The number of each word."""
        return _numbers(self.words)

    @cached_property
    def character_numbers(self) -> dict[str, int]:
        """The number of each character."""
        return _numbers(self.characters)

    @cached_property
    def feature_numbers(self) -> Sequence[dict[str, int]]:
        """The number of each value, by column."""
        return [_numbers(values) for values in self.features]

    @cached_property
    def tag_numbers(self) -> dict[str, int]:
        """The number of each tag. There is none unknown, they count from 0."""
        return {tag: number for number, tag in enumerate(self.tags)}


def vocabulary_of(corpus: Corpus, tags: Iterable[str], least: int = 1) -> Vocabulary:
    """What there is in ``corpus``, but for words that occur less than ``least`` times; ``tags`` are all that occur."""
    counts = Counter(all_of(corpus.words))
    words, characters = Counter[str](), set[str]()
    for word, times in counts.items():
        words[plain(word)] += times
        characters.update(word)
    kept = sorted(word for word, times in words.items() if times >= least)
    features = [sorted(set(all_of(feature))) for feature in corpus.features]
    return Vocabulary(kept, [words[word] == 1 for word in kept], sorted(characters), features, _checked(corpus, tags))


def plain(word: str) -> str:
    """``word`` in lower case, every digit a 0."""
    return DIGIT.sub("0", word.lower())


def shape_of(word: str) -> int:
    """How ``word`` is written, a number of ``SHAPES``."""
    digits = sum(map(str.isdigit, word))
    if digits:
        return 5 if not any(map(str.isalpha, word)) else 6
    if word.islower():
        return 1
    if word.isupper():
        return 3 if len(word) > 1 else 2
    if word[:1].isupper() and word[1:].islower():
        return 2
    return 4 if any(map(str.isalpha, word)) else 0


def _numbers(items: Sequence[str]) -> dict[str, int]:
    return {item: number for number, item in enumerate(items, 1)}


def _checked(corpus: Corpus, tags: Iterable[str]) -> Sequence[str]:
    found = sorted(set(tags))
    if len(found) < 2:
        raise InputError(f"{corpus.source}: every word has the tag {found[0]!r}, there is nothing to learn")
    if len(found) > MOST_TAGS:
        raise InputError(
            f"{corpus.source}: {len(found):,} different tags, such as {found[0]!r} and {found[-1]!r}: is another column"
            " the one of the tags? Choose with --column"
        )
    return found
