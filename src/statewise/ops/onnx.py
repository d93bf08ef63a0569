"""torch.onnx.export: a layer becomes ONNX's own LSTM, GRU and RNN nodes, a cell its few plain operations.

torch's newer exporter (``dynamo=True``) writes torch.nn's layers for one T alone, so the nodes are written here, one
for each layer. The older one writes them for torch's own function, which is called for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..onnx.nodes import GATES, KINDS, attributes
from ..stack import Stack
from .arguments import Arguments, Results
from .dropout import draw_masks
from .fallback import option_reason
from .gradient import run_reference
from .torch_kernels import run_torch

_KNOWN = frozenset({"rnn_tanh", "rnn_relu", "lstm", "gru"})


def run_onnx(a: Arguments, dropout: float, training: bool) -> Results:
    """As ``ops.recurrent``, in what ONNX has.

    ONNX has no projection and knows torch.nn's cells and no options: for the rest the newer exporter gets the
    reference, whose loop is written out for one T.

    Raises:
        ValueError: the exporter that is used has nothing for the call.
    """
    x, stack = a.x, a.stack
    if (a.batch_sizes is None and x.dim() == 2) or stack.cell.name not in _KNOWN or option_reason(a) is not None:
        return _by_reference(a, dropout, training)
    kind = KINDS[stack.cell.name]
    if torch._C._get_tracing_state() is not None:
        if stack.proj_size or a.lengths is not None:
            raise ValueError(f"{kind}: torch.onnx.export takes lengths and proj_size with dynamo=True alone")
        return run_torch(a, dropout, training)
    if a.batch_sizes is not None:
        raise ValueError(f"{kind}: torch.onnx.export takes a PackedSequence with dynamo=False alone; give lengths")
    if stack.proj_size:
        return _by_reference(a, dropout, training)
    t, n, _ = x.shape
    depth, directions, h = stack.depth, stack.directions, stack.hidden_size
    state = a.state
    if state is None:
        state = [x.new_zeros(depth, n, size) for size in stack.state_sizes]
    counts = None if a.lengths is None else a.lengths.to(torch.int32)
    final: list[list[Tensor]] = []
    for layer in range(stack.num_layers):
        if layer:
            x = torch.dropout(x, dropout, training)
        part = slice(layer * directions, (layer + 1) * directions)
        shapes = [(t, directions, n, h), *((directions, n, size) for size in stack.state_sizes)]
        output, *last = torch.onnx.ops.symbolic_multi_out(
            kind,
            [x, *_weights(a.weights, stack, layer), counts, *(s[part] for s in state)],
            attributes(stack),
            dtypes=[x.dtype] * len(shapes),
            shapes=shapes,
        )
        x = output.transpose(1, 2).reshape(t, n, directions * h)  # (T, N, D*H)
        final.append(last)
    return x, *(torch.cat(letter) for letter in zip(*final, strict=True))


def _by_reference(a: Arguments, dropout: float, training: bool) -> Results:
    """Its loop, written out."""
    masks = draw_masks(a.stack, dropout, a.x, *a.x.shape[:-1]) if dropout and training else ()
    return run_reference(a._replace(masks=masks))


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
    return torch.cat([gates[k] for k in GATES[KINDS[stack.cell.name]]])
