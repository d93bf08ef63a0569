"""What a model, and each baseline, gets right on the test part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from .sequences import Rows


@dataclass(frozen=True)
class Score:
    """How good predictions are, 1 at best."""

    name: str
    accuracy: float
    f1: float
    """The mean of the classes' F1."""


@dataclass(frozen=True)
class ClassScore:
    """One class: how many of what is said to be of it are, how many of it are found, and both in one number."""

    label: str
    precision: float
    recall: float
    f1: float
    count: int
    """How many there are."""


@dataclass(frozen=True, eq=False)
class Result:
    """Probabilities (n, classes) beside the truth (n,), numbers of ``classes``."""

    name: str
    classes: Sequence[str]
    truth: Rows
    probabilities: NDArray[np.float64]

    @cached_property
    def predicted(self) -> Rows:
        """The likeliest class of each: (n,)."""
        predicted: Rows = self.probabilities.argmax(1)
        return predicted

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often what is of class i was taken for class j: (classes, classes)."""
        counts: NDArray[np.int64] = confusion_matrix(self.truth, self.predicted, labels=range(len(self.classes)))
        return counts

    @property
    def score(self) -> Score:
        """The score of the likeliest classes."""
        return score(self.name, self.truth, self.predicted)

    @property
    def by_class(self) -> list[ClassScore]:
        """The scores of each class, 0 where there is nothing to divide by."""
        known = range(len(self.classes))
        found = precision_recall_fscore_support(self.truth, self.predicted, labels=known, zero_division=0)
        return [
            ClassScore(label, float(precision), float(recall), float(f1), int(count))
            for label, precision, recall, f1, count in zip(self.classes, *found, strict=True)
        ]

    @property
    def log_loss(self) -> float:
        """The mean of minus the logarithm of the probability that the right class was given."""
        return float(log_loss(self.truth, self.probabilities, labels=range(len(self.classes))))

    @property
    def mistakes(self) -> Rows:
        """The rows that are wrong, the surest first."""
        wrong = np.flatnonzero(self.predicted != self.truth)
        return wrong[np.argsort(-self.probabilities[wrong, self.predicted[wrong]], kind="stable")]

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, as a test part of this size allows to tell it."""
        n, p, z = len(self.truth), self.score.accuracy, 1.959964
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


def score(name: str, truth: Rows, predicted: Rows) -> Score:
    """The score of ``predicted`` (n,) against ``truth`` (n,). A class that is in neither doesn't count in the F1."""
    f1 = f1_score(truth, predicted, average="macro", zero_division=0)
    return Score(name, float(accuracy_score(truth, predicted)), float(f1))
