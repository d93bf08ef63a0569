"""Any number of labels for each sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....data.columns import listed
from ....data.split import Rows, grouped_split, random_split
from ....errors import InputError
from ....lazy import LazyModule
from .linear import logistic
from .names import Label, check_names, names_in, places_of, probabilities, rank
from .target import Said, Target, Task, Values

if TYPE_CHECKING:
    import sklearn.metrics as metrics
    import torch
    from torch import Tensor
    from torch.nn import functional
else:  # what is said needs none of them
    torch, functional = LazyModule("torch"), LazyModule("torch.nn.functional")
    metrics = LazyModule("sklearn.metrics")


@dataclass(frozen=True)
class Labels(Target):
    """Any number of labels of each sequence; values are 1 for those of ``names`` that it has."""

    TASK: ClassVar[Task] = "multilabel"
    MEASURES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "f1": ("micro F1", ".3f"),
        "f1_macro": ("macro F1", ".3f"),
        "average_precision": ("mean AP", ".3f"),
    }

    names: tuple[Label, ...]
    separator: str = "|"
    """What is between them in a file's cell."""
    thresholds: tuple[float, ...] = ()
    """The probability from which a label is said; none: 0.5."""

    @classmethod
    def of(cls, labels: Sequence[str], source: str, separator: str) -> Labels:
        """All that are in some cell."""
        found = sorted({name for cell in labels for name in _parts(cell, separator)}, key=rank)
        if len(found) < 2:
            raise InputError(f"{source}: expected at least two labels apart by {separator!r}, got {listed(found)}")
        check_names(found, source)
        return cls(tuple(found), separator)

    @property
    def width(self) -> int:
        """An output for each label."""
        return len(self.names)

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """The thresholds: (L,)."""
        return np.array(self.thresholds or [0.5] * self.width)

    def read(self, labels: Sequence[str], source: str, ids: Sequence[str]) -> Values:
        """Which labels each cell has: (n, L)."""
        values = np.zeros((len(labels), self.width), np.float32)
        for row, cell in enumerate(labels):
            parts = _parts(cell, self.separator)
            values[row, places_of(self.names, parts, source, [ids[row]] * len(parts))] = 1
        return values

    def split(self, values: Values, share: float, seed: int, groups: Rows | None = None) -> tuple[Rows, Rows]:
        """Any rows."""
        return random_split(len(values), share, seed) if groups is None else grouped_split(groups, share, seed)

    def balanced(self, values: Values) -> Tensor:
        """How many sequences lack a label for one that has it."""
        has = values.sum(0)
        return torch.from_numpy((len(values) - has) / np.maximum(has, 1)).float()

    def losses(self, outputs: Tensor, values: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
        """The mean of the labels' cross entropies; ``weights`` are those of a label that is there."""
        weights = None if weights is None else weights.to(outputs)
        smoothed = values.to(outputs) * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(
            outputs, smoothed, reduction="none", pos_weight=weights
        ).mean(-1)

    def validated(self, outputs: Tensor, values: Tensor) -> dict[str, float]:
        """The micro F1."""
        hit = 2 * float(((outputs > 0) & (values > 0)).sum())
        return {"f1": hit / max(1.0, float((outputs > 0).sum() + (values > 0).sum()))}

    def settled(self, outputs: NDArray[np.float64], values: Values) -> Labels:
        """The threshold of each label with the best F1, between two probabilities; 0.5 where none is seen."""
        said = self.decode(outputs)
        return replace(self, thresholds=tuple(_threshold(said[:, i], values[:, i] > 0) for i in range(self.width)))

    def decode(self, outputs: NDArray[np.float64]) -> Said:
        """Probabilities, each for itself."""
        return np.exp(-np.logaddexp(0, -outputs))

    def chosen(self, said: Said) -> NDArray[np.bool_]:
        """The labels that are said: (n, L)."""
        return said >= self.levels

    def measured(self, truth: Values, said: Said) -> dict[str, float]:
        """The mean AP is that of the labels that are there."""
        there = truth.any(0)
        chosen = self.chosen(said)
        precision = (
            metrics.average_precision_score(truth[:, there], said[:, there], average="macro") if there.any() else 0.0
        )
        return {
            "f1": float(metrics.f1_score(truth, chosen, average="micro", zero_division=0)),
            "f1_macro": float(metrics.f1_score(truth, chosen, average="macro", zero_division=0)),
            "average_precision": float(precision),
        }

    def compared(self, labels: Sequence[str], said: Said) -> str:
        """As sets, whatever their order."""
        ours, theirs = (
            [sorted(_parts(cell, self.separator)) for cell in cells]
            for cells in (self.columns(said)["predicted"], labels)
        )
        right = sum(a == b for a, b in zip(ours, theirs, strict=True))
        return f", {right} ({100 * right / len(labels):.2f} %) as they are labelled"

    def columns(self, said: Said) -> dict[str, Any]:
        """The labels that are said, and the probability of each."""
        names = [str(name) for name in self.names]
        predicted = [
            self.separator.join(name for name, is_said in zip(names, row, strict=True) if is_said)
            for row in self.chosen(said)
        ]
        return {"predicted": predicted} | probabilities(names, said)

    def content(self) -> dict[str, Any]:
        """The names, and when one is said."""
        return {"labels": list(self.names), "separator": self.separator, "thresholds": list(self.thresholds)}

    @classmethod
    def built(cls, content: Mapping[str, Any]) -> Labels:
        """Those named."""
        names, separator, thresholds = names_in(content["labels"]), content["separator"], content["thresholds"]
        levels = all(isinstance(level, float) and 0 <= level <= 1 for level in thresholds)
        if len(thresholds) not in (0, len(names)) or not levels or not isinstance(separator, str) or not separator:
            raise ValueError("expected a threshold from 0 to 1 for each label, and what is between them")
        return cls(names, separator, tuple(thresholds))

    def copied(self, values: Values) -> Said:
        """Certainty."""
        return np.asarray(values, np.float64)

    def usual(self, values: Values) -> tuple[str, Said]:
        """How often each label is there."""
        return "the labels' frequencies", values.mean(0, dtype=np.float64)[None]

    def linear(self, x: Any, values: Values, test: Any) -> Said:
        """A model for each label; one that all or none have is a constant."""
        said = np.repeat(values.mean(0, dtype=np.float64)[None], test.shape[0], axis=0)
        for place in np.flatnonzero((said[0] > 0) & (said[0] < 1)):
            said[:, place] = logistic(x, values[:, place]).predict_proba(test)[:, 1]
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """1 for a label that is there, -1 for one that isn't."""
        return 2 * self.copied(values) - 1


def _parts(cell: str, separator: str) -> list[str]:
    return [part for part in map(str.strip, cell.split(separator)) if part]


def _threshold(said: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Between two of the probabilities ``said`` (n,): from where on the F1 is best."""
    if not truth.any():
        return 0.5
    order = np.argsort(-said, kind="stable")
    levels = said[order]
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(said) + 1) + truth.sum())
    f1[:-1][levels[:-1] == levels[1:]] = -1  # no threshold is between two that are equal
    best = int(f1.argmax())
    below = levels[best + 1] if best + 1 < len(levels) else 0.0
    return float((levels[best] + below) / 2)
