"""A recurrent layer explained: every tensor that goes in, comes out or is learnt, with its axes; costs; and relations.

The relations are tried on the layer itself, a copy of it in float64, with random numbers and random states.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..cells import Weight
from ..layers.cells import SingleStep
from ..layers.recurrent import RecurrentLayer
from ..stack import Stack
from .equations import equations
from .explanation import Explanation, Relation, Table
from .inside import inside
from .unrolled import unrolled

MEANINGS = {
    "T": "time steps",
    "N": "rows of the batch, sequences side by side",
    "I": "features of the input in one step",
    "H": "units: numbers in a state",
    "P": "units of the state after the projection",
    "G": "gates",
    "L": "layers, each reading the one below",
    "D": "directions: forward and backward in time",
}
STATES = {"h": "the state that is put out", "c": "the cell state, which stays inside"}


def explain_layer(layer: RecurrentLayer, steps: int, batch: int, lengths: Sequence[int] | None = None) -> Explanation:
    """``layer`` on ``batch`` sequences of ``steps`` steps, of which the first ``lengths`` of each count."""
    stack = layer._stack
    cell, d = stack.cell, stack.directions
    sizes = {"T": steps, "N": batch, "I": layer.input_size, **_sizes(layer)}
    letters = [[key, str(value), MEANINGS[key]] for key, value in sizes.items()]
    p = "P" if stack.proj_size else "H"
    width = f"D*{p}" if d == 2 else p
    order = ("N", "T") if layer.batch_first else ("T", "N")
    time = ", time first" if not layer.batch_first else ", the batch first"
    inputs = [
        _row(
            "input",
            (*order, "I"),
            sizes,
            f"step, row, feature{time}" if order[0] == "T" else f"row, step, feature{time}",
        )
    ]
    outputs = [
        _row(
            "output",
            (*order, width),
            sizes,
            "h of the last layer after every step" + (", forward and backward side by side" if d == 2 else ""),
        )
    ]
    if not layer._is_list:
        for k, state in enumerate(cell.states):
            own = p if k == 0 and not (stack.cell.carries_h and stack.proj_size) else "H"
            shape = ("L*D", "N", own)
            meaning = STATES.get(state, "a state of its own")
            inputs.append(_row(f"{state}_0", shape, sizes, f"{meaning}, before the first step; 0 where none is given"))
            outputs.append(
                _row(f"{state}_n", shape, sizes, f"{meaning}, of every layer and direction after its last step")
            )
    tables = [
        Table("Letters", ("", "", ""), letters),
        Table("What goes in", ("", "shape", ""), inputs),
        Table("What comes out", ("", "shape", ""), outputs),
    ]
    if stack.depth > 1 and not layer._is_list:
        tables.append(Table("The rows of the states", ("", ""), list(_rows_of_states(layer))))
    tables += [parameters_of(layer, stack), costs_of(layer, stack)]
    if lengths is not None:
        tables.insert(3, _ragged(lengths))
    pictures = [inside(cell, bool(layer.bias))]
    if not layer._is_list:
        whole = replace(stack, num_layers=layer.num_layers)
        pictures.insert(0, unrolled(whole, steps, batch, layer.batch_first, lengths))
    return Explanation(
        str(layer),
        _summary(layer),
        tables,
        equations(cell, bool(layer.bias)),
        _relations(layer, steps, batch, lengths),
        _notes(layer),
        pictures,
    )


def explain_cell(cell: SingleStep, batch: int) -> Explanation:
    """``cell``, a single step, on ``batch`` rows."""
    stack = cell._stack
    sizes = {"N": batch, "I": cell.input_size, "H": stack.hidden_size, "G": len(stack.cell.gates)}
    states = [_row(f"{s}_0", ("N", "H"), sizes, STATES.get(s, "a state of its own")) for s in stack.cell.states]
    after = [_row(f"{s}_1", ("N", "H"), sizes, STATES.get(s, "a state of its own")) for s in stack.cell.states]
    tables = [
        Table("Letters", ("", "", ""), [[key, str(value), MEANINGS[key]] for key, value in sizes.items()]),
        Table("What goes in", ("", "shape", ""), [_row("input", ("N", "I"), sizes, "row, feature: one step"), *states]),
        Table("What comes out", ("", "shape", ""), after),
        parameters_of(cell, stack),
        costs_of(cell, stack),
    ]
    layer = type(cell).__name__.removesuffix("Cell")
    summary = (
        f"One step: reads {cell.input_size} numbers and a state, gives the next. The loop over time is yours; {layer} "
        "has it built in, and is faster."
    )
    bias = bool(cell.bias)
    pictures = [inside(stack.cell, bias)]
    return Explanation(str(cell), summary, tables, equations(stack.cell, bias), pictures=pictures)


def _ragged(lengths: Sequence[int]) -> Table:
    """How rows of several lengths go in: padded, or packed."""
    total, longest = sum(lengths), max(lengths)
    sizes = [sum(step < length for length in lengths) for step in range(longest)]
    shown = ", ".join(map(str, sizes[:12])) + (", ..." if len(sizes) > 12 else "")
    return Table(
        "Its rows are ragged",
        ("", "", ""),
        [
            ["lengths", f"({len(lengths)},)", "how many of a row's steps count: layer(input, lengths=lengths)"],
            ["padding", f"{longest * len(lengths) - total}", f"of {longest * len(lengths)} steps: never computed"],
            ["packed", f"({total}, I)", "the same as a PackedSequence: step 0 of all rows, then step 1 of those left"],
            ["batch_sizes", f"({longest},)", f"of it: how many rows have that step: {shown}"],
        ],
    )


def _sizes(layer: RecurrentLayer) -> dict[str, int]:
    stack = layer._stack
    found = {"H": stack.hidden_size, "G": len(stack.cell.gates), "L": layer.num_layers, "D": stack.directions}
    return found | ({"P": stack.proj_size} if stack.proj_size else {})


def _row(name: str, shape: Sequence[str], sizes: dict[str, int], meaning: str) -> list[str]:
    """A tensor: ``(T, N, I) = (3, 10, 26)``."""
    numbers = [_value(term, sizes) for term in shape]
    return [name, f"({', '.join(shape)}) = {tuple(numbers)}", meaning]


def _value(term: str, sizes: dict[str, int]) -> int:
    product = 1
    for letter in term.split("*"):
        product *= sizes[letter]
    return product


def _summary(layer: RecurrentLayer) -> str:
    stack = layer._stack
    layers = "one layer" if layer.num_layers == 1 else f"{layer.num_layers} layers"
    ways = ", in both directions of time" if stack.bidirectional else ""
    gates = ", ".join(stack.cell.gates)
    return (
        f"Reads sequences of {layer.input_size} numbers a step with {layers} of {layer.hidden_size} units{ways}. A "
        f"step computes {_counted(len(stack.cell.gates), 'gate')} ({gates}) from the input and from h of the step "
        "before."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _rows_of_states(layer: RecurrentLayer) -> Iterator[list[str]]:
    d = layer._stack.directions
    for k in range(layer._depth):
        way = ("forward, after the last step", "backward, after step 0")[k % d] if d == 2 else "after the last step"
        yield [f"[{k}]", f"layer {k // d}, {way}"]


def parameters_of(module: nn.Module, stack: Stack, title: str = "What is learnt") -> Table:
    """A row a tensor of a layer or cell: shape, how many numbers, and why so many."""
    rows, total = [], 0
    for name, tensor in module.named_parameters():
        total += tensor.numel()
        rows.append([name, str(tuple(tensor.shape)), f"{tensor.numel():,}", _why(stack, name)])
    rows.append(["together", "", f"{total:,}", ""])
    return Table(title, ("", "shape", "numbers", ""), rows)


def _why(stack: Stack, name: str) -> str:
    """What the rows and columns of a parameter are."""
    base, _, number = name.partition("_l")
    found: Weight | None = next((w for w in stack.weights if w.name == base), None)
    if found is None:
        return ""
    letters = "|".join(found.parts)
    if found.kind == "projection":
        return "from H units to P"
    if found.kind == "vector":
        share = {"bias_ih": "b_i", "bias_hh": "b_h"}.get(base, f"{base} " if letters else base)
        return f"{share}{letters}: a number a row"
    rows = f"{len(found.parts)} gates of H rows" if len(found.parts) > 1 else "H rows"
    if found.kind == "recurrent":
        return f"W_h{letters}: {rows}, a column for each number of h"
    below = "numbers of the layer below" if number and number[0] != "0" else "features"
    return f"W_i{letters}: {rows}, a column for each of the {below}"


def costs_of(module: nn.Module, stack: Stack, title: str = "What a step costs") -> Table:
    """What one step of one row costs in a layer or cell."""
    products = sum(p.numel() for name, p in module.named_parameters() if p.dim() == 2)
    size = next(module.parameters()).element_size()
    numbers = sum(p.numel() for p in module.parameters())
    layers = module.num_layers if isinstance(module, RecurrentLayer) else 1
    memory = sum(stack.state_sizes) * layers * stack.directions
    return Table(
        title,
        ("", ""),
        [
            [f"{2 * products:,} FLOP", "a row: every number of a matrix is multiplied and added once"],
            [
                f"{numbers * size:,} bytes",
                f"of parameters, {size} each, are read: once a step for all rows of the batch",
            ],
            [f"{memory * size:,} bytes", "of states a row: all that is remembered of the steps before"],
        ],
    )


def _relations(layer: RecurrentLayer, steps: int, batch: int, given: Sequence[int] | None = None) -> list[Relation]:
    """How output and final states hang together: the Python that is shown is what is run, there and then."""
    if layer._is_list or layer.residual or layer.norm or steps < 2:
        return []
    own = copy.deepcopy(layer).to("cpu", torch.float64).eval()
    random = torch.Generator().manual_seed(0)
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    x = torch.randn(*shape, layer.input_size, generator=random, dtype=torch.float64)
    lengths = torch.randint(1, steps + 1, (batch,), generator=random)
    if given is not None and min(given) > 0:
        lengths = torch.tensor(given)
    first = (slice(None), slice(steps // 2)) if layer.batch_first else slice(steps // 2)
    rest = (slice(None), slice(steps // 2, None)) if layer.batch_first else slice(steps // 2, None)
    names: dict[str, Any] = {"torch": torch, "lengths": lengths, "rows": torch.arange(batch)}
    with torch.no_grad():
        names["output"], final = own(x)
        names["h_n"] = final[0] if isinstance(final, tuple) else final
        names["ragged"], ended = own(x, lengths=lengths)
        names["ended"] = ended[0] if isinstance(ended, tuple) else ended
        names["first"], between = own(x[first])
        names["second"], _ = own(x[rest], between)
    return [Relation(code, meaning, _holds(code, names)) for code, meaning in _claims(layer)]


def _claims(layer: RecurrentLayer) -> Iterator[tuple[str, str]]:
    """What holds between the results of a layer, as Python, and in words."""
    p, d = layer._stack.output_size, layer._stack.directions
    time, step = (1, "{}[:, {}{}]") if layer.batch_first else (0, "{}[{}{}]")

    def at(place: int, units: str) -> str:
        between = ", " if layer.batch_first else ", :, "
        return step.format("output", place, between + units if units else "")

    ends = "ragged[rows, lengths - 1{}]" if layer.batch_first else "ragged[lengths - 1, rows{}]"
    if d == 1:
        yield f"{at(-1, '')} == h_n[-1]", "the last layer's h after the last step is in both"
        yield (
            f"torch.cat([first, second], {time}) == output",
            ("the second half, begun with the states that the first ended with: a state is all that is remembered"),
        )
        yield f"{ends.format('')} == ended[-1]", "with lengths=, a row ends with its own last step"
    else:
        yield f"{at(-1, f':{p}')} == h_n[-2]", "the last layer, forward: its last step is the last"
        yield f"{at(0, f'{p}:')} == h_n[-1]", "the last layer, backward: its last step is step 0, not the last"
        yield f"{ends.format(f', :{p}')} == ended[-2]", "with lengths=, a row ends with its own last step"


def _holds(code: str, names: dict[str, Any]) -> bool:
    """Whether both sides of ``code`` are the same numbers."""
    left, right = (eval(side, names) for side in code.split(" == "))  # of _claims alone
    return torch.allclose(left, right, rtol=1e-10, atol=1e-10)


def _notes(layer: RecurrentLayer) -> list[str]:
    found = []
    gates = layer._stack.cell.gates
    if len(gates) > 1:
        found.append(
            f"{len(gates)} times the parameters of an RNN of this size: each gate has matrices of its own, one below "
            f"the other in weight_ih and weight_hh, in the order {', '.join(gates)}."
        )
    if layer.batch_first:
        found.append("batch_first is about input and output alone: the states are (L*D, N, H) all the same.")
    if layer._is_list:
        found.append(
            "The layers differ in width, so each state is a tuple of one tensor a layer: (D, N, H of that layer)."
        )
    return found
