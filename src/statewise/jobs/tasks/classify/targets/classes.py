"""One class of several for each sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....data.split import Rows, grouped_split, stratified_split
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
class Classes(Target):
    """One class of each sequence; values are places in ``names``."""

    TASK: ClassVar[Task] = "classification"
    MEASURES: ClassVar[Mapping[str, tuple[str, str]]] = {"accuracy": ("accuracy", "%"), "f1": ("macro F1", ".3f")}

    names: tuple[Label, ...]

    @classmethod
    def of(cls, labels: Sequence[str], source: str) -> Classes:
        """The labels that there are, numbers by size, others by letter. Refuses a single one."""
        found = sorted(set(labels), key=rank)
        check_names(found, source)
        if len(found) < 2:
            raise InputError(f"{source}: expected sequences of at least two classes, all are labelled {found[0]!r}")
        return cls(tuple(found))

    @property
    def width(self) -> int:
        """An output for each class."""
        return len(self.names)

    def read(self, labels: Sequence[str], source: str, ids: Sequence[str]) -> Values:
        """The place of each label: (n,)."""
        return np.array(places_of(self.names, labels, source, ids), np.int64)

    def split(self, values: Values, share: float, seed: int, groups: Rows | None = None) -> tuple[Rows, Rows]:
        """``share`` of each class."""
        if groups is not None:
            return grouped_split(groups, share, seed, values)
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
        return {"predicted": [names[place] for place in said.argmax(1)]} | probabilities(names, said)

    def content(self) -> dict[str, Any]:
        """The names."""
        return {"classes": list(self.names)}

    @classmethod
    def built(cls, content: Mapping[str, Any]) -> Classes:
        """Those named."""
        return cls(names_in(content["classes"]))

    def copied(self, values: Values) -> Said:
        """Certainty."""
        return np.eye(self.width)[values]

    def usual(self, values: Values) -> tuple[str, Said]:
        """The most frequent class."""
        return "most frequent class", self.copied(np.bincount(values).argmax(0, keepdims=True))

    def linear(self, x: Any, values: Values, test: Any) -> Said:
        """Probabilities, 0 of a class that ``values`` haven't got."""
        model = logistic(x, values)
        said = np.zeros((test.shape[0], self.width))
        said[:, model.classes_] = model.predict_proba(test)
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """1 for the class, -1 for all others."""
        return 2 * self.copied(values) - 1
