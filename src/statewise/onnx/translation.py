"""The runtime's program as ONNX: each of its ops as a few nodes. What a program is docs/runtime.md says.

Programs are taken to be right: the runtime has looked at those of files, and ``statewise.save`` writes the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..cells import by_name
from ..stack import Stack
from . import nodes
from .graph import Array, Graph
from .scan import Layer, normalised

Entry = Mapping[str, Any]
NEVER = -1e4  # the score of a move that may not be
_DTYPES = {"exact": np.float64, "symbols": np.int64}


class UnsaidError(ValueError):
    """What ONNX can't be told."""


@dataclass(frozen=True)
class Value:
    """What an op gives: (T, N, F), of symbols (T, N), of what sums up the steps by now (N, F)."""

    name: str
    width: int
    kind: str = "values"
    """Or ``symbols``; or ``summary``."""
    steps: str = "T"
    """What T is called."""
    lengths: str | None = None
    """How many of the steps of each row count, int64 (N,)."""
    last: str | None = None
    """The last step's of each row (N, F), where that is at hand."""


@dataclass
class Translation:
    """A graph into which programs are written, one after the other.

    ``dtype`` is that of the weights; ``states`` whether what the ops keep is an input and an output; ``native`` whether
    layers that ONNX has nodes for become these.
    """

    dtype: np.dtype[Any]
    states: bool
    native: bool = True
    graph: Graph = field(init=False)
    starts: dict[str, Array] = field(default_factory=dict)
    """Of the states those that don't begin as zeros, one row each."""
    begun: Mapping[str, str] = field(default_factory=dict)
    """By the names of ops and their states those that are given in the graph, (..., N, F)."""
    ended: dict[str, str] | None = None
    """Likewise what they come to; None: nobody asks."""

    def __post_init__(self) -> None:
        self.graph = Graph(self.dtype)

    def input(self, entry: Entry, lengths: str | None, batch_first: bool = False, axes: Sequence[str] = "TN") -> Value:
        """An input of a program as one of the graph."""
        g, (name, kind, width) = self.graph, (entry[word] for word in ("name", "kind", "width"))
        dims: list[str | int] = [*(reversed(axes) if batch_first else axes), *([] if kind == "symbols" else [width])]
        value = g.input(name, _DTYPES.get(kind, self.dtype), dims)
        if batch_first:
            value = g.node("Transpose", value, perm=[1, 0, 2][: len(dims)])
        return Value(value, width, "symbols" if kind == "symbols" else "values", axes[0], lengths)

    def run(self, content: Entry, arrays: Mapping[str, Array], given: Mapping[str, Value]) -> list[Value]:
        """The results of a program that reads ``given``."""
        values = dict(given)
        stateful = [entry for entry in content["ops"] if entry["op"] in _STATEFUL]
        for entry in content["ops"]:
            name = entry.get("name", entry["op"])
            read = [values[each] for each in entry.get("of", [list(values)[-1]])]
            made = OPS.get(entry["op"])
            if made is None:
                raise UnsaidError(f"the op {entry['op']}, {name}")
            dtype = np.float64 if entry["op"] == "scale" else self.dtype
            own = {
                key[len(name) + 1 :]: array.astype(dtype) if array.dtype.kind == "f" else array
                for key, array in arrays.items()
                if key.startswith(f"{name}.")
            }
            prefix = "" if len(stateful) == 1 else f"{name}."
            values[name] = made(Part(self, name, entry, own, prefix), *read)
        return [values[name] for name in content.get("results", [list(values)[-1]])]

    def output(self, value: Value, name: str, batch_first: bool) -> None:
        """A result of a program as an output of the graph."""
        dims: list[int | str] = ["N", value.width]
        g, found = self.graph, value.name
        if value.kind != "summary":
            dims = [value.steps, *dims] if value.kind == "values" else [value.steps, "N"]
            if batch_first:
                dims[:2] = dims[1::-1]
                found = g.node("Transpose", found, perm=[1, 0, 2][: len(dims)])
        g.output(found, name, np.int64 if value.kind == "symbols" else self.dtype, dims)


