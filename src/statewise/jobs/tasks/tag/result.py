"""What a model, and each baseline, gets right on the test part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .corpus import Corpus, Sentences, all_of
from .spans import Counts, are_spans, count, total


@dataclass(frozen=True)
class Score:
    """How good predicted tags are."""

    name: str
    accuracy: float
    """The share of the words whose tag is right."""
    types: Mapping[str, Counts]
    """The spans of each type or, where tags mark none, the words of each tag."""
    of_spans: bool

    @property
    def numbers(self) -> dict[str, float]:
        """What is told of them: the accuracy and, where tags mark spans, what whole spans say."""
        spans = total(self.types.values())
        of_spans = {"precision": spans.precision, "recall": spans.recall, "F1": spans.f1} if self.of_spans else {}
        return {"accuracy": self.accuracy, **of_spans}

    @property
    def measure(self) -> str:
        """What ``value`` is."""
        return list(self.numbers)[-1]

    @property
    def value(self) -> float:
        """What decides: the F1 of the spans or, where tags mark none, the accuracy."""
        return self.numbers[self.measure]


def score(name: str, truth: Sentences, predicted: Sentences, tags: Iterable[str] = ()) -> Score:
    """The score of ``predicted`` against ``truth``, as spans where all tags, ``tags`` and the true ones, mark them."""
    right = [real == told for real, told in zip(all_of(truth), all_of(predicted), strict=True)]
    of_spans = are_spans({*tags, *all_of(truth)})
    return Score(name, sum(right) / len(right), count(truth, predicted, of_spans=of_spans), of_spans)


@dataclass(frozen=True, eq=False)
class Result:
    """Predicted tags beside the true ones."""

    score: Score
    words: Sentences
    truth: Sentences
    predicted: Sentences
    known: frozenset[str]
    """The words of the training part."""

    @property
    def unknown(self) -> Counts:
        """How many words of the test part do not occur in training, and how many of those are tagged right."""
        words = zip(all_of(self.words), all_of(self.truth), all_of(self.predicted), strict=True)
        right = [real == told for word, real, told in words if word not in self.known]
        return Counts(sum(right), len(right), len(right))

    @cached_property
    def confusion(self) -> Counter[tuple[str, str]]:
        """How often words of the first tag were given the second."""
        return Counter(zip(all_of(self.truth), all_of(self.predicted), strict=True))

    @property
    def wrong(self) -> Sequence[int]:
        """The sentences with a wrong tag."""
        pairs = enumerate(zip(self.truth, self.predicted, strict=True))
        return [row for row, (real, told) in pairs if list(real) != list(told)]


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
    for (item, tag), times in Counter(zip(all_of(items), all_of(tags), strict=True)).items():
        counts.setdefault(item, Counter())[tag] = times
    once = Counter(next(iter(c)) for c in counts.values() if c.total() == 1)
    unknown = _first(once or Counter(all_of(tags)))
    known = {item: _first(c) for item, c in counts.items()}
    return [[known.get(item, unknown) for item in sentence] for sentence in asked]


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))
