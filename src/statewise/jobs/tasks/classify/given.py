"""The sequences that a program gives: lists of arrays and numpy's blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.columns import HUGE
from ...errors import InputError
from .sequences import Sequences

EXPECTED = "expected a list of arrays (T, I) or (T,), or an array (n, T, I) or (n, T)"


def as_sequences(X: Any, *, gaps: str = "refuse") -> Sequences:
    """``X`` as ``Sequences``: a list of arrays (T, I) or (T,), or an array or frame (n, T, I) or (n, T).

    Raises ``InputError`` where that is not what it is, or where values are missing and ``gaps`` isn't ``carry``.
    """
    if isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        sequences = _of_list(X)
    else:
        sequences = _of_block(X)
    check_values(sequences, gaps)
    return sequences


def check_values(sequences: Sequences, gaps: str, where: str = "") -> None:
    """Refuse what isn't finite, too large for its square, or, unless ``gaps`` is ``carry``, missing."""
    steps = sequences.steps
    if steps.dtype.kind in "iub":
        return
    with np.errstate(over="ignore"):
        bad = ~(np.abs(steps) <= HUGE)  # NaN too
    if gaps == "carry":
        bad &= ~np.isnan(steps)
    if not bad.any():
        return
    step, channel = (int(i) for i in np.argwhere(bad)[0])
    row, time = sequences.row_of(step)
    value = steps[step, channel]
    said = "the value is missing (NaN)" if np.isnan(value) else f"got {value:g}"
    hint = "; gaps: 'carry' takes the value before" if np.isnan(value) else ""
    raise InputError(
        f"{where}sequence {row + 1}, step {time + 1}, channel {channel + 1}: expected a finite number, {said}{hint}"
    )


def _of_list(X: Any) -> Sequences:
    if not len(X):
        raise InputError("expected at least one sequence, got none")
    arrays = [_numbers(x, f"sequence {row}: ") for row, x in enumerate(X, 1)]
    if all(a.ndim == 0 for a in arrays):
        raise InputError(f"{EXPECTED}, got a list of single numbers")
    for row, array in enumerate(arrays, 1):
        if array.ndim not in (1, 2):
            raise InputError(f"sequence {row}: expected an array (T, I) or (T,), got one of shape {array.shape}")
    blocks = [a[:, None] if a.ndim == 1 else a for a in arrays]
    for row, block in enumerate(blocks, 1):
        if block.shape[1] != blocks[0].shape[1] or not block.shape[1]:
            raise InputError(
                f"sequence {row} has {block.shape[1]} channels, sequence 1 has {blocks[0].shape[1]};"
                " expected the same number, and at least 1"
            )
        if not len(block):
            raise InputError(f"sequence {row} has no steps; expected at least 1")
    return Sequences.of(blocks)


def _of_block(X: Any) -> Sequences:
    if hasattr(X, "toarray"):
        raise InputError(f"{EXPECTED}; got a sparse {type(X).__name__}, and dense data is required")
    block = _numbers(X, "")
    if block.ndim not in (2, 3):
        hint = " Reshape your data: one sequence is an array (1, T)" if block.ndim == 1 else ""
        raise InputError(f"{EXPECTED}, got an array of shape {block.shape}.{hint}")
    for size, what in zip(block.shape, ("sample(s)", "feature(s)", "channel(s)"), strict=False):
        if not size:
            raise InputError(f"Found array with 0 {what} (shape={block.shape}) while a minimum of 1 is required.")
    return Sequences.equal(block if block.ndim == 3 else block[:, :, None])


def _numbers(X: Any, where: str) -> NDArray[Any]:
    """``X`` as an array of numbers, whole or float; refuses text, objects and complex numbers."""
    try:
        array = np.asarray(X)
        if array.dtype.kind not in "iubfc":
            array = array.astype(np.float64)
    except ValueError as error:
        raise InputError(f"{where}{EXPECTED} of numbers: {error}") from None
    except TypeError as error:
        raise TypeError(f"{where}{EXPECTED} of numbers: {error}") from None
    if array.dtype.kind == "c":
        raise InputError(f"{where}Complex data not supported; expected real numbers")
    return array.astype(np.float32) if array.dtype == np.float16 else array
