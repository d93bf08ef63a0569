"""``to_onnx``: a model as an ONNX file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import runtime
from .._version import __version__
from ..runtime import Classifier, Forecaster, Network, Tagger, Translator
from .graph import Array, Graph
from .package import checker, helper
from .translation import Translation, UnsaidError, Value

if TYPE_CHECKING:
    from torch import nn

Program = tuple[Mapping[str, Any], Mapping[str, Array]]

OPSET, IR = 18, 8  # of 2022: every current program reads them, and they have all that is needed
MOST_BYTES = 2**31 - 2**20  # of tensors: a file of protobuf's ends at two gigabytes


def to_onnx(
    model: nn.Module | Network | Tagger | Translator | str | PathLike[str],
    path: str | PathLike[str],
    *,
    lengths: bool = False,
    states: bool = False,
    native: bool = True,
) -> list[Path]:
    """Write ``model`` as an ONNX file: what the runtime runs of it, for any batch and any number of time steps.

    The inputs are called as the runtime calls them, ``x`` where there is one, and the result ``y``. A layer of LSTM,
    GRU or RNN is ONNX's own node, one of another cell or with options of its own a Scan over the cell's equations. A
    tagger reads letters too, as docs/onnx.md says. A translator becomes two files, ``path`` with ``.encoder`` and
    ``.decoder`` before its ending: the first has ``lengths``, the second ``states``, whatever is said here.

    Args:
        model: what ``statewise.save`` takes; or the path of a file that the runtime loads, a job's model file among
            them; or what it has loaded.
        path: of the file, which appears whole.
        lengths: whether there is an input ``lengths`` (N,), int64: how many of each row's steps count. Results past a
            row's end say nothing. Default: all count.
        states: whether the states are inputs, such as ``h_0`` (L*D, N, H), and outputs, ``h_n``, so that a sequence can
            be read in parts. Zeros begin one, but for those in the file's metadata, ``statewise.start``, as JSON: of
            each its first row. Where several ops have states their names come first: ``layer.h_0``. Default: none.

        native: whether LSTM, GRU and RNN are ONNX's own nodes, which are the quickest. False: they are Scans too, for
            programs that compute such a node wrongly; docs/onnx.md knows which. Default: True.

    Returns:
        The files that were written.

    Raises:
        ImportError: the package onnx isn't there: ``pip install 'statewise[onnx]'``.
        TypeError: ``model`` is nothing of that kind.
        ValueError: there is something in it that the runtime can't run, or that can't be said in ONNX.
        OSError: a file can't be read or written.

    Example:
        >>> statewise.to_onnx(statewise.LSTM(3, 64, num_layers=2), "lstm.onnx", states=True)
    """
    target, written = Path(path), []
    for part, made in _models(model, lengths, states, native).items():
        file = target.with_name(f"{target.stem}.{part}{target.suffix}") if part else target
        temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(made.SerializeToString())
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        written.append(file)
    return written


def _models(model: Any, lengths: bool, states: bool, native: bool) -> dict[str, Any]:
    """By what is added to the file's name."""
    if isinstance(model, (str, PathLike)):
        model = runtime.load(model)
    try:
        if isinstance(model, Translator):
            return {
                "encoder": _exported([program_of(model.encoder)], True, False, native),
                "decoder": _exported([program_of(model.decoder)], False, True, native),
            }
        if isinstance(model, Forecaster):
            return {"": _forecaster(model, lengths, states, native)}
        if isinstance(model, Classifier):
            return {"": _classifier(model, lengths, states, native)}
        if isinstance(model, Tagger):
            spelling = None if model._spelling is None else program_of(model._spelling)
            parts = [program_of(model.scores), program_of(model._path)]
            return {"": _exported(parts, lengths, states, native, spelling)}
        part = program_of(model) if isinstance(model, Network) else _traced(model)
        return {"": _exported([part], lengths, states, native)}
    except UnsaidError as error:
        raise ValueError(f"to_onnx: ONNX can't be told of {error}") from None


def program_of(network: Network) -> Program:
    """What a network runs, its weights as floats."""
    return network.content, _widened(network._arrays)


