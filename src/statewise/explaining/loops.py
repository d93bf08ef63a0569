"""Cells in a module's own loops: each call as hooks see it, what hangs together, and whether a layer computes the same.

A cell's call goes on from another's where the state that it is given is the state which that one has put out. What goes
on so is a chain; the loop over a sequence is one chain, however the loop is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..layers.any_cell import Recurrent
from ..layers.cells import SingleStep
from ..stack import Stack
from .explanation import Relation, Table
from .layer import STATES, costs_of, parameters_of

KEPT = 100  # calls of a cell that are looked at; of a longer loop the first ones


@dataclass(eq=False)
class Call:
    """One step that a module has computed.

    Attributes:
        number: how many calls, of any cell, there were before.
        x: what was read, (N, I), or (I,) without a batch.
        before: the states that it was given; None where it was given none, which means zeros.
        after: the states that it put out, each (N, H) or (H,).
        follows: the call whose states it was given.
        reads: the call of another cell, or of this one, whose h it was given as x.
    """

    number: int
    x: Tensor
    before: tuple[Tensor, ...] | None
    after: tuple[Tensor, ...]
    follows: Call | None = None
    reads: Call | None = None


@dataclass(eq=False)
class Loop:
    """The calls of one cell.

    Attributes:
        name: where the cell is in the module.
        cell: torch.nn's or statewise's.
        stack: its description.
        calls: the first ``KEPT`` of them.
        count: how many there were.
        fed_back: whether what it reads depends on what it has put out before; None where that couldn't be tried.
    """

    name: str
    cell: nn.Module
    stack: Stack
    calls: list[Call] = field(default_factory=list)
    count: int = 0
    fed_back: bool | None = None

    def chains(self) -> list[list[Call]]:
        """The calls, those that go on from each other together, in their order."""
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            chain = found.pop(id(call.follows), []) if call.follows is not None else []
            found[id(call)] = [*chain, call]
        return sorted(found.values(), key=lambda chain: chain[0].number)


def is_cell(part: nn.Module) -> bool:
    """Whether it is one step of a recurrent layer."""
    return isinstance(part, (SingleStep, nn.RNNCellBase))


class Watch:
    """What is called while a module runs: hooks on its cells."""

    def __init__(self, module: nn.Module, stack_of: Callable[[nn.Module], Stack | None]) -> None:
        self.loops: dict[int, Loop] = {}
        self._newest: list[Call] = []  # first
        self._count = 0
        for name, part in module.named_modules():
            if is_cell(part) and (stack := stack_of(part)) is not None:
                self.loops[id(part)] = Loop(name or type(part).__name__, part, stack)

    def add(self, part: nn.Module, given: Sequence[Any], named: dict[str, Any], result: Any) -> None:
        """A cell has been called."""
        loop = self.loops[id(part)]
        loop.count += 1
        if loop.count > KEPT:
            return
        x, before = arguments(given, named)
        states = None if before is None else tuple(_kept(s) for s in _several(before))
        call = Call(self._count, _kept(x), states, tuple(_kept(s) for s in _several(result)))
        self._count += 1
        # A call goes on from the newest one that no other call of its cell goes on from.
        ended = {id(other.follows) for other in loop.calls if other.follows is not None}
        for other in self._newest:
            if call.follows is None and states is not None and id(other) not in ended and _same(states, other.after):
                call.follows = other
            if call.reads is None and _same((call.x,), other.after[:1]):
                call.reads = other
        loop.calls.append(call)
        self._newest = [call, *self._newest[: KEPT - 1]]

    def found(self) -> list[Loop]:
        """The cells that were called, in the order of their first calls."""
        called = [loop for loop in self.loops.values() if loop.calls]
        return sorted(called, key=lambda loop: loop.calls[0].number)


def arguments(given: Sequence[Any], named: dict[str, Any]) -> tuple[Tensor, Any]:
    """Of a cell's call the input and the state, which may be None."""
    by_name = dict(zip(("input", "hx"), given, strict=False)) | named
    return by_name["input"], by_name.get("hx")


