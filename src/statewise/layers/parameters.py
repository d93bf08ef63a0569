"""Names and shapes of a stack's parameters, in torch.nn's order."""

from __future__ import annotations

from ..stack import Stack


def parameter_shapes(stack: Stack) -> list[dict[str, tuple[int, ...]]]:
    """One dictionary, name to shape, for each layer and direction: layer 0, layer 0 reversed, layer 1 ..."""
    return [
        {f"{w.name}_l{layer}{suffix}": stack.weight_shape(w, layer) for w in stack.weights}
        for layer in range(stack.num_layers)
        for suffix in ("", "_reverse")[: stack.directions]
    ]
