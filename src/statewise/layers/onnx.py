"""torch.onnx.export: a layer becomes ONNX's own LSTM, GRU and RNN nodes, a cell its few plain operations.

torch's newer exporter (``dynamo=True``) writes torch.nn's layers for one T alone, so the nodes are written here, one
for each layer. The older one writes them for torch's own function, which is called for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import reference
from ..stack import Stack
from . import cuda
from .dropout import draw_masks

# For each of ONNX's gates the place it has in torch: i o f c for i f g o, z r h for r z n.
GATES = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def is_exporting() -> bool:
    """Whether torch.onnx.export is calling."""
    return torch.onnx.is_in_onnx_export()


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    dropout: float,
    training: bool,
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, ...]:
    """As ``statewise.ops.recurrent``, in what ONNX has: x (T, N, I), or (S, I) with ``batch_sizes``.

    ONNX has no projection: the newer exporter gets the reference, whose loop is written out for one T.

    Raises:
        ValueError: the exporter that is used has nothing for the call.
    """
    kind = _kind(stack)
    if torch._C._get_tracing_state() is not None:
        if stack.proj_size or lengths is not None:
            raise ValueError(f"{kind}: torch.onnx.export takes lengths and proj_size with dynamo=True alone")
        return cuda.recurrent(x, state, weights, stack, dropout, training, batch_sizes)
    if batch_sizes is not None:
        raise ValueError(f"{kind}: torch.onnx.export takes a PackedSequence with dynamo=False alone; give lengths")
    if stack.proj_size:
        masks = draw_masks(x, stack, dropout) if dropout and training else ()
        return reference.recurrent(x, state, weights, stack, masks=masks, lengths=lengths)
    t, n, _ = x.shape
    depth, directions, h = stack.depth, stack.directions, stack.hidden_size
    if state is None:
        state = [x.new_zeros(depth, n, size) for size in stack.state_sizes]
    counts = None if lengths is None else lengths.to(torch.int32)
    final: list[list[Tensor]] = []
    for layer in range(stack.num_layers):
        if layer:
            x = torch.dropout(x, dropout, training)
        part = slice(layer * directions, (layer + 1) * directions)
        shapes = [(t, directions, n, h), *((directions, n, size) for size in stack.state_sizes)]
        output, *last = torch.onnx.ops.symbolic_multi_out(
            kind,
            [x, *_weights(weights, stack, layer), counts, *(s[part] for s in state)],
            _attributes(stack),
            dtypes=[x.dtype] * len(shapes),
            shapes=shapes,
        )
        x = output.transpose(1, 2).reshape(t, n, directions * h)  # (T, N, D*H)
        final.append(last)
    return x, *(torch.cat(letter) for letter in zip(*final, strict=True))


def cell(x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor], stack: Stack) -> tuple[Tensor, ...]:
    """One step, x (N, I), each state (N, H): the new states."""
    return reference.recurrent(x, state, weights, stack)[1:]


def _kind(stack: Stack) -> str:
    """ONNX's name for the layer."""
    return stack.cell.name.partition("_")[0].upper()


def _attributes(stack: Stack) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "hidden_size": stack.hidden_size,
        "direction": "bidirectional" if stack.bidirectional else "forward",
    }
    kind = _kind(stack)
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if kind == "RNN":
        attributes["activations"] = [stack.cell.name.partition("_")[2].capitalize()] * stack.directions
    return attributes


def _weights(weights: Sequence[Tensor], stack: Stack, layer: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """One layer's W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H), as ONNX stacks them."""
    each = stack.weights_per_layer
    first = layer * stack.directions * each
    own = [weights[first + d * each :][:each] for d in range(stack.directions)]
    w, r, *biases = (torch.stack([_reordered(one[k], stack) for one in own]) for k in range(each))
    return w, r, torch.cat(biases, 1) if biases else None


def _reordered(weight: Tensor, stack: Stack) -> Tensor:
    """A weight (G*H, .) or bias (G*H,) with its gates in ONNX's order."""
    gates = weight.split(stack.hidden_size)
    return torch.cat([gates[k] for k in GATES[_kind(stack)]])
