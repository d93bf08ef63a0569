"""Fixed features of a sequence, of which a linear model says what it is. A kind of features is a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from .sequences import Rows, Sequences
from .targets import Target, Values

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]
"""What a linear model says of n sequences: (n, W)."""

Own = TypeVar("Own", bound="Features")


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a linear model is fitted to: ``values`` of ``sequences``, that count ``weights`` (n,), None: all alike."""

    sequences: Sequences
    target: Target
    values: Values
    weights: Floats | None = None
    seed: int = 0
    groups: Rows | None = None
    """The group of each (n,), which is left out as a whole; None: each stands alone."""
    reach: int = 1
    """Steps that are looked at together, of kinds that can be told."""


class Features(ABC):
    """Made from the training part alone, and kept in the model's file: fields are arrays, of the types ``ARRAYS``."""

    KIND: ClassVar[str]
    LINEAR: ClassVar[str]
    """The linear model, in words."""
    ARRAYS: ClassVar[Mapping[str, str]]
    LEFT_OUT: ClassVar[bool] = False
    """Whether fitting tells what is said of each sequence by those without it."""
    STEPS: ClassVar[bool] = False
    """Whether sequences may be read a step at a time."""

    @classmethod
    @abstractmethod
    def fitted(cls: type[Own], lesson: Lesson) -> tuple[Own, Floats, Floats, Scores | None] | None:
        """The features, and weights (F, W) and bias (W,) that make values of them; None where nothing can be learnt.

        Also what is said of each sequence by those without it, where ``LEFT_OUT``.
        """

    @property
    @abstractmethod
    def count(self) -> int:
        """F."""

    @abstractmethod
    def check(self, channels: int) -> None:
        """ValueError where the arrays aren't features of sequences of so many channels."""

    @abstractmethod
    def times(self, sequences: Sequences, weights: Floats) -> Scores:
        """The features of ``sequences`` times ``weights`` (F, W): (n, W)."""

    def step(self, x: NDArray[Any], state: Any, weights: Floats) -> tuple[Scores, Any]:
        """The same after one more step x (N, K) of each of N sequences, and the state; None at first."""
        raise NotImplementedError

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields."""
        return {name: getattr(self, name) for name in self.ARRAYS}
