"""A trained tagger: network and vocabulary, and the file that holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...errors import InputError
from . import decoding
from .config import Layout, TagConfig
from .corpus import Corpus, Sentences, as_corpus, counted
from .decoding import in_words
from .network import Network
from .packed import Packed
from .spans import are_spans, spans
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
        self.check(corpus)
        return Packed(replace(corpus, tags=None), self.vocabulary)

    def check(self, corpus: Corpus, tags: Collection[str] = ()) -> None:
        """Raises ``InputError`` where there are other features than the model reads, or ``tags`` it doesn't give."""
        expected, got = len(self.vocabulary.features), len(corpus.features)
        if expected != got:
            reads = counted(expected, "feature")
            raise InputError(f"{corpus.source}: the model reads {reads} of every word, got {got}")
        if other := sorted(set(tags) - set(self.vocabulary.tags)):
            raise InputError(f"{corpus.source}: the model knows no tag {other[0]!r}")

    def tags(self, corpus: Corpus) -> Sentences:
        """The likeliest tags, by sentence. Raises ``InputError`` where there are other features."""
        if not len(corpus):
            return []
        packed = self.packed(corpus)
        numbers, _ = decoding.predict(self.frozen, packed)
        return in_words(numbers, packed.lengths, self.vocabulary.tags)

    def probabilities(self, corpus: Corpus) -> list[NDArray[np.float64]]:
        """The probability of each tag of each word: of each sentence (words, tags)."""
        packed = self.packed(corpus)
        found = decoding.probabilities(self.frozen, packed)
        return np.split(found, packed.lengths.cumsum()[:-1]) if len(packed) else []

    def n_best(self, corpus: Corpus, count: int) -> list[list[tuple[list[str], float]]]:
        """The ``count`` likeliest sequences of tags of each sentence, with their probabilities, the likeliest first."""
        packed = self.packed(corpus)
        numbers, likely = decoding.n_best(self.frozen, packed, count)
        ranks = [in_words(column, packed.lengths, self.vocabulary.tags) for column in numbers.T]
        return [
            [(list(ranks[rank][row]), float(p)) for rank, p in enumerate(line) if p > 0]
            for row, line in enumerate(likely)
        ]

    def annotated(self, corpus: Corpus, tags: Sentences) -> Iterator[dict[str, Any]]:
        """Of each sentence, with its ``tags``, what can be said of it, as JSON has it: its words and its spans.

        A word is there with its tag, the tag's probability and, of running text, the characters of it. Where tags mark
        spans each is there with its type, the words from where to before where it goes, and the characters likewise.
        """
        marked = are_spans(self.vocabulary.tags)
        for row, (words, told, likely) in enumerate(zip(corpus.words, tags, self.probabilities(corpus), strict=True)):
            chances = likely[range(len(told)), self.vocabulary.tags.encode(told)]
            tokens: list[dict[str, Any]] = [
                {"word": word, "tag": tag, "probability": round(chance, 6)}
                for word, tag, chance in zip(words, told, chances.tolist(), strict=True)
            ]
            found: list[dict[str, Any]] = [{"type": s.type, "words": [s.begin, s.end]} for s in spans(told) if marked]
            if corpus.offsets is not None:
                places = corpus.offsets[row]
                for token, (begin, end) in zip(tokens, places, strict=True):
                    token |= {"begin": begin, "end": end}
                for span in found:
                    first, after = span["words"]
                    span |= {"begin": places[first][0], "end": places[after - 1][1]}
            yield {"tokens": tokens} | ({"spans": found} if marked else {})

    def start(self, rows: int) -> Any:
        """The state of ``rows`` sentences of which nothing has been read.

        Raises ``InputError`` for a network that reads in both directions.
        """
        if self.config.bidirectional:
            raise InputError("the network reads in both directions, so it needs whole sentences; bidirectional=False")
        return rows, None

    def step(self, x: Sequence[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a word of each sentence; the probability of each of its tags, (rows, tags), and the state.

        They are those of the last word of the whole sentence up to here.
        """
        rows, before = state
        packed = self.packed(as_corpus([[word] for word in x]))
        if len(packed) != rows:
            raise InputError(f"expected a word of each of {counted(rows, 'sentence')}, got {len(packed)}")
        found, after = decoding.step(self.frozen, packed.take(np.arange(rows)), before)
        return found, (rows, after)

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
