"""Keras 3: ``.keras``, which describes a model and has its weights, and ``.weights.h5``, which has the weights alone.

Kernels are (I, G*H). LSTM's gates are i, f, c, o, GRU's z, r, h; its bias is (2, 3H) where it resets after the product
(``reset_after``, the default), else (3H,). What ``.weights.h5`` doesn't say, activations, is taken as Keras's default.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .arrays import member, of_hdf5, of_json
from .part import Array, Arrays, Layout, One, Part, check, part, refuse, with_activations
from .program import NOTHING, Program

_LAYOUTS = {
    "LSTM": Layout("lstm", "ifgo"),
    "GRU": Layout("gru", "zrn"),
    "GRU, reset before": Layout("gru_reset_before", "zrn"),
    "SimpleRNN": Layout("rnn_tanh", "h"),
}
_KINDS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}  # by the number of gates
_IN_CELLS = {
    "hard_sigmoid": "hardsigmoid",
    "swish": "silu",
    "leaky_relu": "leaky_relu of 0.2",
}  # others are called alike
_MODELS = ("Sequential", "Functional")
_DROPPED = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization")


def recurrent(
    name: str,
    kind: str,
    directions: Sequence[Sequence[Array]],
    *,
    reset_after: bool | None = None,
    activations: Mapping[str, str] | None = None,
) -> Part:
    """The part of a layer of class ``kind``.

    Args:
        name: of the part.
        kind: LSTM, GRU or SimpleRNN.
        directions: kernel, recurrent kernel and, if there is one, bias; of the forward direction, then the backward.
        reset_after: of a GRU without biases; None where nobody knows.
        activations: what stands in the places of tanh and sigmoid; None where nobody knows.
    """
    others: tuple[str, ...] = ()
    ones = []
    for kernel, state, *rest in directions:
        bias = rest[0] if rest else None
        two = kind != "LSTM" and bias is not None and bias.ndim == 2
        if two:
            check(f"{name}.bias", rest[0], 2, None)
        ones.append(One(kernel, state, rest[0][0] if two else bias, rest[0][1] if two else None))
    if kind == "GRU":
        after = reset_after if ones[0].bias_ih is None else ones[0].bias_hh is not None
        others = ("gru_reset_before",) if after is None else ()
        kind = "GRU, reset before" if after is False else kind
    layout = _LAYOUTS[kind]
    cell = layout.cell
    if layout.cell == "rnn_tanh":
        others = ("rnn_relu",) if activations is None else ()
        cell = "rnn_relu" if activations == {"tanh": "relu"} else cell
    if activations and cell != "rnn_relu":
        cell = with_activations(name, cell, activations)
    return part(name, layout, [ones], cell=cell, others=others)


# What the weights say


def parts_of_weights(arrays: Arrays, names: Mapping[str, str]) -> dict[str, Part]:
    """The recurrent layers by their own names, or by their places in the file where it has no names."""
    found = {}
    for place in _places(arrays):
        name = names.get(f"{place}/vars", place.removeprefix("layers/"))
        name = name if name not in found else place
        found[name] = _read(name, place, arrays)
    return found


def _places(arrays: Arrays) -> list[str]:
    """The paths of the layers that have a cell, or a cell in each direction."""
    found = [path.removesuffix("/cell/vars/0") for path in arrays if path.endswith("/cell/vars/0")]
    return list(dict.fromkeys(re.sub("/(forward|backward)_layer$", "", path) for path in found))


def _read(name: str, place: str, arrays: Arrays, kind: str | None = None, **told: Any) -> Part:
    both = [f"{place}/{way}_layer" for way in ("forward", "backward")]
    ways = both if f"{both[0]}/cell/vars/0" in arrays else [place]
    directions = [_variables(f"{way}/cell", name, arrays, 2, 3) for way in ways]
    state = directions[0][1]
    gates = state.shape[1] / state.shape[0] if state.ndim == 2 and state.size else 0
    if kind is None and gates not in _KINDS:
        raise refuse(name, "a recurrent kernel (H, H), (H, 3H) or (H, 4H)", str(state.shape))
    return recurrent(name, kind or _KINDS[int(gates)], directions, **told)


def _variables(place: str, name: str, arrays: Arrays, least: int, most: int) -> list[Array]:
    """The variables of a layer, in their order."""
    prefix = f"{place}/vars/"
    found = {path.removeprefix(prefix): array for path, array in arrays.items() if path.startswith(prefix)}
    if not least <= len(found) <= most or sorted(found) != [str(k) for k in range(len(found))]:
        got = ", ".join(sorted(found)) or "none"
        raise refuse(f"{name}: {place}/vars", f"{least} to {most} variables" if least < most else f"{most}", got[:60])
    return [found[str(k)] for k in range(len(found))]


# What the description says


@dataclass(frozen=True)
class Model:
    """What is in a ``.keras`` file."""

    config: Mapping[str, Any]
    arrays: Arrays


def read(archive: zipfile.ZipFile) -> Model:
    """The description and the weights."""
    arrays, _ = of_hdf5(member(archive, "model.weights.h5"))
    return Model(of_json(member(archive, "config.json")), arrays)


def parts(model: Model) -> dict[str, Part]:
    """The recurrent layers, in models within the model too, by their names."""
    found = {}
    for layer in _layers(model.config, ""):
        if layer.kind in _KINDS.values() or layer.inner in _KINDS.values():
            found[layer.name] = _part(layer, model.arrays)
    return found


@dataclass(frozen=True)
class _Layer:
    """A layer as it is described."""

    kind: str
    name: str
    config: Mapping[str, Any]
    place: str
    """Of its variables in the file."""
    entry: Mapping[str, Any]

    @property
    def inner(self) -> str:
        """The class of the layer that it wraps, if it wraps one."""
        layer = self.config.get("layer")
        return str(layer.get("class_name")) if isinstance(layer, Mapping) else ""

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.config.get(name, default)
        if not isinstance(value, bool):
            raise refuse(self.name, f"{name} to be true or false", value)
        return value

    def demand(self, **wanted: Any) -> None:
        """LoadError unless these options have these values, or aren't told."""
        for name, value in wanted.items():
            got = self.config.get(name, value)
            if got != value or type(got) is not type(value):
                raise refuse(self.name, f"{name} to be {value!r}", got)

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number, maybe alone in a list."""
        value = self.config.get(name, default)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if type(value) is not int or value < 1:
            raise refuse(self.name, f"{name} to be a whole number from 1 on", value)
        return value


def _layers(model: Mapping[str, Any], place: str) -> Iterator[_Layer]:
    """The layers of a model, and of the models in it, in the order in which Keras numbers them in the weights' file."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if model.get("class_name") not in _MODELS or not isinstance(layers, list):
        raise refuse("config.json", f"a model of class {' or '.join(_MODELS)}", model.get("class_name"))
    count = Counter[str]()
    for entry in layers:
        kind, config = (entry.get(key) if isinstance(entry, Mapping) else None for key in ("class_name", "config"))
        name = config.get("name") if isinstance(config, Mapping) else None
        if not isinstance(kind, str) or not isinstance(config, Mapping) or not isinstance(name, str):
            raise refuse("config.json", "layers with a class_name and a config", entry)
        plain = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        at = f"{place}layers/{plain}" + (f"_{count[plain]}" if count[plain] else "")
        count[plain] += 1
        yield _Layer(kind, name, config, at, entry)
        if kind in _MODELS:
            yield from _layers(entry, f"{at}/")