@dataclass(frozen=True)
class Part:
    """One op of a program: what is told of it, and the graph that it is written to."""

    whole: Translation
    name: str
    entry: Entry
    arrays: Mapping[str, Array]
    """Its tensors."""
    prefix: str
    """What its states are called with."""

    @property
    def g(self) -> Graph:
        """The graph."""
        return self.whole.graph

    def there(self, x: Value) -> str:
        """Which steps of ``x`` count: bool (T, N, 1)."""
        assert x.lengths is not None
        steps = self.g.node("Range", *(self.g.constant(np.array(0)), self._count(x), self.g.constant(np.array(1))))
        counts = self.g.node("Less", self.g.node("Unsqueeze", steps, self.g.whole(1)), x.lengths)
        return self.g.node("Unsqueeze", counts, self.g.whole(2))

    def _count(self, x: Value) -> str:
        return self.g.node("Squeeze", self.g.size(x.name, 0))

    def filled(self, array: Array, x: Value) -> str:
        """``array`` (..., 1, F) for all rows of ``x`` (T, N, F): (..., N, F)."""
        rows = self.g.size(x.name, 1)
        lead = [self.g.whole(*array.shape[:-2])] if array.ndim > 2 else []
        dims = self.g.node("Concat", *lead, rows, self.g.whole(array.shape[-1]), axis=0)
        return self.g.node("Expand", self.g.constant(array, "begin"), dims)

    def before(self, letter: str, start: Array, x: Value, always: bool = False) -> str | None:
        """The state (..., N, F) that the op goes on from, by default ``start`` (..., 1, F); None for zeros that nobody
        gives, unless they are needed (``always``).
        """
        if f"{self.name}.{letter}" in self.whole.begun:
            return self.whole.begun[f"{self.name}.{letter}"]
        if self.whole.states:
            name = f"{self.prefix}{letter}_0"
            if start.any():
                self.whole.starts[name] = start
            return self.g.input(name, start.dtype, [*start.shape[:-2], "N", start.shape[-1]])
        return self.filled(start, x) if always or start.any() else None

    def after(self, letter: str, value: str, start: Array) -> None:
        """Give a state out."""
        if self.whole.ended is not None:
            self.whole.ended[f"{self.name}.{letter}"] = value
        if self.whole.states:
            self.g.output(value, f"{self.prefix}{letter}_n", start.dtype, [*start.shape[:-2], "N", start.shape[-1]])


def _embedding(op: Part, x: Value) -> Value:
    weight = op.arrays["weight"]
    return replace(x, name=op.g.node("Gather", op.g.constant(weight, f"{op.name}.weight"), x.name), width=len(weight.T),
                   kind="values")  # fmt: skip


def _linear(op: Part, x: Value) -> Value:
    weight, bias = op.arrays["weight"], op.arrays.get("bias")
    found = op.g.node("MatMul", x.name, op.g.constant(weight.T, f"{op.name}.weight"))
    if bias is not None:
        found = op.g.node("Add", found, op.g.constant(bias, f"{op.name}.bias"))
    return replace(x, name=found, width=len(weight), last=None)


def _norm(op: Part, x: Value) -> Value:
    gain = op.arrays.get("weight", np.ones(x.width, op.g.dtype))
    found = normalised(op.g, x.name, gain, op.arrays.get("bias"), op.entry.get("epsilon", 1e-5))
    return replace(x, name=found, last=None)


_FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus"}
_OVER_FEATURES = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}


def _activation(op: Part, x: Value) -> Value:
    function = op.entry["function"]
    if function in _OVER_FEATURES:
        found = op.g.node(_OVER_FEATURES[function], x.name, axis=-1)
    elif function == "silu":
        found = op.g.node("Mul", x.name, op.g.node("Sigmoid", x.name))
    elif function in _FUNCTIONS:
        found = op.g.node(_FUNCTIONS[function], x.name)
    else:
        raise UnsaidError(f"the function {function}, {op.name}")
    return replace(x, name=found, last=None)


