"""What a model remembers of its input: how sequences become what the network reads. A kind of input is a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

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

    @property
    def symbols(self) -> int:
        """How many symbols there are, a vector for each in front of the layers; 0: they read numbers as they are."""
        return 0

    @abstractmethod
    def width(self, config: ClassifyConfig) -> int:
        """I, of the layers."""

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

    def tensors(self) -> dict[str, Any]:
        """What ``built`` reads beside that."""
        return {}

    @classmethod
    @abstractmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any]) -> Encoder:
        """What ``content`` and ``arrays``, of which it takes its own, say; ValueError where they make no sense."""
