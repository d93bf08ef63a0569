"""The command ``statewise convert``: a model as another kind of file, told by its ending. No numpy here: help comes at
once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .jobs.command import Command, say
from .jobs.config import Config, option
from .jobs.errors import InputError, remark

if TYPE_CHECKING:
    from .runtime import Network

ENDINGS = (".onnx", ".safetensors")
NOT_IN = {
    "Writer": "its symbols' merges: numbers of symbols go in, and statewise.labels in the metadata names them",
    "Tagger": "its vocabulary: numbers of words and letters go in, as runtime.load(...).encode gives them",
    "Translator": "its vocabularies and the search: numbers of symbols go in, and a step of the decoder comes out",
    "Classifier": "how texts become numbers, and their n-grams: numbers go in",
    "Forecaster": "rows beyond the horizon, sampled paths, intervals that follow what comes: the newest rows go in",
}
"""What ONNX's file has not, of what ``runtime.load`` gives."""


@dataclass(kw_only=True)
class ConvertOptions(Config):
    """What ``convert`` can be told."""

    files: tuple[str, ...] = option(..., "the model, and the file to write", metavar="FILE", positional=True)
    lengths: bool = option(False, "to .onnx: an input lengths, how many of each row's steps count")
    states: bool = option(False, "to .onnx: the states are inputs and outputs, to read a sequence in parts")
    native: bool = option(True, "to .onnx: LSTM, GRU and RNN are ONNX's own nodes")
    part: str | None = option(
        None, "of a file of weights alone: which layer", metavar="NAME", default="the one that there is"
    )


COMMAND = Command(
    "convert",
    ConvertOptions,
    "statewise.converting:run",
    usage="statewise convert MODEL OUT.onnx [--lengths] [--states]\n"
    "       statewise convert MODEL OUT.safetensors [--part NAME]",
    description="""\
Write a model as another kind of file: as ONNX, or as the .safetensors that
statewise.runtime and the C library run. The model is one of statewise.save's or of
the jobs', ONNX (.onnx), Keras (.keras), RTNeural's JSON or Neural Amp Modeler's
.nam; or weights alone (.pt, .safetensors, .npz, .weights.h5), of which one layer is
taken. What the new file hasn't got is remarked.
""",
    examples="""\
examples:
  statewise convert runs/write-1/model.safetensors writer.onnx --states
  statewise convert model.onnx model.safetensors
  statewise convert amp.nam amp.safetensors
  statewise convert checkpoint.pt encoder.onnx --part encoder
""",
)


def run(options: ConvertOptions) -> None:
    """Write the file, and say what goes into it and comes out of it."""
    if len(options.files) != 2:
        raise InputError(f"expected a model and a file to write, got {len(options.files)} files")
    source, target = map(Path, options.files)
    if target.suffix not in ENDINGS:
        raise InputError(f"{target}: expected a name that ends in {' or '.join(ENDINGS)}")
    if source.resolve() == target.resolve():
        raise InputError(f"{target}: expected a file other than the model")
    if target.suffix != ".onnx" and (options.lengths or options.states or not options.native):
        raise InputError("--lengths, --states and --no-native: only of a file that ends in .onnx")
    try:
        model = _loaded(source, options.part)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        if target.suffix == ".onnx":
            _to_onnx(model, target, options)
        else:
            _to_runtime(model, source, target)
    except OSError as error:
        raise InputError(f"{target}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def _loaded(source: Path, part: str | None) -> Any:
    """What the runtime runs of it. ValueError, OSError: it can't be read."""
    from . import runtime
    from .weights import read_weights

    if source.suffix == ".onnx":
        from .onnx.importing import from_onnx

        model: Any = from_onnx(source)
    else:
        try:
            model = runtime.load(source)
        except runtime.LoadError as error:
            try:
                parts = read_weights(source)
            except ValueError:
                raise error from None
            if part is None and len(parts) > 1:
                raise ValueError(f"{source}: weights alone, of {', '.join(parts)}: --part NAME") from None
            if part is not None and part not in parts:
                raise ValueError(f"{source}: no layer {part!r} in it, but {', '.join(parts)}") from None
            found = parts[part or next(iter(parts))]
            if found.others:
                remark(f"{source}: {found.name} is taken for {found.cell}; it may be {' or '.join(found.others)}")
            return found.network()
    if part is not None:
        raise ValueError(f"{source}: --part: it is a whole model")
    return model


def _to_onnx(model: Any, target: Path, options: ConvertOptions) -> None:
    from .onnx.exporting import to_onnx
    from .onnx.package import onnx

    files = to_onnx(model, target, lengths=options.lengths, states=options.states, native=options.native)
    if (left_out := NOT_IN.get(type(model).__name__)) is not None:
        remark(f"{target} hasn't got {left_out}")
    _remark_cache(model, target)
    for file in files:
        graph = onnx.load(file, load_external_data=False).graph
        say(f"{file}: {_ports(graph.input)} -> {_ports(graph.output)}")


def _ports(ports: Any) -> str:
    said = []
    for port in ports:
        dims = [dim.dim_param or str(dim.dim_value) for dim in port.type.tensor_type.shape.dim]
        said.append(f"{port.name} ({', '.join(dims)}{',' * (len(dims) == 1)})")
    return ", ".join(said)


def _to_runtime(model: Any, source: Path, target: Path) -> None:
    from .runtime import Network

    if not isinstance(model, Network):
        raise InputError(f"{source}: a {type(model).__name__.lower()} is a file that the runtime loads already")
    dropped = model.dropped() if hasattr(model, "dropped") else []
    if dropped:
        remark(f"{target} hasn't got the outputs {', '.join(dropped)}; a network's states are start's and step's")
    _remark_cache(model, target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        model.save(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"{target}: {_axes(model)}")


def _remark_cache(model: Any, target: Path) -> None:
    if getattr(model, "cache", None) is not None:
        remark(f"{target} hasn't got the cache beside the network, which alone predicts less well")


def _axes(net: Network) -> str:
    lead = "N, T" if net.batch_first else "T, N"
    inputs = [f"{name} ({lead}{'' if form.kind == 'symbols' else f', {form.width}'})" for name, form in net.inputs]
    results = [lead if over_time else "N" for over_time in net.over_time]
    return f"{', '.join(inputs)} -> {', '.join(f'({axes}, {net.width})' for axes in results)}"
