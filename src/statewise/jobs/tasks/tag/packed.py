"""Sentences as numbers, drawn as batches without padding.

A batch is *packed* as in torch's PackedSequence: sequences of falling length, and of all of them first their first
steps, then their second ones. The numbers are put in that order before anything is computed with them, so that no
vector is ever moved, and no step computed that is none. The characters of the words are packed the same way: the
distinct words of a batch, each once.

    starts  0     3  4        lengths 3 1 2       sizes 3 2 1
            a b c  d  e f     packed  a e d  b f  c
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.symbols import Symbols, plain
from .corpus import Corpus, all_of
from .linear import Linear, Scores
from .vocabulary import Vocabulary, shape_of, spelling

Numbers = NDArray[np.int64]


class Batch(NamedTuple):
    """N sentences of S words, W distinct words of C characters. Sizes stay on the CPU: layers look at them."""

    words: Tensor  # (S,)
    vectors: Tensor  # (S,): which of those that have a pretrained vector
    times: Tensor  # (S,): how often the word occurs in all sentences
    shapes: Tensor  # (S,)
    features: Tensor  # (F, S)
    sizes: Tensor  # (T,): how many sentences have a word t
    rows: Tensor  # (S,): of which of the N it is
    forms: Tensor  # (S,): which of the distinct words it is
    characters: Tensor  # (C,)
    character_sizes: Tensor  # how many distinct words have a character t
    targets: Tensor | None  # (S,)
    beside: Tensor | None  # (S, K): what a linear tagger adds to the scores of the tags


class Packed:
    """The sentences of a corpus, to be drawn."""

    beside: Scores | None
    """What a linear tagger adds to the scores of the tags: (tokens, K)."""

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, linear: Linear | None = None) -> None:
        self.device = torch.device("cpu")
        self.lengths = np.array([len(words) for words in corpus.words], np.int64)  # (n,)
        self.starts = np.cumsum(self.lengths) - self.lengths  # (n,)
        distinct = sorted(set(all_of(corpus.words)), key=lambda word: (-len(word), word))
        self.forms = Symbols(distinct).encode(all_of(corpus.words))  # (tokens,)
        self._describe(distinct, vocabulary)
        columns = zip(vocabulary.features, corpus.features, strict=True)
        features = [known.encode(all_of(column)) + 1 for known, column in columns]
        self.features = np.array(features, np.int64).reshape(-1, self.tokens)  # (F, tokens)
        self.targets = None if corpus.tags is None else vocabulary.tags.encode(all_of(corpus.tags))
        self.beside = None if linear is None else linear.scores(corpus.words, corpus.features)

    def _describe(self, distinct: Sequence[str], vocabulary: Vocabulary) -> None:
        """What is known of each distinct word; they come in falling length, as they are packed."""
        self.words = vocabulary.words.encode(map(plain, distinct)) + 1
        self.vectors = vocabulary.vectors.encode(map(plain, distinct)) + 1
        self.times = self._times(distinct)
        self.shapes = np.array([shape_of(word) for word in distinct], np.int64)
        read = [spelling(word) for word in distinct]
        self.character_lengths = np.array(list(map(len, read)), np.int64)
        self.character_starts = np.cumsum(self.character_lengths) - self.character_lengths
        self.characters = vocabulary.characters.encode(all_of(read)) + 1

    def _times(self, distinct: Sequence[str]) -> Numbers:
        """How often each word occurs, as ``plain`` has it."""
        forms = list(map(plain, distinct))
        which = Symbols(dict.fromkeys(forms)).encode(forms)
        times: Numbers = np.bincount(which[self.forms], minlength=len(forms))[which]
        return times

    @property
    def tokens(self) -> int:
        """All words of all sentences."""
        return int(self.lengths.sum())

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Numbers) -> Batch:
        """The sentences ``rows`` (N,) as a batch; its words stand in the order of ``places``."""
        places, sizes = self.places(rows)
        forms, which = np.unique(self.forms[places], return_inverse=True)
        characters, character_sizes = pack(self.character_starts[forms], self.character_lengths[forms])
        of_words = self.forms[places]
        return Batch(
            self._send(self.words[of_words]),
            self._send(self.vectors[of_words]),
            self._send(self.times[of_words]),
            self._send(self.shapes[of_words]),
            self._send(self.features[:, places]),
            torch.from_numpy(sizes),
            self._send(np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)),
            self._send(which),
            self._send(self.characters[characters]),
            torch.from_numpy(character_sizes),
            None if self.targets is None else self._send(self.targets[places]),
            None if self.beside is None else self._send(self.beside[places]),
        )

    def places(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Where the words of a batch stand among all words (S,), and its sizes (T,)."""
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        return pack(self.starts[rows], self.lengths[rows])

    def _send(self, numbers: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(numbers)).to(self.device)

    def arrays(self) -> list[NDArray[Any]]:
        """The content, which tells these sentences from others."""
        described = (self.words, self.vectors, self.shapes, self.characters)
        found = (self.lengths, self.forms, *described, self.features, self.targets, self.beside)
        return [array for array in found if array is not None]


def pack(starts: Numbers, lengths: Numbers) -> tuple[Numbers, Numbers]:
    """Where the steps of sequences of falling ``lengths`` (N,) stand, packed (S,), and how many have a step t (T,)."""
    steps = np.arange(lengths[0])[:, None]  # (T, 1)
    there = steps < lengths  # (T, N)
    places: Numbers = (starts + steps)[there]
    return places, there.sum(1)
