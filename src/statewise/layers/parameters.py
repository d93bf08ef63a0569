"""Names, shapes and first values of a stack's parameters, in torch.nn's order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..cells import Cell, Weight
from ..stack import Stack

if TYPE_CHECKING:
    from .recurrent import RecurrentLayer


def parameter_shapes(stacks: Sequence[Stack]) -> list[dict[str, tuple[int, ...]]]:
    """One dictionary, name to shape, for each layer and direction: layer 0, layer 0 reversed, layer 1 ..."""
    layers = [(stack, layer) for stack in stacks for layer in range(stack.num_layers)]
    return [
        {f"{w.name}_l{k}{suffix}": stack.weight_shape(w, layer) for w in stack.weights}
        for k, (stack, layer) in enumerate(layers)
        for suffix in ("", "_reverse")[: stack.directions]
    ]


def norm_shapes(stacks: Sequence[Stack]) -> dict[str, tuple[int, ...]]:
    """The gain and bias of the layer norm below every layer but the first, of stacks of one layer each."""
    return {
        f"{kind}_norm_l{k}": (stack.input_size,) for k, stack in enumerate(stacks) if k for kind in ("weight", "bias")
    }


def initial_shapes(stacks: Sequence[Stack]) -> list[dict[str, tuple[int, ...]]]:
    """What a sequence begins with: for each letter the names of all layers and directions, and their shapes."""
    layers = [stack for stack in stacks for _ in range(stack.num_layers)]
    return [
        {
            f"initial_{letter}_l{k}{suffix}": (stack.state_sizes[j],)
            for k, stack in enumerate(layers)
            for suffix in ("", "_reverse")[: stack.directions]
        }
        for j, letter in enumerate(stacks[0].cell.states)
    ]


def initialise(module: nn.Module, weights: Iterable[tuple[str, Weight]], hidden_size: int) -> None:
    """Give the parameters of these names what the cell says they begin with, or else what torch.nn would give them."""
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for name, weight in weights:
        parameter = module._parameters.get(name)
        if parameter is None:  # parametrized, or replaced by a plain tensor
            continue
        if weight.initial is None:
            nn.init.uniform_(parameter, -bound, bound)
        else:
            nn.init.constant_(parameter, weight.initial)


def initialise_extra(module: nn.Module, names: Iterable[str]) -> None:
    """Give the norms between layers and the learned states what they begin with: gains of 1, else zeros."""
    for name in names:
        parameter = module._parameters.get(name)
        if parameter is not None:
            nn.init.constant_(parameter, 1.0 if name.startswith("weight_norm") else 0.0)


def initialise_forget_bias(layer: RecurrentLayer, value: float) -> None:
    """Have the biases of every forget gate add up to ``value``."""
    for bias, other in _biases(layer, "f"):
        nn.init.constant_(bias, value)
        nn.init.zeros_(other)


def initialise_for_time_scales(layer: RecurrentLayer, longest: float) -> None:
    """Tallec & Ollivier, 2018: forget gates whose time scales are spread from 1 to ``longest``, input gates opposite.

    A GRU's update gate, which keeps what the forget gate does, gets the same, and has no gate opposite.
    """
    cell = layer._stack.cell
    keeps = keeping_gate(cell)
    gates = [keeps, *(letter for letter in ("i",) if keeps == "f" and letter in cell.gates)]
    drawn: list[Tensor] = []
    for bias, other in _biases(layer, keeps):
        nn.init.uniform_(bias, 1.0, longest - 1.0)
        with torch.no_grad():
            bias.log_()
        nn.init.zeros_(other)
        drawn.append(bias)
    for gate in gates[1:]:
        for (bias, other), kept in zip(_biases(layer, gate), drawn, strict=True):
            with torch.no_grad():
                bias.copy_(-kept)
            nn.init.zeros_(other)


def keeping_gate(cell: Cell) -> str | None:
    """The gate by which a cell keeps its state where it is open: the forget gate f, or the GRU's z; None for none."""
    return "f" if "f" in cell.gates else "z" if cell.name.partition("(")[0] == "gru" else None


def _biases(layer: RecurrentLayer, gate: str | None) -> Iterator[tuple[Tensor, Tensor]]:
    """For each layer and direction the part of ``bias_ih`` that is the gate's, and that of ``bias_hh``, maybe empty."""
    cell = layer._stack.cell
    for name in layer._flat_weights_names:
        if not name.startswith("bias_ih"):
            continue
        bias = layer._parameters.get(name)
        other = layer._parameters.get(name.replace("_ih", "_hh"))
        if bias is not None:
            yield _rows(bias, cell.gates, gate), _rows(other, cell.recurrent or (), gate)


def _rows(bias: Tensor | None, gates: Sequence[str], gate: str | None) -> Tensor:
    if bias is None or gate is None or gate not in gates:
        return torch.empty(0)
    return bias.detach().chunk(len(gates))[list(gates).index(gate)]
