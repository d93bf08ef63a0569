"""Resets within sequences: a row whose state begins anew is cut there, and each piece is a row of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
State = tuple[tuple[Array, ...], ...]


class Pieces(NamedTuple):
    """Rows (N) of T steps in P pieces, those of a row one after the other."""

    rows: Array
    """(P,): whose piece it is."""
    begins: Array
    """(P,): its first step."""
    lengths: Array
    """(P,)."""
    new: Array
    """(P,): whether it begins anew, or goes on from the row's state."""

    @property
    def last(self) -> Array:
        """(N,): the last piece of each row."""
        return np.flatnonzero(np.diff(self.rows, append=-1))

    def cut(self, x: Array) -> Array:
        """``x`` (T, N, ...) as (T', P, ...), of which each piece's length counts."""
        steps = np.arange(self.lengths.max(initial=0))[:, None]
        return np.asarray(x[np.minimum(self.begins + steps, max(len(x) - 1, 0)), self.rows])

    def join(self, y: Array, steps: int, count: int) -> Array:
        """The results (T', P, ...) as (T, N, ...), zeros past a row's end."""
        found = np.zeros((steps, count, *y.shape[2:]), y.dtype)
        step, piece = np.nonzero(np.arange(len(y))[:, None] < self.lengths)
        found[self.begins[piece] + step, self.rows[piece]] = y[step, piece]
        return found


def pieces(reset: Array, lengths: Array | None) -> Pieces:
    """Of ``reset`` (T, N), true where a row begins anew before it reads the step, within ``lengths`` (N,)."""
    steps, count = reset.shape
    ends = np.full(count, steps) if lengths is None else lengths
    new = reset & (np.arange(steps)[:, None] < ends)
    first = np.zeros((1, count), bool) if not steps else new[:1]
    borders = np.concatenate([np.ones((1, count), bool), new[1:]])
    rows, begins = np.nonzero(borders.T)
    stops = np.where(np.append(rows[1:], -1) == rows, np.append(begins[1:], 0), ends[rows])
    return Pieces(rows, begins, stops - begins, np.where(begins > 0, True, first[0, rows]))


def begun_anew(state: State, new: Array, first: State) -> State:
    """``state`` with the rows that are ``new`` (N,) as they are in ``first``.

    What a network attends to is no state that changes, and stays: of that there is nothing at first.
    """
    return tuple(
        tuple(a if a.shape != b.shape else np.where(new[:, None], b, a) for a, b in zip(each, begun, strict=True))
        for each, begun in zip(state, first, strict=True)
    )