def _part(layer: _Layer, arrays: Arrays) -> Part:
    config, kind = layer.config, layer.kind
    if layer.inner:
        if kind != "Bidirectional":
            raise refuse(layer.name, "Bidirectional around a recurrent layer", kind)
        backward = config.get("backward_layer", {})
        config, kind = config["layer"].get("config", {}), layer.inner
        if not isinstance(backward, Mapping) or backward.get("class_name", kind) != kind:
            raise refuse(layer.name, f"two directions of class {kind}", backward)
    told = {}
    for place, key, default in (("tanh", "activation", "tanh"), ("sigmoid", "recurrent_activation", "sigmoid")):
        name = config.get(key, default)
        if not isinstance(name, str) and name is not None:
            raise refuse(layer.name, f"{key} to be a name", name)
        name = name or "linear"
        if name != default:
            told[place] = _IN_CELLS.get(name, name)
    after = config.get("reset_after", True)
    found = _read(layer.name, layer.place, arrays, kind, reset_after=after is True, activations=told)
    if kind == "GRU" and (found.cell.partition("(")[0] == "gru") is not (after is True):
        raise refuse(f"{layer.name}.bias", f"a bias of reset_after={after}", "the other")
    return found


def program(model: Model) -> Program:
    """The network of a model of one input, (N, T, I) or (N, T) symbols."""
    found = list(_layers(model.config, ""))
    if inner := next((layer for layer in found if layer.kind in _MODELS), None):
        raise refuse(inner.name, "a layer", f"a model, {inner.kind}")
    made = _begun(found, model.config)
    values: dict[str, str] = {}
    sequential = model.config["class_name"] == "Sequential"
    for layer in found:
        if layer.kind == "InputLayer":
            values[layer.name] = "x"
            continue
        of = [made.last] if sequential else [_value(each, values, layer.name) for each in _reads(layer)]
        values[layer.name] = _add(made, layer, of, model.arrays)
    if not sequential:
        outputs = model.config["config"].get("output_layers")
        outputs = outputs if isinstance(outputs, list) and outputs and isinstance(outputs[0], list) else [outputs]
        made.results = [_value(each, values, "output_layers") for each in outputs]
    return made


