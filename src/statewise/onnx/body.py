"""The body of a Scan or a Loop as sums: what each of its values is of states, of inputs and of functions of these.

A value (N, ...) is linear in some *bases*: a state before the step, an input of the step, or a function of such values.
What only adds, multiplies by constants, cuts, joins and turns is computed on the matrices, so that it doesn't matter in
which way a product or a gate is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .axes import UnreadError
from .constants import axes_of, checked, cuts, whole
from .graph import Array
from .tensors import array_of, attributes_of

MOST = 2**24
"""Numbers of a matrix, beyond which a body isn't a cell's."""
FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "Exp": "exp",
    "Log": "log",
    "Softplus": "softplus",
    "Abs": "abs",
    "Sqrt": "sqrt",
    "Max": "maximum",
    "Min": "minimum",
}


@dataclass(eq=False)
class Base:
    """What values are linear in, of so many numbers: ``op`` of ``args``."""

    op: str
    """``state`` or ``x``; ``mul``, ``div``, ``norm``, ``clip``, ``there``, or a function as cells call it."""
    width: int
    args: tuple[Linear, ...] = ()
    more: tuple[Any, ...] = ()
    """What else tells it: a number, gain and bias, limits."""

    @property
    def is_elementwise(self) -> bool:
        """Whether a part of it is the same of parts."""
        return self.op not in ("state", "x", "norm")

    def part(self, at: Array) -> Base:
        """Its numbers at these places alone."""
        if np.array_equal(at, np.arange(self.width)):
            return self
        return Base(self.op, len(at), tuple(arg.taken(at) for arg in self.args), self.more)


@dataclass(eq=False)
class Linear:
    """The sum of the bases' numbers (W,) times matrices (W, ...), plus ``bias`` (...)."""

    terms: dict[Base, Array]
    bias: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return self.bias.shape

    def each(self, function: Callable[[Array], Array]) -> Linear:
        """After a linear function of rows (n, ...)."""
        terms = {base: function(matrix) for base, matrix in self.terms.items()}
        return Linear({base: found for base, found in terms.items() if found.any()}, function(self.bias[None])[0])

    def taken(self, at: Array) -> Linear:
        """Of (W,) the numbers at these places."""
        return self.each(lambda rows: rows[:, at])

    def plus(self, other: Linear, sign: float = 1.0) -> Linear:
        """The sum."""
        shape = np.broadcast_shapes(self.shape, other.shape)

        def wide(matrix: Array) -> Array:
            lead = matrix.shape[0], *[1] * (len(shape) - matrix.ndim + 1), *matrix.shape[1:]
            return np.broadcast_to(matrix.reshape(lead), (len(matrix), *shape))

        terms = {base: wide(matrix) for base, matrix in self.terms.items()}
        for base, matrix in other.terms.items():
            more = sign * wide(matrix)
            terms[base] = terms[base] + more if base in terms else more
        return Linear(terms, self.bias + sign * other.bias)

    def scaled(self, by: Array) -> Linear:
        """Times constants (...)."""
        return Linear({base: matrix * by for base, matrix in self.terms.items()}, self.bias * by)


def constant(array: Array) -> Linear:
    """What is no base's."""
    return Linear({}, array)


def whole_base(base: Base) -> Linear:
    """A base itself."""
    return Linear({base: np.eye(base.width)}, np.zeros(base.width))


Value = Linear | Array | str
"""Of a body: a linear one; a constant; or a word: ``there``, whether a row's step counts; ``shape``; ``zero NAME``, a
test for 0 of what ``Body.tests`` has."""


