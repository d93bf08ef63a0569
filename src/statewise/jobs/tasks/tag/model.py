"""A trained tagger: weights and vocabulary, and the file that holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...artifacts import model_file
from ...errors import InputError
from . import decoding
from .config import Layout, TagConfig
from .corpus import Corpus, Sentences, as_corpus, counted
from .linear import Linear
from .spans import are_spans, spans
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .network import Network


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Tags the words of sentences."""

    KIND: ClassVar[str] = "tagging model"
    CONFIG: ClassVar[type[Any]] = TagConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: TagConfig
    weights: model_file.Arrays
    """Those of ``network.Network``."""
    vocabulary: Vocabulary
    strict: bool
    """Whether tags keep to the grammar of spans."""
    linear: Linear | None = None
    """What stands beside the network: its scores are added to those of the network."""

    @cached_property
    def network(self) -> Network:
        from ...training.weights import filled
        from .network import Network

        return filled(lambda: Network(self.vocabulary, self.config, self.strict), self.weights)

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
        found = [list[str]() for _ in range(len(corpus))]
        for rows, scores, lengths in self._scores(corpus):
            numbers = decoding.best(scores, lengths, self.net.moves)
            for row, mine, length in zip(rows, numbers.T.tolist(), lengths, strict=True):
                found[row] = [self.vocabulary.tags[number] for number in mine[:length]]
        return found

    def probabilities(self, corpus: Corpus) -> list[NDArray[np.float64]]:
        """The probability of each tag of each word: of each sentence (words, tags)."""
        found = [np.empty((0, 0))] * len(corpus)
        for rows, scores, lengths in self._scores(corpus):
            likely = decoding.marginals(scores, lengths, self.net.moves)
            for k, row in enumerate(rows):
                found[row] = likely[: lengths[k], k]
        return found

    def n_best(self, corpus: Corpus, count: int) -> list[list[tuple[list[str], float]]]:
        """The ``count`` likeliest sequences of tags of each sentence, with their probabilities, the likeliest first."""
        tags, found = self.vocabulary.tags, [list[tuple[list[str], float]]() for _ in range(len(corpus))]
        moves = np.zeros((len(tags) + 1,) * 2) if self.net.moves is None else self.net.moves
        for rows, scores, lengths in self._scores(corpus, count):
            sums, numbers = decoding.n_best(scores, lengths, moves, count)
            sums = np.where(sums > decoding.NEVER / 2, sums, -np.inf)
            likely = np.exp(sums - decoding.total(scores, lengths, moves)[:, None])
            for k, row in enumerate(rows):
                found[row] = [
                    ([tags[number] for number in numbers[: lengths[k], k, rank]], float(p))
                    for rank, p in enumerate(likely[k])
                    if p > 0
                ]
        return found

    @np.errstate(over="ignore", invalid="ignore")
    def _scores(self, corpus: Corpus, ways: int = 1) -> Iterator[tuple[list[int], Any, Any]]:
        """Sentences of like length, which they are, the scores of their tags (T, N, K), float64, and their lengths.

        Raises ``InputError`` where there are other features than the model reads, or a score is no number.
        """
        self.check(corpus)
        for rows in self.net.together(corpus.words, ways):
            given, lengths = self.net.encode(
                [corpus.words[row] for row in rows], [[column[row] for row in rows] for column in corpus.features]
            )
            scores = _finite(self.net.scores.run(given, lengths))
            yield rows, scores, lengths

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
        return rows, self.net.scores.start(rows), None

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, x: Sequence[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a word of each sentence; the probability of each of its tags, (rows, tags), and the state.

        They are those of the last word of the whole sentence up to here.
        """
        rows, reading, before = state
        corpus = as_corpus([[word] for word in x])
        if len(corpus) != rows:
            raise InputError(f"expected a word of each of {counted(rows, 'sentence')}, got {len(corpus)}")
        self.check(corpus)
        given, _ = self.net.encode(corpus.words, corpus.features)
        scores, reading = self.net.scores.step([each[0] for each in given], reading)
        said, after = decoding.step(_finite(scores), self.net.moves, before)
        return said, (rows, reading, after)

    def content(self) -> dict[str, Any]:
        """The words, characters, features and tags."""
        return {"vocabulary": self.vocabulary.to_json(), "strict": self.strict}

    def tensors(self) -> model_file.Arrays:
        """The weights, and what stands beside them."""
        return self.weights if self.linear is None else self.weights | self.linear.arrays()

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and another name for a column."""
        notes = dict(content["notes"])
        if isinstance(notes.get("layout"), dict):
            names = {"tag": "column"}
            notes["layout"] = {names.get(name, name): value for name, value in notes["layout"].items()}
        return content | {"config": content["shape"], "notes": notes}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: model_file.Arrays, **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        vocabulary = Vocabulary.from_json(content["vocabulary"])
        arrays = dict(arrays)
        linear = Linear.taken(arrays, len(vocabulary.tags))
        strict = bool(content["strict"])
        return cls(weights=arrays, vocabulary=vocabulary, strict=strict, linear=linear, **shared).checked(arrays)


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    if not np.isfinite(scores).all():
        raise InputError("the model's output is not finite: its file is damaged")
    return scores.astype(np.float64)
