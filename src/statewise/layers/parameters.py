"""Names, shapes and first values of a stack's parameters, in torch.nn's order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import nn

from ..cells import Weight
from ..stack import Stack


def parameter_shapes(stacks: Sequence[Stack]) -> list[dict[str, tuple[int, ...]]]:
    """One dictionary, name to shape, for each layer and direction: layer 0, layer 0 reversed, layer 1 ..."""
    layers = [(stack, layer) for stack in stacks for layer in range(stack.num_layers)]
    return [
        {f"{w.name}_l{k}{suffix}": stack.weight_shape(w, layer) for w in stack.weights}
        for k, (stack, layer) in enumerate(layers)
        for suffix in ("", "_reverse")[: stack.directions]
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
