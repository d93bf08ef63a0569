"""A cache beside a writer's network (Grave, Joulin, Usunier, 2017): what came after states like this one comes again.

Of the last ``size`` steps it remembers the state h, what the network's output reads, and the symbol that followed. The
probability that x comes next is then ::

    (1 - share) * network(x)  +  share * sum of softmax(sharpness * h_now . h_i) over the steps i that x followed

A cache that isn't full has less than its share (``shares``): the first words of a text would be predicted worse with it
than without.

Letters: T steps, N rows, H numbers of a state, C the cache's size, S steps of a text, V symbols.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .file import Arrays, LoadError
from .program import made

Array = NDArray[Any]

MOST = 10_000  # steps that are remembered
AT_ONCE = 256  # steps whose likeness to what is remembered is computed at once
HALF = 0.1  # of the size: about where a cache has half its share
OUTPUT = 2  # ops that make logarithms of a state: a linear one, and their softmax


@dataclass(frozen=True)
class Cache:
    """How much is remembered, and how much that counts."""

    size: int
    sharpness: float
    """What the product of two states is multiplied by."""
    share: float
    """Of the probability, of a full cache."""

    @classmethod
    def of(cls, content: Any) -> Cache:
        """What a file's header says. Raises ``LoadError`` where that is none."""
        if not isinstance(content, Mapping) or set(content) != {"size", "sharpness", "share"}:
            raise LoadError(f"expected a cache's size, sharpness and share, got {content!r:.60}")
        size, sharpness, share = content["size"], content["sharpness"], content["share"]
        numbers = all(type(x) in (int, float) and math.isfinite(x) for x in (sharpness, share))
        if type(size) is not int or not 0 < size <= MOST or not numbers or sharpness < 0 or not 0 < share < 1:
            raise LoadError(f"expected a cache of 1 to {MOST} steps and a share between 0 and 1, got {content!r:.80}")
        return cls(size, float(sharpness), float(share))

    def shares(self, seen: Array) -> Array:
        """Its share where it has so many steps, at most ``size``: half of it from somewhat less than a tenth on."""
        return np.asarray(self.share * (1 + HALF) * seen / (seen + HALF * self.size))

    def added(self, logarithms: Array, states: Array, followed: Array, at: int) -> Array:
        """``logarithms`` (T, V) of the network's probabilities with what the cache says: (T, V).

        ``states`` (S, H) are a text's, in their order, ``followed`` (S,) the symbols after them; the T steps are those
        from ``at`` on, and see what stands before each.
        """
        weights = attended(states, at, len(logarithms), self.size, self.sharpness)
        order = np.argsort(followed, kind="stable")
        symbols, begins = np.unique(followed[order], return_index=True)
        likely = np.add.reduceat(weights[:, order], begins, axis=1)  # (T, different symbols)
        share = self.shares(np.minimum(at + np.arange(len(logarithms)), self.size))[:, None]
        found = logarithms + np.log1p(-share).astype(logarithms.dtype)
        with np.errstate(divide="ignore"):  # the logarithm of 0
            found[:, symbols] = np.logaddexp(found[:, symbols], np.log(likely * share))
        return np.asarray(found)


def attended(states: Array, at: int, steps: int, size: int, sharpness: float) -> Array:
    """How much each of ``steps`` steps from ``at`` on looks at each of ``states`` (S, H): (T, S).

    It sees the ``size`` states before it. Rows add up to 1; where there is nothing to see they are zeros.
    """
    scores = states[at : at + steps] @ states.T
    scores *= sharpness
    back = at + np.arange(steps)[:, None] - np.arange(len(states))  # how long ago
    scores[(back < 1) | (back > size)] = -np.inf
    most = scores.max(1, keepdims=True, initial=-np.inf)
    scores -= np.where(most > -np.inf, most, 0)
    np.exp(scores, out=scores)
    total = scores.sum(1, keepdims=True)
    scores /= np.where(total > 0, total, 1)
    return np.asarray(scores)


def windows(begin: int, end: int, size: int) -> Iterator[tuple[int, int, int]]:
    """``begin`` to ``end`` in pieces of ``AT_ONCE`` steps: where each begins and ends, and where what it sees does."""
    for first in range(begin, end, AT_ONCE):
        yield first, min(first + AT_ONCE, end), max(0, first - size)


