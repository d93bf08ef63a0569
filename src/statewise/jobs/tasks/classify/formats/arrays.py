"""numpy's files: ``.npz`` with X and y, and lengths where sequences are padded; ``.npy`` with X alone. Never pickle."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....data.columns import listed
from ....data.content import check_unpacked, filled_content, plain_name
from ....errors import InputError
from ..config import Layout
from ..examples import Examples
from ..sequences import Sequences
from .images import of_images

OBJECTS = ("Object arrays", "Cannot load file containing pickled data")  # how numpy refuses them
NPY, NPZ = b"\x93NUMPY", b"PK\x03\x04"  # how the files begin
X_NAMES, Y_NAMES = ("X", "x", "data", "x_train", "X_train"), ("y", "Y", "labels", "label", "target", "y_train")


def read(path: Path, content: bytes, layout: Layout, labels: Path | None) -> Examples:
    """Sequences (n, T, I) or (n, T), images where X is (n, height, width) of bytes, and their labels (n,)."""
    arrays = _arrays(path, content)
    x = _one(path, arrays, X_NAMES, "the sequences") if len(arrays) > 1 else next(iter(arrays.values()))
    if x.ndim not in (2, 3) or 0 in x.shape or x.dtype.kind not in "iubf":
        raise InputError(f"{path}: expected numbers (n, T, I) or (n, T), got {x.dtype} of shape {x.shape}")
    picture = None
    if x.dtype == np.uint8 and x.ndim == 3 and "lengths" not in arrays:
        sequences, picture = of_images(x, layout.pixels)
    else:
        block = x if x.ndim == 3 else x[:, :, None]
        lengths = _lengths(path, arrays.get("lengths"), block)
        sequences = Sequences.equal(block) if lengths is None else Sequences.padded(block, lengths)
    found, separator = _labels(path, arrays, labels, len(x))
    return Examples(plain_name(path), str(path), sequences, found, picture=picture, separator=separator)


def _arrays(path: Path, content: bytes) -> Mapping[str, NDArray[Any]]:
    try:
        if content.startswith(NPZ):
            _check_zip(path, content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
            arrays = {"X": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except InputError:
        raise
    except Exception as error:  # of a damaged file numpy and zipfile raise a dozen kinds, down to SyntaxError
        if str(error).startswith(OBJECTS):
            raise InputError(
                f"{path}: holds Python objects, expected arrays of numbers; pad sequences of different lengths"
                " to (n, T, I) and add their 'lengths'"
            ) from None
        raise InputError(f"{path}: cut short or damaged") from None
    if not arrays:
        raise InputError(f"{path}: there is no array in it")
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # numpy gives other members as bytes
        raise InputError(f"{path}: cut short or damaged")
    return arrays


def _check_zip(path: Path, content: bytes) -> None:
    """Refuse an archive of something else than arrays, or one that would take too much memory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    other = [member.filename for member in members if not member.filename.endswith(".npy")]
    if other:
        raise InputError(
            f"{path}: a zip archive of {len(members)} files, such as {other[0][:60]!r}; expected the arrays of an .npz"
            " file, or a file of the archive by itself"
        )
    check_unpacked(path, sum(member.file_size for member in members))


def _one(path: Path, arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...], what: str) -> NDArray[Any]:
    name = next((n for n in names if n in arrays), None)
    if name is None:
        raise InputError(f"{path}: expected {what} as {names[0]!r}, there are: {listed(list(arrays))}")
    return arrays[name]


def _lengths(path: Path, lengths: NDArray[Any] | None, block: NDArray[Any]) -> NDArray[np.int64] | None:
    if lengths is None:
        return None
    n, t, _ = block.shape
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise InputError(f"{path}: expected {n} whole numbers as 'lengths', got {lengths.dtype} of {lengths.shape}")
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= t:
        raise InputError(f"{path}: expected 'lengths' from 1 to {t}, got {int(lengths.min())} to {int(lengths.max())}")
    return lengths.astype(np.int64)


def _labels(
    path: Path, arrays: Mapping[str, NDArray[Any]], labels: Path | None, count: int
) -> tuple[list[str] | None, str | None]:
    """The labels, and what is between several of one sequence."""
    if labels is not None:
        path = labels
        y = _one(path, _arrays(path, filled_content(path)), ("X",), "labels")
    elif any(name in arrays for name in Y_NAMES):
        y = _one(path, arrays, Y_NAMES, "labels")
    else:
        return None, None
    if y.ndim == 2 and len(y) == count and y.dtype.kind in "iub" and set(np.unique(y).tolist()) <= {0, 1}:
        return ["|".join(map(str, np.flatnonzero(row).tolist())) for row in y], "|"
    if y.shape != (count,) or y.dtype.kind not in "iubfUS":
        raise InputError(
            f"{path}: expected {count} labels, numbers or text, one for each sequence, or 0 and 1 for each of several;"
            f" got {y.dtype} of {y.shape}"
        )
    try:
        found = [label.decode() if isinstance(label, bytes) else str(label) for label in y.tolist()]
        "".join(found).encode()
    except (ValueError, SystemError):  # the last: numbers that are no characters, of which Python can't make a text
        raise InputError(f"{path}: the labels are no text") from None
    return found, None
