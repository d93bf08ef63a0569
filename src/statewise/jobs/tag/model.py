"""A trained tagger: network and vocabulary, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import model_file
from ..config import from_json
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
        with model_file.checked(path, KIND):
            shape, vocabulary = from_json(Shape, content["shape"]), _vocabulary(content["vocabulary"])
            strict, notes = bool(content["strict"]), dict(content["notes"])
            last = f"recurrent.weight_ih_l{shape.layers - 1}"
            if last not in tensors or len(vocabulary.tags) > len(tensors["output.bias"]):
                raise ValueError(f"expected {shape.layers} layers and {len(vocabulary.tags)} tags")
            allowed = allowed_by(Grammar(vocabulary.tags)) if strict else None
            network = model_file.filled(lambda: Network(vocabulary, shape, allowed), tensors)
        return cls(network.eval(), vocabulary, shape, strict, notes)


def _vocabulary(content: Mapping[str, Any]) -> Vocabulary:
    rare = set(content["rare"])
    words, characters, tags = (_texts(content[name]) for name in ("words", "characters", "tags"))
    features = [_texts(values) for values in content["features"]]
    return Vocabulary(words, [number in rare for number in range(len(words))], characters, features, tags)


def _texts(content: Any) -> list[str]:
    """A list of different texts, none empty; ValueError for anything else."""
    if not isinstance(content, list) or not all(isinstance(text, str) and text for text in content):
        raise ValueError("expected a list of texts")
    if len(set(content)) != len(content):
        raise ValueError("a word, a character or a tag is there twice")
    return content