class CachedProgram:
    """What a ``Network`` asks of a program: the network in two parts, up to the state and from there, and the cache.

    Its state has two arrays more: the last C states (N, C * H), the newest last, and the symbols that each of them had
    read (N, C), -1 where there was none yet. So it is of one size, and rows are put together and taken apart as ever.
    """

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int, cache: Cache) -> None:
        """Of a program that ends in a linear op and the logarithm of a softmax. Raises ``LoadError``."""
        self.cache, ops = cache, content["ops"]
        name = ops[-OUTPUT].get("name", "linear")
        output = {key: array for key, array in arrays.items() if key.rpartition(".")[0] == name}
        rest = {key: array for key, array in arrays.items() if key not in output}
        self.below = made({"inputs": content["inputs"], "ops": ops[:-OUTPUT]}, rest, threads)
        self.width = int(self.below.results[0][1])
        read = {"inputs": [{"name": "state", "kind": "values", "width": self.width}], "ops": ops[-OUTPUT:]}
        self.output = made(read, output, threads)

    @property
    def is_current(self) -> bool:
        """Whether both are for the instruction set in use."""
        return self.below.is_current and self.output.is_current

    @property
    def float64(self) -> bool:
        """Whether it computes in float64."""
        return self.below.float64

    @property
    def whole(self) -> str:
        """Why it needs whole sequences; empty: it doesn't."""
        return self.below.whole

    @property
    def parts(self) -> list[tuple[str, str, str, int, bool]]:
        """The ops."""
        return self.below.parts + self.output.parts

    @property
    def results(self) -> list[tuple[str, int]]:
        """What comes out."""
        return self.output.results

    def start(self, rows: int) -> Any:
        """Nothing is remembered."""
        size = self.cache.size
        memory = np.zeros((rows, size * self.width), np.float32), np.full((rows, size), -1, np.int64)
        return (*self.below.start(rows), memory)

    def said(self, states: Array, lengths: Any = None) -> Array:
        """The logarithms of the network's probabilities where the output reads ``states`` (T, N, H): (T, N, V)."""
        return np.asarray(self.output.feed((states,), None, lengths, False)[0][0])

    def feed(self, x: tuple[Any, ...], state: Any, lengths: Any, wanted: bool) -> tuple[tuple[Any, ...], Any]:
        """As ``Program.feed``."""
        (ids,) = x
        rows = ids.shape[1]
        *before, memory = self.start(rows) if state is None else state
        (states,), after = self.below.feed(x, tuple(before), lengths, wanted)
        found, memory = self._with_memory(ids, states, self.said(states, lengths), memory, lengths)
        return (found,), (*after, memory) if wanted else after

    def step(self, x: Any, state: Any) -> tuple[Any, Any] | None:
        """As ``Program.step``."""
        *before, memory = state
        read = self.below.step(x, tuple(before))
        if read is None:
            return None
        states, after = read[0][None], read[1]
        found, memory = self._with_memory(np.asarray(x)[None], states, self.said(states), memory, None)
        return found[0], (*after, memory)

    def _with_memory(self, ids: Array, states: Array, said: Array, memory: Any, lengths: Any) -> tuple[Array, Any]:
        """``said`` (T, N, V) with what is remembered, and the memory after ``ids`` (T, N)."""
        size, found = self.cache.size, np.empty_like(said)
        keys, read = (array.copy() for array in memory)
        for row in range(ids.shape[1]):
            steps = len(ids) if lengths is None else int(lengths[row])
            there = int((memory[1][row] >= 0).sum())  # the newest ones: so many
            known = np.concatenate([memory[0][row].reshape(size, self.width)[size - there :], states[:steps, row]])
            symbols = np.concatenate([memory[1][row][size - there :], ids[:steps, row]])
            followed = np.append(symbols[1:], 0)  # what follows the last isn't looked at
            for begin, end, seen in windows(there, there + steps, size):
                part, before = slice(begin - there, end - there), (known[seen:end], followed[seen:end])
                found[part, row] = self.cache.added(said[part, row], *before, begin - seen)
            found[steps:, row] = 0
            kept = min(there + steps, size)
            keys[row, (size - kept) * self.width :] = known[len(known) - kept :].ravel()
            read[row, size - kept :] = symbols[len(symbols) - kept :]
        return found, (keys, read)
