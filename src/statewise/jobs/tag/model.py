"""A trained tagger: network and vocabulary, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import model_file
from ..errors import InputError
from .corpus import Corpus, Sentences, counted
from .decoding import allowed_by, in_words, predict
from .network import Network
from .packed import Packed
from .settings import Shape
from .spans import Grammar
from .vocabulary import Vocabulary

KIND, FORMAT = "tagging model", 1


@dataclass(frozen=True, eq=False)
class Model:
    """Tags the words of sentences."""

    network: Network
    vocabulary: Vocabulary
    shape: Shape
    strict: bool
    """Whether predicted tags keep to the grammar of spans, as all of those learnt from did."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file is to hold, as JSON, such as the columns that the words were read from."""

    @cached_property
    def _allowed(self) -> Tensor | None:
        return allowed_by(Grammar(self.vocabulary.tags)) if self.strict else None

    def tags(self, corpus: Corpus) -> Sentences:
        """The likeliest tags, by sentence. Raises ``InputError`` where there are other features."""
        expected, got = len(self.vocabulary.features), len(corpus.features)
        if expected != got:
            reads = counted(expected, "feature")
            raise InputError(f"{corpus.source}: the model reads {reads} of every word, got {got}")
        if not len(corpus):
            return []
        packed = Packed(replace(corpus, tags=None), self.vocabulary)
        numbers, _ = predict(self.network, packed, self._allowed)
        return in_words(numbers, packed.lengths, self.vocabulary.tags)

    def save(self, path: Path) -> None:
        """Write the model as one ``.safetensors`` file. The same model gives the same bytes."""
        vocabulary = asdict(self.vocabulary) | {"rare": [n for n, rare in enumerate(self.vocabulary.rare) if rare]}
        content = {
            "shape": asdict(self.shape),
            "vocabulary": vocabulary,
            "strict": self.strict,
            "notes": dict(self.notes),
        }
        model_file.save(path, KIND, FORMAT, content, self.network.state_dict())

    @classmethod
    def load(cls, path: Path) -> Model:
        """What ``save`` wrote, on the CPU; refuses a file that is damaged, foreign or of a later format."""
        content, tensors = model_file.load(path, KIND, FORMAT)
        try:
            shape, vocabulary = Shape(**content["shape"]), _vocabulary(content["vocabulary"])
            strict, notes = bool(content["strict"]), dict(content["notes"])
            _check(shape, vocabulary, tensors)
            allowed = allowed_by(Grammar(vocabulary.tags)) if strict else None
            network = Network(vocabulary, shape, allowed)
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise InputError(f"{path}: a damaged {KIND}: {str(error).splitlines()[0]}") from None
        return cls(network.eval(), vocabulary, shape, strict, notes)


def _vocabulary(content: Mapping[str, Any]) -> Vocabulary:
    rare = set(content["rare"])
    words, characters, tags = (list(map(str, content[name])) for name in ("words", "characters", "tags"))
    features = [list(map(str, values)) for values in content["features"]]
    return Vocabulary(words, [number in rare for number in range(len(words))], characters, features, tags)


def _check(shape: Shape, vocabulary: Vocabulary, tensors: Mapping[str, torch.Tensor]) -> None:
    """ValueError where the header doesn't fit the weights, before anything of the sizes it names is made."""
    expected = {
        "words.weight": (1 + len(vocabulary.words), shape.word_size),
        "output.weight": (len(vocabulary.tags), 2 * shape.units),
        **{f"features.{n}.weight": (1 + len(v), shape.feature_size) for n, v in enumerate(vocabulary.features)},
    }
    if shape.character_units:
        expected["spelling.weight_hh_l0"] = (tensors["spelling.weight_hh_l0"].shape[0], shape.character_units)
    for name, size in expected.items():
        if tuple(tensors[name].shape) != size:
            raise ValueError(f"expected {name} of size {size}, got {tuple(tensors[name].shape)}")
    if f"recurrent.weight_ih_l{shape.layers - 1}" not in tensors:
        raise ValueError(f"expected {shape.layers} layers")