def _begun(found: Sequence[_Layer], config: Mapping[str, Any]) -> Program:
    """A program whose input is that of the first layer."""
    if not found:
        raise refuse("config.json", "layers", "none")
    inputs = [layer for layer in found if layer.kind == "InputLayer"]
    if len(inputs) > 1:
        raise refuse("config.json", "one input", ", ".join(layer.name for layer in inputs))
    first = next((layer for layer in found if layer.kind not in ("InputLayer", *_DROPPED)), found[0])
    if first.kind == "Embedding":
        return Program(first.count("input_dim"), "symbols", batch_first=True)
    built = found[0].entry.get("build_config")
    shape = inputs[0].config.get("batch_shape") if inputs else built.get("input_shape") if built else None
    if not isinstance(shape, list) or len(shape) != 3 or type(shape[2]) is not int or shape[2] < 1:
        raise refuse((inputs or found)[0].name, "an input (N, T, I)", shape)
    return Program(shape[2], batch_first=True)


def _reads(layer: _Layer) -> list[Any]:
    """The places of what a layer of a functional model is given."""
    nodes = layer.entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1 or not isinstance(nodes[0], Mapping):
        raise refuse(layer.name, "one call of a layer", nodes)
    found: list[Any] = []
    left = list(nodes[0].get("args") or [])
    while left:
        each = left.pop(0)
        if isinstance(each, list):
            left = [*each, *left]
        elif isinstance(each, Mapping) and each.get("class_name") == "__keras_tensor__":
            found.append(each.get("config", {}).get("keras_history"))
        else:
            raise refuse(layer.name, "to be given layers' results alone", each)
    if any(isinstance(value, (list, Mapping)) for value in dict(nodes[0].get("kwargs") or {}).values()):
        raise refuse(layer.name, "to be given nothing by name", nodes[0]["kwargs"])
    return found


def _value(place: Any, values: Mapping[str, str], name: str) -> str:
    if not isinstance(place, list) or place[1:] != [0, 0] or place[0] not in values:
        raise refuse(name, "the one result of a layer before", place)
    return values[place[0]]


