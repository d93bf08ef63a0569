"""Weights that other libraries have trained, as layers to train on or as networks that run without torch.

| origin | what is read |
|---|---|
| torch | a state_dict, checkpoint or module's tensors: ``.safetensors``, ``.pt``, ``.npz``, JSON, mappings |
| Keras 3 | ``.keras``, ``.weights.h5`` (h5py: the extra ``keras``) |
| Flax, nnx and linen | the parameters' tree: a mapping, ``.npz``, ``.safetensors`` |
| RTNeural | its JSON |
| Neural Amp Modeler | ``.nam``, of the architecture LSTM |

The origin is told by the file itself. What differs between origins is in ``part.Layout``; see docs/weights.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..runtime import file
from ..runtime.file import LoadError
from . import arrays, flax, keras, nam, rtneural, torch_names
from .part import Arrays, Part, refuse
from .program import Program

if TYPE_CHECKING:
    from ..runtime import Network

__all__ = ["Part", "read_weights"]


def read_weights(source: str | PathLike[str] | Mapping[Any, Any]) -> dict[str, Part]:
    """The recurrent layers whose weights are in ``source``, by the names that they have there.

    A ``Part`` becomes a layer to train by its method ``layer``, a network without torch by ``network``.
    ``runtime.load`` runs a whole model, where the file describes one (``.keras``, RTNeural's JSON, ``.nam``).

    Args:
        source: a file of one of the origins above, or a mapping, nested or not, of arrays by torch.nn's or Flax's
            names, such as a state_dict or ``nnx.state(model)``.

    Raises:
        ValueError: nothing of it is known, or it is damaged; one line says what was expected, what came and where.
        OSError: the file can't be read.

    Example:
        >>> parts = statewise.read_weights("model.keras")
        >>> parts["lstm"].layer(batch_first=True)
        LSTM(3, 64, batch_first=True)
    """
    if isinstance(source, Mapping):
        return _named(arrays.flat(source))
    path = Path(source)
    data = path.read_bytes()
    try:
        return _parts(data)
    except LoadError as error:
        raise LoadError(f"{path}: {file.in_a_line(error)}") from None


def _parts(data: bytes) -> dict[str, Part]:
    described = _described(data)
    if described is not None:
        return _some(described.parts(), "a recurrent layer in the model")
    match file.kind(data):
        case "hdf5":
            return _some(keras.parts_of_weights(*arrays.of_hdf5(data)), "a layer that has cell/vars")
        case "zip":
            archive = arrays.members(data)
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                return _of_torch(data, archive.namelist())
            return _named(arrays.flat(arrays.of_npz(archive)))
        case "pickle":
            return _of_torch(data, [])
        case "json":
            return _named(arrays.flat(arrays.listed(arrays.of_json(data))))
    return _named(arrays.flat(file.tensors(data)[1]))


def _of_torch(data: bytes, members: list[str]) -> dict[str, Part]:
    if any("/code/" in name for name in members):
        raise refuse("the file", "weights", "a TorchScript program: give torch.jit.load(...).state_dict()")
    from . import torch_files

    return _named(arrays.flat(torch_files.read(data)))


def _named(found: Arrays) -> dict[str, Part]:
    some = ", ".join(sorted(found)[:6]) or "no arrays"
    wanted = "names such as weight_hh_l0 (torch.nn), dense_h.kernel or hi.kernel (Flax)"
    return _some(torch_names.parts(found) | flax.parts(found), wanted, some)


def _some(parts: dict[str, Part], wanted: str, got: str = "none") -> dict[str, Part]:
    if not parts:
        raise LoadError(f"expected {wanted}, got {got[:200]}")
    return parts


class _Described(NamedTuple):
    """A file that describes a network: how its parts are read, and all of it."""

    parts: Callable[[], dict[str, Part]]
    program: Callable[[], Program]


def _described(data: bytes) -> _Described | None:
    kind = file.kind(data)
    if kind == "zip":
        archive = arrays.members(data)
        if {"config.json", "model.weights.h5"} <= set(archive.namelist()):
            model = keras.read(archive)
            return _Described(partial(keras.parts, model), partial(keras.program, model))
    if kind == "json":
        tree = arrays.of_json(data)
        for origin in (nam, rtneural):
            if origin.is_model(tree):
                return _Described(partial(origin.parts, tree), partial(origin.program, tree))
    return None


def network(data: bytes, threads: int = 1) -> Network:
    """The network that a file of another library's describes. Raises ``LoadError``, also where it describes none."""
    described = _described(data)
    if described is None:
        raise LoadError("it describes no network; statewise.read_weights may find layers in it")
    return described.program().network(threads)