def _add(op: Part, *given: Value) -> Value:
    found = given[0].name
    for each in given[1:]:
        found = op.g.node("Add", found, each.name)
    return replace(given[0], name=found, last=None)


def _concat(op: Part, *given: Value) -> Value:
    found = op.g.node("Concat", *[each.name for each in given], axis=-1)
    return replace(given[0], name=found, width=sum(each.width for each in given), last=None)


def stack_of(entry: Entry, width: int) -> Stack:
    """What a program says of a recurrent op."""
    return Stack(
        by_name(entry["cell"]),
        width,
        entry["hidden_size"],
        entry.get("num_layers", 1),
        entry.get("bidirectional", False),
        entry.get("bias", True),
        entry.get("proj_size", 0),
        num_heads=entry.get("num_heads", 1),
        zoneout=tuple(entry.get("zoneout", ())),
        clip=entry.get("clip", 0.0),
    )


def _recurrent(op: Part, x: Value) -> Value:
    g, stack = op.g, stack_of(op.entry, x.width)
    d, letters = stack.directions, stack.cell.states
    places = [f"_l{k}{way}" for k in range(stack.num_layers) for way in ("", "_reverse")[:d]]
    starts = []
    for letter, width in zip(letters, stack.state_sizes, strict=True):
        start = np.zeros((stack.depth, 1, width), g.dtype)
        if op.entry.get("initial"):
            start[:, 0] = [op.arrays[f"initial_{letter}{place}"] for place in places]
        starts.append(start)
    native = op.whole.native and nodes.is_native(stack)
    native &= g.dtype == np.float32  # of float64 onnxruntime has no such nodes
    states = [op.before(letter, start, x, not native) for letter, start in zip(letters, starts, strict=True)]
    cut = [
        None if state is None else g.split(state, [d] * stack.num_layers, axis=0) for state in states
    ]  # of each letter a state (D, N, .) a layer
    weights = [{w.name: op.arrays[w.name + place] for w in stack.weights} for place in places]
    write = _native if native else _scanned
    counts = None if x.lengths is None else op.there(x) if write is _scanned else g.node("Cast", x.lengths, to=6)
    found, finals = x.name, list[list[str]]()
    for k in range(stack.num_layers):
        before = [None if each is None else each[k] for each in cut]
        wish = op.name if stack.num_layers == 1 else f"{op.name}.l{k}"
        found, final = write(g, stack, weights[k * d : (k + 1) * d], found, before, counts, wish)
        finals.append(final)
    for letter, start, *each in zip(letters, starts, *finals, strict=True):
        op.after(letter, g.node("Concat", *each, axis=0) if len(each) > 1 else each[0], start)
    last = None
    if stack.state_sizes[0] == stack.output_size:  # h is what the layer puts out
        h = finals[-1][0]
        last = g.node("Squeeze", h, g.whole(0)) if d == 1 else _joined(g, h, (1, 0, 2), stack.width)
    return replace(x, name=found, width=stack.width, last=last)


def _joined(g: Graph, value: str, perm: Sequence[int], width: int) -> str:
    """What two directions give, with the axis of the directions before the features: as one, of ``width``."""
    return g.reshape(g.node("Transpose", value, perm=perm), *[0] * (len(perm) - 2), width)


