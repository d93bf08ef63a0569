"""A trained translator: network and vocabularies, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...data.vocabulary import Vocabulary
from ...errors import InputError
from .config import Layout, TranslateConfig
from .network import Network, search
from .pairs import Pairs, Ragged

LONGEST = 10_000  # symbols of a target
TOGETHER, SYMBOLS = 1024, 2**18  # beginnings of targets that are looked at in one step, and symbols of their sources


class Hypothesis(NamedTuple):
    """A target that a model writes."""

    text: str
    probability: float
    """Its logarithm."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Writes targets for sources."""

    KIND: ClassVar[str] = "translation model"
    FORMAT: ClassVar[int] = 1
    CONFIG: ClassVar[type[Any]] = TranslateConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: TranslateConfig
    network: Network
    source: Vocabulary
    target: Vocabulary
    longest: int
    """Symbols of a target at most, its end among them."""

    def translate(self, pairs: Pairs, beam: int | None = None) -> list[list[Hypothesis]]:
        """The likeliest targets of each source, best first, up to ``beam`` of them, the configuration's by default."""
        beam, network = beam or self.config.beam, cast(Network, self.frozen)
        device, penalty = network.output.bias.device, self.config.length_penalty
        sources = Ragged(map(self.source.encode, pairs.sources, pairs.features))
        found: list[list[Hypothesis]] = [[] for _ in pairs.sources]
        together = max(1, min(TOGETHER // beam, SYMBOLS // max([1, *sources.lengths.tolist()])))
        # Sources of like length together: their targets end at about the same time.
        for rows in sources.lengths.sort(stable=True).indices.split(together):
            source, lengths = sources.take(rows)
            best = search(network, source.to(device), lengths, beam=beam, longest=self.longest, penalty=penalty)
            for row, each in zip(rows.tolist(), best, strict=True):
                found[row] = [Hypothesis(self.target.decode(symbols), p) for symbols, p in each]
        if not all(found):
            raise InputError("the model's output is not finite: its file is damaged")
        return found

    def attention(self, pairs: Pairs, row: int) -> NDArray[np.float32]:
        """How much each symbol of the target of ``row``, its end the last, looked at each of its source: (T, T')."""
        read = torch.from_numpy(self.source.encode(pairs.sources[row], pairs.features[row]))[:, None]
        written = torch.from_numpy(np.roll(self.target.encode(pairs.known_targets[row]), 1))[:, None]
        network = cast(Network, self.frozen)
        with torch.no_grad():
            memory, state = network.encode(read, torch.tensor([len(read)]))
            weights: NDArray[np.float32] = network.decode(memory, written, state)[2][0].numpy()
        return weights

    def content(self) -> dict[str, Any]:
        """The vocabularies, and how long a target may be."""
        sides = {name: asdict(side) for name, side in (("source", self.source), ("target", self.target))}
        return {**sides, "longest": self.longest}

    def tensors(self) -> dict[str, Tensor]:
        """The weights; those that two modules share once."""
        return {name: tensor for name, tensor in self.network.state_dict().items() if name != "output.weight"}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        config, longest = shared["config"], content["longest"]
        source, target = (Vocabulary.from_json(content[side]) for side in ("source", "target"))
        if type(longest) is not int or not 0 < longest <= LONGEST:
            raise ValueError(f"expected targets of 1 to {LONGEST} symbols")
        if f"decoder.{config.layers - 1}.weight_ih_l0" not in tensors:
            raise ValueError(f"expected {config.layers} layers")
        tensors["output.weight"] = tensors["written.weight"]
        sizes = len(source.symbols), len(target.symbols)
        network = model_file.filled(lambda: Network(*sizes, config), tensors)
        return cls(network=network.eval(), source=source, target=target, longest=longest, **shared)
