"""A model's file explained, without torch: its program by the runtime, or the tensors that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import cells, runtime
from ..runtime import file
from ..runtime.network import Network
from ..runtime.program import Form, Part
from ..stack import Stack
from .equations import equations
from .explanation import Explanation, Relation, Table
from .inside import inside
from .picture import Picture
from .unrolled import unrolled

CLOSE = 1e-4  # between whole sequences and steps, of the largest number: both are computed in float32


def explain_file(path: str | PathLike[str], steps: int = 3, batch: int = 10) -> Explanation:
    """The model in a file that the runtime reads: each op of its program with what it reads and gives.

    Of a ``.safetensors`` file that the runtime can't run the tensors, and why it isn't more.

    Raises:
        LoadError: a ValueError of one line: it is no whole ``.safetensors`` file.
        OSError: it can't be read.
    """
    path = Path(path)
    data = path.read_bytes()
    title, notes = "network of another library's", list[str]()
    try:
        if file.kind(data) == "safetensors":
            told, _ = file.read(data, str(path))
            title = f"{told.get('kind')}, written by statewise {told.get('version')}"
        if title.startswith("forecast model"):
            found, notes = _forecaster(path)
        else:
            found = runtime.load(path)
    except ValueError as error:
        return _tensors(path, data, str(error))
    networks = dict(_networks(found))
    numbers = sum(array.size for network in networks.values() for array in network._arrays.values())
    tables, relations, lines, pictures = [], list[Relation](), dict[str, None](), dict[str, Picture]()
    for name, network in networks.items():
        tables.append(_parts(name, network, steps, batch))
        relations += _relations(name, network, steps, batch)
        for stack in _stacks(network).values():
            lines |= dict.fromkeys(equations(stack.cell, stack.bias))
            if not pictures:
                pictures["unrolled"] = unrolled(stack, steps, batch, network.batch_first)
            pictures.setdefault(stack.cell.name, inside(stack.cell, stack.bias))
    tables.append(_costs(networks))
    return Explanation(
        f"{path.name}: a {title}",
        f"{numbers:,} numbers are stored. statewise.runtime runs it without torch, as below; T = {steps} steps of "
        f"N = {batch} rows.",
        tables,
        list(lines),
        relations,
        notes,
        list(pictures.values()),
    )


def _forecaster(path: Path) -> tuple[Any, list[str]]:
    """What runs the first network of a forecast's, and what stands beside that."""
    from ..jobs.tasks.forecast.model import Model

    model = Model.load(path)
    count = len(model.learner.runners)
    notes = [f"{count} of these, whose forecasts are averaged."] if count > 1 else []
    if model.linear is not None:
        notes.append(f"A linear forecast stands beside the networks, which count for {model.share:.0%}.")
    return model.learner.runners[0], notes


def _networks(found: Any) -> Iterator[tuple[str, Network]]:
    """The networks that a loaded model is made of, by name."""
    if isinstance(found, Network):
        yield "", found
    for name, part in vars(found).items():
        if isinstance(part, Network):
            yield name.strip("_"), part


def _parts(name: str, network: Network, steps: int, batch: int) -> Table:
    """A row for each input and op: how many numbers it has, what it reads and what it gives."""
    order = (batch, steps) if network.batch_first else (steps, batch)
    said = [(name, _shape(form, order, batch)) for name, form in network.inputs]
    rows = [[name, "input", "", shape] for name, shape in said]
    shapes = [shape for _, shape in said]
    names, stacks = [name for name, _ in said], _stacks(network)
    for op in network.ops:
        reads = [shapes[names.index(of)] for of in op.entry.get("of", names[-1:])]
        own = sum(array.size for key, array in network._arrays.items() if key.startswith(f"{op.name}."))
        names.append(op.name)
        shapes.append(_shape(op.form, order, batch))
        kind = _kind(op, stacks.get(op.name))
        rows.append([op.name, kind, f"{own:,}" if own else "", f"{', '.join(reads)} -> {shapes[-1]}"])
    title = f"Its parts: the {name}" if name else "Its parts"
    return Table(title, ("", "", "numbers", "reads -> gives"), rows)


def _shape(form: Form, order: tuple[int, int], batch: int) -> str:
    if form.kind == "symbols":
        return f"{order} of 0 to {form.width - 1}"
    return str((*order, form.width) if form.kind == "values" else (batch, form.width))


def _stacks(network: Network) -> dict[str, Stack]:
    """What the recurrent ops of a network are, by name."""
    widths = {name: form.width for name, form in network.inputs}
    last, found = network.inputs[-1][0], {}
    for op in network.ops:
        told, read = op.entry, op.entry.get("of", [last])[0]
        if op.op == "recurrent":
            found[op.name] = Stack(
                cells.by_name(told["cell"]),
                widths[read],
                told["hidden_size"],
                told.get("num_layers", 1),
                told.get("bidirectional", False),
                told.get("bias", True),
                told.get("proj_size", 0),
                num_heads=told.get("num_heads", 1),
                zoneout=tuple(told.get("zoneout", ())),
                clip=told.get("clip", 0.0),
            )
        widths[op.name], last = op.form.width, op.name
    return found


