"""What every kind of output is: labels as numbers, what is lost, and what the network's numbers say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ....data.split import Rows
from ....lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:  # what is said needs none of it
    torch = LazyModule("torch")

Task = Literal["classification", "multilabel", "regression"]
Values = NDArray[Any]
"""Labels as numbers, of each of n sequences: its class (n,), 1 for a label that it has (n, L), or its number (n,)."""
Said = NDArray[np.float64]
"""What is said of n sequences: the probability of each class (n, C), of each label (n, L), or a number (n,)."""


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
    def split(self, values: Values, share: float, seed: int, groups: Rows | None = None) -> tuple[Rows, Rows]:
        """The rows that stay, and ``share`` of them held out; all rows of one of ``groups`` (n,) together."""

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


def written(form: str, value: float) -> str:
    """A measure in its form: a share in percent, or digits."""
    return f"{100 * value:.2f} %" if form == "%" else f"{value:{form}}"
