"""A module run once with its recurrent layers looked into: by the reference, every gate and state of every step.

What a cell computes is read off its description, so that any cell's gates are seen, a user's own too.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .. import reference
from ..cells import Cell
from ..cells.symbols import Symbol
from ..explaining.equations import Written
from ..layers import extended
from ..layers.recurrent import RecurrentLayer
from ..stack import Stack

BINARY = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}


@dataclass
class Scan:
    """One layer in one direction, over one call or several that go on from one another.

    Attributes:
        name: of the layer: ``recurrent, layer 0 backward``.
        cell: what it computes.
        backward: whether it reads from the end.
        gates: by name each value with a name of its own, (N, H) a step, in the order of time.
        states: by letter likewise, those after each step, parts of the graph that the results hang on.
        valid: (T, N), the steps that count.
    """

    name: str
    cell: Cell
    backward: bool
    gates: dict[str, list[Tensor]] = field(default_factory=dict)
    states: dict[str, list[Tensor]] = field(default_factory=dict)
    valid: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.bool))


@dataclass(frozen=True)
class Recording:
    """What a module gave, and what one of its layers did."""

    name: str
    result: Any
    scans: list[Scan]
    width: int
    """I, of what it read."""
    calls: list[int]
    """Which of its calls these are."""
    valid: Tensor
    """(T, N), the steps that count."""
    order: Tensor | None
    """Of a PackedSequence that was sorted: which of its rows is each of the caller's."""
    packed: bool
    """Whether it read a PackedSequence."""
    batch_first: bool


class Seen:
    """What is looked at in a cell's step.

    Attributes:
        written: the step.
        gates: the symbols of the gates by name; a candidate without a name of its own is called after its gate: h~.
        squashed: the gates and states that sigmoid or tanh holds within bounds, and which of them.
    """

    def __init__(self, cell: Cell) -> None:
        self.written = Written(cell)
        order, found = [*cell.gates], dict[str, Symbol]()
        states = {self.written.roots[id(s)]: s for s in self.written.trace.symbols if id(s) in self.written.roots}
        for symbol in self.written.trace.symbols:
            name = self.written.names.get(id(symbol), "").removesuffix("_t")
            gates = {leaf.args[0] for leaf in _leaves(symbol)}
            if id(symbol) in self.written.roots:
                continue
            if name in order:
                found[name] = symbol
            elif symbol.op == "tanh" and len(gates) == 1:
                found[f"{gates.pop()}~"] = symbol
        self.gates = {name: found[name] for gate in order for name in (gate, f"{gate}~") if name in found}
        bounded = {**self.gates, **states}
        self.squashed = {name: s.op for name, s in bounded.items() if s.op in ("sigmoid", "tanh")}


@lru_cache(maxsize=64)
def seen(cell: Cell) -> Seen:
    """What is looked at in ``cell``'s step, found once."""
    return Seen(cell)


def _leaves(symbol: Symbol) -> Iterator[Symbol]:
    """The products that are added up in ``symbol``'s argument."""
    for a in symbol.args:
        if isinstance(a, Symbol):
            if a.op in ("x", "r", "late"):
                yield a
            elif a.op in ("add", "mul"):
                yield from _leaves(a)


