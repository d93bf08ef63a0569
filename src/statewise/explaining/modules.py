"""A module of any kind explained: what each part reads and gives, found by running it; and its own loops over cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..cells import by_name
from ..layers import hints
from ..layers.cells import SingleStep
from ..layers.recurrent import RecurrentLayer
from ..stack import Stack
from .equations import equations
from .explanation import Explanation, Table
from .inside import inside
from .layer import costs_of, parameters_of
from .loops import Watch, arguments, is_cell, notes, relations, tables, try_feedback
from .steps import steps


def explain_module(module: nn.Module, x: Any) -> Explanation:
    """``module`` run on ``x``: a row for each part that computes and calls no other, in the order in which they do.

    Of each recurrent layer what is learnt and what a step costs; of each cell that the module calls step by step its
    loop as well: see ``loops.py``.
    """
    names = {id(part): name or type(part).__name__ for name, part in module.named_modules()}
    calls, within, shown = Counter[tuple[str, ...]](), [0], dict[int, nn.Module]()
    watch = Watch(module, stack_of)

    def enter(*_: Any) -> None:
        within.append(0)

    def look(part: nn.Module, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        own = within.pop()
        within[-1] += 1
        if own:  # its parts have a row each
            return
        shown[id(part)] = part
        numbers = sum(p.numel() for p in part.parameters())
        read = [*given, *named.values()]
        if id(part) in watch.loops:
            watch.add(part, given, named, result)
            step, state = arguments(given, named)
            read = [step, result if state is None else state]  # where none is given, zeros are read
        shapes = f"{_shape(read if len(read) != 1 else read[0])} -> {_shape(result)}"
        calls[names[id(part)], type(part).__name__, f"{numbers:,}", shapes] += 1

    hooks = [part.register_forward_pre_hook(enter) for part in module.modules()]
    hooks += [part.register_forward_hook(look, with_kwargs=True) for part in module.modules()]
    try:
        result = _run(module, x)
    except hints.REFUSALS as error:
        recurrent = any(isinstance(part, (nn.RNNBase, nn.RNNCellBase)) for part in module.modules())
        raise hints.explained(error, hints.for_model(error) if recurrent else "") from None
    finally:
        for hook in hooks:
            hook.remove()
    loops = watch.found()
    for loop in loops:
        if loop.count > 1:
            try_feedback(loop, partial(_run, module, x))
    rows = [[*call[:-1], call[-1] + (f", {count} times" if count > 1 else "")] for call, count in calls.items()]
    parts = list(shown.values())
    own = {id(p) for part in parts for p in part.parameters()}
    rest = sum(p.numel() for p in module.parameters() if id(p) not in own)
    if rest:  # of modules that have others within
        rows.append(["of its own", "", f"{rest:,}", "parameters that belong to no part"])
    total = sum(p.numel() for p in module.parameters())
    described = [
        Table("Its parts", ("", "", "numbers", "reads -> gives"), rows),
        *chain.from_iterable(map(tables, loops)),
    ]
    for part in parts:
        if not is_cell(part) and (stack := stack_of(part)) is not None:
            name = names[id(part)]
            described.append(parameters_of(part, stack, f"What {name} learns"))
            described.append(costs_of(part, stack, f"What a step of {name} costs"))
    stacks = [stack for stack in map(stack_of, parts) if stack is not None]
    cells = {stack.cell.name: inside(stack.cell, stack.bias) for stack in stacks}
    return Explanation(
        type(module).__name__,
        f"Reads {_shape(x)}, gives {_shape(result)}; {total:,} numbers are learnt.",
        described,
        list(dict.fromkeys(line for stack in stacks for line in equations(stack.cell, stack.bias))),
        list(chain.from_iterable(map(relations, loops))),
        list(chain.from_iterable(map(notes, loops))),
        [*([steps(loops)] if loops else []), *cells.values()],
        tried="the numbers of this run",
    )


def _run(module: nn.Module, x: Any) -> Any:
    """What it gives as in use: without dropout and gradients, and by the same random numbers each time."""
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module.eval()
            return module(**x) if isinstance(x, dict) else module(*x) if isinstance(x, tuple) else module(x)
    finally:
        for part, mode in modes.items():
            part.training = mode


def stack_of(part: nn.Module) -> Stack | None:
    """The description of a recurrent layer or cell, torch.nn's too; None for any other module."""
    if isinstance(part, (RecurrentLayer, SingleStep)):
        return part._stack
    if isinstance(part, nn.RNNBase):
        kind, sizes = part.mode, (part.input_size, part.hidden_size, part.num_layers, part.bidirectional)
        return Stack(by_name(kind.lower()), *sizes, bias=bool(part.bias), proj_size=part.proj_size)
    if isinstance(part, (nn.RNNCell, nn.LSTMCell, nn.GRUCell)):
        kind = "lstm" if isinstance(part, nn.LSTMCell) else "gru"
        kind = f"rnn_{part.nonlinearity}" if isinstance(part, nn.RNNCell) else kind
        return Stack(by_name(kind), part.input_size, part.hidden_size, bias=bool(part.bias))
    return None


def _shape(value: Any) -> str:
    """Of a tensor its shape, of several those of all."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(v)}" for key, v in value.items()) + "}"
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return f"packed {tuple(value.data.shape)}"
    if isinstance(value, (tuple, list)):
        return ", ".join(_shape(v) for v in value if v is not None) if len(value) < 4 else f"{len(value)} tensors"
    return type(value).__name__
