"""Images as sequences: of rows, or of single pixels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..sequences import Sequences


def as_sequences(images: NDArray[Any], pixels: bool) -> tuple[Sequences, tuple[int, int]]:
    """``images`` (n, height, width) as sequences of rows, or of ``pixels``; and height and width."""
    n, height, width = images.shape
    block = images.reshape(n, height * width, 1) if pixels else images
    return Sequences.equal(block), (height, width)
