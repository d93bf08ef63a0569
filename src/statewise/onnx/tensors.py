"""The tensors of an ONNX file as arrays. A file is data of strangers: sizes are checked before memory is taken."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime import LoadError
from .graph import Array
from .package import helper, numpy_helper, onnx

MOST = 2**24
"""Numbers in a constant that isn't written out in the file, such as zeros."""
_KINDS = "fiub"


def array_of(tensor: Any, folder: Path | None) -> Array:
    """One tensor, read-only. ``folder`` is where its file lies: what it keeps elsewhere must lie in there.

    LoadError: its numbers don't fill its dimensions, or can't be read.
    """
    name = tensor.name or "a tensor"
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError):
        raise LoadError(f"{name}: there is no type {tensor.data_type} of numbers") from None
    if dtype.kind not in _KINDS:
        raise LoadError(f"{name}: expected numbers, got {onnx.TensorProto.DataType.Name(tensor.data_type)}")
    dims = list(tensor.dims)
    if any(n < 0 for n in dims):
        raise LoadError(f"{name}: expected sizes, got {dims}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, dtype, dims, folder)
    if tensor.HasField("raw_data"):
        fills = len(tensor.raw_data) == prod(dims) * dtype.itemsize
    else:
        fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
        fills = sum(map(len, fields)) == prod(dims)
    if not fills:
        raise LoadError(f"{name}: its numbers don't fill {dims}")
    return np.asarray(numpy_helper.to_array(tensor))


def _external(tensor: Any, dtype: np.dtype[Any], dims: Sequence[int], folder: Path | None) -> Array:
    told = {entry.key: entry.value for entry in tensor.external_data}
    where = told.get("location", "")
    if folder is None or not where or Path(where).is_absolute():
        raise LoadError(f"{tensor.name}: its numbers lie in another file, {where[:80]!r}, which isn't read")
    path = (folder / where).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise LoadError(f"{tensor.name}: expected its numbers in a file in {folder}, got {where[:80]!r}")
    offset, size = int(told.get("offset", 0)), prod(dims) * dtype.itemsize
    if int(told.get("length", size)) != size or not 0 <= offset <= path.stat().st_size - size:
        raise LoadError(f"{tensor.name}: its numbers in {where[:80]!r} don't fill {list(dims)}")
    with path.open("rb") as file:
        file.seek(offset)
        return np.frombuffer(file.read(size), dtype.newbyteorder("<")).astype(dtype).reshape(dims)


def attributes_of(node: Any) -> dict[str, Any]:
    """A node's attributes by name: numbers, texts, lists of them, and tensors as ONNX has them."""
    found = {}
    for each in node.attribute:
        value = helper.get_attribute_value(each)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], bytes):
            value = [text.decode("utf-8", "replace") for text in value]
        found[each.name] = value
    return found