class _Recorded:
    """A cell whose steps are written down; all else is the cell's."""

    def __init__(self, cell: Cell) -> None:
        self._cell, self._seen = cell, seen(cell)
        self.steps: list[tuple[dict[str, Tensor], tuple[Tensor, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def step(self, ops: Any, x: Any, r: Any, w: Any, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step, symbol by symbol."""
        values: dict[int, Any] = {}

        def value(symbol: Symbol) -> Any:
            op, args = symbol.op, symbol.args
            if op == "constant":
                return args[0]
            if op == "state":
                return state[args[0]]
            if op in ("x", "r"):
                return getattr(x if op == "x" else r, args[0])
            if op == "vector":
                found = getattr(w, args[0])
                return getattr(found, args[1]) if args[1] else found
            if op == "late":
                return getattr(r, args[0])(values[id(args[1])])
            if op == "norm":
                return getattr(w, f"norm_{args[0]}")(values[id(args[1])])
            given = [values[id(a)] for a in args]
            if op == "neg":
                return -given[0]
            return BINARY[op](*given) if op in BINARY else getattr(ops, op)(*given)

        for symbol in self._seen.written.trace.symbols:
            values[id(symbol)] = value(symbol)
        gates = {name: values[id(symbol)] for name, symbol in self._seen.gates.items()}
        # A tensor of its own for each state, whose gradient is that of all that is made of it from here on.
        after = tuple([values[id(symbol)] * 1.0 for symbol in self._seen.written.trace.states])
        self.steps.append((gates, after))
        return after


class _Call(NamedTuple):
    """A call of a layer."""

    number: int  # among the calls of all layers
    scans: list[Scan]
    width: int  # I
    valid: Tensor  # (T, N)
    order: Tensor | None
    packed: bool


class _Recorder:
    """The calls of one layer."""

    def __init__(self, path: str, layer: RecurrentLayer, count: Iterator[int]) -> None:
        self.path, self.layer, self.count = path, layer, count
        self.name = path or type(layer).__name__.removeprefix("Accelerated")
        self.order: Tensor | None = None  # of the PackedSequence that is read now: where the caller's rows are
        self.calls: list[_Call] = []

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Within, the layer's calls are computed by the reference and written down."""
        own = self.layer.__dict__
        own["_forward_eager"] = lambda *_: None
        own["_forward_packed"] = self._packed
        own["_run"] = self._run
        try:
            yield
        finally:
            for name in ("_forward_eager", "_forward_packed", "_run"):
                del own[name]

    def _packed(self, input: PackedSequence, *args: Any, **more: Any) -> Any:
        self.order = input.unsorted_indices
        found = RecurrentLayer._forward_packed(self.layer, input, *args, **more)
        self.order = None
        return found

    def _run(
        self, x: Tensor, state: Any, weights: Any, lengths: Any = None, batch_sizes: Any = None, **more: Any
    ) -> Any:
        layer, scans = self.layer, list[Scan]()
        if batch_sizes is not None:
            valid = torch.arange(int(batch_sizes[0])) < batch_sizes.unsqueeze(1)  # (T, N)
        elif lengths is not None:
            valid = torch.arange(x.size(0)).unsqueeze(1) < lengths
        else:
            valid = torch.ones(x.size(0), x.size(1), dtype=torch.bool)
        x = x if x.requires_grad else x.detach().requires_grad_()
        told: dict[str, Any] = {"lengths": lengths, "batch_sizes": batch_sizes, **more}
        if layer._is_extended:
            run = partial(self._recurrent, scans, valid)
            results = extended.run(layer, x, state, weights, recurrent=run, **told)
        else:
            results = self._recurrent(scans, valid, x, state, weights, layer._stack, **told)
        self.calls.append(_Call(next(self.count), scans, x.size(-1), valid, self.order, batch_sizes is not None))
        return results

    def _recurrent(
        self,
        scans: list[Scan],
        valid: Tensor,
        x: Tensor,
        state: Sequence[Tensor] | None,
        weights: Sequence[Tensor],
        stack: Stack,
        dropout: float = 0.0,
        training: bool = False,
        **more: Any,
    ) -> tuple[Tensor, ...]:
        """``ops.recurrent`` in eval mode, by the reference."""
        recorded = _Recorded(stack.cell)
        results = reference.recurrent(x, state, weights, replace(stack, cell=cast(Cell, recorded)), **more)
        steps, before = len(recorded.steps) // stack.depth, len(scans)
        for k in range(stack.depth):
            backward = k % stack.directions == 1
            way = ("", " backward" if backward else " forward")[stack.directions - 1]
            number = (before + k) // stack.directions
            several = stack.num_layers > 1 or self.layer.num_layers > 1
            name = self.name + (f", layer {number}" if several else "") + (f",{way}" if way else "")
            scan = Scan(name, stack.cell, backward, valid=valid)
            own = recorded.steps[k * steps : (k + 1) * steps]
            for gates, after in own[::-1] if backward else own:
                for gate, value in gates.items():
                    scan.gates.setdefault(gate, []).append(value)
                for letter, value in zip(stack.cell.states, after, strict=True):
                    scan.states.setdefault(letter, []).append(value)
            scans.append(scan)
        return results

    def recording(self, result: Any) -> Recording:
        """All calls as one, where they go on from one another: rows and directions the same; else the longest."""
        longest = max(range(len(self.calls)), key=lambda k: self.calls[k].valid.numel())
        same = all(call.valid.shape[1:] == self.calls[longest].valid.shape[1:] for call in self.calls)
        which = [*range(len(self.calls))] if same and not self.layer.bidirectional else [longest]
        calls = [self.calls[k] for k in which]
        valid, scans = torch.cat([call.valid for call in calls]), calls[0].scans
        for more in calls[1:]:
            for scan, other in zip(scans, more.scans, strict=True):
                for mine, theirs in ((scan.gates, other.gates), (scan.states, other.states)):
                    for name, values in theirs.items():
                        mine[name] += values
        for scan in scans:
            scan.valid = valid
        first = calls[0]
        return Recording(
            self.path, result, scans, first.width, which, valid, first.order, first.packed, self.layer.batch_first
        )


def record(module: nn.Module, args: Sequence[Any], named: Mapping[str, Any]) -> list[Recording]:
    """``module`` run on its arguments: of each of its recurrent layers that was called what it did, in their order.

    The layers are statewise's; the module is in eval mode. Raises ValueError where none was called.
    """
    count = itertools.count()
    parts = [(path, part) for path, part in module.named_modules() if isinstance(part, RecurrentLayer)]
    recorders = [_Recorder(path, part, count) for path, part in parts]
    with ExitStack() as stack, torch.enable_grad():
        for recorder in recorders:
            stack.enter_context(recorder.looking())
        result = module(*args, **named)
    called = sorted([recorder for recorder in recorders if recorder.calls], key=lambda each: each.calls[0].number)
    found = [recorder.recording(result) for recorder in called]
    if not found:
        raise ValueError(
            f"inspect: Expected a module that calls RNN, LSTM, GRU or statewise.Recurrent, {type(module).__name__} "
            "calls none of them"
        )
    return found