@dataclass
class Body:
    """A body, evaluated node by node. ``values`` has what is known before: constants, inputs, what lies outside."""

    values: dict[str, Any]
    tests: dict[str, Linear] = field(default_factory=dict)
    products: list[tuple[Linear, Linear, Array]] = field(default_factory=list)
    """What products gave, of which value by which matrix."""
    read: Callable[[str, Any, Sequence[Any], Mapping[str, Any]], Any] | None = None
    """What of nodes is not the body's own business, such as reading a step of what lies outside."""

    def run(self, graph: Any) -> None:
        """UnreadError says which node can't be read."""
        for tensor in graph.initializer:
            self.values[tensor.name] = array_of(tensor, None)
        for node in graph.node:
            attributes = attributes_of(node)
            try:
                given = [self._value(name) if name else None for name in node.input]
                found = self._node(node.op_type, node, given, attributes)
            except UnreadError as error:
                said = f": {error}" if str(error) else ""
                raise UnreadError(f"{node.op_type[:40]} {(node.name or node.output[0])[:40]!r} in it{said}") from None
            for name, value in zip(node.output, found if isinstance(found, list) else [found], strict=False):
                self.values[name] = value

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise UnreadError(f"of {name[:40]!r}, which nothing gives")
        return self.values[name]

    def _node(self, kind: str, node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Any:
        if kind == "Constant":
            if "value" not in attributes:
                raise UnreadError("of no tensor")
            return array_of(attributes["value"], None)
        if self.read is not None:
            found = self.read(kind, node, given, attributes)
            if found is not None:
                return found
        if kind in ("Identity", "Cast"):
            return given[0]
        if kind == "Shape":
            return "shape"
        if kind == "Expand":  # to the shape of the other states
            return given[0]
        if kind == "Equal" and isinstance(given[0], Linear) and _is_number(given[1], 0.0):
            self.tests[node.output[0]] = given[0]
            return f"zero {node.output[0]}"
        if kind == "Where":
            return self._where(given)
        values = [each if isinstance(each, Linear) or each is None else _plain(each) for each in given]
        if not any(isinstance(each, Linear) for each in values):
            raise UnreadError("of constants alone")
        if kind not in _READ:
            raise UnreadError("")
        found = _READ[kind](node, values, attributes)
        if kind == "MatMul" and isinstance(values[0], Linear) and isinstance(values[1], np.ndarray):
            self.products.append((found, values[0], values[1]))
        return found

    def _where(self, given: list[Any]) -> Linear:
        test, first, second = given[0], *[_as_linear(each) for each in given[1:]]
        if test == "there":
            return _function("there", first, second)
        if isinstance(test, str) and test.startswith("zero "):
            return _function("where", self.tests[test[5:]], second, first)
        raise UnreadError("by what is no test for 0")


def _plain(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    raise UnreadError("of what isn't a value of the step")


def _is_number(value: Any, number: float) -> bool:
    return isinstance(value, np.ndarray) and value.size == 1 and float(value.reshape(())) == number


def _as_linear(value: Any) -> Linear:
    return value if isinstance(value, Linear) else constant(np.asarray(_plain(value), np.float64))


def _function(op: str, *args: Linear, more: tuple[Any, ...] = ()) -> Linear:
    """A new base, of values (W,)."""
    shape = np.broadcast_shapes(*[arg.shape for arg in args])
    if len(shape) != 1:
        raise UnreadError("of more axes than rows and features")
    wide = tuple(arg if arg.shape == shape else arg.plus(constant(np.zeros(shape))) for arg in args)
    return whole_base(Base(op, shape[0], wide, more))


def _row(value: Array) -> Array:
    """A constant beside rows, without the axis of the rows."""
    if value.ndim > 1 and len(value) != 1:
        raise UnreadError("with a constant of each row")
    return value.reshape(value.shape[1:]) if value.ndim > 1 else value


def _unary(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    return _function(FUNCTIONS[node.op_type], *[_as_linear(each) for each in given])


def _sum(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    a, b = (each if isinstance(each, Linear) else constant(_row(each).astype(np.float64)) for each in given)
    return a.plus(b, -1.0 if node.op_type == "Sub" else 1.0)


def _times(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    a, b = given
    if node.op_type == "Mul" and isinstance(a, np.ndarray):
        a, b = b, a
    if isinstance(a, Linear) and isinstance(b, np.ndarray):
        by = _row(b).astype(np.float64)
        checked(np.broadcast_shapes(a.shape, by.shape))
        with np.errstate(divide="ignore"):
            return a.scaled(by if node.op_type == "Mul" else 1 / by)
    return _function("mul" if node.op_type == "Mul" else "div", _as_linear(a), _as_linear(b))


def _product(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    x, weight = given[:2]
    bias = given[2] if len(given) > 2 else None
    if not isinstance(x, Linear) or not isinstance(weight, np.ndarray) or weight.ndim < 2 or attributes.get("transA"):
        raise UnreadError("that isn't by a matrix of weights")
    weight = weight.swapaxes(-1, -2) if attributes.get("transB") else weight
    weight = weight.astype(np.float64) * attributes.get("alpha", 1.0)
    if any(len(matrix) * weight.size > MOST for matrix in x.terms.values()) or x.shape[-1] != weight.shape[-2]:
        raise UnreadError("by a matrix that doesn't fit")
    found = x.each(lambda rows: np.matmul(rows, weight) if rows.ndim > 2 else rows @ weight)
    if isinstance(bias, np.ndarray):
        found = found.plus(constant(_row(bias).astype(np.float64) * attributes.get("beta", 1.0)))
    return found


def _reshape(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    x, told = given
    dims = list(whole(told))
    if not isinstance(x, Linear) or not dims or dims[0] not in (0, -1) or attributes.get("allowzero"):
        raise UnreadError("that doesn't keep the rows")
    rest = [x.shape[k] if n == 0 and k < len(x.shape) else n for k, n in enumerate(dims[1:])]
    return x.each(lambda rows: rows.reshape(len(rows), *rest))


def _axis(k: int, rank: int) -> int:
    k = k % rank if -rank <= k < rank else 0
    if not k:
        raise UnreadError("along the rows")
    return k


def _transpose(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    order = list(attributes.get("perm", ()))
    if sorted(order) != list(range(len(given[0].shape) + 1)) or order[0]:
        raise UnreadError("that turns the rows")
    return given[0].each(lambda rows: rows.transpose(order))  # type: ignore[no-any-return]


def _unsqueeze(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    places = axes_of(given, attributes) or ()
    rank = len(given[0].shape) + 1 + len(places)
    at = tuple(_axis(k, rank) for k in places)
    return given[0].each(lambda rows: np.expand_dims(rows, at))  # type: ignore[no-any-return]


def _squeeze(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    at = tuple(_axis(k, len(given[0].shape) + 1) for k in axes_of(given, attributes) or ())
    return given[0].each(lambda rows: np.squeeze(rows, at))  # type: ignore[no-any-return]


def _split(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> list[Linear]:
    x = given[0]
    axis = _axis(attributes.get("axis", 0), len(x.shape) + 1)
    size = x.shape[axis - 1]
    sizes = attributes.get("split") or (whole(given[1]) if len(given) > 1 and given[1] is not None else None)
    sizes = sizes or [size // len(node.output)] * len(node.output)
    if sum(sizes) != size or min(sizes) < 0:
        raise UnreadError("into parts of another size")
    ends = np.cumsum(sizes).tolist()
    return [
        x.each(lambda rows, a=end - n, b=end: rows.take(range(a, b), axis)) for end, n in zip(ends, sizes, strict=True)
    ]


def _slice(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    x = given[0]
    for axis, start, stop, step in cuts(given, attributes):
        axis = _axis(axis, len(x.shape) + 1)
        at = range(x.shape[axis - 1])[slice(start, stop, step or 1)]
        x = x.each(lambda rows, a=at, k=axis: rows.take(a, k))
    return x  # type: ignore[no-any-return]


def _concat(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    parts = [_as_linear(each) for each in given]
    axis = _axis(attributes.get("axis", 1), len(parts[0].shape) + 1)
    bases = list(dict.fromkeys(base for part in parts for base in part.terms))
    zeros = {(base, k): np.zeros((base.width, *part.shape)) for base in bases for k, part in enumerate(parts)}
    terms = {
        base: np.concatenate([part.terms.get(base, zeros[base, k]) for k, part in enumerate(parts)], axis)
        for base in bases
    }
    return Linear(terms, np.concatenate([part.bias for part in parts], axis - 1))


def _norm(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    x, weights = given[0], given[1:]
    if not isinstance(x, Linear) or len(x.shape) != 1 or attributes.get("axis", -1) not in (-1, 1):
        raise UnreadError("over an axis that isn't the last")
    told = [_plain(each).astype(np.float64).reshape(-1) for each in weights if each is not None]
    if any(each.shape != x.shape for each in told):
        raise UnreadError("with weights that don't fit")
    gain, bias = told[0], told[1] if len(told) > 1 else None
    return whole_base(Base("norm", x.shape[0], (x,), (gain, bias, float(attributes.get("epsilon", 1e-5)))))


def _clip(node: Any, given: list[Any], attributes: Mapping[str, Any]) -> Linear:
    limits = [_plain(each) for each in given[1:3] if each is not None]
    if len(limits) != 2 or any(each.size != 1 for each in limits):
        raise UnreadError("without two limits")
    low, high = (float(each.reshape(())) for each in limits)
    return _function("clip", given[0], more=(low, high))


_READ: dict[str, Callable[[Any, list[Any], Mapping[str, Any]], Any]] = {
    **dict.fromkeys(FUNCTIONS, _unary),
    **dict.fromkeys(("Add", "Sub"), _sum),
    **dict.fromkeys(("Mul", "Div"), _times),
    **dict.fromkeys(("MatMul", "Gemm"), _product),
    "Neg": lambda node, given, _: given[0].scaled(np.array(-1.0)),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Split": _split,
    "Slice": _slice,
    "Concat": _concat,
    "LayerNormalization": _norm,
    "Clip": _clip,
}
"""How a node of a body is read, of which at least one input is linear."""
