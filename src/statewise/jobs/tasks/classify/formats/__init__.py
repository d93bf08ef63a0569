"""Reads sequences and their labels from files. What a file is, its content tells, not its name."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ....data.content import beginning_of, filled_content
from ....errors import InputError
from ..config import Layout
from ..examples import Examples
from ..sequences import Sequences, check_values
from . import arrays, images, tables, texts, ts
from .images import digits
from .texts import parts_of

__all__ = ["digits", "parts_of", "read"]


def read(source: Any, layout: Layout | None = None, *, labels: Path | None = None) -> Examples:
    """The sequences in ``source``: the path of a ``.ts`` archive, a CSV, Parquet, ``.npz``, ``.npy`` or IDX file,
    packed as ``.gz`` or not, or of a folder of folders of texts; or a data frame.

    ``labels`` is a file that has them apart, for ``.npy`` and IDX; for an IDX file named as MNIST's are it is found.
    Raises ``InputError`` for what can't be used.
    """
    layout = layout or Layout()
    if not isinstance(source, (str, PathLike)):
        return tables.read(source, layout)
    path = Path(source)
    if path.is_dir():
        return texts.read_folder(path)
    beginning = beginning_of(path)
    apart = beginning.startswith(arrays.NPY) or images.is_idx(beginning)
    if labels is not None and not apart:
        raise InputError(f"--labels {labels}: {path} is a file that has its labels in it")
    if images.is_idx(beginning):
        examples = images.read(path, filled_content(path), layout, labels)
    elif beginning.startswith((arrays.NPY, arrays.NPZ)):
        examples = arrays.read(path, filled_content(path), layout, labels)
    elif ts.is_ts(path, beginning):
        examples = ts.read(path, filled_content(path), layout)
    else:
        return tables.read(path, layout)
    if isinstance(examples.sequences, Sequences):
        check_values(examples.sequences, layout.gaps, f"{path}: ")
    return examples
