"""What costs nothing to compare a network with: the tag that a word, or a feature of it, has most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .corpus import Corpus, Sentences, all_of


def baselines(train: Corpus, test: Corpus, columns: Sequence[str]) -> Iterator[tuple[str, Sentences]]:
    """The name of each baseline and the tags it gives the words of ``test``. ``columns`` are the features' names."""
    yield "each word's most frequent tag", most_frequent(train.words, train.known_tags, test.words)
    for name, learnt, asked in zip(columns, train.features, test.features, strict=True):
        yield f"most frequent tag of column {name}", most_frequent(learnt, train.known_tags, asked)


def most_frequent(items: Sentences, tags: Sentences, asked: Sentences) -> Sentences:
    """For each of ``asked`` the tag that the same item has most often in ``items``.

    What does not occur there gets the most frequent tag of the items that occur once, or of all if there is none such.
    Of tags equally frequent it is the first by name.
    """
    counts: dict[str, Counter[str]] = {}
    for item, tag in zip(all_of(items), all_of(tags), strict=True):
        counts.setdefault(item, Counter())[tag] += 1
    once = Counter(next(iter(c)) for c in counts.values() if c.total() == 1)
    unknown = _first(once or Counter(all_of(tags)))
    known = {item: _first(c) for item, c in counts.items()}
    return [[known.get(item, unknown) for item in sentence] for sentence in asked]


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))
