"""Sequences of different lengths, those of different clients, as one batch of a network, and each one's part again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime import Network, State

AT_ONCE = 16_384  # steps in a batch, padding among them: what is computed between two steps takes memory

Array = NDArray[Any]
Sequences = Sequence[tuple[Array, ...]]
"""Of each request the arrays of the network's inputs, (T, I) or (T,)."""


def run(network: Network, x: Sequences) -> list[tuple[Array, ...]]:
    """The results for whole sequences: of each request an array (T, O) or (O,) for each of the network's results."""
    found: list[Any] = [None] * len(x)
    for rows in _batches(network, x):
        values, lengths = _padded(network, [x[row] for row in rows])
        for row, result in zip(rows, _taken_apart(network, network.run(values, lengths), lengths), strict=True):
            found[row] = result
    return found


def forward(network: Network, x: Sequences, state: State) -> tuple[list[tuple[Array, ...]], State]:
    """The same from ``state`` on, whose rows are the requests', and the state after."""
    found: list[Any] = [None] * len(x)
    after: list[list[Array]] = [[array.copy() for array in each] for each in state]
    for rows in _batches(network, x):
        values, lengths = _padded(network, [x[row] for row in rows])
        results, changed = network.feed(values, take(state, rows), lengths)
        for each, new in zip(after, changed, strict=True):
            for array, part in zip(each, new, strict=True):
                array[..., rows, :] = part
        for row, result in zip(rows, _taken_apart(network, results, lengths), strict=True):
            found[row] = result
    return found, tuple(tuple(each) for each in after)


def take(state: State, rows: Sequence[int]) -> State:
    """The state of ``rows``."""
    return tuple([tuple([array.take(rows, axis=-2) for array in each]) for each in state])


def joined(states: Sequence[State]) -> State:
    """The states of one row each as that of many."""
    return tuple(
        tuple(np.concatenate(arrays, axis=-2) for arrays in zip(*each, strict=True))
        for each in zip(*states, strict=True)
    )


def _batches(network: Network, x: Sequences) -> Iterator[list[int]]:
    """Rows to be computed together: as long as one another, or nearly, and not too many."""
    equal = not all(op.keeps_steps for op in network.ops)
    order = sorted(range(len(x)), key=lambda row: len(x[row][0]))
    while order:
        longest = len(x[order[-1]][0])
        # Half as long isn't worth the padding; of single steps there may be thousands.
        least = longest if equal else longest // 2 + 1
        most = max(1, AT_ONCE // longest)
        begin = len(order)
        while begin > 0 and len(order) - begin < most and len(x[order[begin - 1]][0]) >= least:
            begin -= 1
        yield sorted(order[begin:])
        del order[begin:]


def _padded(network: Network, x: Sequences) -> tuple[Any, Array | None]:
    """The inputs as the network takes them, zeros past an end; and the lengths, None where all are equal."""
    lengths = np.array([len(each[0]) for each in x], np.int64)
    steps, values = int(lengths.max()), []
    for column in zip(*x, strict=True):
        found = np.zeros((steps, len(x), *column[0].shape[1:]), column[0].dtype)
        for n, each in enumerate(column):
            found[: len(each), n] = each
        values.append(found.swapaxes(0, 1) if network.batch_first else found)
    given = values[0] if len(values) == 1 else tuple(values)
    return given, None if (lengths == steps).all() else lengths


def _taken_apart(network: Network, results: Any, lengths: Array | None) -> Iterator[tuple[Array, ...]]:
    """Of each row its part of ``results``."""
    whole = results if isinstance(results, tuple) else (results,)
    parts = []
    for result, over_time in zip(whole, network.over_time, strict=True):
        parts.append(result.swapaxes(0, 1) if over_time and not network.batch_first else result)
    for row in range(len(parts[0])):
        yield tuple(
            part[row] if lengths is None or not over_time else part[row, : lengths[row]]
            for part, over_time in zip(parts, network.over_time, strict=True)
        )