def _native(
    g: Graph,
    stack: Stack,
    weights: Sequence[Mapping[str, Array]],
    x: str,
    state: Sequence[str | None],
    counts: str | None,
    wish: str,
) -> tuple[str, list[str]]:
    """A layer as ONNX's own node: the output (T, N, D*H) and the final states (D, N, H)."""
    kind, h = nodes.KINDS[stack.cell.name], stack.hidden_size

    def stacked(name: str) -> Array:
        """(D, G*H, .), with the gates in ONNX's order."""
        array = np.stack([own[name] for own in weights])
        gates = array.reshape(len(weights), -1, h, *array.shape[2:])[:, list(nodes.GATES[kind])]
        return np.asarray(gates.reshape(array.shape))

    given = [x, g.constant(stacked("weight_ih"), f"{wish}.W"), g.constant(stacked("weight_hh"), f"{wish}.R")]
    biases = [stacked("bias_ih"), stacked("bias_hh")] if stack.bias else []
    given.append(g.constant(np.concatenate(biases, axis=1), f"{wish}.B") if biases else "")
    given += [counts or "", *(each or "" for each in state)]
    while not given[-1]:
        given.pop()
    outputs = [f"{wish}/y", *(f"{wish}/{letter}" for letter in stack.cell.states)]
    y, *final = g.several(kind, given, outputs, **nodes.attributes(stack))  # y (T, D, N, H)
    if counts and state[0]:  # of a row without steps onnxruntime gives zeros, and not the state that it had
        none = g.node("Unsqueeze", g.node("Equal", counts, g.constant(np.array(0, np.int32))), g.whole(0, 2))
        final = [g.node("Where", none, str(a), b) for a, b in zip(state, final, strict=True)]
    y = _joined(g, y, (0, 2, 1, 3), stack.width) if stack.bidirectional else g.node("Squeeze", y, g.whole(1))
    return y, final


def _scanned(
    g: Graph,
    stack: Stack,
    weights: Sequence[Mapping[str, Array]],
    x: str,
    state: Sequence[str | None],
    counts: str | None,
    wish: str,
) -> tuple[str, list[str]]:
    """Likewise as a Scan for each direction."""
    outputs, finals = [], []
    before = [g.split(str(each), [1] * stack.directions, axis=0) for each in state]
    for k, own in enumerate(weights):
        start = [g.node("Squeeze", each[k], g.whole(0)) for each in before]
        label = f"{wish}.reverse" if k else wish
        y, final = Layer(stack, own).scan(g, x, start, counts, bool(k), label)
        outputs.append(y)
        finals.append([g.node("Unsqueeze", each, g.whole(0)) for each in final])
    if len(weights) == 1:
        return outputs[0], finals[0]
    return g.node("Concat", *outputs, axis=-1), [g.node("Concat", *each, axis=0) for each in zip(*finals, strict=True)]


def _gathered(op: Part, x: Value, at: str) -> str:
    """Of each row of ``x`` (T, N, F) the steps ``at`` (N, T'): (N, T', F)."""
    rows = op.g.node("Transpose", x.name, perm=[1, 0, 2])
    return op.g.node("GatherND", rows, op.g.node("Unsqueeze", at, op.g.whole(2)), batch_dims=1)


def _ends(op: Part, x: Value, before: str | None) -> str:
    """The last step of each row (N, F); of a row without any ``before`` or zeros."""
    if x.lengths is None:
        return op.g.node("Gather", x.name, op.g.constant(np.array(-1)), axis=0)
    lengths = op.g.node("Unsqueeze", x.lengths, op.g.whole(1))  # (N, 1)
    at = op.g.node("Max", op.g.node("Sub", lengths, op.g.whole(1)), op.g.whole(0))
    found = op.g.node("Squeeze", _gathered(op, x, at), op.g.whole(1))
    return op.g.node("Where", op.g.node("Greater", lengths, op.g.whole(0)), found, before or op.g.constant(0))


