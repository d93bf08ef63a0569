"""ONNX's Scan, and Loop over the steps of a sequence, as layers of a cell: the body is held against the known ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells import Cell, by_name
from ..cells.registry import defined
from .axes import Tensor, UnreadError, atom
from .body import Base, Body, Linear, whole_base
from .constants import Spread
from .graph import Array
from .matching import arrays_of, found_in
from .recurrent import check_lengths

if TYPE_CHECKING:
    from .reading import Reader


@dataclass(frozen=True)
class Steps:
    """The numbers of the steps, 0, 1, ..., on whichever axis."""


@dataclass(frozen=True)
class Mask:
    """Whether each step counts: where its number is less than ``lengths``; ``turned``: the last step first."""

    lengths: Tensor
    turned: bool = False


def scan(reader: Reader, node: Any, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    count = attributes["num_scan_inputs"]
    first, scanned = given[: len(given) - count], given[len(given) - count :]
    graph = attributes["body"]
    if reader.version < 9 or len(graph.input) != len(given):
        raise UnreadError("of a body that takes something else")
    for key in ("scan_input_axes", "scan_output_axes"):
        if any(attributes.get(key, ())):
            raise UnreadError("over an axis that isn't the first")
    ways = {*attributes.get("scan_input_directions", [0]), *attributes.get("scan_output_directions", [0])}
    if len(ways) != 1:
        raise UnreadError("that reads and writes in different directions")
    x = _read(reader, scanned, bool(ways.pop()))
    names = [each.name for each in graph.input]
    known = dict(zip(names[len(first) :], x.values, strict=True))
    return _layer(reader, node, graph, names[: len(first)], first, known, x, [each.name for each in graph.output])


@dataclass
class _Scanned:
    """What a body reads of each step."""

    values: list[Any]
    tensors: list[Tensor]
    mask: Mask | None = None
    backwards: bool = False


def _read(reader: Reader, scanned: Sequence[Any], backwards: bool) -> _Scanned:
    found = _Scanned([], [], backwards=backwards)
    for each in scanned:
        if isinstance(each, Mask):
            if found.mask is not None:
                raise UnreadError("with two masks")
            found.mask = each
            found.values.append("there")
            continue
        x = reader.used(each)
        if x.kind != "values" or x.rank != 3 or (x.place("T"), x.place("N")) != (0, 1):
            raise UnreadError("of axes that aren't time, rows and features")
        x.needs_features_last()
        found.values.append(whole_base(Base("x", x.width, more=(len(found.tensors),))))
        found.tensors.append(x)
    if len(found.tensors) != 1:
        raise UnreadError(f"of {len(found.tensors)} inputs")
    return found


def _layer(
    reader: Reader,
    node: Any,
    graph: Any,
    letters: Sequence[str],
    first: Sequence[Any],
    known: Mapping[str, Any],
    x: _Scanned,
    results: Sequence[str],
) -> list[Tensor]:
    """The layer that a body is: its final states, and what it gives of each step."""
    outer = {name: value for name, value in reader.values.items() if isinstance(value, np.ndarray)}
    shapes = _widths(graph, letters, first)
    begin = {
        name: whole_base(Base("state", width, more=(k,)))
        for k, (name, width) in enumerate(zip(letters, shapes, strict=True))
    }
    body = Body({**outer, **known, **begin})
    body.run(graph)
    after = [each for name in results if isinstance(each := body.values.get(name), Linear)]
    states, outputs = after[: len(letters)], after[len(letters) :]
    if len(after) < len(results) or not states:
        raise UnreadError("whose results aren't of a step")
    found = found_in(defined(), states, shapes)
    if found is None:
        raise UnreadError(
            f"whose step is that of no known cell of {len(states)} states; statewise.Cell makes one known"
        )
    projections = [_projection(body, each, states[0], x.mask is not None) for each in outputs]
    width = x.tensors[0].width
    arrays, options = arrays_of(found, width)
    read, arrays = _absorbed(reader, x.tensors[0], found.cell, arrays)
    if not any(array.any() for key, array in arrays.items() if key.startswith("bias_") and "norm" not in key):
        arrays = {key: array for key, array in arrays.items() if key not in ("bias_ih", "bias_hh")}
        options["bias"] = False
    final, said = _written(reader, node, x, read, arrays, options, first, shapes)
    return [*final, *(_projected(reader, said, matrix) for matrix in projections)]


def _widths(graph: Any, letters: Sequence[str], first: Sequence[Any]) -> list[int]:
    """How wide the states are: what the body says, or what they begin as."""
    told = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in graph.input}
    found = []
    for name, begin in zip(letters, first, strict=True):
        dims = told.get(name, [])
        array = begin.array if isinstance(begin, Spread) else begin
        if len(dims) == 2 and dims[1] > 0:
            width = dims[1]
        elif isinstance(array, np.ndarray) and array.ndim == 2:
            width = array.shape[1]
        elif isinstance(array, Tensor) and array.axes and len(array.axes[-1]) == 1:
            width = array.axes[-1][0].size or 0
        else:
            width = 0
        if not 0 < width <= 2**14:
            raise UnreadError("whose states are of no known width")
        found.append(width)
    return found


def _projection(body: Body, value: Linear, state: Linear, masked: bool) -> Array | None:
    """What the first state is multiplied with to be a result, which is zeros where there is no step; None: nothing."""
    if masked and len(value.terms) == 1:
        (base,) = value.terms
        if base.op == "there" and not base.args[1].terms and not base.args[1].bias.any():
            value = base.args[0]
    if _same(value, state):
        return None
    for found, of, matrix in body.products:
        if _same(found, value) and _same(of, state) and matrix.ndim == 2:
            return matrix
    raise UnreadError("that gives something else than its first state")


def _same(value: Linear, other: Linear) -> bool:
    if value is other:
        return True
    same = value.terms.keys() == other.terms.keys() and value.shape == other.shape
    same = same and np.array_equal(value.bias, other.bias)
    return same and all(np.array_equal(matrix, other.terms[base]) for base, matrix in value.terms.items())


def _absorbed(reader: Reader, x: Tensor, cell: Cell, arrays: dict[str, Array]) -> tuple[Tensor, dict[str, Array]]:
    """What the layer reads: in the place of a product that only it reads, what that reads."""
    turns, name = 0, x.name
    ops = {each["name"]: each for each in reader.ops}
    while (entry := ops.get(name)) is not None and entry["op"] == "reverse":
        turns, name = turns + 1, entry["of"][0]
    found = dict(arrays)
    if "x" in cell.norms:
        inner, weight = _normalised(reader, ops, name, cell, found)
    elif entry is not None and entry["op"] == "linear":
        weight = reader.arrays[f"{name}.weight"].astype(np.float64)
        bias = reader.arrays.get(f"{name}.bias")
        found["weight_ih"] = arrays["weight_ih"] @ weight
        if bias is not None:
            found["bias_ih"] = arrays["bias_ih"] + arrays["weight_ih"] @ bias.astype(np.float64)
        inner = entry["of"][0]
    else:
        return x, arrays
    features = (atom("F", weight.shape[1]),)
    read = replace(x, name=inner, axes=(*x.axes[:-1], features), features=features)
    for _ in range(turns):
        read = replace(read, name=reader.op("reverse", f"{inner}.turned", [read.name]))
    return read, found


def _normalised(
    reader: Reader, ops: Mapping[str, Any], name: str, cell: Cell, arrays: dict[str, Array]
) -> tuple[str, Array]:
    """Of gates that are normalised outside, what the product reads, and its matrix; the gains become a weight's."""

    def own(key: str) -> Array | None:
        found = reader.arrays.get(f"{name}.{key}")
        return None if found is None else found.astype(np.float64)

    entry, size = ops.get(name, {}), len(arrays["weight_ih"])
    if not np.array_equal(arrays["weight_ih"], np.eye(size)):
        raise UnreadError("of gates in another order")
    if entry.get("op") == "convolution" and (bias := own("bias")) is not None:
        if entry.get("positions") != 1 or not np.all(own("weight") == 1):
            raise UnreadError("of gates that are scaled")
        arrays["bias_ih"] = arrays["bias_ih"] + bias
        name = entry["of"][0]
        entry = ops.get(name, {})
    groups = list(cell.norm_groups) or [cell.gates]
    parts = list(entry["of"]) if entry.get("op") == "concat" else [name]
    gains, rows, sources = list[Array](), list[Array](), set[str]()
    for part, group in zip(parts, groups, strict=len(parts) == len(groups)):
        norm, gain = ops.get(part, {}), reader.arrays.get(f"{part}.weight")
        if (
            norm.get("op") != "norm"
            or f"{part}.bias" in reader.arrays
            or gain is None
            or abs(norm["epsilon"] - 1e-5) > 1e-9
        ):
            raise UnreadError("of gates that aren't normalised as the cell's are")
        weight, source = _product_of(reader, ops, norm["of"][0])
        if len(gain) != len(group) * size // len(cell.gates) or len(weight) != len(gain):
            raise UnreadError("of gates that are normalised in other groups")
        gains.append(gain.astype(np.float64))
        rows.append(weight)
        sources.add(source)
    if len(parts) != len(groups) or len(sources) != 1:
        raise UnreadError("of gates that are normalised in other groups")
    arrays["weight_norm_ih"] = np.concatenate(gains)
    arrays["weight_ih"] = np.concatenate(rows)
    return sources.pop(), arrays["weight_ih"]


