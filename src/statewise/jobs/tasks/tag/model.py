"""A trained tagger: network and vocabulary, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...errors import InputError
from . import decoding
from .config import Layout, TagConfig
from .corpus import Corpus, Sentences, counted
from .decoding import in_words
from .network import Network
from .packed import Packed
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Tags the words of sentences."""

    KIND: ClassVar[str] = "tagging model"
    CONFIG: ClassVar[type[Any]] = TagConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: TagConfig
    network: Network
    vocabulary: Vocabulary

    def packed(self, corpus: Corpus) -> Packed:
        """``corpus`` as the network reads it. Raises ``InputError`` where there are other features."""
        expected, got = len(self.vocabulary.features), len(corpus.features)
        if expected != got:
            reads = counted(expected, "feature")
            raise InputError(f"{corpus.source}: the model reads {reads} of every word, got {got}")
        return Packed(replace(corpus, tags=None), self.vocabulary)

    def tags(self, corpus: Corpus) -> Sentences:
        """The likeliest tags, by sentence. Raises ``InputError`` where there are other features."""
        if not len(corpus):
            return []
        packed = self.packed(corpus)
        numbers, _ = decoding.predict(self.network, packed)
        return in_words(numbers, packed.lengths, self.vocabulary.tags)

    def probabilities(self, corpus: Corpus) -> list[NDArray[np.float64]]:
        """The probability of each tag of each word: of each sentence (words, tags)."""
        packed = self.packed(corpus)
        found = decoding.probabilities(self.network, packed)
        return np.split(found, packed.lengths.cumsum()[:-1]) if len(packed) else []

    def n_best(self, corpus: Corpus, count: int) -> list[list[tuple[list[str], float]]]:
        """The ``count`` likeliest sequences of tags of each sentence, with their probabilities, the likeliest first."""
        packed = self.packed(corpus)
        numbers, likely = decoding.n_best(self.network, packed, count)
        ranks = [in_words(column, packed.lengths, self.vocabulary.tags) for column in numbers.T]
        return [
            [(list(ranks[rank][row]), float(p)) for rank, p in enumerate(line) if p > 0]
            for row, line in enumerate(likely)
        ]

    def content(self) -> dict[str, Any]:
        """The words, characters, features and tags."""
        return {"vocabulary": self.vocabulary.to_json(), "strict": self.network.allowed is not None}

    def tensors(self) -> dict[str, Tensor]:
        """The weights."""
        return self.network.state_dict()

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and another name for a column."""
        notes = dict(content["notes"])
        if isinstance(notes.get("layout"), dict):
            names = {"tag": "column"}
            notes["layout"] = {names.get(name, name): value for name, value in notes["layout"].items()}
        return content | {"config": content["shape"], "notes": notes}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        config, vocabulary = shared["config"], Vocabulary.from_json(content["vocabulary"])
        last = f"recurrent.weight_ih_l{config.layers - 1}"
        if last not in tensors or len(vocabulary.tags) > len(tensors["output.bias"]):
            raise ValueError(f"expected {config.layers} layers and {len(vocabulary.tags)} tags")
        network = model_file.filled(lambda: Network(vocabulary, config, bool(content["strict"])), tensors)
        return cls(network=network.eval(), vocabulary=vocabulary, **shared)