def _kind(op: Part, stack: Stack | None) -> str:
    if stack is not None:
        layers = f"{stack.num_layers} x " if stack.num_layers > 1 else ""
        return f"{layers}{stack.cell.name}, H = {stack.hidden_size}" + (", both ways" if stack.bidirectional else "")
    return str(op.entry.get("function", op.op))


def _relations(name: str, network: Network, steps: int, batch: int) -> list[Relation]:
    """That steps give what whole sequences give, tried on random numbers; none where a network has no steps."""
    if not network.streams or steps < 2:
        return []
    random = np.random.default_rng(0)
    order = (batch, steps) if network.batch_first else (steps, batch)
    given = [
        random.integers(form.width, size=order) if form.kind == "symbols" else random.normal(size=(*order, form.width))
        for _, form in network.inputs
    ]

    def at(first: int, last: int) -> Any:
        axis = (slice(None), slice(first, last)) if network.batch_first else slice(first, last)
        cut = tuple([array[axis] for array in given])
        return cut if len(cut) > 1 else cut[0]

    called = f"{name}." if name else "net."
    try:
        whole = network.run(at(0, steps))
        _, state = network.feed(at(0, steps // 2), network.start(batch))
        rest, _ = network.feed(at(steps // 2, steps), state)
    except ValueError:
        return []
    if isinstance(whole, tuple):
        whole, rest = whole[0], rest[0]
    over_time = whole.ndim == 3
    end = whole if not over_time else whole[:, steps // 2 :] if network.batch_first else whole[steps // 2 :]
    held = bool(np.allclose(end, rest, atol=CLOSE * float(np.abs(end).max(initial=1)), rtol=0))
    half = f"[{steps // 2}:]" if over_time else ""
    code = f"{called}feed(x[{steps // 2}:], state)[0] == {called}run(x){half}"
    return [Relation(code, f"state is what {called}feed(x[:{steps // 2}], start) has left: it may stream", held)]


def _costs(networks: Mapping[str, Network]) -> Table:
    """What one step of one row costs, all networks together."""
    arrays = {f"{name}.{key}": a for name, net in networks.items() for key, a in net._arrays.items()}
    products = sum(array.size for key, array in arrays.items() if array.ndim == 2 and "embedding" not in key)
    size = sum(array.nbytes for array in arrays.values())
    return Table(
        "What a step costs",
        ("", ""),
        [
            [f"{2 * products:,} FLOP", "a row, at most: every number of a matrix is multiplied and added once"],
            [f"{size:,} bytes", "of tensors, embeddings among them, as they are in the file"],
        ],
    )


def _tensors(path: Path, data: bytes, reason: str) -> Explanation:
    """What is in a file that isn't a program: tensors by name."""
    if file.kind(data) != "safetensors":
        raise file.LoadError(reason)
    try:
        _, arrays = file.tensors(data)
    except file.LoadError as error:
        raise file.LoadError(f"{path}: {error}") from None
    shapes = {name: array.shape for name, array in arrays.items()}
    rows = [[name, str(a.shape), f"{a.size:,}", str(a.dtype)] for name, a in arrays.items()]
    rows.append(["together", "", f"{sum(a.size for a in arrays.values()):,}", ""])
    notes = [f"{prefix or 'its layers'}: {said}" for prefix, said in _layers(shapes)]
    reason = reason.removeprefix(f"{path}: ")
    return Explanation(
        path.name,
        f"{len(shapes)} tensors. What is computed with them can't be said: {reason}",
        [Table("What is learnt", ("", "shape", "numbers", ""), rows)],
        notes=notes,
    )


GATES = {1: "an RNN", 3: "a GRU", 4: "an LSTM"}


def _layers(shapes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The recurrent layers that tensors in torch.nn's names and shapes belong to: where, and what."""
    for name, shape in shapes.items():
        prefix, found, _ = name.rpartition("weight_hh_l0")
        if not found or name.endswith("_reverse") or len(shape) != 2 or not shape[1]:
            continue
        wide = shapes.get(f"{prefix}weight_hr_l0")  # (P, H)
        units = wide[1] if wide else shape[1]
        layers = sum(f"{prefix}weight_hh_l{k}" in shapes for k in range(len(shapes)))
        kind = GATES.get(shape[0] // units, f"a cell of {shape[0] // units} gates")
        below = shapes.get(f"{prefix}weight_ih_l0", [0, 0])
        both = ", in both directions" if f"{prefix}weight_hh_l0_reverse" in shapes else ""
        sizes = f"input_size={below[-1]}, hidden_size={units}, num_layers={layers}{both}"
        yield prefix.rstrip("."), f"by torch.nn's names and shapes {kind}: {sizes}."
