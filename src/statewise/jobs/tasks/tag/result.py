"""What a model, and each baseline, gets right on the test part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .corpus import Sentences, all_of
from .spans import Counts, count, total


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
    def spans(self) -> Counts:
        """Of all types together."""
        return total(self.types.values())

    @property
    def measure(self) -> str:
        """What ``value`` is."""
        return "F1" if self.of_spans else "accuracy"

    @property
    def value(self) -> float:
        """What decides: the F1 of the spans or, where tags mark none, the accuracy."""
        return self.spans.f1 if self.of_spans else self.accuracy


def score(name: str, truth: Sentences, predicted: Sentences, *, of_spans: bool) -> Score:
    """The score of ``predicted`` against ``truth``."""
    pairs = Counter(zip(all_of(truth), all_of(predicted), strict=True))
    right = sum(times for (real, told), times in pairs.items() if real == told)
    types = count(truth, predicted) if of_spans else _words(pairs)
    return Score(name, right / pairs.total(), types, of_spans)


def _words(pairs: Counter[tuple[str, str]]) -> dict[str, Counts]:
    said, there = Counter[str](), Counter[str]()
    for (real, told), times in pairs.items():
        there[real] += times
        said[told] += times
    return {tag: Counts(pairs[tag, tag], said[tag], there[tag]) for tag in sorted(said | there)}


@dataclass(frozen=True, eq=False)
class Result:
    """Predicted tags beside the true ones."""

    name: str
    words: Sentences
    truth: Sentences
    predicted: Sentences
    known: frozenset[str]
    """The words of the training part."""
    of_spans: bool
    """Whether the tags mark spans."""

    @cached_property
    def score(self) -> Score:
        """The score of the predicted tags."""
        return score(self.name, self.truth, self.predicted, of_spans=self.of_spans)

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
