"""What a model, and each baseline, gets right on the test part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, precision_recall_fscore_support

from .sequences import Rows
from .targets import Classes, Labels, Number, Said, Target, Values, written


@dataclass(frozen=True)
class Score:
    """How good what is said is, by the target's measures; the first decides, and is 1 at best."""

    name: str
    measured: dict[str, float]

    @property
    def decides(self) -> float:
        """The first measure."""
        return next(iter(self.measured.values()))

    def metrics(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"name": self.name, **self.measured}


@dataclass(frozen=True)
class LabelScore:
    """One class or label: how many that are said to be of it are, how many of it are found, and both in one number."""

    label: str
    precision: float
    recall: float
    f1: float
    count: int
    """How many there are."""


@dataclass(frozen=True, eq=False)
class Result:
    """What is ``said`` of n sequences beside the truth (n, ...)."""

    name: str
    target: Target
    truth: Values
    said: Said

    @property
    def score(self) -> Score:
        """Its measures."""
        return Score(self.name, self.target.measured(self.truth, self.said))

    def caption(self) -> str:
        """A sentence or two below the scores."""
        return ""

    def ending(self) -> str:
        """A sentence that the terminal says beside that."""
        return ""

    def mistakes(self) -> Rows:
        """The rows that are wrong, or furthest off, the worst first."""
        raise NotImplementedError

    def titles(self, row: int) -> tuple[str, str, bool]:
        """What a sequence is, what is said of it, and whether that is right."""
        raise NotImplementedError

    def metrics(self) -> dict[str, Any]:
        """For metrics.json, beside the score."""
        return {}


