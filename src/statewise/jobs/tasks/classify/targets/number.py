"""A number for each sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....data.split import Rows, grouped_split, random_split
from ....errors import InputError
from ....lazy import LazyModule
from .linear import ridge
from .names import number_of
from .target import Said, Target, Task, Values, written

if TYPE_CHECKING:
    import sklearn.metrics as metrics
    import torch
    from torch import Tensor
    from torch.nn import functional
else:  # what is said needs none of them
    torch, functional = LazyModule("torch"), LazyModule("torch.nn.functional")
    metrics = LazyModule("sklearn.metrics")


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
        values = [number_of(label) for label in labels]
        for label, value, id in zip(labels, values, ids, strict=True):
            if not math.isfinite(value):
                raise InputError(f"{source}: sequence {id!r}: expected a finite number as its label, got {label!r}")
        return np.array(values)

    def split(self, values: Values, share: float, seed: int, groups: Rows | None = None) -> tuple[Rows, Rows]:
        """Any rows."""
        return random_split(len(values), share, seed) if groups is None else grouped_split(groups, share, seed)

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
        said: Said = ridge(x, values).predict(test)
        return said

    def responses(self, values: Values) -> NDArray[np.float64]:
        """In scales."""
        scaled: NDArray[np.float64] = ((values - self.mean) / self.scale)[:, None]
        return scaled

    def sharpness(self, scores: NDArray[np.float64], values: Values) -> float:
        """A number is what it is."""
        return 1.0
