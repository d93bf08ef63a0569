"""Images, read row by row or pixel by pixel: the built-in digits, and IDX files, as MNIST's are.

An IDX file (yann.lecun.com/exdb/mnist) has two zero bytes, a byte for the type, one for the number of axes, the size of
each axis as 4 bytes, big-endian, then the numbers. Images are in one file, labels in another.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data.content import filled_content, plain_name
from ....errors import InputError
from ..config import Layout
from ..examples import Examples
from ..sequences import Sequences

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(content: bytes) -> bool:
    """Whether ``content`` begins as an IDX file does."""
    return len(content) >= 4 and content[:2] == b"\0\0" and content[2] in TYPES and 1 <= content[3] <= 8


def read(path: Path, content: bytes, layout: Layout, labels: Path | None) -> Examples:
    """Images (n, height, width) or sequences (n, T), and their labels where there is a file of them."""
    block = _array(path, content)
    if block.ndim not in (2, 3) or 0 in block.shape:
        hint = "; give the file of images, and this one as --labels" if block.ndim == 1 else ""
        raise InputError(f"{path}: expected images (n, height, width), got an array of {block.shape}{hint}")
    picture = None
    if block.ndim == 3:
        sequences, picture = of_images(block, layout.pixels)
    else:
        sequences = Sequences.equal(block[:, :, None])
    labels = labels or _beside(path)
    found = None if labels is None else _labels(labels, len(block), path)
    return Examples(plain_name(path), str(path), sequences, found, picture=picture)


def _labels(path: Path, count: int, images: Path) -> list[str]:
    content = filled_content(path)
    if not is_idx(content):
        raise InputError(f"{path}: expected an IDX file of labels")
    labels = _array(path, content)
    if labels.shape != (count,):
        raise InputError(f"{path}: expected {count} labels, one for each image in {images}, got {labels.shape}")
    return [str(label) for label in labels.tolist()]


def _array(path: Path, content: bytes) -> NDArray[Any]:
    begin = 4 + 4 * content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4:begin], ">u4")) if len(content) >= begin else ()
    kind = np.dtype(TYPES[content[2]])
    expected, got = prod(shape) * kind.itemsize, len(content) - begin
    if got != expected or not shape:
        raise InputError(f"{path}: cut short or damaged: expected {expected} bytes after the header, got {max(got, 0)}")
    return np.frombuffer(content, kind, offset=begin).reshape(shape).astype(kind.newbyteorder("="))


def _beside(path: Path) -> Path | None:
    """The file of labels that belongs to one of images, by MNIST's way of naming; None where there is none."""
    guess = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return guess if guess != path and guess.is_file() else None


def digits(*, pixels: bool = False) -> Examples:
    """1797 digits of 43 writers, 16 shades of grey (E. Alpaydin and C. Kaynak 1998, UCI)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    sequences, picture = of_images(found.images.astype(np.uint8), pixels)
    labels = [str(label) for label in found.target]
    return Examples("digits", "the built-in digits", sequences, labels, picture=picture)


def of_images(images: NDArray[Any], pixels: bool) -> tuple[Sequences, tuple[int, int]]:
    """``images`` (n, height, width) as sequences of rows, or of ``pixels``; and height and width."""
    n, height, width = images.shape
    block = images.reshape(n, height * width, 1) if pixels else images
    return Sequences.equal(block), (height, width)