def _add(made: Program, layer: _Layer, of: list[str], arrays: Arrays) -> str:
    """The ops of a layer; the name of what it gives."""
    kind, name = layer.kind, layer.name
    if kind in _KINDS.values() or kind == "Bidirectional":
        return _add_recurrent(made, layer, of, arrays)
    if kind == "TimeDistributed":
        inner = layer.config.get("layer")
        if layer.inner != "Dense" or not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
            raise refuse(name, "TimeDistributed around Dense", layer.inner)
        layer = _Layer("Dense", name, inner["config"], f"{layer.place}/layer", inner)
        kind = layer.kind
    if kind in _DROPPED or (kind == "Activation" and layer.config.get("activation") in NOTHING):
        return of[0]
    if kind == "Activation" or kind in _FUNCTIONS:
        function = layer.config.get("activation") if kind == "Activation" else _FUNCTIONS[kind]
        return made.activation(name, function, of)
    if kind == "Dense":
        kernel, *bias = _variables(layer.place, name, arrays, 1, 2)
        check(f"{name}.kernel", kernel, None, layer.count("units"))
        made.add("linear", name, {"weight": kernel.T, "bias": bias[0] if bias else None}, of)
        return made.activation(name, layer.config.get("activation"))
    if kind == "Embedding":
        layer.demand(mask_zero=False)
        (weight,) = _variables(layer.place, name, arrays, 1, 1)
        return made.add("embedding", name, {"weight": weight}, of)
    if kind == "LayerNormalization":
        axis = layer.config.get("axis", -1)
        if axis not in (-1, [-1], 2, [2]) or layer.config.get("rms_scaling"):
            raise refuse(name, "a norm over the features", axis)
        scale, center = layer.flag("scale", True), layer.flag("center", True)
        given = iter(_variables(layer.place, name, arrays, scale + center, scale + center))
        weights = {key: next(given) for key, there in (("weight", scale), ("bias", center)) if there}
        return made.add("norm", name, weights, of, epsilon=layer.config.get("epsilon", 1e-3))
    if kind == "Conv1D":
        return _add_convolution(made, layer, of, arrays)
    if kind == "BatchNormalization":
        layer.demand(axis=-1)
        return _add_batch_norm(made, layer, of, arrays)
    if kind in _OTHERS:
        layer.demand(**_OTHERS[kind][1])
        return made.add(_OTHERS[kind][0], name, None, of)
    known = sorted({*_KINDS.values(), "Bidirectional", "TimeDistributed", "Activation", *_FUNCTIONS, "Dense"})
    known += ["Embedding", "LayerNormalization", "Conv1D", "BatchNormalization", *_OTHERS, *_DROPPED]
    raise refuse(name, f"a layer among {', '.join(known)}", kind)


_FUNCTIONS = {"ReLU": "relu", "Softmax": "softmax"}
_OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Add": ("add", {}),
    "Concatenate": ("concat", {"axis": -1}),
    "GlobalAveragePooling1D": ("mean", {"data_format": "channels_last", "keepdims": False}),
    "GlobalMaxPooling1D": ("max", {"data_format": "channels_last", "keepdims": False}),
}


def _add_recurrent(made: Program, layer: _Layer, of: list[str], arrays: Arrays) -> str:
    if len(of) != 1:
        raise refuse(layer.name, "no state to begin with", f"{len(of)} inputs")
    both = layer.kind == "Bidirectional"
    if both and layer.inner not in _KINDS.values():
        raise refuse(layer.name, f"Bidirectional around {', '.join(_KINDS.values())}", layer.inner)
    if both:
        layer.demand(merge_mode="concat")
    config = layer.config["layer"]["config"] if both else layer.config
    one = _Layer(layer.kind, layer.name, config, layer.place, layer.entry)
    one.demand(go_backwards=False, return_state=False)
    value = made.recurrent(_part(layer, arrays), of)
    if one.flag("return_sequences"):
        return value
    return made.add("last", f"{layer.name}.last", None, [value], bidirectional=both)


def _add_convolution(made: Program, layer: _Layer, of: list[str], arrays: Arrays) -> str:
    name = layer.name
    kernel, *bias = _variables(layer.place, name, arrays, 1, 2)
    taps, stride = layer.count("kernel_size"), layer.count("strides", 1)
    dilation, groups = layer.count("dilation_rate", 1), layer.count("groups", 1)
    check(f"{name}.kernel", kernel, taps, None, layer.count("filters"))
    layer.demand(data_format="channels_last")
    around, padding = (taps - 1) * dilation, layer.config.get("padding", "valid")
    padded = {"valid": (0, 0), "causal": (around, 0), "same": (around // 2, around - around // 2)}
    if padding not in padded or (padding == "same" and stride > 1):
        raise refuse(name, "padding to be valid, causal or, of stride 1, same", padding)
    left, right = padded[padding]
    width = kernel.shape[1] * groups
    options = {"left": left, "right": right, "stride": stride, "dilation": dilation, "groups": groups}
    made.convolution(name, kernel, bias[0] if bias else None, width, of, **options)
    return made.activation(name, layer.config.get("activation"))


def _add_batch_norm(made: Program, layer: _Layer, of: list[str], arrays: Arrays) -> str:
    keys = [key for key, option in (("gamma", "scale"), ("beta", "center")) if layer.flag(option, True)]
    keys += ["mean", "variance"]
    learnt = dict(zip(keys, _variables(layer.place, layer.name, arrays, len(keys), len(keys)), strict=True))
    return made.normalisation(layer.name, learnt, learnt["mean"].size, layer.config.get("epsilon", 1e-3), of)
