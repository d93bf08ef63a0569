"""How likely a network finds each symbol of a text, given those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ....runtime import Network, Writer
from ....runtime.cache import windows
from .text import END, Corpus, Ids, Vocabulary

if TYPE_CHECKING:
    import polars as pl

STRETCH, RUN_UP = 2048, 256
SIDE_BY_SIDE = 64
STEPS_AT_ONCE = 256
LOGITS_AT_ONCE = 1 << 23
STATES_AT_ONCE = 1 << 24  # numbers

Nats = NDArray[np.float64]
Logarithms = NDArray[Any]
Judged = Iterator[tuple[Ids, Logarithms, Logarithms | None]]
"""Places in a corpus, the logarithms of what was said to be there, (S, symbols), and of what the network says alone."""


@dataclass(frozen=True)
class Score:
    """How well something predicts a text: ``nats`` are minus the logarithms of its symbols' likelihoods, summed."""

    name: str
    nats: float
    symbols: int
    characters: int
    words: int

    @property
    def loss(self) -> float:
        """Nats per symbol."""
        return self.nats / self.symbols

    @property
    def perplexity(self) -> float:
        """Among how many equally likely symbols it would be as hard to choose."""
        return math.exp(min(self.loss, 700))

    @property
    def perplexity_per_word(self) -> float:
        """The perplexity as it would be of words, the ends of lines among them: whatever is a symbol, it compares."""
        return math.exp(min(self.nats / self.words, 700))

    @property
    def bits(self) -> float:
        """Bits per character of the text."""
        return self.nats / math.log(2) / self.characters


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Of each symbol of a corpus minus the logarithm of its likelihood, and whether it was the likeliest: (S,) each.

    The first symbol of a running text is not predicted: it has 0 nats.
    """

    corpus: Corpus
    nats: Nats
    right: NDArray[np.bool_]
    alone: Likelihood | None = None
    """The same by the network alone, where a cache stands beside it."""

    @classmethod
    def empty(cls, corpus: Corpus) -> Likelihood:
        """Of ``corpus`` when nothing has been said."""
        return cls(corpus, np.zeros(len(corpus.ids)), np.zeros(len(corpus.ids), bool))

    def put(self, places: Ids, logarithms: Logarithms) -> None:
        """Note what was said to be in ``places`` (S,): ``logarithms`` (S, symbols)."""
        targets = self.corpus.ids[places]
        self.nats[places] = -np.take_along_axis(logarithms, targets[:, None], axis=1)[:, 0]
        self.right[places] = logarithms.argmax(-1) == targets

    def score(self, name: str) -> Score:
        """The whole in a few numbers."""
        return Score(name, float(self.nats.sum()), self.corpus.terms, self.corpus.characters, self.corpus.words)

    @property
    def accuracy(self) -> float:
        """The share of symbols that were the likeliest."""
        return float(self.right.sum()) / self.corpus.terms

    def by_line(self, vocabulary: Vocabulary) -> pl.DataFrame:
        """A row for each line of the text: its number, it, how many symbols of it were predicted, and how well."""
        import polars as pl

        corpus, numbers = self.corpus, line_numbers(self.corpus, vocabulary.end)
        counted = np.ones(len(corpus.ids))
        counted[: len(corpus.ids) - corpus.terms] = 0  # the first symbol of a running text
        nats, symbols = np.bincount(numbers, self.nats), np.bincount(numbers, counted)
        pieces = np.split(corpus.ids, np.flatnonzero(np.diff(numbers)) + 1)
        columns = {
            "line": np.arange(1, len(pieces) + 1),
            "text": [vocabulary.decode(piece.tolist()).removesuffix(END) for piece in pieces],
            "symbols": symbols.astype(np.int64),
            "nats_per_symbol": nats / np.maximum(symbols, 1),
        }
        return pl.DataFrame(columns).filter(pl.col("symbols") > 0)


class Reader(Protocol):
    """A network that reads a text and says how likely each symbol is to come next."""

    symbols: int

    def __call__(self, ids: Ids, state: Any, lengths: Ids | None = None) -> tuple[NDArray[Any], Any]:
        """What is said after each of ``ids`` (T, N), logarithms (S, symbols), and the state; None at first.

        Time after time, S is T * N or, with ``lengths`` (N,), the steps that count.
        """


class NetReader:
    """Such a one of the runtime's."""

    def __init__(self, net: Network) -> None:
        self.net, self.symbols = net, net.width

    def __call__(self, ids: Ids, state: Any, lengths: Ids | None = None) -> tuple[NDArray[Any], Any]:
        state = self.net.start(ids.shape[1]) if state is None else state
        said, state = self.net.feed(ids, state, lengths)
        return said.reshape(-1, self.symbols) if lengths is None else said[counting(len(ids), lengths)], state


class CachedReader:
    """One of the runtime's with a cache beside it."""

    def __init__(self, net: Writer) -> None:
        assert net.cache is not None
        self.net, self.cache = net, net.cache


