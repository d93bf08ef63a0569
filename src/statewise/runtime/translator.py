"""A translator: an encoder and a decoder, each a network, and the search for what they would write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .file import Arrays, LoadError
from .network import Array, Network, State

TOGETHER, SYMBOLS = 1024, 2**18  # beginnings of targets that are looked at in one step, and symbols of their sources
LONGEST = 10_000  # symbols of a target
END, UNKNOWN = 0, 1


class Hypothesis(NamedTuple):
    """A target that a model writes: its ``text``, and the logarithm of its ``probability``."""

    text: str
    probability: float
    """Its logarithm."""


class Translator:
    """Writes a text for a text."""

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1) -> None:
        from ..jobs.data.vocabulary import Vocabulary

        parts: tuple[Arrays, Arrays] = {}, {}
        for name, array in arrays.items():
            parts[name.partition(".")[0] not in ("read", "encoder", "keys", "bridge")][name] = array
        self.encoder = Network(content["encoder"], parts[0], threads)
        self.decoder = Network(content["decoder"], parts[1], threads)
        self.source, self.target = (Vocabulary.from_json(content[side]) for side in ("source", "target"))
        self.beam, self.penalty = content["config"]["beam"], content["config"]["length_penalty"]
        self.longest = content["longest"]
        """Symbols of a target at most, its end among them."""
        if any(type(n) is not int or not 1 <= n <= LONGEST for n in (self.beam, self.longest)):
            raise LoadError(f"expected a beam, and targets of 1 to {LONGEST} symbols")
        if self.encoder.run(np.zeros((1, 1), np.int64))[2].shape[1] != sum(self._widths()):
            raise LoadError("expected an encoder that begins what the decoder goes on with")

    def translate(
        self, sources: Sequence[str], features: Sequence[Sequence[str]] | None = None, beam: int | None = None
    ) -> list[list[Hypothesis]]:
        """The likeliest targets of each of ``sources``, best first, up to ``beam`` of them.

        ``features`` are what else is known of each source, as the model has learnt it; ``beam`` is by default what the
        model was told. Raises ValueError unless there are features for each source.
        """
        beam = beam or self.beam
        encoded = [
            self.source.encode(text, known)
            for text, known in zip(sources, features or [()] * len(sources), strict=True)
        ]
        found: list[list[Hypothesis]] = [[] for _ in sources]
        together = max(1, min(TOGETHER // beam, SYMBOLS // max([1, *map(len, encoded)])))
        # Sources of like length together: their targets end at about the same time.
        order = sorted(range(len(sources)), key=lambda row: len(encoded[row]))
        for begin in range(0, len(order), together):
            rows = order[begin : begin + together]
            for row, best in zip(rows, self.search([encoded[row] for row in rows], beam), strict=True):
                found[row] = [Hypothesis(self.target.decode(numbers), p) for numbers, p in best]
        return found

    def _begun(self, sources: Sequence[Array], beam: int) -> State:
        """The decoder's first state for ``sources``, each ``beam`` times, one after the other: row b*N + n."""
        lengths = np.array([len(each) for each in sources], np.int64)
        x = np.zeros((lengths.max(), len(sources)), np.int64)
        for n, each in enumerate(sources):
            x[: len(each), n] = each
        values, keys, begun = self.encoder.run(x, lengths)
        there = (np.arange(len(x))[:, None] < lengths)[..., None].astype(values.dtype)
        parts = iter(np.split(begun, np.cumsum(self._widths())[:-1], axis=1))
        state: list[tuple[Array, ...]] = []
        for op, first in zip(self.decoder.ops, self.decoder.start(len(sources)), strict=True):
            if op.op == "attention":
                state.append((values, keys, there))
            elif op.op == "recurrent":
                state.append((np.ascontiguousarray(next(parts)), *first[1:]))
            else:
                state.append(first)
        rows = np.tile(np.arange(len(sources)), beam)
        return tuple([tuple([array.take(rows, axis=-2) for array in each]) for each in state])

    def _widths(self) -> list[int]:
        """H of each layer of the decoder."""
        return [op.entry["hidden_size"] for op in self.decoder.ops if op.op == "recurrent"]

    def search(self, sources: Sequence[Array], beam: int) -> list[list[tuple[list[int], float]]]:
        """The likeliest targets of each of ``sources``, best first, up to ``beam`` of them.

        A source is numbers (T,), the last one its end; a target numbers without an end, and the logarithm of its
        probability. Beam search, all sources at once: ``beam`` beginnings of each go on from step to step. What decides
        is the logarithm of the probability divided by the number of symbols, the end among them, to the power of the
        penalty. A source is done when no beginning can become better than the worst of its targets. With a beam so wide
        that nothing is left out it finds what trying everything does. None are found where the network says no numbers.
        """
        n, state = len(sources), self._begun(sources, beam)
        live = np.full((n, beam), -np.inf)  # logarithms of probabilities
        live[:, 0] = 0
        written = np.full((n, beam, self.longest), END)
        best, best_written = np.full((n, beam), -np.inf), written
        best_live = best
        before = np.full(beam * n, END)
        for t in range(self.longest):
            said, state = self.decoder.step(before, state)
            if np.isnan(said).any():
                return [[] for _ in sources]
            scores = live[..., None] + said.astype(np.float64).reshape(beam, n, -1).swapaxes(0, 1)  # (N, B, V)
            # Those that end here, among the best that have ended so far.
            ended = np.concatenate([best, scores[..., END] / (t + 1) ** self.penalty], axis=1)
            best, places = largest(ended, beam)
            best_live = np.take_along_axis(np.concatenate([best_live, scores[..., END]], axis=1), places, axis=1)
            best_written = np.concatenate([best_written, written], axis=1)[np.arange(n)[:, None], places]
            if t == self.longest - 1:
                break
            scores[..., [END, UNKNOWN]] = -np.inf
            live, places = largest(scores.reshape(n, -1), beam)
            if (live[:, 0] / self.longest**self.penalty <= best[:, -1]).all():
                break
            origin, symbols = np.divmod(places, scores.shape[2])  # (N, B)
            written = np.take_along_axis(written, origin[..., None], axis=1)
            written[..., t] = symbols
            state = self._taken(state, (origin * n + np.arange(n)[:, None]).T.ravel())
            before = symbols.T.ravel()
        return [
            [(_ended(symbols), float(p)) for symbols, p in zip(*row, strict=True) if p > -np.inf]
            for row in zip(best_written.tolist(), best_live.tolist(), strict=True)
        ]

    def _taken(self, state: State, rows: Array) -> State:
        """The state of ``rows``, each of the same source as the one whose place it takes: they share their memory."""
        return tuple(
            [
                each if op.op == "attention" else tuple([array.take(rows, axis=-2) for array in each])
                for op, each in zip(self.decoder.ops, state, strict=True)
            ]
        )


def largest(scores: Array, count: int) -> tuple[Array, Array]:
    """The ``count`` largest of each row of ``scores`` (N, S), falling, and their places: (N, count) each.

    As many as there are where those are fewer; of equal ones the first.
    """
    count = min(count, scores.shape[1])
    places = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    found = np.take_along_axis(scores, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(places, order, axis=1)


def _ended(symbols: list[int]) -> list[int]:
    return symbols[: symbols.index(END)] if END in symbols else symbols
