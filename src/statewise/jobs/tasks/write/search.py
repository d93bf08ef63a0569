"""The likeliest ways to go on: beam search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....runtime import Network, State
from ....runtime.translator import largest
from ...errors import InputError

NOT_FINITE = "the model's output is not finite: its file is damaged"


def finite(logarithms: NDArray[np.float32]) -> NDArray[np.float64]:
    """``logarithms`` of probabilities. Raises ``InputError`` where they are no numbers."""
    if np.isnan(logarithms).any():
        raise InputError(NOT_FINITE)
    return logarithms.astype(np.float64)


def likeliest(
    net: Network, prompt: Sequence[int], length: int, width: int, *, end: int | None, never: Sequence[int] = ()
) -> list[tuple[list[int], float]]:
    """Continuations of ``prompt`` by ``length`` symbols, or to ``end``, and the logarithms of their probabilities.

    Falling, ``width`` of them. Beam search: ``width`` beginnings go on from step to step, so that these are the
    likeliest of all where no beginning was left out.
    """
    said, state = net.feed(np.array(prompt)[:, None], net.start())
    said, live, written = said[-1], np.zeros(1), np.empty((1, 0), np.int64)  # (B, symbols), (B,), (B, steps)
    done: list[tuple[list[int], float]] = []
    for _ in range(length):
        scores = finite(said)
        scores[:, list(never)] = -np.inf
        (best,), (places,) = largest((live[:, None] + scores).reshape(1, -1), width)
        best, places = best[best > -np.inf], places[best > -np.inf]
        rows, symbols = np.divmod(places, scores.shape[1])
        live, written = best, np.concatenate([written[rows], symbols[:, None]], axis=1)
        ends = symbols == (-1 if end is None else end)
        done += zip(written[ends].tolist(), live[ends].tolist(), strict=True)
        live, written, rows = live[~ends], written[~ends], rows[~ends]
        if not len(live):
            break
        said, state = net.step(written[:, -1], picked(state, rows))
    done += zip(written.tolist(), live.tolist(), strict=True)
    return sorted(done, key=lambda each: -each[1])[:width]


def picked(state: State, rows: NDArray[np.int64]) -> State:
    """``state`` of ``rows`` alone."""
    return tuple([tuple([array.take(rows, axis=-2) for array in each]) for each in state])
