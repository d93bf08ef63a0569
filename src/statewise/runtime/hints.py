"""What an array of the wrong shape most likely is, and how it becomes what a network reads."""

from __future__ import annotations

from collections.abc import Sequence


def of_input(name: str, shape: Sequence[int], width: int | None, over_time: bool, batch_first: bool) -> str:
    """What to add to a refusal of ``name``: a change that gives it the right axes; empty where there is none.

    Args:
        name: the input's.
        shape: what came.
        width: I; None of symbols, which have no axis for it.
        over_time: whether whole sequences are expected, or a single step.
        batch_first: whether these have the batch in front.
    """
    wanted = 1 + over_time + (width is not None)
    fits = width is None or tuple(shape[-1:]) == (width,)
    if fits and len(shape) == wanted - 1:
        place = ":, " * (over_time and not batch_first)
        return f"; {'one sequence' if over_time else 'one row'} is {name}[{place}None]"
    if fits and len(shape) == wanted + 1 and not over_time:
        return "; several steps are read by run, or by feed from a state on"
    if width == 1 and len(shape) == wanted - 1:
        return f"; a single feature has an axis too: {name}[..., None]"
    if width is not None and len(shape) == wanted and width in shape[:-1]:
        at = list(shape).index(width)
        return f"; the features belong into the last axis: np.moveaxis({name}, {at}, -1)"
    return ""


def of_lengths(count: int, steps: int, rows: int, batch_first: bool) -> str:
    """What to add where ``count`` lengths came for an input of so many steps and rows."""
    if count == steps != rows:
        axes = ("(N, T, ...)", "(T, N, ...)")[:: 1 if batch_first else -1]
        return f"; as many as it has steps: this network reads {axes[0]}, is the input {axes[1]}? x.swapaxes(0, 1)"
    return ""