def _widened(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """With matrices of eight bits, whose rows have a scale beside them, as floats."""
    found = dict(arrays)
    for name, array in arrays.items():
        if array.dtype == np.int8 and f"{name}.scale" in arrays:
            scale = found.pop(f"{name}.scale")
            found[name] = array * scale.reshape(-1, *[1] * (array.ndim - 1))
    return found


def _traced(model: Any) -> Program:
    try:
        from torch import nn

        from ..saving import program
    except ModuleNotFoundError:
        raise TypeError(f"to_onnx: Expected model to be a network or a path, got {type(model).__name__}") from None
    if not isinstance(model, nn.Module):
        raise TypeError(f"to_onnx: Expected model to be a module, a network or a path, got {type(model).__name__}")
    return program(model, "to_onnx")


def _exported(
    parts: Sequence[Program], lengths: bool, states: bool, native: bool, spelling: Program | None = None
) -> Any:
    """Programs, each of which reads what the one before gives, as an ONNX model."""
    content, arrays = parts[0]
    floats = {array.dtype for array in arrays.values() if array.dtype.kind == "f"}
    dtype = np.dtype(np.float64 if floats == {np.dtype(np.float64)} else np.float32)
    made, batch_first = Translation(dtype, states, native), content.get("batch_first") is True
    g = made.graph
    if spelling and states:
        raise UnsaidError("states beside the spelling of words")
    given = {entry["name"]: Value("", 0) for entry in content["inputs"]}  # in their order
    if spelling:
        given["spelt"] = _spelt(made, *spelling)
    for entry in content["inputs"]:
        if not (spelling and entry["name"] == "spelt"):
            given[entry["name"]] = made.input(entry, "lengths" if lengths else None, batch_first)
    if lengths:
        g.input("lengths", np.int64, ["N"])
    results = made.run(content, arrays, given)
    for more, tensors in parts[1:]:
        results = made.run(more, tensors, dict(zip([entry["name"] for entry in more["inputs"]], results, strict=True)))
    said = ["y"] if len(results) == 1 else content["results"]
    ends = list(g.outputs)
    g.outputs.clear()
    for value, name in zip(results, said, strict=True):
        made.output(value, name, batch_first)
    g.outputs.extend(ends)  # the states
    starts = {name: _json(start) for name, start in made.starts.items()}
    return _model(g, {"statewise.labels": content.get("labels"), "statewise.start": starts})


def _forecaster(forecaster: Forecaster, lengths: bool, states: bool, native: bool) -> Any:
    from .forecasting import write_forecaster

    if lengths or states:
        raise UnsaidError("lengths or states of a forecaster, which reads as many rows of each series as it is given")
    model = forecaster._model
    told = {"names": forecaster.names, "quantiles": forecaster.shares, "columns": asdict(model.columns)}
    told |= {"grid": asdict(model.grid), "rows": model.memory}
    return _model(write_forecaster(model, native).graph, {"statewise.forecast": told})


def _classifier(classifier: Classifier, lengths: bool, states: bool, native: bool) -> Any:
    from .classifying import write_classifier

    if states:
        raise UnsaidError("states of a classifier of texts, or of one with fixed features beside its network")
    return _model(write_classifier(classifier._model, lengths, native).graph, {"statewise.labels": classifier.labels})


def _model(g: Graph, metadata: Mapping[str, Any]) -> Any:
    if g.nbytes > MOST_BYTES:
        raise UnsaidError(f"{g.nbytes} bytes of tensors: a file holds {MOST_BYTES}")
    model = helper.make_model(
        g.made("statewise"),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="statewise",
        producer_version=__version__,
    )
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items() if value})
    checker.check_model(model, full_check=True)
    return model


def _spelt(made: Translation, content: Mapping[str, Any], arrays: Mapping[str, Array]) -> Value:
    """What a tagger reads of how a word is spelt: of each word a vector, made of its letters once."""
    g, (entry,) = made.graph, content["inputs"]
    letters = made.input(entry, "letters.lengths", axes=("C", "W"))
    g.input("letters.lengths", np.int64, ["W"])
    (vectors,) = made.run(content, arrays, {entry["name"]: letters})
    at = g.input("spelt", np.int64, ["T", "N"])
    return Value(g.node("Gather", vectors.name, at), vectors.width)


def _json(start: Array) -> Sequence[Any]:
    """Numbers of which there may be infinite ones, which JSON hasn't got: as text."""
    told = np.where(np.isfinite(start), start.astype(object), start.astype(str).astype(object))
    found: list[Any] = told.tolist()
    return found