def _product_of(reader: Reader, ops: Mapping[str, Any], name: str) -> tuple[Array, str]:
    """The matrix that one product, or a part of one, is, and what it reads."""
    weight: Array | None = None
    while (entry := ops.get(name, {})).get("op") == "linear" and f"{name}.bias" not in reader.arrays:
        own = reader.arrays[f"{name}.weight"].astype(np.float64)
        if weight is not None and not _takes(weight):
            break
        weight = own if weight is None else weight @ own
        name = entry["of"][0]
    if weight is None:
        raise UnreadError("of gates without a product")
    return weight, name


def _takes(weight: Array) -> bool:
    """Whether a matrix only takes some numbers of what it reads."""
    return bool(np.isin(weight, (0, 1)).all() and (weight.sum(1) == 1).all())


def _written(
    reader: Reader,
    node: Any,
    x: _Scanned,
    read: Tensor,
    arrays: Mapping[str, Array],
    options: dict[str, Any],
    first: Sequence[Any],
    widths: Sequence[int],
) -> tuple[list[Tensor], Tensor]:
    """The layer's op: its final states, and its output."""
    if x.mask is not None:
        check_lengths(reader, read, x.mask.lengths)
        turned = any(each["name"] == read.name and each["op"] == "reverse" for each in reader.ops)
        if turned != x.mask.turned:
            raise UnreadError("whose mask goes the other way")
        if turned:
            reader.turns.discard(x.tensors[0].name)
    cell = by_name(options["cell"])
    tensors = {f"{key}_l0": array.astype(np.float32) for key, array in arrays.items()}
    learnt = [_begins_as(each, width) for each, width in zip(first, widths, strict=True)]
    if any(each is not None and each.any() for each in learnt):
        if any(each is None for each in learnt):
            raise UnreadError("of which one state is learnt alone")
        tensors |= {f"initial_{letter}_l0": np.asarray(each) for letter, each in zip(cell.states, learnt, strict=True)}
        options["initial"] = True
    wish = node.name or "layer"
    source = reader.op("reverse", f"{wish}.turned", [read.name]) if x.backwards else read.name
    name = reader.op("recurrent", wish, [source], tensors, **options)
    if reader.ops[-1]["name"] != name:
        raise UnreadError("")
    for letter, each in enumerate(first):
        if isinstance(each, Tensor):
            _given(reader, each, name, letter)
    said = reader.op("reverse", f"{wish}.back", [name]) if x.backwards else name
    rows, time, states = x.tensors[0].axes[1], x.tensors[0].axes[0], list[Tensor]()
    for letter, width in enumerate(widths):
        d, units = atom("D", 1), atom("F", width)
        states.append(Tensor(name, (rows, (units,)), (d, units), "state", letter=letter))
    own = (atom("F", widths[0]),)
    if x.mask is not None and x.mask.turned:
        reader.masked.add(said)
    return states, Tensor(said, (time, rows, own), own)


