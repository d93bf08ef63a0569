"""What a model remembers of its output: what labels are as numbers, what is lost, and what the network's numbers say.
A kind of output is a class: one class of several (``Classes``), several labels (``Labels``), a number (``Number``).
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...data.columns import listed
from ...data.split import Rows, random_split, stratified_split
from ...errors import InputError
from ...lazy import LazyModule

if TYPE_CHECKING:
    import sklearn.linear_model as linear_models
    import sklearn.metrics as metrics
    import torch
    from torch import Tensor
    from torch.nn import functional
else:  # what is said needs none of them
    torch, functional = LazyModule("torch"), LazyModule("torch.nn.functional")
    linear_models, metrics = LazyModule("sklearn.linear_model"), LazyModule("sklearn.metrics")

Task = Literal["classification", "multilabel", "regression"]
Label = str | int | float | bool
Values = NDArray[Any]
"""Labels as numbers, of each of n sequences: its class (n,), 1 for a label that it has (n, L), or its number (n,)."""
Said = NDArray[np.float64]
"""What is said of n sequences: the probability of each class (n, C), of each label (n, L), or a number (n,)."""

LONGEST = 200  # characters of a class's name
SHOWN = 12  # names in a message
LEAST_NUMBERS = 20  # different ones that make a column of fractions a thing to measure


class Target(ABC):
    """Found in the training part alone, and kept in the model's file."""

    TASK: ClassVar[Task]
    MEASURES: ClassVar[Mapping[str, tuple[str, str]]]
    """Of each measure its name and its form, the one that decides first; more is better there."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers the network puts out."""

    @abstractmethod
    def read(self, labels: Sequence[str], source: str, ids: Sequence[str]) -> Values:
        """The labels of a file as numbers. Raises ``InputError`` for one that is none of these."""

    @abstractmethod
    def split(self, values: Values, share: float, seed: int) -> tuple[Rows, Rows]:
        """The rows that stay, and ``share`` of them held out."""

    @abstractmethod
    def balanced(self, values: Values) -> Tensor:
        """What each output weighs in the loss so that all weigh the same together, however rare: (width,)."""

    @abstractmethod
    def losses(self, outputs: Tensor, values: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
        """What is lost by ``outputs`` (N, width): (N,)."""

    def terms(self, values: Tensor, weights: Tensor | None) -> Tensor:
        """What those divide by: (N,)."""
        return torch.ones(len(values))

    @abstractmethod
    def validated(self, outputs: Tensor, values: Tensor) -> dict[str, float]:
        """What the validation says beside the loss."""

    def validated_line(self, scores: Mapping[str, float]) -> str:
        """That, and nothing of the loss, in words."""
        said = {name: value for name, value in scores.items() if name in self.MEASURES}
        return ", ".join(f"{self.MEASURES[name][0]} {written(self.MEASURES[name][1], v)}" for name, v in said.items())

    @abstractmethod
    def decode(self, outputs: NDArray[np.float64]) -> Said:
        """What ``outputs`` (n, width) say."""

    @abstractmethod
    def measured(self, truth: Values, said: Said) -> dict[str, float]:
        """The ``MEASURES``."""

    def compared(self, labels: Sequence[str], said: Said) -> str:
        """How much of it is as ``labels`` of a file say, which may be others than are known, in words."""
        right = sum(ours == theirs for ours, theirs in zip(self.columns(said)["predicted"], labels, strict=True))
        return f", {right} ({100 * right / len(labels):.2f} %) as they are labelled"

    @abstractmethod
    def columns(self, said: Said) -> dict[str, Any]:
        """The columns of a table of predictions."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What ``built`` reads, as JSON."""

    @classmethod
    @abstractmethod
    def built(cls, content: Mapping[str, Any]) -> Target:
        """What ``content`` says; ValueError where it makes no sense."""

    def settled(self, outputs: NDArray[np.float64], values: Values) -> Target:
        """The same with what can be told from ``outputs`` for sequences that the network has not learnt from."""
        return self

    # What a baseline says

    @abstractmethod
    def copied(self, values: Values) -> Said:
        """What says the labels ``values`` and nothing else."""

    @abstractmethod
    def usual(self, values: Values) -> tuple[str, Said]:
        """The name of what is said without a look at a sequence, and what that is: (1, ...)."""

    LINEAR: ClassVar[str] = "logistic regression"

    @abstractmethod
    def linear(self, x: Any, values: Values, test: Any) -> Said:
        """What a linear model of ``x`` (n, F), maybe sparse, called as ``LINEAR``, says of ``test``."""

    @abstractmethod
    def responses(self, values: Values) -> NDArray[np.float64]:
        """What a ridge regression is to say: (n, width)."""

    def doubt(self, rows: int) -> float:
        """What is to be left to the other outputs after ``rows`` sequences, however many of them were right."""
        return self.width / (rows + self.width)

    def of_scores(self, scores: NDArray[np.float64], known: NDArray[np.float64], values: Values) -> Said:
        """What a ridge regression's ``scores`` say, as sharply as those ``known`` of sequences new to it allow."""
        return self.decode(scores * self.sharpness(known, values))

    def sharpness(self, scores: NDArray[np.float64], values: Values) -> float:
        """The factor that makes a ridge regression's ``scores`` (n, width) of sequences new to it the best outputs.

        Where all of them are right it is as sure as so few of them allow (Laplace's rule), and no surer.
        """
        smoothing = self.doubt(len(values))
        factors = np.logspace(-1, 2, 61)
        outputs, truth = torch.from_numpy(scores), torch.from_numpy(values)
        lost = [float(self.losses(factor * outputs, truth, None, smoothing).sum()) for factor in factors]
        return float(factors[int(np.argmin(lost))])


@dataclass(frozen=True)
class Classes(Target):
    """One class of each sequence; values are places in ``names``."""

    TASK: ClassVar[Task] = "classification"
    MEASURES: ClassVar[Mapping[str, tuple[str, str]]] = {"accuracy": ("accuracy", "%"), "f1": ("macro F1", ".3f")}

    names: tuple[Label, ...]

    @classmethod
    def of(cls, labels: Sequence[str], source: str) -> Classes:
        """The labels that there are, numbers by size, others by letter. Refuses a single one."""
        found = sorted(set(labels), key=_rank)
        _check_names(found, source)
        if len(found) < 2:
            raise InputError(f"{source}: expected sequences of at least two classes, all are labelled {found[0]!r}")
        return cls(tuple(found))

    @property
    def width(self) -> int:
        """An output for each class."""
        return len(self.names)

    def read(self, labels: Sequence[str], source: str, ids: Sequence[str]) -> Values:
        """The place of each label: (n,)."""
        return np.array(_places(self.names, labels, source, ids), np.int64)

    def split(self, values: Values, share: float, seed: int) -> tuple[Rows, Rows]:
        """``share`` of each class."""
        return stratified_split(values, share, seed)

    def balanced(self, values: Values) -> Tensor:
        """With these all classes weigh the same together; their mean over the rows is 1."""
        counts = np.bincount(values, minlength=self.width)
        return torch.from_numpy(len(values) / (self.width * np.maximum(counts, 1))).float()

    def losses(self, outputs: Tensor, values: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
        """The cross entropy."""
        weights = None if weights is None else weights.to(outputs)
        return functional.cross_entropy(outputs, values, weights, reduction="none", label_smoothing=smoothing)

    def terms(self, values: Tensor, weights: Tensor | None) -> Tensor:
        """What the classes weigh."""
        return torch.ones(len(values)) if weights is None else weights[values]

    def validated(self, outputs: Tensor, values: Tensor) -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": float((outputs.argmax(-1) == values).double().mean())}

    def decode(self, outputs: NDArray[np.float64]) -> Said:
        """Probabilities."""
        raised = np.exp(outputs - outputs.max(-1, keepdims=True))
        return np.asarray(raised / raised.sum(-1, keepdims=True))

    def measured(self, truth: Values, said: Said) -> dict[str, float]:
        """A class that neither is there nor is said doesn't count in the F1."""
        predicted = said.argmax(1)
        f1 = metrics.f1_score(truth, predicted, average="macro", zero_division=0)
        return {"accuracy": float(metrics.accuracy_score(truth, predicted)), "f1": float(f1)}

    def columns(self, said: Said) -> dict[str, Any]:
        """The likeliest class, and the probability of each."""
        names = [str(name) for name in self.names]
        return {"predicted": [names[place] for place in said.argmax(1)]} | _probabilities(names, said)

    def content(self) -> dict[str, Any]:
        """The names."""
        return {"classes": list(self.names)}

    @classmethod
    def built(cls, content: Mapping[str, Any]) -> Classes:
        """Those named."""
        return cls(_names(content["classes"]))

    def copied(self, values: Values) -> Said:
        """Certainty."""
        return np.eye(self.width)[values]

    def usual(self, values: Values) -> tuple[str, Said]:
        """The most frequent class."""
        return "most frequent class", self.copied(np.bincount(values).argmax(0, keepdims=True))

    def linear(self, x: Any, values: Values, test: Any) -> Said:
        """Probabilities, 0 of a class that ``values`` haven't got."""
        model = _logistic(x, values)
        said = np.zeros((test.shape[0], self.width))
        said[:, model.classes_] = model.predict_proba(test)
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """1 for the class, -1 for all others."""
        return 2 * self.copied(values) - 1


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
        found = sorted({name for cell in labels for name in _parts(cell, separator)}, key=_rank)
        if len(found) < 2:
            raise InputError(f"{source}: expected at least two labels apart by {separator!r}, got {listed(found)}")
        _check_names(found, source)
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
            values[row, _places(self.names, parts, source, [ids[row]] * len(parts))] = 1
        return values

    def split(self, values: Values, share: float, seed: int) -> tuple[Rows, Rows]:
        """Any rows."""
        return random_split(len(values), share, seed)

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
        return {"predicted": predicted} | _probabilities(names, said)

    def content(self) -> dict[str, Any]:
        """The names, and when one is said."""
        return {"labels": list(self.names), "separator": self.separator, "thresholds": list(self.thresholds)}

    @classmethod
    def built(cls, content: Mapping[str, Any]) -> Labels:
        """Those named."""
        names, separator, thresholds = _names(content["labels"]), content["separator"], content["thresholds"]
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
            said[:, place] = _logistic(x, values[:, place]).predict_proba(test)[:, 1]
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """1 for a label that is there, -1 for one that isn't."""
        return 2 * self.copied(values) - 1


@dataclass(frozen=True)
class Number(Target):
    """A number of each sequence. The network says how many ``scale`` it is from the ``mean``."""

    TASK: ClassVar[Task] = "regression"
    MEASURES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "r2": ("R2", ".3f"),
        "mae": ("MAE", ".4g"),
        "rmse": ("RMSE", ".4g"),
    }

    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, values: Values) -> Number:
        """Scaled by ``values`` (n,)."""
        spread = float(np.std(values))
        mean = float(np.mean(values))
        return cls(mean, spread if spread > 1e-12 * abs(mean) else 1.0)

    @property
    def width(self) -> int:
        """One output."""
        return 1

    def read(self, labels: Sequence[str], source: str, ids: Sequence[str]) -> Values:
        """The labels as numbers: (n,)."""
        values = [_number(label) for label in labels]
        for label, value, id in zip(labels, values, ids, strict=True):
            if not math.isfinite(value):
                raise InputError(f"{source}: sequence {id!r}: expected a finite number as its label, got {label!r}")
        return np.array(values)

    def split(self, values: Values, share: float, seed: int) -> tuple[Rows, Rows]:
        """Any rows."""
        return random_split(len(values), share, seed)

    def balanced(self, values: Values) -> Tensor:
        """Raises ``InputError``: there is nothing to balance."""
        raise InputError("balance: expected classes or labels, got numbers")

    def losses(self, outputs: Tensor, values: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
        """The squared error, in scales."""
        return functional.mse_loss(outputs[:, 0], ((values - self.mean) / self.scale).to(outputs), reduction="none")

    def validated(self, outputs: Tensor, values: Tensor) -> dict[str, float]:
        """The root of the mean squared error."""
        return {
            "rmse": float(
                (torch.from_numpy(self.decode(outputs.double().cpu().numpy())) - values).square().mean().sqrt()
            )
        }

    def decode(self, outputs: NDArray[np.float64]) -> Said:
        """Numbers."""
        return np.asarray(outputs[:, 0] * self.scale + self.mean)

    def measured(self, truth: Values, said: Said) -> dict[str, float]:
        """R2 is 0 for what says nothing, and 1 at best."""
        r2 = float(metrics.r2_score(truth, said)) if len(truth) > 1 else 0.0
        return {
            "r2": r2,
            "mae": float(metrics.mean_absolute_error(truth, said)),
            "rmse": float(np.sqrt(np.mean((truth - said) ** 2))),
        }

    def compared(self, labels: Sequence[str], said: Said) -> str:
        """How far they are from it."""
        measured = self.measured(self.read(labels, "labels", list(map(str, range(1, len(labels) + 1)))), said)
        return ", " + ", ".join(
            f"{self.MEASURES[name][0]} {written(self.MEASURES[name][1], v)}" for name, v in measured.items()
        )

    def columns(self, said: Said) -> dict[str, Any]:
        """The number."""
        return {"predicted": said}

    def content(self) -> dict[str, Any]:
        """Mean and scale."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def built(cls, content: Mapping[str, Any]) -> Number:
        """What they were."""
        mean, scale = content["mean"], content["scale"]
        if not all(isinstance(value, float) and math.isfinite(value) for value in (mean, scale)) or not scale > 0:
            raise ValueError("expected a finite mean and a scale above 0")
        return cls(mean, scale)

    def copied(self, values: Values) -> Said:
        """The numbers."""
        return np.asarray(values, np.float64)

    def usual(self, values: Values) -> tuple[str, Said]:
        """The mean."""
        return "the mean", np.mean(values, keepdims=True)

    LINEAR: ClassVar[str] = "ridge regression"

    def linear(self, x: Any, values: Values, test: Any) -> Said:
        """Its penalty chosen by leaving rows out one by one; of sparse features it is 1."""
        model = linear_models.Ridge() if _sparse(x) else linear_models.RidgeCV(np.logspace(-3, 6, 19))
        said: Said = model.fit(x, values).predict(test)
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """In scales."""
        scaled: NDArray[np.float64] = ((values - self.mean) / self.scale)[:, None]
        return scaled

    def sharpness(self, scores: NDArray[np.float64], values: Values) -> float:
        """A number is what it is."""
        return 1.0


def written(form: str, value: float) -> str:
    """A measure in its form: a share in percent, or digits."""
    return f"{100 * value:.2f} %" if form == "%" else f"{value:{form}}"


TARGETS: Mapping[str, type[Target]] = {kind.TASK: kind for kind in (Classes, Labels, Number)}


def target_of(
    labels: Sequence[str] | None, source: str, task: Task | None = None, separator: str | None = None
) -> Target:
    """What the labels of a training part are: numbers where they are many and some have a fraction, unless told.

    Raises ``InputError`` where there are none, or none that could be learnt.
    """
    if labels is None:
        raise InputError(f"{source}: has no labels; --label names a table's column of them, --labels a file")
    if task is None:
        task = "multilabel" if separator else "regression" if _measured(labels) else "classification"
    if task == "multilabel":
        return Labels.of(labels, source, separator or "|")
    if task == "regression":
        return Number.of(Number().read(labels, source, [str(row) for row in range(1, len(labels) + 1)]))
    return Classes.of(labels, source)


def _measured(labels: Sequence[str]) -> bool:
    """Whether labels are what is measured: all numbers, some with a fraction, and most of them different."""
    different = set(labels)
    if len(different) < max(LEAST_NUMBERS, len(labels) / 4):
        return False
    values = [_number(label) for label in different]
    return all(map(math.isfinite, values)) and any(value != round(value) for value in values)


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return math.nan


def _parts(cell: str, separator: str) -> list[str]:
    return [part for part in map(str.strip, cell.split(separator)) if part]


def _places(names: Sequence[Label], labels: Sequence[str], source: str, ids: Sequence[str]) -> list[int]:
    """The places of ``labels`` in ``names``. Refuses one that is not among them."""
    place = {name: index for index, name in enumerate(names)}
    for label, id in zip(labels, ids, strict=True):
        if label not in place:
            shown = ", ".join(map(str, names[:SHOWN])) + (" ..." if len(names) > SHOWN else "")
            raise InputError(
                f"{source}: sequence {id!r} has the label {label!r}, which the training part hasn't got; there: {shown}"
            )
    return [place[label] for label in labels]


def _check_names(found: Sequence[str], source: str) -> None:
    longest = max(found, key=len)
    if len(longest) > LONGEST:
        raise InputError(
            f"{source}: a label of {len(longest)} characters, {longest[:30]!r}...; expected names of classes,"
            " choose their column with --label"
        )


def _names(content: Any) -> tuple[Label, ...]:
    if not isinstance(content, list) or not all(isinstance(c, (str, int, float)) and c == c for c in content):
        raise ValueError("expected the names of the classes")
    if len(set(content)) != len(content):
        raise ValueError("two classes have one name")
    return tuple(content)


def _rank(label: str) -> tuple[bool, float, str]:
    value = _number(label)
    return (True, 0.0, label) if math.isnan(value) else (False, value, label)


def _probabilities(names: Sequence[str], said: Said) -> dict[str, Any]:
    return {f"p({name})": said[:, place] for place, name in enumerate(names)}


def _sparse(x: Any) -> bool:
    return hasattr(x, "toarray")


def _logistic(x: Any, values: Values) -> Any:
    # Features that are texts' n-grams are many and small: there a weaker penalty is better.
    model = linear_models.LogisticRegression(C=10.0 if _sparse(x) else 1.0, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not wholly converged is as good here
        return model.fit(x, values)


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