@dataclass(frozen=True, eq=False)
class ClassResult(Result):
    """Of classes: probabilities (n, C) beside places (n,)."""

    target: Classes

    @property
    def names(self) -> list[str]:
        """The classes."""
        return [str(name) for name in self.target.names]

    @cached_property
    def predicted(self) -> Rows:
        """The likeliest class of each: (n,)."""
        predicted: Rows = self.said.argmax(1)
        return predicted

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often what is of class i was taken for class j: (C, C)."""
        counts: NDArray[np.int64] = confusion_matrix(self.truth, self.predicted, labels=range(self.target.width))
        return counts

    @property
    def by_label(self) -> list[LabelScore]:
        """The scores of each class, 0 where there is nothing to divide by."""
        known = range(self.target.width)
        found = precision_recall_fscore_support(self.truth, self.predicted, labels=known, zero_division=0)
        return _by_label(self.names, found)

    @property
    def log_loss(self) -> float:
        """The mean of minus the logarithm of the probability that the right class was given."""
        return float(log_loss(self.truth, self.said, labels=range(self.target.width)))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, as a test part of this size allows to tell it."""
        n, p, z = len(self.truth), self.score.decides, 1.959964
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def caption(self) -> str:
        """How well a test part of this size tells the model's accuracy."""
        low, high = (100 * share for share in self.interval)
        judged = f"Judged by {len(self.truth)} sequences, the accuracy of the {self.name}"
        return f"{judged} is between {low:.1f} and {high:.1f} % (95 % confidence)."

    def ending(self, most: int = 3) -> str:
        """The pairs of classes that were most often confused; nothing where nothing was."""
        counts, names = self.confusion.copy(), self.names
        counts[range(len(counts)), range(len(counts))] = 0
        pairs = sorted(zip(*counts.nonzero(), strict=True), key=lambda pair: -counts[pair])[:most]
        said = [
            f"{names[i]} for {names[j]} ({f'{counts[i, j]} times' if counts[i, j] > 1 else 'once'})" for i, j in pairs
        ]
        return f"Most often taken: {', '.join(said)}." if said else ""

    def mistakes(self) -> Rows:
        """The surest first."""
        wrong = np.flatnonzero(self.predicted != self.truth)
        return wrong[np.argsort(-self.said[wrong, self.predicted[wrong]], kind="stable")]

    def titles(self, row: int) -> tuple[str, str, bool]:
        """The class, and the likeliest with its probability."""
        truth, predicted = self.truth[row], self.predicted[row]
        said = f"{self.names[predicted]}, {100 * self.said[row, predicted]:.0f} %"
        return self.names[truth], said, bool(truth == predicted)

    def metrics(self) -> dict[str, Any]:
        """Interval, log loss, each class and the confusions."""
        return {
            "interval": list(self.interval),
            "log_loss": self.log_loss,
            "classes": [asdict(score) for score in self.by_label],
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True, eq=False)
class LabelsResult(Result):
    """Of several labels: probabilities (n, L) beside which are there (n, L)."""

    target: Labels

    @property
    def by_label(self) -> list[LabelScore]:
        """The scores of each label, 0 where there is nothing to divide by."""
        chosen = self.target.chosen(self.said)
        found = precision_recall_fscore_support(self.truth, chosen, average=None, zero_division=0)
        return _by_label([str(name) for name in self.target.names], found)

    @property
    def precisions(self) -> list[float | None]:
        """The average precision of each label, None where it is nowhere."""
        pairs = zip(self.truth.T, self.said.T, strict=True)
        return [float(average_precision_score(truth, said)) if truth.any() else None for truth, said in pairs]

    def caption(self) -> str:
        """How many have all of their labels and no other."""
        whole = int((self.target.chosen(self.said) == (self.truth > 0)).all(1).sum())
        return f"Of {len(self.truth)} sequences {whole} are said to have just the labels that they have."

    def mistakes(self) -> Rows:
        """Those with the most wrong labels first."""
        wrong = (self.target.chosen(self.said) != (self.truth > 0)).sum(1)
        return np.argsort(-wrong, kind="stable")[: int((wrong > 0).sum())]

    def titles(self, row: int) -> tuple[str, str, bool]:
        """The labels that it has, and those that are said."""
        has, chosen = self.truth[row] > 0, self.target.chosen(self.said[row])
        names = [str(name) for name in self.target.names]
        truth, said = (
            ", ".join(n for n, is_one in zip(names, which, strict=True) if is_one) for which in (has, chosen)
        )
        return truth or "none", said or "none", bool((has == chosen).all())

    def metrics(self) -> dict[str, Any]:
        """Each label."""
        rows = zip(self.by_label, self.precisions, self.target.levels.tolist(), strict=True)
        return {"labels": [asdict(score) | {"average_precision": ap, "threshold": level} for score, ap, level in rows]}


@dataclass(frozen=True, eq=False)
class NumberResult(Result):
    """Of numbers: (n,) beside (n,)."""

    target: Number

    def mistakes(self) -> Rows:
        """The furthest off first."""
        rows: Rows = np.argsort(-np.abs(self.truth - self.said), kind="stable")
        return rows

    def titles(self, row: int) -> tuple[str, str, bool]:
        """Both numbers; right is what is off by less than half of what most are off by."""
        off = np.abs(self.truth - self.said)
        return f"{self.truth[row]:.4g}", f"{self.said[row]:.4g}", bool(off[row] <= np.median(off))


RESULTS: dict[type[Target], type[Result]] = {Classes: ClassResult, Labels: LabelsResult, Number: NumberResult}


def result_of(name: str, target: Target, truth: Values, said: Said) -> Any:
    """The result of the target's kind."""
    return RESULTS[type(target)](name, target, truth, said)


def formed(target: Target, measured: dict[str, float]) -> list[str]:
    """Measures as a table shows them."""
    return [written(target.MEASURES[name][1], value) for name, value in measured.items()]


def _by_label(names: Sequence[str], found: Any) -> list[LabelScore]:
    return [
        LabelScore(label, float(precision), float(recall), float(f1), int(count))
        for label, precision, recall, f1, count in zip(names, *found, strict=True)
    ]
