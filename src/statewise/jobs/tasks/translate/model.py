"""A trained translator: weights and vocabularies, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....runtime import Hypothesis
from ...artifacts import model_file
from ...data.vocabulary import Vocabulary
from ...errors import InputError
from .config import Layout, TranslateConfig
from .pairs import Pairs

if TYPE_CHECKING:
    from .network import Network

LONGEST = 10_000  # symbols of a target


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Writes targets for sources."""

    KIND: ClassVar[str] = "translation model"
    FORMAT: ClassVar[int] = 1
    CONFIG: ClassVar[type[Any]] = TranslateConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: TranslateConfig
    weights: model_file.Arrays
    """Those of ``network.Network``; what two modules share is there once, as ``written.weight``."""
    source: Vocabulary
    target: Vocabulary
    longest: int
    """Symbols of a target at most, its end among them."""

    @np.errstate(over="ignore", invalid="ignore")
    def translate(self, pairs: Pairs, beam: int | None = None) -> list[list[Hypothesis]]:
        """The likeliest targets of each source, best first, up to ``beam`` of them, the configuration's by default."""
        found: list[list[Hypothesis]] = self.net.translate(pairs.sources, pairs.features, beam)
        if not all(found):
            raise InputError("the model's output is not finite: its file is damaged")
        return found

    @cached_property
    def network(self) -> Network:
        from ...training.weights import filled
        from .network import Network

        sizes = len(self.source.symbols), len(self.target.symbols)
        return filled(
            lambda: Network(*sizes, self.config), self.weights | {"output.weight": self.weights["written.weight"]}
        )

    def attention(self, pairs: Pairs, row: int) -> NDArray[np.float32]:
        """How much each symbol of the target of ``row``, its end the last, looked at each of its source: (T, T')."""
        read = self.source.encode(pairs.sources[row], pairs.features[row])
        return self.network.attention(read, self.target.encode(pairs.known_targets[row]))

    def content(self) -> dict[str, Any]:
        """The vocabularies, and how long a target may be."""
        sides = {name: asdict(side) for name, side in (("source", self.source), ("target", self.target))}
        return {**sides, "longest": self.longest}

    def tensors(self) -> model_file.Arrays:
        """The weights."""
        return self.weights

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: model_file.Arrays, **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        longest = content["longest"]
        source, target = (Vocabulary.from_json(content[side]) for side in ("source", "target"))
        if type(longest) is not int or not 0 < longest <= LONGEST:
            raise ValueError(f"expected targets of 1 to {LONGEST} symbols")
        return cls(weights=arrays, source=source, target=target, longest=longest, **shared).checked(arrays)