def _last(op: Part, x: Value) -> Value:
    found, start = x.last, np.zeros((1, x.width), op.g.dtype)
    if found is None:
        both = op.entry.get("bidirectional", False)
        if both and op.whole.states:
            raise UnsaidError(f"states beside the last step of both directions, {op.name}")
        before = op.before("last", start, x) if x.lengths or op.whole.states else None
        found = _ends(op, x, before)
        op.after("last", found, start)
        if both:
            half = [x.width // 2] * 2
            first = op.g.node("Gather", x.name, op.g.constant(np.array(0)), axis=0)
            found = op.g.node("Concat", op.g.split(found, half)[0], op.g.split(first, half)[1], axis=-1)
    return Value(found, x.width, "summary")


def _max(op: Part, x: Value) -> Value:
    start = np.full((1, x.width), -np.inf, op.g.dtype)
    steps = x.name if x.lengths is None else op.g.node("Where", op.there(x), x.name, op.g.constant(-np.inf))
    found = op.g.node("ReduceMax", steps, op.g.whole(0), keepdims=0)
    if op.whole.states:
        found = op.g.node("Max", found, str(op.before("max", start, x)))
        op.after("max", found, start)
    return Value(found, x.width, "summary")


def _mean(op: Part, *given: Value) -> Value:
    g, x = op.g, given[-1]
    if len(given) == 1 and x.lengths is None and not op.whole.states:
        return Value(g.node("ReduceMean", x.name, g.whole(0), keepdims=0), x.width, "summary")
    steps, scores = x.name, given[0].name if len(given) > 1 else None
    zero, least = g.constant(0), g.constant(-np.inf)
    if scores is None:
        dims = g.node("Concat", g.node("Shape", steps, end=2), g.whole(1), axis=0)
        scores = g.node("Expand", zero, dims)  # (T, N, 1)
    if x.lengths is not None:
        there = op.there(x)
        scores, steps = g.node("Where", there, scores, least), g.node("Where", there, steps, zero)
    highest = g.node("ReduceMax", scores, g.whole(0), keepdims=0)  # (N, 1)
    one = np.zeros((1, 1), g.dtype)
    starts = np.zeros((1, x.width), g.dtype), one, np.full_like(one, -np.inf)
    letters = "total", "weight", "highest"
    state = [op.before(letter, start, x) for letter, start in zip(letters, starts, strict=True)]
    if op.whole.states:
        highest = g.node("Max", highest, str(state[2]))
    # Of no step at all the largest is minus infinity, from which nothing may be taken.
    finite = g.node("Where", g.node("Equal", highest, least), zero, highest)
    own = g.node("Exp", g.node("Sub", scores, finite))
    total = g.node("ReduceSum", g.node("Mul", own, steps), g.whole(0), keepdims=0)
    weight = g.node("ReduceSum", own, g.whole(0), keepdims=0)
    if op.whole.states:
        kept = g.node("Exp", g.node("Sub", str(state[2]), finite))
        total = g.node("Add", total, g.node("Mul", str(state[0]), kept))
        weight = g.node("Add", weight, g.node("Mul", str(state[1]), kept))
        for letter, value, start in zip(letters, (total, weight, highest), starts, strict=True):
            op.after(letter, value, start)
    return Value(g.node("Div", total, weight), x.width, "summary")


def _scale(op: Part, x: Value) -> Value:
    g = op.g
    found = g.node("Div", g.node("Sub", x.name, g.constant(op.arrays["mean"])), g.constant(op.arrays["scale"]))
    found = g.node("Cast", found, to=_onnx_dtype(g))
    if op.entry.get("carry"):
        start = np.zeros((1, x.width), g.dtype)
        before = str(op.before("carried", start, x, always=True))
        inner, dims = g.inner(op.name), ("N", x.width)
        had, given = inner.input("had", g.dtype, dims), inner.input("x", g.dtype, dims)
        there = inner.input("there", np.bool_, ["N", 1]) if x.lengths else None
        now = inner.node("Where", inner.node("IsNaN", given), had, given)
        inner.output(inner.node("Where", there, now, had) if there else now, "after", g.dtype, dims)
        inner.output(now, "y", g.dtype, dims)
        scanned = [found, op.there(x)] if x.lengths else [found]
        found, (last,) = g.scan(inner, [before], scanned, [f"{op.name}/carried", f"{op.name}/y"])
        op.after("carried", last, start)
    return replace(x, name=found)


def _segment(op: Part, x: Value) -> Value:
    g, size = op.g, op.entry["size"]
    if op.whole.states:
        raise UnsaidError(f"states beside segments, {op.name}")
    more, by = g.whole(size - 1), g.whole(size)
    steps = g.size(x.name, 0)
    ends = steps if x.lengths is None else g.node("Unsqueeze", x.lengths, g.whole(1))  # (1,) or (N, 1)
    ends = g.node("Max", g.node("Sub", ends, g.whole(1)), g.whole(0))
    whole = g.node("Mul", g.node("Div", g.node("Add", steps, more), by), by)
    at = g.node("Range", g.constant(np.array(0)), g.node("Squeeze", whole), g.constant(np.array(1)))  # (T'*size,)
    at = g.node("Min", at, ends)
    rows = g.node("Concat", g.size(x.name, 1), g.whole(1), axis=0)
    found = _gathered(op, x, g.node("Expand", at, rows))  # (N, T'*size, F)
    found = g.reshape(found, 0, -1, size * x.width)
    found = g.node("Transpose", found, perm=[1, 0, 2])
    left = x.lengths and g.node("Div", g.node("Add", x.lengths, more), by)
    return replace(x, name=found, width=size * x.width, steps=f"{x.steps}/{size}", lengths=left)


def _reverse(op: Part, x: Value) -> Value:
    g = op.g
    if op.whole.states:
        raise UnsaidError(f"states beside steps that are turned round, {op.name}")
    if x.lengths is not None:
        return replace(x, name=g.node("ReverseSequence", x.name, x.lengths, time_axis=0, batch_axis=1), last=None)
    return replace(x, name=g.turned(x.name), last=None)


def _magnitude(op: Part, x: Value) -> Value:
    g, positions = op.g, op.entry.get("positions", 1)
    lead = g.node("Shape", x.name, end=-1)
    cut = g.node("Concat", lead, g.whole(positions, 2, x.width // (2 * positions)), axis=0)
    found = g.node("ReduceL2", g.node("Reshape", x.name, cut), g.whole(-2), keepdims=0)
    found = g.node("Reshape", found, g.node("Concat", lead, g.whole(x.width // 2), axis=0))
    return replace(x, name=found, width=x.width // 2, last=None)


def _convolution(op: Part, x: Value) -> Value:
    g, told = op.g, op.entry
    weight, bias = op.arrays["weight"], op.arrays.get("bias")
    left, right, stride, dilation = (told.get(word, 0) for word in ("left", "right", "stride", "dilation"))
    stride, dilation, span = stride or 1, dilation or 1, (weight.shape[2] - 1) * (dilation or 1) + 1
    given = [
        g.constant(each, f"{op.name}.{key}") for key, each in (("weight", weight), ("bias", bias)) if each is not None
    ]
    attributes = {"strides": [stride], "dilations": [dilation], "group": told.get("groups", 1)}

    def convolved(value: str, *pads: int) -> str:
        return g.node("Conv", value, *given, pads=pads, **attributes)

    positions = told.get("positions", 0)
    if positions == 1 == weight.shape[2] and told.get("groups", 1) == len(weight) == x.width and not left + right:
        found = g.node("Mul", x.name, g.constant(weight.reshape(-1), f"{op.name}.weight"))  # as of a batch norm
        return replace(x, name=g.node("Add", found, given[1]) if len(given) > 1 else found, last=None)
    if positions:
        channels = x.width // positions
        cut = g.node("Transpose", g.reshape(x.name, -1, positions, channels), perm=[0, 2, 1])
        if told.get("reflect"):
            cut, left, right = g.node("Pad", cut, g.whole(0, 0, left, 0, 0, right), mode="reflect"), 0, 0
        width = ((positions + told.get("left", 0) + told.get("right", 0) - span) // stride + 1) * len(weight)
        dims = g.node("Concat", g.node("Shape", x.name, end=-1), g.whole(width), axis=0)
        found = g.node("Reshape", g.node("Transpose", convolved(cut, left, right), perm=[0, 2, 1]), dims)
        return replace(x, name=found, width=width, last=None)
    streams = (left, right, stride) == (span - 1, 0, 1) and not told.get("reflect")
    if op.whole.states and not streams:
        raise UnsaidError(f"states beside a convolution that reads later steps, {op.name}")
    rows = g.node("Transpose", x.name, perm=[1, 0, 2])  # (N, T, C)
    if told.get("reflect"):
        steps = g.size(x.name, 0)
        count = steps if x.lengths is None else g.node("Unsqueeze", x.lengths, g.whole(1))
        end = g.node("Squeeze", g.node("Add", steps, g.whole(right)))
        at = g.node("Abs", g.node("Range", g.constant(np.array(-left)), end, g.constant(np.array(1))))
        back = g.node("Sub", g.node("Mul", g.node("Sub", count, g.whole(1)), g.whole(2)), at)
        at = g.node("Where", g.node("Less", at, count), at, g.node("Max", back, g.whole(0)))
        every = g.node("Concat", g.size(x.name, 1), g.whole(1), axis=0)
        rows, left, right = _gathered(op, x, g.node("Expand", at, every)), 0, 0
    elif x.lengths is not None:
        rows = g.node("Where", g.node("Transpose", op.there(x), perm=[1, 0, 2]), rows, g.constant(0))
    if op.whole.states and left:
        start = np.zeros((left, 1, x.width), g.dtype)
        before = g.node("Transpose", str(op.before("before", start, x)), perm=[1, 0, 2])
        rows, pads = g.node("Concat", before, rows, axis=1), (0, right)
        if x.lengths is None:
            after = g.node("Slice", rows, g.whole(-left), g.whole(2**62), g.whole(1))
        else:
            at = g.node("Add", g.node("Unsqueeze", x.lengths, g.whole(1)), g.constant(np.arange(left)))
            after = g.node("GatherND", rows, g.node("Unsqueeze", at, g.whole(2)), batch_dims=1)
        op.after("before", g.node("Transpose", after, perm=[1, 0, 2]), start)
    else:
        pads = (left, right)
    found = g.node("Transpose", convolved(g.node("Transpose", rows, perm=[0, 2, 1]), *pads), perm=[2, 0, 1])
    more = told.get("left", 0) + told.get("right", 0) - span + stride
    lengths = x.lengths
    if lengths is not None and (more, stride) != (1, 1):
        left_over = g.node("Max", g.node("Add", lengths, g.whole(more)), g.whole(0))
        some = g.node("Greater", lengths, g.whole(0))
        lengths = g.node("Where", some, g.node("Div", left_over, g.whole(stride)), g.whole(0))
    steps = x.steps if (more, stride) == (1, 1) else f"{op.name}/T"
    return replace(x, name=found, width=len(weight), steps=steps, lengths=lengths, last=None)


def _path(op: Part, x: Value) -> Value:
    g, k = op.g, x.width
    if not {"allowed", "between"} & set(op.arrays):
        found = g.node("ArgMax", x.name, axis=-1, keepdims=0)
        return Value(found, k, "symbols", x.steps, x.lengths)
    if op.whole.states:
        raise UnsaidError(f"states beside a path, {op.name}")
    moves = np.zeros((k + 1, k + 1), g.dtype)
    for name, part in (("between", moves[:k, :k]), ("first", moves[k, :k]), ("last", moves[:k, k])):
        part[...] = op.arrays.get(name, 0)
    if "allowed" in op.arrays:
        moves[op.arrays["allowed"] == 0] = NEVER
    first = g.node("Gather", x.name, g.constant(np.array(0)), axis=0)
    later = [g.node("Slice", x.name, g.whole(1), g.whole(2**62), g.whole(0))]
    if x.lengths:
        later.append(g.node("Slice", op.there(x), g.whole(1), g.whole(2**62), g.whole(0)))
    # Forwards: the sums of the best ways to here, and from where they came.
    inner = g.inner(f"{op.name}.ways")
    best, scores = inner.input("best", g.dtype, ["N", k]), inner.input("scores", g.dtype, ["N", k])
    there = inner.input("there", np.bool_, ["N", 1]) if x.lengths else None
    ways = inner.node("Add", inner.node("Unsqueeze", best, inner.whole(2)), inner.constant(moves[:k, :k]))  # (N, K, K)
    came = inner.node("ArgMax", ways, axis=1, keepdims=0)
    now = inner.node("Add", inner.node("ReduceMax", ways, inner.whole(1), keepdims=0), scores)
    inner.output(inner.node("Where", there, now, best) if there else now, "after", g.dtype, ["N", k])
    inner.output(came, "came", np.int64, ["N", k])
    begin = g.node("Add", first, g.constant(moves[k, :k]))
    came, (best,) = g.scan(inner, [begin], later, [f"{op.name}/best", f"{op.name}/came"])
    end = g.node("ArgMax", g.node("Add", best, g.constant(moves[:k, k])), axis=1, keepdims=1)  # (N, 1)
    # Backwards: along the best way.
    inner = g.inner(f"{op.name}.back")
    found, origins = inner.input("found", np.int64, ["N", 1]), inner.input("came", np.int64, ["N", k])
    there = inner.input("there", np.bool_, ["N", 1]) if x.lengths else None
    before = inner.node("GatherElements", origins, found, axis=1)
    before = inner.node("Where", there, before, found) if there else before
    inner.output(before, "after", np.int64, ["N", 1])
    inner.output(before, "y", np.int64, ["N", 1])
    path, _ = g.scan(inner, [end], [came, *later[1:]], [f"{op.name}/begin", f"{op.name}/path"], reverse=True)
    path = g.node("Concat", path, g.node("Unsqueeze", end, g.whole(0)), axis=0)  # (T, N, 1)
    return Value(g.node("Squeeze", path, g.whole(2)), k, "symbols", x.steps, x.lengths)


def _attention(op: Part, x: Value) -> Value:
    g, keyed, wide = op.g, x.width, op.entry["values"]
    if not op.whole.states:
        raise UnsaidError(f"a memory, {op.name}, without states")
    sizes = {"values": wide, "keys": keyed, "there": 1}
    values, keys, there = (
        g.node("Transpose", g.input(f"{op.prefix}{name}", g.dtype, ["M", "N", width]), perm=[1, 0, 2])
        for name, width in sizes.items()
    )  # (N, M, .)
    query = g.node("Transpose", x.name, perm=[1, 0, 2])  # (N, T, F)
    if "energy.weight" in op.arrays:
        query = g.node("MatMul", query, g.constant(op.arrays["query.weight"].T, "query.weight"))
        query = g.node("Add", query, g.constant(op.arrays["query.bias"], "query.bias"))
        both = g.node("Add", g.node("Unsqueeze", query, g.whole(2)), g.node("Unsqueeze", keys, g.whole(1)))
        energy = g.constant(op.arrays["energy.weight"].T, "energy.weight")
        scores = g.node("Squeeze", g.node("MatMul", g.node("Tanh", both), energy), g.whole(3))  # (N, T, M)
    else:
        scores = g.node("MatMul", query, g.node("Transpose", keys, perm=[0, 2, 1]))
        scores = g.node("Mul", scores, g.constant(keyed**-0.5))
    counts = g.node("Greater", g.node("Transpose", there, perm=[0, 2, 1]), g.constant(0))  # (N, 1, M)
    scores = g.node("Where", counts, scores, g.constant(-np.inf))
    found = g.node("MatMul", g.node("Softmax", scores, axis=-1), values)
    return replace(x, name=g.node("Transpose", found, perm=[1, 0, 2]), width=wide, last=None)


def _onnx_dtype(g: Graph) -> int:
    return 11 if g.dtype == np.float64 else 1


OPS: dict[str, Callable[..., Value]] = {
    "embedding": _embedding,
    "linear": _linear,
    "norm": _norm,
    "activation": _activation,
    "add": _add,
    "concat": _concat,
    "recurrent": _recurrent,
    "last": _last,
    "max": _max,
    "mean": _mean,
    "scale": _scale,
    "segment": _segment,
    "reverse": _reverse,
    "magnitude": _magnitude,
    "convolution": _convolution,
    "path": _path,
    "attention": _attention,
}
_STATEFUL = frozenset({"convolution", "recurrent", "last", "max", "mean", "scale", "attention"})
