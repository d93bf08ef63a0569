"""Names and shapes of a stack's parameters, in torch.nn's order."""

from __future__ import annotations

from ..stack import Stack


def parameter_shapes(stack: Stack) -> list[dict[str, tuple[int, ...]]]:
    """One dictionary, name to shape, for each layer and direction: layer 0, layer 0 reversed, layer 1 ..."""
    rows = len(stack.cell.gates) * stack.hidden_size  # G*H
    groups = []
    for layer in range(stack.num_layers):
        for suffix in ("", "_reverse")[: stack.directions]:
            end = f"_l{layer}{suffix}"
            shapes: dict[str, tuple[int, ...]] = {
                f"weight_ih{end}": (rows, stack.layer_input_size(layer)),
                f"weight_hh{end}": (rows, stack.output_size),
            }
            if stack.bias:
                shapes[f"bias_ih{end}"] = shapes[f"bias_hh{end}"] = (rows,)
            if stack.proj_size:
                shapes[f"weight_hr{end}"] = (stack.proj_size, stack.hidden_size)
            groups.append(shapes)
    return groups
