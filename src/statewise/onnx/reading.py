"""An ONNX graph, node by node, as the ops of a program of the runtime's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .axes import Atom, Axis, Dim, Tensor, UnreadError, atom, is_one
from .constants import Dims, Spread, axes_of, cuts, dims_of, folded, split, weights_of, whole
from .graph import Array
from .recurrent import check_lengths, recurrent
from .scanned import Mask, Steps, less, places, scan
from .tensors import array_of, attributes_of

Given = Sequence[Any]
Attributes = Mapping[str, Any]
_FLOATS = (1, 11)
_WHOLE = (6, 7)


class Reader:
    """One reading of a graph, in which the axes of its inputs are ``order``."""

    def __init__(self, order: str, constants: Mapping[str, Array], version: int, folder: Path | None) -> None:
        self.order, self.version, self.folder = order, version, folder
        self.values: dict[str, Any] = {**constants}
        self.inputs: list[dict[str, Any]] = []
        self.ops: list[dict[str, Any]] = []
        self.arrays: dict[str, Array] = {}
        self.given: list[str] = []
        """The inputs that the program reads, as it reads them."""
        self.lengths: str | Array | None = None
        self.turns = set[str]()
        """The ops that turn all steps round, those that don't count among them."""
        self.masked = set[str]()
        """What is given of such steps by what leaves those out."""
        self.states: dict[str, list[tuple[str, int, bool, tuple[int, int]]]] = {}
        """Of an input that is a state, for each op that begins with a part of it: the op, which of its states, whether
        its rows come first, and the part."""
        self.done = 0
        self._shared: dict[tuple[str, int | None], Atom] = {}
        self.uses: dict[str, int] = {}
        self.kinds: dict[str, int] = {}

    def read(self, graph: Any) -> None:
        """All of it. UnreadError says what can't be."""
        for each in graph.input:
            if each.name not in self.values:
                self.values[each.name] = self._input(each)
        for node in graph.node:
            for name in node.input:
                self.uses[name] = self.uses.get(name, 0) + 1
        for each in graph.output:
            self.uses[each.name] = self.uses.get(each.name, 0) + 1
        for self.done, node in enumerate(graph.node):
            kind = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
            try:
                found = self._node(kind, node)
            except UnreadError as error:
                said = f": {error}" if str(error) else ""
                raise UnreadError(f"a node {kind[:60]}, {(node.name or node.output[0])[:60]!r}{said}") from None
            for name, value in zip(node.output, found, strict=False):
                if name:
                    self.values[name] = value
        self.done += 1
        if self.turns and self.lengths is not None:
            raise UnreadError("steps that are all turned round, beside lengths")

    def _input(self, told: Any) -> Any:
        """An input that nothing is known of but its type."""
        kind, shape = told.type.tensor_type.elem_type, told.type.tensor_type.shape
        sizes = [each.dim_value if each.HasField("dim_value") else None for each in shape.dim]
        if kind in _WHOLE and len(sizes) == 1:
            return Tensor(told.name, (self._atoms("N", sizes[0]),), (), "lengths")
        labels = [label for label in self.order if label != "F"] if kind in _WHOLE else list(self.order)
        if kind not in (*_FLOATS, *_WHOLE) or len(sizes) != len(labels):
            raise UnreadError(f"an input {told.name!r} of {len(sizes)} axes")
        features = next((s for s, label in zip(sizes, labels, strict=True) if label == "F"), None)
        own = (atom("F", features),) if kind in _FLOATS else ()
        axes = tuple(own if label == "F" else self._atoms(label, s) for label, s in zip(labels, sizes, strict=True))
        self.kinds[told.name] = kind
        return Tensor(told.name, axes, own, "input")

    def _atoms(self, label: str, size: int | None) -> Axis:
        return (self._shared.setdefault((label, size), atom(label, size)),)

    def _node(self, kind: str, node: Any) -> Sequence[Any]:
        attributes = attributes_of(node)
        given = [self._value(name) if name else None for name in node.input]
        if kind == "Constant":
            return [self._constant(attributes)]
        if kind == "Range" and isinstance(given[1], Dims):
            return [places(self, node, given, attributes)]
        constant = all(each is None or isinstance(each, (np.ndarray, Dims, Spread)) for each in given)
        if constant and given:
            return split(given, attributes, len(node.output)) if kind == "Split" else [folded(kind, given, attributes)]
        if kind not in READ:
            raise UnreadError("")
        found = READ[kind](self, node, given, attributes)
        return found if isinstance(found, (list, tuple)) and not isinstance(found, Tensor) else [found]

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise UnreadError(f"of {name[:60]!r}, which nothing gives")
        return self.values[name]

    def _constant(self, attributes: Attributes) -> Array:
        if "value" in attributes:
            return array_of(attributes["value"], self.folder)
        (key, value), *_ = attributes.items()
        if key not in ("value_float", "value_floats", "value_int", "value_ints"):
            raise UnreadError(f"of {key}")
        return np.array(value, np.float32 if "float" in key else np.int64)

    # What the program reads and computes

    def used(self, tensor: Any, whole_numbers: bool = False) -> Tensor:
        """A tensor as a value that an op may read: an input becomes one of the program's, a state its last step."""
        if not isinstance(tensor, Tensor) or tensor.kind == "lengths":
            raise UnreadError("of what isn't a value")
        if tensor.kind == "state":
            return self._last_of_state(tensor)
        if tensor.kind != "input":
            return tensor
        if tensor.rows is not None:
            raise UnreadError(f"of a part of the input {tensor.name!r}")
        if tensor.name not in self.given:
            is_symbols = self.kinds[tensor.name] in _WHOLE
            if is_symbols != whole_numbers or (not is_symbols and not tensor.features[0].size):
                raise UnreadError(f"of the input {tensor.name!r}, whose width isn't known")
            self.given.append(tensor.name)
            kind = "symbols" if is_symbols else "exact" if self.kinds[tensor.name] == 11 else "values"
            self.inputs.append({"name": tensor.name, "kind": kind, "width": tensor.width or 1})
        return replace(tensor, kind="symbols" if whole_numbers else "values")

    def op(
        self, op: str, wish: str, of: Sequence[str], arrays: Mapping[str, Array] | None = None, **options: Any
    ) -> str:
        """A new op; its name."""
        taken, k = {each["name"] for each in self.ops} | {each["name"] for each in self.inputs}, 1
        wish = name = wish or op
        while name in taken or name in self.kinds:
            name = f"{wish}_{(k := k + 1)}"
        self.ops.append({"op": op, "name": name, "of": list(of), **options})
        self.arrays |= {f"{name}.{key}": np.ascontiguousarray(array) for key, array in (arrays or {}).items()}
        return name

    def prune(self, read: set[str]) -> None:
        """Leave out the ops that nothing of ``read`` needs, such as products that a layer has taken over."""
        kept, names = [], {*read, *(part[0] for parts in self.states.values() for part in parts)}
        for entry in reversed(self.ops):
            if entry["name"] in names:
                names.update(entry["of"])
                kept.append(entry)
        self.ops = kept[::-1]
        gone = [key for key in self.arrays if not any(key.startswith(f"{entry['name']}.") for entry in self.ops)]
        for key in gone:
            del self.arrays[key]

    def _last_of_state(self, tensor: Tensor) -> Tensor:
        """What a layer's output ends with, of its final h."""
        entry = next(each for each in self.ops if each["name"] == tensor.name)
        if tensor.letter:
            raise UnreadError("of a state that isn't an output")
        both: dict[str, Any] = {"bidirectional": True} if entry.get("bidirectional") else {}
        name = self.op("last", f"{tensor.name}.last", [tensor.name], **both)
        if both and tensor.rows is not None and tensor.rows != (0, 2):
            name = self.selected(name, tensor.rows[0] * tensor.width, tensor.width, 2 * tensor.width)
        return replace(tensor, name=name, kind="summary", rows=None)

    def selected(self, name: str, begin: int, width: int, of: int) -> str:
        """So many features from a number on, ``of`` so many."""
        weight = np.eye(of, dtype=np.float32)[begin : begin + width]
        return self.op("linear", f"{name}.{begin}", [name], {"weight": weight})

    def mapped(self, x: Tensor, name: str, width: int) -> Tensor:
        """``x``, whose last axis are its features, after an op that gives so many."""
        own = (atom("F", width),)
        return replace(x, name=name, axes=(*x.axes[:-1], own), features=own)


