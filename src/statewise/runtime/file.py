"""safetensors, read and written by numpy alone: a JSON header, then the tensors' bytes. A file is data, never code.

All that the header says is checked against the bytes that there are before anything of its sizes is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__

KEY = "statewise"
MOST_HEADER = 100_000_000  # bytes
MOST_SAID = 400  # characters
LARGEST = 2**53  # of whole numbers in a header: JSON has no larger ones
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # which numpy hasn't got: the upper half of a float32. Widened when it is read
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

Arrays = dict[str, NDArray[Any]]


class LoadError(ValueError):
    """A file, or a stream's state, is damaged, foreign, of a later version, or has what the runtime can't run."""


def in_a_line(error: Exception) -> str:
    """What ``error`` says, in one line that isn't long: there may be names in it that a stranger chose."""
    return shown(error, MOST_SAID) or type(error).__name__


def shown(value: object, most: int = 40) -> str:
    """A stranger's ``value`` in a message: in one line, so many characters at most."""
    return " ".join(str(value).split())[:most]


def write(kind: str, format: int, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """``arrays``, and ``content``, which must be JSON, as the bytes of a file of this ``kind``. Same in, same out.

    Arrays of uint16 are written as bfloat16.
    """
    header: dict[str, Any] = {}
    told = {"kind": kind, "format": format, "version": __version__, "content": content}
    header["__metadata__"] = {KEY: json.dumps(told)}
    # The widest first, so that each begins where a number of its kind may.
    order = sorted(arrays.items(), key=lambda each: (-each[1].dtype.itemsize, each[0]))
    plain = {name: np.ascontiguousarray(array) for name, array in order}
    at = 0
    for name, array in plain.items():
        header[name] = {
            "dtype": name_of(array),
            "shape": list(arrays[name].shape),
            "data_offsets": [at, at := at + array.nbytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in plain.values()]
    return b"".join([len(text).to_bytes(8, "little"), text, *data])


def name_of(array: NDArray[Any]) -> str:
    """What a file calls the dtype of an array. KeyError: it has no name for that."""
    return _NAMES[array.dtype.newbyteorder("<")]


def read(data: bytes, where: str) -> tuple[dict[str, Any], Arrays]:
    """What statewise wrote into a file beside the tensors (kind, format, version, content), and these, read-only.

    Half precision and bfloat16 become float32. Raises ``LoadError``, which begins with ``where``.
    """
    try:
        told, arrays, _ = parse(data)
    except LoadError as error:
        raise LoadError(f"{where}: {error}") from None
    if not isinstance(told, dict) or not isinstance(told.get("content"), dict):
        raise LoadError(
            f"{where}: expected a file of statewise's, the header says nothing of it; statewise.read_weights may find"
            f" layers in it"
        )
    return told, arrays


def kind(data: bytes) -> str:
    """What a file is by its first bytes: zip, hdf5, json, pickle or, whatever else it may be, safetensors.

    The size of a header, which a ``.safetensors`` file begins with, has a zero among its eight bytes.
    """
    begin = data[:8]
    if begin[:4] == b"PK\x03\x04":
        return "zip"
    if not begin or 0 in begin:
        return "safetensors"
    if begin == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if begin[:1] == b"\x80":
        return "pickle"
    return "json" if begin.lstrip()[:1] == b"{" else "safetensors"


def tensors(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """The metadata of any ``.safetensors`` file and its tensors, read-only; half precision becomes float32."""
    header, arrays = _whole(data)
    return header.get("__metadata__") or {}, arrays


def parse(data: bytes) -> tuple[Any, Arrays, list[str]]:
    """As ``read``, of whoever's file: what statewise says of it is anything, None where that is nothing.

    The third are the names of tensors that were of half precision.
    """
    header, arrays = _whole(data)
    try:
        told = json.loads((header.pop("__metadata__", None) or {}).get(KEY, "null"))
        json.dumps(told, ensure_ascii=False).encode()  # half of a pair of characters is none
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise LoadError("not a whole .safetensors file") from None
    return told, arrays, [name for name, each in header.items() if each["dtype"] in ("F16", "BF16")]


def _whole(data: bytes) -> tuple[dict[str, Any], Arrays]:
    try:
        header, begin = _header(data)
        return header, _arrays(data, begin, {name: each for name, each in header.items() if name != "__metadata__"})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise LoadError("not a whole .safetensors file") from None


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, MOST_HEADER):
        raise ValueError
    return dict(json.loads(data[8 : 8 + size])), 8 + size


def _arrays(data: bytes, begin: int, header: Mapping[str, Any]) -> Arrays:
    """The tensors, which lie one after the other and fill the file; ValueError, or what else goes wrong, if not."""
    found, places = {}, []
    for name, entry in header.items():
        dtype, shape, (at, end) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(number) is int and 0 <= number <= LARGEST for number in (*shape, at, end)):
            raise ValueError
        count = prod(shape)
        if end - at != count * dtype.itemsize or begin + end > len(data):
            raise ValueError
        array = np.frombuffer(data, dtype, count, begin + at).reshape(shape)
        found[name] = _widened(array, entry["dtype"]) if array.flags.aligned else _widened(array.copy(), entry["dtype"])
        places.append((at, end))
    ends = [(0, 0), *sorted(places), (len(data) - begin, 0)]
    if any(left[1] != right[0] for left, right in pairwise(ends)):
        raise ValueError
    return found


def _widened(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array.astype(np.float32) if dtype == "F16" else array