def _projected(reader: Reader, said: Tensor, matrix: Array | None) -> Tensor:
    """An output times a matrix (H, P)."""
    if matrix is None:
        return said
    name = reader.op("linear", f"{said.name}.projected", [said.name], {"weight": matrix.T.astype(np.float32)})
    if said.name in reader.masked:
        reader.masked.add(name)
    return reader.mapped(said, name, matrix.shape[1])


def _begins_as(value: Any, width: int) -> Array | None:
    """What a state begins as for all rows (W,); None where it is an input."""
    if isinstance(value, Tensor):
        return None
    array = value.array if isinstance(value, Spread) else value
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] not in (1, width) or len(array) < 1:
        raise UnreadError("whose first state is computed")
    if (array != array[:1]).any():
        raise UnreadError("whose first state differs from row to row")
    return np.broadcast_to(array[0], width)


def _given(reader: Reader, each: Tensor, name: str, letter: int) -> None:
    """Note that a state is an input, or a part of one."""
    if each.kind != "input" or each.rank != 2 or each.name in reader.given:
        raise UnreadError("whose first state is computed")
    reader.states.setdefault(each.name, []).append((name, letter, False, each.rows or (0, 1)))


# The steps that count, as they are computed outside


def places(reader: Reader, node: Any, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Range up to the number of steps."""
    return Steps()


def less(reader: Reader, node: Any, given: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    if isinstance(given[0], Steps) and isinstance(given[1], Tensor) and given[1].kind == "lengths":
        return Mask(given[1])
    raise UnreadError("that doesn't tell which steps count")