def try_feedback(loop: Loop, run: Callable[[], Any]) -> None:
    """Whether the cell's input depends on its own results: the module once more, with random numbers for these."""
    random = torch.Generator().manual_seed(1)
    read: list[Tensor] = []

    def replaced(_: nn.Module, given: Any, named: dict[str, Any], result: Any) -> Any:
        read.append(_kept(arguments(given, named)[0]))
        other = [torch.randn(s.shape, generator=random).to(s) for s in _several(result)]
        return other[0] if isinstance(result, Tensor) else type(result)(other)

    hook = loop.cell.register_forward_hook(replaced, with_kwargs=True)
    try:
        run()
    except Exception:  # what the module says of such numbers is no matter
        return
    finally:
        hook.remove()
    same = len(read) == loop.count and all(_same((x,), (call.x,)) for x, call in zip(read, loop.calls, strict=False))
    loop.fed_back = not same


def tables(loop: Loop) -> Iterator[Table]:
    """What goes through the loop, what is learnt, and what a step costs."""
    stack, first = loop.stack, loop.calls[0]
    n = first.x.size(0) if first.x.dim() == 2 else None
    sizes = {"T": loop.count, "N": n, "I": stack.input_size, "H": stack.hidden_size, "G": len(stack.cell.gates)}
    shown = ", ".join(f"{letter} = {size}" for letter, size in sizes.items() if size is not None)
    rows = "(N, {}) = " if n is not None else "({},) = "
    said = [["x_t", rows.format("I") + str(tuple(first.x.shape)), _reads(loop)]]
    for letter, state in zip(stack.cell.states, first.after, strict=True):
        meaning = STATES.get(letter, "a state of its own")
        said.append([f"{letter}_t", rows.format("H") + str(tuple(state.shape)), f"{meaning}; {_begins(loop)}"])
    calls = "called once" if loop.count == 1 else f"called {loop.count} times"
    yield Table(f"The loop over {loop.name}, {calls}: {shown}", ("", "shape", ""), said)
    yield parameters_of(loop.cell, stack, f"What {loop.name} learns")
    yield costs_of(loop.cell, stack, f"What a step of {loop.name} costs")


def _reads(loop: Loop) -> str:
    """Where the input of a step comes from."""
    if loop.fed_back:
        return "what a step reads, which depends on what the steps before have put out"
    return "what a step reads: row, feature" if loop.calls[0].x.dim() == 2 else "what a step reads: feature"


def _begins(loop: Loop) -> str:
    if loop.count == 1:
        return "before the step: zeros" if loop.calls[0].before is None else "before the step: given"
    chains = loop.chains()
    if len(chains) == 1:
        return f"handed on from step to step, at first {'zeros' if loop.calls[0].before is None else 'given'}"
    if all(len(chain) == 1 for chain in chains):
        return "never what the step before has left"
    return f"handed on from step to step, in {len(chains)} runs"


def relations(loop: Loop) -> Iterator[Relation]:
    """That a layer with the same weights computes each chain of calls: tried on the numbers of this run."""
    chains = loop.chains()
    if loop.count < 2 or len({call.x.dim() for call in loop.calls}) > 1:
        return
    letters = loop.stack.cell.states
    begun = [f"{letter}_0[None]" for letter in letters]
    state = f", {begun[0] if len(begun) == 1 else '(' + ', '.join(begun) + ')'}"
    given = any(chain[0].before is not None for chain in chains)
    called = f"layer(torch.stack(x){state if given else ''})"
    ended = f"{called}[1]" + (f"[{len(letters) - 1}]" if len(letters) > 1 else "")
    layer = layer_of(loop)
    claims = [
        (
            f"torch.stack(h) == {called}[0]",
            f"layer is {written(loop)} with the weights of {loop.name}; {_over(chains)}",
        ),
        (f"{letters[-1]}[-1] == {ended}[0]", "and it ends with the same state"),
    ]
    tried = [_names(chain, loop.stack, layer) for chain in chains]
    for code, meaning in claims:
        yield Relation(code, meaning, all(_holds(code, names) for names in tried))