def _same(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    return [given[0]] * max(1, len(node.output))


def _dropout(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    if len(given) > 2 and given[2] is not None and (not isinstance(given[2], np.ndarray) or given[2].any()):
        raise UnreadError("in training")
    return given[0]


def _cast(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, to = given[0], attributes.get("to")
    if isinstance(x, Tensor) and x.kind == "input":
        if (reader.kinds[x.name] in _WHOLE) == (to in _WHOLE) and to in (*_WHOLE, *_FLOATS):
            return x
    elif isinstance(x, Tensor) and to in (_WHOLE if x.kind in ("symbols", "lengths") else _FLOATS):
        return x
    raise UnreadError("to another kind of number")


def _transpose(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    if isinstance(given[0], list):
        if tuple(attributes.get("perm", ())) != (1, 0, 2):
            raise UnreadError("of several states")
        return _beside(reader, node, given[0])
    return given[0].turned(attributes.get("perm", range(given[0].rank)[::-1]))


def _beside(reader: Reader, node: Any, parts: Sequence[Tensor]) -> Tensor:
    """Several final states (1, N, H), which lie one after the other, as (N, D, H)."""
    values = [reader.used(part) for part in parts]
    if any(each.kind != "summary" or each.width != values[0].width or each.rank != 3 for each in values):
        raise UnreadError("of several states")
    name = reader.op("concat", node.name, [each.name for each in values])
    d, units = atom("D", len(values)), atom("F", values[0].width)
    return replace(values[0], name=name, axes=(values[0].axes[1], (d,), (units,)), features=(d, units))


def _unsqueeze(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    if isinstance(given[0], (Mask, Steps)):
        return given[0]
    return given[0].widened(axes_of(given, attributes) or ())


def _squeeze(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    return given[0].squeezed(axes_of(given, attributes))


def _reshape(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    return given[0].reshaped(dims_of(given[1]), not attributes.get("allowzero"))


def _flatten(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, at = given[0], attributes.get("axis", 1)
    parts = x.axes[:at], x.axes[at:]
    return replace(x, axes=tuple(tuple(each for axis in part for each in axis) for part in parts))


def _shape(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    dims: list[Dim] = []
    for axis in given[0].axes:
        known = [each for each in axis if each.label not in "TN"]
        open_ones = tuple(each for each in axis if each.label in "TN")
        size = int(np.prod([each.size or 0 for each in known]))
        if open_ones and size != 1:
            raise UnreadError("of an axis that mixes time or rows with features")
        dims.append(open_ones or size)
    found = dims[slice(attributes.get("start", 0), attributes.get("end"))]
    numbers = [dim for dim in found if isinstance(dim, int)]
    return np.array(numbers, np.int64) if len(numbers) == len(found) else Dims(tuple(found))


def _gather(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, at = given[0], given[1]
    if isinstance(x, np.ndarray):
        if attributes.get("axis", 0) or x.ndim != 2:
            raise UnreadError("of what isn't an embedding")
        value = reader.used(at, whole_numbers=True)
        if value.kind != "symbols":
            raise UnreadError("by what aren't symbols")
        for each in reader.inputs:
            if each["name"] == value.name:
                each["width"] = len(x)
        own = (atom("F", x.shape[1]),)
        name = reader.op("embedding", node.name, [value.name], {"weight": x})
        return replace(value, name=name, axes=(*value.axes, own), features=own, kind="values")
    (place,) = whole(at)
    if isinstance(x, list):
        found = _of_layers(x, attributes.get("axis", 0), place)
        return replace(found, axes=found.axes[1:]) if at.ndim == 0 else found
    axis = x.axis(attributes.get("axis", 0))
    found = _taken(reader, x, axis, place, place + 1 if place != -1 else None)
    return replace(found, axes=(*found.axes[:axis], *found.axes[axis + 1 :])) if at.ndim == 0 else found


def _taken(reader: Reader, x: Tensor, axis: int, start: int, stop: int | None) -> Tensor:
    """A part of an axis, which stays: the last step, or one of the directions of a state."""
    own = x.axes[axis]
    if x.kind in ("values", "input") and [each.label for each in own] == ["T"]:
        if x.kind == "input" and (start >= 0 or stop is not None):
            return _rows(x, axis, start, stop)
        length = own[0].size
        if not (start == -1 and stop is None) and not (length and start % length == length - 1):
            raise UnreadError("of a step that isn't the last")
        x = reader.used(x)
        name = reader.op("last", f"{x.name}.last", [x.name])
        axes = (*x.axes[:axis], (), *x.axes[axis + 1 :])
        return replace(x, name=name, axes=axes, kind="summary")
    if x.kind in ("state", "input"):
        return _rows(x, axis, start, stop)
    if is_one(own) and start in (0, -1):
        return replace(x, axes=(*x.axes[:axis], (), *x.axes[axis + 1 :]))
    raise UnreadError("of what is neither time nor the layers of a state")


def _rows(x: Tensor, axis: int, start: int, stop: int | None) -> Tensor:
    """A part of the layers of a state, which its first axis tells."""
    own = x.axes[axis]
    size = own[0].size if len(own) == 1 else None
    if axis or size is None or x.rows is not None:
        raise UnreadError("of a part of a state")
    part = range(size)[slice(start, stop)]
    if not len(part):
        raise UnreadError("of no part of a state")
    less = own[0]._replace(size=len(part))
    features = (less, *x.features[1:]) if x.kind == "state" else x.features
    return replace(x, axes=((less,), *x.axes[1:]), rows=(part[0], part[-1] + 1), features=features)


def _of_layers(parts: Sequence[Tensor], axis: int, place: int) -> Tensor:
    """One of the layers' and directions' final states, which lie one after the other."""
    ends = np.cumsum([part.axes[0][0].size or 0 for part in parts]).tolist()
    if axis or not -ends[-1] <= place < ends[-1]:
        raise UnreadError("of a part of a state")
    place %= ends[-1]
    k = next(k for k, end in enumerate(ends) if place < end)
    place -= ends[k - 1] if k else 0
    return _rows(parts[k], 0, place, place + 1) if ends[k] - (ends[k - 1] if k else 0) > 1 else parts[k]


def _turned(reader: Reader, x: Tensor, name: str) -> Tensor:
    """The last step first."""
    x = reader.used(x)
    return replace(x, name=reader.op("reverse", name, [x.name]))


def _reverse(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, lengths = given
    if not isinstance(x, Tensor) or x.kind not in ("values", "input") or x.rank != 3:
        raise UnreadError("of what isn't a value of each step")
    if (attributes.get("time_axis", 0), attributes.get("batch_axis", 1)) != (x.place("T"), x.place("N")):
        raise UnreadError("over axes that aren't time and rows")
    check_lengths(reader, reader.used(x), lengths)
    return _turned(reader, x, node.name)


def _slice(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x = given[0]
    if isinstance(x, Mask):
        return replace(x, turned=not x.turned)
    for axis, start, stop, step in cuts(given, attributes):
        if step == -1 and start == -1 and stop < -(2**30) and isinstance(x, Tensor) and x.axis(axis) == x.place("T"):
            own = x.name in reader.masked
            x = _turned(reader, x, node.name)
            if not own:
                reader.turns.add(x.name)
            continue
        if step != 1:
            raise UnreadError("by steps")
        far = stop > 2**30
        if start == 0 and far:
            continue
        x = _taken(reader, x, x.axis(axis), start, None if far else stop)
    return x


def _split(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, axis = given[0], attributes.get("axis", 0)
    sizes = attributes.get("split") or (whole(given[1]) if len(given) > 1 and given[1] is not None else None)
    if sizes is None:
        own = x.axes[x.axis(axis)]
        size = own[0].size or 0 if len(own) == 1 else 0
        sizes = [size // len(node.output)] * len(node.output)
    ends = np.cumsum(sizes).tolist()
    if x.kind == "values" and x.axis(axis) == x.rank - 1:
        x.needs_features_last()
        if sum(sizes) != x.width or min(sizes) < 1:
            raise UnreadError("into parts of another size")
        return [
            reader.mapped(x, reader.selected(x.name, end - size, size, x.width), size)
            for size, end in zip(sizes, ends, strict=True)
        ]
    return [_taken(reader, x, x.axis(axis), end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _concat(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    axis = attributes.get("axis", 0)
    flat = [part for each in given for part in (each if isinstance(each, list) else [each])]
    if all(isinstance(each, Tensor) and each.kind == "state" for each in flat):
        if axis == 0:
            return [flat]
        return _ends(reader, flat, axis)
    values = [reader.used(each) for each in given]
    first = values[0]
    if first.axis(axis) != first.rank - 1 or any(each.axes[:-1] != first.axes[:-1] for each in values):
        raise UnreadError("along an axis that isn't that of the features")
    for each in values:
        each.needs_features_last()
    name = reader.op("concat", node.name, [each.name for each in values])
    return reader.mapped(first, name, sum(each.width for each in values))


def _ends(reader: Reader, parts: Sequence[Tensor], axis: int) -> Tensor:
    """What both directions end with, side by side: cat((h_n[-2], h_n[-1]), -1)."""
    first = parts[0]
    size = len(parts)
    if (
        any(each.name != first.name or each.letter for each in parts)
        or [each.rows for each in parts] != [(k, k + 1) for k in range(size)]
        or first.axis(axis) != first.rank - 1
    ):
        raise UnreadError("of states")
    entry = next(each for each in reader.ops if each["name"] == first.name)
    if size != 1 + entry.get("bidirectional", False):
        raise UnreadError("of states")
    ways = first.features[0]._replace(size=size)
    whole_state = replace(first, rows=None, features=(ways, *first.features[1:]))
    found = reader.used(whole_state)
    return reader.mapped(replace(first, kind="summary"), found.name, found.width)


def _activation(function: str) -> Callable[..., Any]:
    def read(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
        x = reader.used(given[0])
        if "soft" in function and function != "softplus":
            if x.axis(attributes.get("axis", -1 if reader.version >= 13 else 1)) != x.rank - 1:
                raise UnreadError("over an axis that isn't the last")
            x.needs_features_last()
        return replace(x, name=reader.op("activation", node.name, [x.name], function=function))

    return read


def _linear(reader: Reader, node: Any, given: Given, weight: Any, bias: Any) -> Tensor:
    """x W^T + b."""
    x = reader.used(given[0])
    x.needs_features_last()
    if not isinstance(weight, np.ndarray) or weight.ndim != 2 or weight.shape[1] != x.width:
        raise UnreadError("by what isn't a matrix of weights that fits")
    arrays = {"weight": weight}
    if bias is not None:
        if not isinstance(bias, np.ndarray) or bias.size not in (1, len(weight)):
            raise UnreadError("with a bias that doesn't fit")
        arrays["bias"] = np.broadcast_to(bias.reshape(-1), len(weight))
    return reader.mapped(x, reader.op("linear", node.name, [x.name], arrays), len(weight))


def _matmul(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    weight = given[1].T if isinstance(given[1], np.ndarray) and given[1].ndim == 2 else None
    return _linear(reader, node, given, weight, None)


def _gemm(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    weight, bias = given[1], given[2] if len(given) > 2 else None
    if attributes.get("transA") or not isinstance(weight, np.ndarray) or weight.ndim != 2:
        raise UnreadError("that isn't a layer's product")
    weight = (weight if attributes.get("transB") else weight.T) * weight.dtype.type(attributes.get("alpha", 1.0))
    if isinstance(bias, np.ndarray):
        bias = bias * bias.dtype.type(attributes.get("beta", 1.0))
    return _linear(reader, node, given, weight, bias)


def _affine(reader: Reader, x: Tensor, scale: Array, bias: Array | None, name: str) -> Tensor:
    """Each feature times a number, plus a number: a convolution of one channel for each."""
    arrays = {"weight": scale.reshape(-1, 1, 1)} | ({} if bias is None else {"bias": bias})
    return replace(x, name=reader.op("convolution", name, [x.name], arrays, positions=1, groups=x.width))


def _arithmetic(op: str) -> Callable[..., Any]:
    def read(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
        a, b = given
        if isinstance(a, np.ndarray) and op in ("Add", "Mul"):
            a, b = b, a
        if isinstance(b, np.ndarray):
            return _by_constant(reader, op, node, reader.used(a), b)
        if isinstance(a, np.ndarray):
            raise UnreadError("of a constant and a value in this order")
        x, y = reader.used(a), reader.used(b)
        if op == "Mul":
            for left, right in ((x, y), (y, x)):
                made = next((each for each in reader.ops if each["name"] == right.name), {})
                if made.get("function") == "sigmoid" and made["of"] == [left.name] and left.axes == right.axes:
                    return replace(left, name=reader.op("activation", node.name, [left.name], function="silu"))
        if op != "Add" or x.axes[:-1] != y.axes[:-1] or x.width != y.width:
            raise UnreadError("of two values")
        x.needs_features_last()
        y.needs_features_last()
        return replace(x, name=reader.op("add", node.name, [x.name, y.name]))

    return read


def _by_constant(reader: Reader, op: str, node: Any, x: Tensor, b: Array) -> Tensor:
    if b.size == 1:
        b = np.broadcast_to(b.reshape(1), x.width)
    else:
        x.needs_features_last()
        if b.shape[-1] != x.width or b.size != x.width:
            raise UnreadError("with a constant that doesn't fit the features")
        b = b.reshape(-1)
    b = b.astype(np.float64)
    before = reader.ops[-1] if reader.ops else {}
    takes_bias = before.get("op") == "linear" or before.get("positions") == 1
    is_alone = all(reader.uses.get(name, 0) <= 1 for name in node.input) and before.get("name") == x.name
    if op == "Add" and takes_bias and is_alone and f"{x.name}.bias" not in reader.arrays:
        reader.arrays[f"{x.name}.bias"] = b.astype(np.float32)
        return x
    with np.errstate(divide="ignore"):
        scale = {"Mul": b, "Div": 1 / b}.get(op, np.ones_like(b))
    if not np.isfinite(scale).all():
        raise UnreadError("by nothing")
    bias = {"Add": b, "Sub": -b}.get(op)
    return _affine(reader, x, scale.astype(np.float32), None if bias is None else bias.astype(np.float32), node.name)


def _norm(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x = reader.used(given[0])
    x.needs_features_last()
    if x.axis(attributes.get("axis", -1)) != x.rank - 1 or len(node.output) > 1:
        raise UnreadError("over an axis that isn't the last")
    arrays = {name: value for name, value in zip(("weight", "bias"), given[1:], strict=False) if value is not None}
    arrays = {name: np.broadcast_to(weights_of(value), x.width) for name, value in arrays.items()}
    epsilon = float(attributes.get("epsilon", 1e-5))
    return replace(x, name=reader.op("norm", node.name, [x.name], arrays, epsilon=epsilon))


def _batch_norm(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x = reader.used(given[0])
    scale, bias, mean, variance = (weights_of(each).astype(np.float64) for each in given[1:])
    if attributes.get("training_mode") or x.rank < 2 or x.axes[1] != x.features or len(scale) != x.width:
        raise UnreadError("of an axis that isn't that of the features")
    scale = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    bias = bias - mean * scale
    return _affine(reader, x, scale.astype(np.float32), bias.astype(np.float32), node.name)


def _convolution(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x, weight = reader.used(given[0]), weights_of(given[1])
    if weight.shape[2:] == (1,) and x.rank == 3 and x.axes[1] == x.features and is_one(x.axes[2]):
        return _of_each_step(reader, node, x, given, attributes)
    if weight.ndim != 3 or x.place("N") != 0 or x.place("T") != 2 or x.rank != 3 or x.axes[1] != x.features:
        raise UnreadError("that isn't over time, of (N, C, T)")
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnreadError("that pads by itself")
    (stride,), (dilation,) = attributes.get("strides", [1]), attributes.get("dilations", [1])
    left, right = attributes.get("pads", [0, 0])
    told = {"left": left, "right": right, "stride": stride, "dilation": dilation, "groups": attributes.get("group", 1)}
    told = {name: value for name, value in told.items() if value != (0 if name in ("left", "right") else 1)}
    arrays = {"weight": weight} | ({"bias": weights_of(given[2])} if len(given) > 2 else {})
    name, own = reader.op("convolution", node.name, [x.name], arrays, **told), (atom("F", len(weight)),)
    keeps = left + right == (weight.shape[2] - 1) * dilation and stride == 1
    time = x.axes[2] if keeps else (atom("T", None),)
    return replace(x, name=name, axes=(x.axes[0], own, time), features=own)


def _of_each_step(reader: Reader, node: Any, x: Tensor, given: Given, attributes: Attributes) -> Tensor:
    """A convolution of one place over one place."""
    if set(attributes.get("pads", [0])) != {0} or set(attributes.get("strides", [1])) != {1}:
        raise UnreadError("of one place with more around it")
    weight, groups = weights_of(given[1]), attributes.get("group", 1)
    arrays = {"weight": weight} | ({"bias": weights_of(given[2])} if len(given) > 2 else {})
    more = {"groups": groups} if groups > 1 else {}
    name, own = reader.op("convolution", node.name, [x.name], arrays, positions=1, **more), (atom("F", len(weight)),)
    return replace(x, name=name, axes=(x.axes[0], own, x.axes[2]), features=own)


def _over_time(op: str) -> Callable[..., Any]:
    def read(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
        x = reader.used(given[0])
        axes = axes_of(given, attributes)
        time = x.place("T")
        if axes is None or time is None or [x.axis(k) for k in axes] != [time]:
            raise UnreadError("over an axis that isn't time")
        name = reader.op(op, node.name, [x.name])
        middle = [()] if attributes.get("keepdims", 1) else []
        return replace(x, name=name, axes=(*x.axes[:time], *middle, *x.axes[time + 1 :]), kind="summary")

    return read


def _argmax(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    x = reader.used(given[0])
    x.needs_features_last()
    last = x.axis(attributes.get("axis", 0)) == x.rank - 1
    if not last or attributes.get("select_last_index") or x.kind == "summary":
        raise UnreadError("over an axis that isn't that of the features")
    axes = x.axes[:-1] if not attributes.get("keepdims", 1) else (*x.axes[:-1], ())
    return replace(x, name=reader.op("path", node.name, [x.name]), axes=axes, features=(), kind="symbols")


READ: dict[str, Callable[..., Any]] = {
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Shape": _shape,
    "Gather": _gather,
    "Slice": _slice,
    "Less": less,
    "Scan": scan,
    "ReverseSequence": _reverse,
    "Split": _split,
    "Concat": _concat,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "LayerNormalization": _norm,
    "BatchNormalization": _batch_norm,
    "Conv": _convolution,
    "ReduceMean": _over_time("mean"),
    "ReduceMax": _over_time("max"),
    "ArgMax": _argmax,
    "RNN": recurrent,
    "GRU": recurrent,
    "LSTM": recurrent,
    **{op: _arithmetic(op) for op in ("Add", "Sub", "Mul", "Div")},
    **{
        op: _activation(function)
        for op, function in {
            "Relu": "relu",
            "Tanh": "tanh",
            "Sigmoid": "sigmoid",
            "Softplus": "softplus",
            "Softmax": "softmax",
            "LogSoftmax": "log_softmax",
        }.items()
    },
}
"""How each kind of node is read."""