def likelihood(read: Reader | CachedReader, corpus: Corpus) -> Likelihood:
    """What ``read`` says of ``corpus``. Lines are read from their beginning.

    A running text is read once, up to ``STRETCH`` + ``RUN_UP`` symbols. Of a longer one stretches are read side by
    side, each after a run-up of the ``RUN_UP`` symbols before it that aren't counted again; a cache goes on from one to
    the next.
    """
    found = Likelihood.empty(corpus)
    if isinstance(read, CachedReader):
        found = replace(found, alone=Likelihood.empty(corpus))
        judged = _with_cache(read, corpus)
    else:
        judged = (_of_text if corpus.lengths is None else _of_lines)(read, corpus)
    for places, said, network in judged:
        found.put(places, said)
        if found.alone is not None and network is not None:
            found.alone.put(places, network)
    return found


def _of_text(read: Reader, corpus: Corpus) -> Judged:
    """Stretches of a running text, side by side."""
    for group in _groups(corpus, SIDE_BY_SIDE):
        for places, said in _stretches(read, corpus, group, read.symbols):
            yield places + 1, said, None


def _with_cache(read: CachedReader, corpus: Corpus) -> Judged:
    """A running text in its order."""
    cache, net = read.cache, read.net
    for states, first, new in states_of(net, corpus, cache.size):
        followed = corpus.ids[first + 1 : first + 1 + len(states)]
        for begin, end, seen in windows(new, len(states), cache.size):
            said = net.said(states[begin:end])
            both = cache.added(said, states[seen:end], followed[seen:end], begin - seen)
            yield np.arange(first + begin, first + end) + 1, both, said


def states_of(net: Writer, corpus: Corpus, size: int) -> Iterator[tuple[NDArray[np.float32], int, int]]:
    """What the output of ``net`` reads after each symbol of a running text but the last, some stretches at a time.

    Each time states (S, H), the place of the first of them, and how many, ``size`` at most, were there the time before.
    """

    def read(ids: Ids, state: Any) -> tuple[NDArray[Any], Any]:
        states, state = net.states(ids, state)
        return states.reshape(-1, width), state

    width, terms = net.state_width, len(corpus.ids) - 1
    kept = np.empty((0, width), np.float32)
    for group in _groups(corpus, max(1, STATES_AT_ONCE // (STRETCH * width))):
        first = group.start * STRETCH + (RUN_UP if group.start else 0) - len(kept)
        end = min(group.stop * STRETCH + RUN_UP, terms)
        states = np.empty((end - first, width), np.float32)
        states[: len(kept)] = kept
        for places, found in _stretches(read, corpus, group, width):
            states[places - first] = found
        yield states, first, len(kept)
        kept = states[-size:].copy()


def _groups(corpus: Corpus, most: int) -> Iterator[range]:
    """The numbers of a running text's stretches, ``most`` together."""
    stretches = max(1, -(-(len(corpus.ids) - 1 - RUN_UP) // STRETCH))
    for first in range(0, stretches, most):
        yield range(first, min(first + most, stretches))


def _stretches(
    read: Callable[[Ids, Any], tuple[NDArray[Any], Any]], corpus: Corpus, group: range, width: int
) -> Iterator[tuple[Ids, NDArray[Any]]]:
    """Places (S,), of what is read, and what ``read`` gives for these, (S, width), of the stretches ``group``."""
    terms = len(corpus.ids) - 1
    begin = np.array(group) * STRETCH  # (N,)
    longest = min(STRETCH + RUN_UP, terms - int(begin[0]))
    at_once = max(1, min(STEPS_AT_ONCE, LOGITS_AT_ONCE // (len(begin) * width)))
    state = None
    for at in range(0, longest, at_once):
        time = np.arange(at, min(at + at_once, longest))[:, None]
        places = begin + time  # (T, N)
        found, state = read(corpus.ids[places.clip(max=terms - 1)], state)
        counts = (places < terms) & ((time >= RUN_UP) | (begin == 0))
        yield places[counts], found[counts.ravel()]


def _of_lines(read: Reader, corpus: Corpus) -> Judged:
    """Lines, those of like length together. A line begins after an end, and its own end is to be predicted."""
    assert corpus.lengths is not None
    before = np.roll(corpus.ids, 1)  # before a line stands the end of another, before the first that of the last
    order = np.argsort(corpus.lengths, kind="stable")
    while len(order):
        # In rising order the longest of a batch is its last: take as many as fit.
        fits = corpus.lengths[order] * np.arange(1, len(order) + 1) * read.symbols <= LOGITS_AT_ONCE
        rows, order = np.split(order, [max(1, int(fits.sum()))])
        lengths, time = corpus.lengths[rows], np.arange(int(corpus.lengths[rows].max()))[:, None]
        places = np.minimum(time, lengths - 1) + corpus.starts[rows]  # (T, N): past its end a line repeats the last
        yield places[counting(len(time), lengths)], read(before[places], None, lengths)[0], None


def counting(steps: int, lengths: Ids) -> NDArray[np.bool_]:
    """Which of ``steps`` steps are in rows of these ``lengths`` (N,): (T, N)."""
    return np.asarray(np.arange(steps)[:, None] < lengths)


def line_numbers(corpus: Corpus, end: int | None) -> Ids:
    """The line, counted from 0, that each symbol belongs to, a line's end to the line: (S,)."""
    ends = corpus.ids == end if end is not None else np.zeros(len(corpus.ids), bool)
    numbers: Ids = np.cumsum(ends) - ends
    return numbers
