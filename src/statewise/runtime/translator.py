"""A translator: an encoder and a decoder, each a network, and the search for what they would write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .file import Arrays, LoadError
from .network import Array, Network, State
from .ops import Attention, Recurrent

TOGETHER = 1024  # beginnings of targets that are looked at in one step
LONGEST = 10_000  # symbols of a target
END, UNKNOWN = 0, 1


class Hypothesis(NamedTuple):
    """A target that a model writes."""

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
        """The likeliest targets of each source, best first, up to ``beam`` of them, what the model was told by default.

        ``features`` are what else is known of each source, as the model has learnt it.
        """
        beam = beam or self.beam
        encoded = [
            self.source.encode(text, known)
            for text, known in zip(sources, features or [()] * len(sources), strict=True)
        ]
        found: list[list[Hypothesis]] = [[] for _ in sources]
        # Sources of like length together: their targets end at about the same time.
        order = sorted(range(len(sources)), key=lambda row: len(encoded[row]))
        for begin in range(0, len(order), max(1, TOGETHER // beam)):
            rows = order[begin : begin + max(1, TOGETHER // beam)]
            for row, best in zip(rows, self._search([encoded[row] for row in rows], beam), strict=True):
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
            if isinstance(op, Attention):
                state.append((values, keys, there))
            elif isinstance(op, Recurrent):
                state.append((np.ascontiguousarray(next(parts)), *first[1:]))
            else:
                state.append(first)
        return _taken(tuple(state), np.tile(np.arange(len(sources)), beam))

    def _widths(self) -> list[int]:
        """H of each layer of the decoder."""
        return [op.stack.hidden_size for op in self.decoder.ops if isinstance(op, Recurrent)]

    def _search(self, sources: Sequence[Array], beam: int) -> list[list[tuple[list[int], float]]]:
        """The likeliest targets of each source, as numbers without an end, and the logarithms of their probabilities.

        Beam search: ``beam`` beginnings of each source go on from step to step. What decides is the logarithm of the
        probability divided by the number of symbols, the end among them, to the power of the penalty. A source is done
        when no beginning of it can become better than the worst of its targets.
        """
        n, state = len(sources), self._begun(sources, beam)
        live = np.full((n, beam), -np.inf)  # logarithms of probabilities
        live[:, 0] = 0
        written = np.empty((n, beam, 0), np.int64)
        done: list[list[tuple[float, float, list[int]]]] = [[] for _ in range(n)]  # falling
        before = np.full(beam * n, END)
        for t in range(self.longest):
            said, state = self.decoder.step(before, state)
            scores = live[..., None] + said.astype(np.float64).reshape(beam, n, -1).swapaxes(0, 1)  # (N, B, V)
            for row in range(n):
                ended = [
                    (float(p) / (t + 1) ** self.penalty, float(p), written[row, b].tolist())
                    for b, p in enumerate(scores[row, :, END])
                    if p > -np.inf
                ]
                done[row] = sorted(done[row] + ended, key=lambda each: -each[0])[:beam]
            scores[..., [END, UNKNOWN]] = -np.inf
            flat = scores.reshape(n, -1)
            places = np.argsort(-flat, axis=1, kind="stable")[:, :beam]  # (N, B)
            live = np.take_along_axis(flat, places, axis=1)
            worst = np.array([each[-1][0] if len(each) == beam else -np.inf for each in done])
            if (live[:, 0] / self.longest**self.penalty <= worst).all():
                break
            origin, symbols = np.divmod(places, scores.shape[2])
            written = np.take_along_axis(written, origin[..., None], axis=1)
            written = np.concatenate([written, symbols[..., None]], axis=2)
            state = _taken(state, (origin * n + np.arange(n)[:, None]).T.ravel())
            before = symbols.T.ravel()
        return [[(numbers, p) for _, p, numbers in each] for each in done]


def _taken(state: State, rows: Array) -> State:
    """The state of ``rows``."""
    return tuple([tuple([array.take(rows, axis=-2) for array in each]) for each in state])
