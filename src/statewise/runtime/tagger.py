"""A tagger: words become numbers, numbers scores of tags, and of these the best way is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .file import Arrays
from .network import Array, Network, State
from .program import NEVER

AT_ONCE = 4096  # words in a batch, padding among them

Sentences = Sequence[Sequence[str]]


class Tagger:
    """Gives every word of a sentence a tag. ``run`` and ``step`` take what ``encode`` gives, and give tags' numbers."""

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1) -> None:
        from ..jobs.tasks.tag.linear import Linear
        from ..jobs.tasks.tag.vocabulary import Vocabulary

        self.vocabulary = Vocabulary.from_json(content["vocabulary"])
        arrays = dict(arrays)
        self._linear = Linear.taken(arrays, len(self.vocabulary.tags))
        told = content["spelling"]
        parts: dict[str, Arrays] = {"": {}, "spelling": {}, "crf": {}}
        for name, array in arrays.items():
            part = name.partition(".")[0]
            part = "spelling" if part == "characters" and told is not None else part
            parts[part if part in parts and (part == "crf" or told is not None) else ""][name] = array
        self.scores = Network(content, parts[""], threads)
        """What gives the scores of the tags: (T, N, K)."""
        self.labels = self.scores.labels
        """The names of the tags."""
        self._path = Network(content["path"], parts["crf"], threads)
        self._spelling = None if told is None else Network(told, parts["spelling"], threads)

    @property
    def moves(self) -> Array | None:
        """(K+1, K+1): what a tag after a tag adds, the sentence's ends in the last row and column; None: nothing."""
        arrays, dtype = self._path._arrays, self._path.dtype
        if not arrays:
            return None
        k = self._path.width
        moves = np.zeros((k + 1, k + 1), dtype)
        for name, part in (("between", moves[:k, :k]), ("first", moves[k, :k]), ("last", moves[:k, k])):
            part[...] = arrays.get(f"crf.{name}", 0)
        if "crf.allowed" in arrays:
            moves[arrays["crf.allowed"].astype(dtype) == 0] = NEVER
        return moves

    @property
    def streams(self) -> bool:
        """Whether it can tag a word before it has read the next ones."""
        return self.scores.streams and self._path.streams

    def tag(self, sentences: Sentences, features: Sequence[Sentences] = ()) -> list[list[str]]:
        """The tags of ``sentences`` of words; ``features`` are as many columns of the same as the model has learnt.

        Raises ValueError for other columns, or a sentence without words.
        """
        found = [list[str]() for _ in sentences]
        for rows in self.together(sentences):
            given, counts = self.encode(
                [sentences[row] for row in rows], [[column[row] for row in rows] for column in features]
            )
            for row, numbers, count in zip(rows, self.run(given, counts).T, counts, strict=True):
                found[row] = [self.labels[number] for number in numbers[:count]]
        return found

    @staticmethod
    def together(sentences: Sentences, ways: int = 1) -> Iterator[list[int]]:
        """Which of ``sentences`` to read at once: those of like length, of falling length.

        As many as memory is meant for, or where more ``ways`` through them are looked at, fewer.
        """
        lengths = np.array([len(words) for words in sentences], np.int64)
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            rows, order = np.split(order, [max(1, AT_ONCE // (ways * int(lengths[order[0]] or 1)))])
            yield rows.tolist()

    def run(self, given: Any, lengths: Any = None) -> Array:
        """The numbers of the best tags (T, N), of what ``encode`` gives as ``given`` and ``lengths`` (N,)."""
        found: Array = self._path.run(self.scores.run(given, lengths), lengths)
        return found

    def start(self, batch: int = 1) -> State:
        """The state of ``batch`` sentences of which nothing has been read. ValueError where it needs whole ones."""
        return self.scores.start(batch) + self._path.start(batch)

    def step(self, given: Any, state: State) -> tuple[Array, State]:
        """The tags' numbers (N,) of one more word ``given`` of each sentence, and the state after it."""
        scores, after = self.scores.step(given, state[:-1])
        found, last = self._path.step(scores, state[-1:])
        return found, after + last

    def encode(self, sentences: Sentences, features: Sequence[Sentences] = ()) -> tuple[tuple[Array, ...], Array]:
        """``sentences``, with ``features``, as ``run`` takes them, (T, N) or (T, N, F), and their lengths (N,)."""
        from ..jobs.data.symbols import plain
        from ..jobs.tasks.tag.vocabulary import shape_of

        known, lengths = self.vocabulary, np.array([len(words) for words in sentences], np.int64)
        if len(features) != (count := len(known.features)):
            raise ValueError(f"expected {count} columns of features beside the words, got {len(features)}")
        if not lengths.all() or any([len(each) for each in column] != lengths.tolist() for column in features):
            raise ValueError("expected sentences of one word or more, and each column of features as long as they are")
        forms = {word: k for k, word in enumerate(dict.fromkeys(word for words in sentences for word in words))}
        at = _padded([[forms[word] for word in words] for words in sentences])
        columns = [known.words.encode(map(plain, forms)) + 1, np.array([shape_of(word) for word in forms], np.int64)]
        columns += [known.vectors.encode(map(plain, forms)) + 1] if known.vectors else []
        given = [column[at] for column in columns]
        given += [
            _padded([(values.encode(each) + 1).tolist() for each in column])
            for values, column in zip(known.features, features, strict=True)
        ]
        if self._spelling is not None:
            given.append(self._spelling.run(*self.letters(list(forms)))[at])
        if self._linear is not None:
            beside = np.zeros((*at.T.shape, len(known.tags)), np.float32)  # (N, T, K)
            beside[np.arange(len(at)) < lengths[:, None]] = self._linear.scores(sentences, features)
            given.append(beside.swapaxes(0, 1))
        return tuple(given), lengths

    def letters(self, words: Sequence[str]) -> tuple[Array, Array]:
        """How ``words`` are spelt, as numbers (C, W), and their lengths (W,)."""
        from ..jobs.tasks.tag.vocabulary import spelling

        letters = [(self.vocabulary.characters.encode(spelling(word)) + 1).tolist() for word in words]
        return _padded(letters), np.array([len(each) for each in letters], np.int64)


def _padded(rows: Sequence[Sequence[int]]) -> Array:
    """``rows`` of numbers as (T, N), zeros past an end."""
    found = np.zeros((max(map(len, rows), default=0), len(rows)), np.int64)
    for n, row in enumerate(rows):
        found[: len(row), n] = row
    return found
