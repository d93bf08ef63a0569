"""``from_onnx``: an ONNX file as a network of the runtime's. What isn't known is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..cells import by_name
from ..runtime import LoadError
from ..runtime.file import in_a_line
from .axes import Tensor, UnreadError
from .graph import Array
from .imported import Imported, Place
from .package import onnx
from .reading import Reader
from .tensors import array_of

ORDERS = ("TNF", "NTF", "NFT")
"""What the axes of an input may be. A file doesn't say; what is done with it does."""
MOST_BYTES = 2**31  # what protobuf takes


def from_onnx(path: str | PathLike[str], *, values: Mapping[str, Any] | None = None, threads: int = 1) -> Imported:
    """The network in an ONNX file: RNN, LSTM, GRU, and what else the runtime computes, without onnxruntime.

    What is read: recurrent nodes (every attribute but ``clip``, reading backwards, peepholes, ``layout``, states and
    lengths as inputs), Gemm, MatMul, Add, Mul and the like with constants, activations, softmax, LayerNormalization,
    BatchNormalization, Conv over time, Gather of an embedding, the last step, a mean or maximum over time, ArgMax; and
    whatever turns, cuts and joins axes between them, as torch.onnx.export and ``statewise.to_onnx`` write it. A Scan
    over time where its body is the step of a known cell. No Loop or If.

    Args:
        path: of the file. Tensors that lie in other files are read where these are in its folder.
        values: inputs of the file that are constants here, such as weights, by name.
        threads: as for ``runtime.load``.

    Returns:
        A ``runtime.Network``, which can also be called as the file is (``outputs``), written for ``runtime.load``
        (``save``) and taken apart into layers to train on (``parts``).

    Raises:
        ImportError: the package onnx isn't there: ``pip install 'statewise[onnx]'``.
        LoadError: a ValueError of one line that begins with ``path``: the file is damaged, or something in it can't be
            run; the message says what.
        OSError: it can't be read.

    Example:
        >>> net = statewise.from_onnx("lstm.onnx")
        >>> y = net.run(x)
    """
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise LoadError(f"{path}: more than {MOST_BYTES} bytes")
    try:
        with np.errstate(all="ignore"):  # of numbers that aren't finite something comes of that kind
            return _network(path.read_bytes(), path.parent, values or {}, threads)
    except LoadError as error:
        raise LoadError(f"{path}: {in_a_line(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise LoadError(f"{path}: a damaged ONNX file: {in_a_line(error)}") from None


def _network(data: bytes, folder: Path, values: Mapping[str, Any], threads: int) -> Imported:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # google.protobuf's own DecodeError, by whichever of its parsers
        raise LoadError("not a whole ONNX file") from None
    opsets = {each.domain: each.version for each in model.opset_import}
    version = opsets.get("", opsets.get("ai.onnx", 0))
    if not model.graph.node or not version >= 7:
        raise LoadError(f"not an ONNX file of operators from version 7 on, but of {version}")
    constants = {each.name: array_of(each, folder) for each in model.graph.initializer}
    if model.graph.sparse_initializer:
        raise LoadError("from_onnx can't read sparse tensors")
    names = [each.name for each in model.graph.input]
    for name, value in values.items():
        if name not in names:
            raise LoadError(f"there is no input {name!r}; there are {', '.join(names)}")
        constants[name] = np.asarray(value)
    furthest: UnreadError | None = None
    done = -1
    for order in ORDERS:
        reader = Reader(order, constants, version, folder)
        try:
            reader.read(model.graph)
            return _made(reader, model, threads)
        except UnreadError as error:
            if reader.done > done:
                furthest, done = error, reader.done
    raise LoadError(f"from_onnx can't read {furthest}")


def _told(reader: Reader, model: Any, content: dict[str, Any]) -> None:
    """What ``to_onnx`` has written into the metadata: names of the results, and what states begin as."""
    metadata = {each.key: each.value for each in model.metadata_props}
    labels = json.loads(metadata.get("statewise.labels", "[]"))
    if isinstance(labels, list) and labels:
        content["labels"] = labels
    starts = json.loads(metadata.get("statewise.start", "{}"))
    begun: dict[str, dict[int, Array]] = {}
    for name, parts in reader.states.items():
        if name in starts:
            array = np.asarray(starts[name], np.float32)  # (L*D, 1, H)
            for op, letter, _, (begin, end) in parts:
                begun.setdefault(op, {})[letter] = array.reshape(array.shape[0], array.shape[-1])[begin:end]
    for entry in reader.ops:
        if (found := begun.get(entry["name"])) and not entry.get("initial"):
            entry["initial"] = True
            cell, width = by_name(entry["cell"]), entry["hidden_size"]
            ways = ("", "_reverse")[: 1 + entry.get("bidirectional", False)]
            for k, name in enumerate(cell.states):
                array = found.get(k, np.zeros((len(ways), width), np.float32))
                for row, way in zip(array, ways, strict=True):
                    reader.arrays[f"{entry['name']}.initial_{name}_l0{way}"] = np.ascontiguousarray(row)


def _made(reader: Reader, model: Any, threads: int) -> Imported:
    outputs: dict[str, Place] = {}
    results: list[str] = []
    for each in model.graph.output:
        found = reader.values.get(each.name)
        if isinstance(found, np.ndarray):
            outputs[each.name] = found
            continue
        parts: list[Tensor] = [
            part for part in (found if isinstance(found, list) else [found]) if isinstance(part, Tensor)
        ]
        if not parts or (isinstance(found, list) and len(parts) < len(found)):
            raise UnreadError(f"what the output {each.name} is")
        parts = [part if part.kind == "state" else reader.used(part) for part in parts]
        results += [part.name for part in parts if part.kind != "state" and part.name not in results]
        outputs[each.name] = parts
    reader.prune({*results, *(part.name for place in outputs.values() for part in place if isinstance(part, Tensor))})
    content: dict[str, Any] = {
        "inputs": reader.inputs,
        "ops": reader.ops,
        "batch_first": reader.order[0] == "N",
    }
    if not reader.ops:
        raise UnreadError("a graph without anything that is learnt")
    if results:
        content["results"] = results
    _told(reader, model, content)
    return Imported(content, reader.arrays, threads, reader=reader, outputs=outputs)
