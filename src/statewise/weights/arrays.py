"""Arrays in what people keep weights in: nested mappings, ``.npz``, HDF5, JSON. Files are data, never code.

What a file says of sizes is checked against the bytes that there are before memory of that size is taken.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from ..runtime.file import LoadError
from .part import Array, Arrays, refuse

MOST_EXPANDED = 100  # times a compressed file's size: weights aren't compressed to less than a tenth
_DEEPEST = 64


def flat(tree: Mapping[Any, Any]) -> Arrays:
    """The arrays in a nested mapping, by their keys with dots between. What is no array is left out.

    An array is what has a shape and a dtype: of numpy, torch or JAX; half precision becomes float32.
    """
    found: Arrays = {}
    _flatten(tree, "", found, 0)
    return found


def _flatten(tree: Mapping[Any, Any], prefix: str, found: Arrays, depth: int) -> None:
    if depth > _DEEPEST:
        raise refuse(prefix[:40], f"mappings in no more than {_DEEPEST} others", "more")
    for key, value in tree.items():
        name = prefix + str(key).replace("/", ".")
        if isinstance(value, Mapping):
            _flatten(value, f"{name}.", found, depth + 1)
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            if hasattr(value, "detach"):
                value = value.detach().cpu()
                value = (value.float() if value.is_floating_point() and value.itemsize < 4 else value).numpy()
            array = np.asarray(value)
            small = array.dtype.itemsize < 4 and (array.dtype.kind == "f" or array.dtype.name == "bfloat16")
            found[name] = array.astype(np.float32) if small else array


def numbers(name: str, value: Any, rank: int) -> Array:
    """A nested list of JSON's as float32, of this rank."""
    try:
        found = np.array(value)
    except ValueError:
        raise refuse(name, "lists of one length", "others") from None
    if found.ndim != rank or found.dtype.kind not in "iuf":
        raise refuse(name, f"numbers in lists of {rank} levels", f"{found.dtype} in {found.ndim}")
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def of_json(data: bytes) -> dict[str, Any]:
    """The object that a file of JSON is."""
    try:
        tree = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise LoadError("not a whole file of JSON") from None
    if not isinstance(tree, dict):
        raise LoadError(f"expected a JSON object, got a {type(tree).__name__}")
    return tree


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def listed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of JSON's whose lists of numbers are arrays, as a state_dict is written as text."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found[key] = listed(value)
        elif isinstance(value, list):
            try:
                array = np.array(value)
            except ValueError:
                continue
            if array.dtype.kind in "iuf" and array.size:
                found[key] = array.astype(np.float32)
    return found


# Archives


def members(data: bytes) -> zipfile.ZipFile:
    """A zip file in memory, whose members together are no larger than such a file may be."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        total = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError):
        raise LoadError("not a whole zip file") from None
    if total > MOST_EXPANDED * len(data):
        raise LoadError(f"expected members of {MOST_EXPANDED} times the file's size at most, got {total} bytes")
    return archive


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """What is in a member."""
    try:
        with archive.open(name) as file:
            data = file.read(archive.getinfo(name).file_size + 1)
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, OSError, EOFError, KeyError) as error:
        raise LoadError(f"{name}: it can't be read from the zip file: {' '.join(str(error).split())[:80]}") from None
    except Exception as error:  # zlib.error and its like, of each compression its own
        raise LoadError(f"{name}: it can't be unpacked: {' '.join(str(error).split())[:80]}") from None
    return data


def of_npz(archive: zipfile.ZipFile) -> Arrays:
    """The arrays that numpy saved."""
    found = {}
    for name in archive.namelist():
        if name.endswith(".npy"):
            found[name.removesuffix(".npy")] = _of_npy(name, member(archive, name))
    return found


def _of_npy(name: str, data: bytes) -> Array:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_columns, dtype = reader(file)
    except Exception as error:  # numpy evaluates the header as a literal, which may fail in many ways
        raise LoadError(f"{name}: not a header of numpy's: {' '.join(str(error).split())[:80]}") from None
    begin, count = file.tell(), prod(shape)
    if dtype.hasobject or dtype.kind not in "iufb" or any(size < 0 for size in shape):
        raise refuse(name, "numbers", str(dtype))
    if count * dtype.itemsize != len(data) - begin:
        raise refuse(name, f"{count * dtype.itemsize} bytes of shape {shape}", f"{len(data) - begin}")
    flat = np.frombuffer(data, dtype, count, begin)
    array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    return np.ascontiguousarray(array.astype(np.float32 if dtype == np.float16 else dtype.newbyteorder("=")))


# HDF5


def of_hdf5(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """The arrays of an HDF5 file by their paths, and of each group that has one the attribute ``name``.

    Only what lies in the file itself, plain: links to elsewhere are refused.
    """
    try:
        import h5py
    except ImportError:
        raise LoadError("h5py reads it, which isn't installed: pip install 'statewise[keras]'") from None
    arrays: Arrays = {}
    names: dict[str, str] = {}
    left = MOST_EXPANDED * len(data)  # of all arrays together: one that was never written takes no place in the file
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            for path, item in _walk(h5py, file, "", 0):
                if isinstance(item, h5py.Group):
                    name = item.attrs.get("name")
                    if isinstance(name, str):
                        names[path] = name
                    continue
                if item.external or item.is_virtual or item.dtype.kind not in "iufb":
                    raise refuse(path, "numbers in the file itself", str(item.dtype))
                if item.nbytes > (left if item.chunks else min(left, len(data))):
                    raise refuse(path, f"no more than the file's {len(data)} bytes", item.nbytes)
                left -= item.nbytes
                array = np.asarray(item[()])
                array = array.astype(array.dtype.newbyteorder("="), copy=False)  # which may be the other one there
                arrays[path] = array.astype(np.float32) if array.dtype == np.float16 else array
    except LoadError:
        raise
    except Exception as error:  # the library says anything of what is damaged
        raise LoadError(f"not a whole HDF5 file: {' '.join(str(error).split())[:120]}") from None
    return arrays, names


def _walk(h5py: Any, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key in group:
        path = prefix + key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink) or depth > _DEEPEST:
            raise refuse(path, "a group or an array of the file's own", "a link")
        item = group[key]
        yield path, item
        if isinstance(item, h5py.Group):
            yield from _walk(h5py, item, f"{path}/", depth + 1)
