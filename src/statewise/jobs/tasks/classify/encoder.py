"""What a model remembers of its input: how sequences become what the network reads. A kind of input is a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from torch import Tensor, nn

from .config import ClassifyConfig
from .sequences import Sequences

Kind = Literal["numbers", "symbols"]


class Encoder(ABC):
    """Fitted on the training part alone, and kept in the model's file."""

    KIND: ClassVar[Kind]

    @abstractmethod
    def check(self, sequences: Any) -> None:
        """Raises ``InputError`` where ``sequences`` are not of the kind that was fitted."""

    @abstractmethod
    def encoded(self, sequences: Any, segment: int = 1) -> Sequences:
        """``sequences`` as the network reads them, ``segment`` steps at a time."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """How many numbers a step has."""

    @abstractmethod
    def front(self, config: ClassifyConfig) -> tuple[nn.Module | None, int]:
        """What makes (T, N, K) of a batch the input of the layers, None where it is that already, and that one's I."""

    @abstractmethod
    def blank(self, rows: int) -> NDArray[Any]:
        """What stands before the first step of ``rows`` sequences: (rows, K)."""

    @abstractmethod
    def read(self, x: Any, before: NDArray[Any], gaps: str) -> NDArray[Any]:
        """A step ``x`` of each of several sequences as the network reads it, (rows, K); ``before`` is the one before.

        Raises ``InputError`` where it is none.
        """

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What ``built`` reads, as JSON."""

    def tensors(self) -> dict[str, Tensor]:
        """What ``built`` reads beside that."""
        return {}

    @classmethod
    @abstractmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor]) -> Encoder:
        """What ``content`` and ``tensors``, of which it takes its own, say; ValueError where they make no sense."""