def _over(chains: Sequence[Sequence[Call]]) -> str:
    if len(chains) == 1:
        return f"x and h are what its {len(chains[0])} calls read and put out"
    lengths = sorted({len(chain) for chain in chains})
    steps = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    plural = "s" * (lengths[-1] > 1)
    return f"x and h are what its calls read and put out, in {len(chains)} runs of {steps} step{plural} each"


def notes(loop: Loop) -> Iterator[str]:
    """What to make of it: when it should be a layer, and when it can't."""
    chains = loop.chains()
    if loop.count > len(loop.calls):
        yield f"Of the {loop.count} calls of {loop.name} the first {len(loop.calls)} were looked at."
    if loop.count < 2:
        return
    if all(call.before is None for call in loop.calls):
        yield (
            f"{loop.name} begins every one of its {loop.count} calls at zeros: it remembers nothing. If the calls are "
            f"steps of a sequence, pass the state that the last one has put out: state = {loop.name}(x_t, state)."
        )
    elif loop.fed_back:
        yield (
            f"What {loop.name} reads depends on what it has put out: that is what a cell is for. A layer wants "
            "all inputs beforehand; it serves where they are known, as the right answers are in training."
        )
    elif loop.fed_back is False and len(chains) == 1 and len(loop.calls) == loop.count:
        yield (
            f"Nothing that {loop.name} reads depends on what it has put out, so {written(loop)} computes all "
            f"{loop.count} calls in one, and faster."
        )
    elif len(chains) > 1:
        yield (
            f"The {len(loop.calls)} calls of {loop.name} are {len(chains)} runs: in between its state is changed or "
            "begun anew. A layer does the latter too: reset=."
        )


def written(loop: Loop) -> str:
    """The layer that computes the cell's loop, as one makes it."""
    stack, plain = loop.stack, {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
    name = plain.get(stack.cell.name)
    sizes = f"{stack.input_size}, {stack.hidden_size}" + (", nonlinearity='relu'" * (stack.cell.name == "rnn_relu"))
    sizes += "" if stack.bias else ", bias=False"
    return f"statewise.{name}({sizes})" if name else f"statewise.Recurrent({stack.cell.name!r}, {sizes})"


def layer_of(loop: Loop) -> nn.Module:
    """A layer in float64 with the cell's weights."""
    stack, sizes = loop.stack, (loop.stack.input_size, loop.stack.hidden_size)
    with torch.random.fork_rng(devices=[]):  # what it begins with doesn't matter
        layer = Recurrent(stack.cell, *sizes, bias=stack.bias, num_heads=stack.num_heads, dtype=torch.float64)
    with torch.no_grad():
        for weight in stack.weights:
            getattr(layer, f"{weight.name}_l0").copy_(getattr(loop.cell, weight.name))
    return layer.eval()


def _names(chain: Sequence[Call], stack: Stack, layer: nn.Module) -> dict[str, Any]:
    """A chain's numbers by the names that the relations call them."""
    letters = stack.cell.states
    names: dict[str, Any] = {"torch": torch, "layer": layer, "x": [call.x.double() for call in chain]}
    for k, letter in enumerate(letters):
        names[letter] = [call.after[k].double() for call in chain]
        before = chain[0].before
        names[f"{letter}_0"] = torch.zeros_like(names[letter][0]) if before is None else before[k].double()
    names["eps"] = torch.finfo(chain[0].x.dtype).eps
    return names


def _holds(code: str, names: dict[str, Any]) -> bool:
    """Whether both sides are the same numbers, as nearly as the module computes them."""
    with torch.no_grad():
        left, right = (eval(side, names) for side in code.split(" == "))  # of relations alone
    largest = max(1.0, float(left.abs().max())) if left.numel() else 1.0
    return torch.allclose(left, right, rtol=0, atol=min(1000 * names["eps"], 0.05) * largest)


def _several(state: Any) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def _kept(tensor: Tensor) -> Tensor:
    """As it is now, whatever becomes of it."""
    return tensor.detach().to("cpu", copy=True)


def _same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(some) == len(others) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(some, others, strict=True)
    )
