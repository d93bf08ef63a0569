"""TiRex on statewise: equal outputs and how fast. ``python -m tools.tirex`` in the root folder.

TiRex (Auer et al., 2025; github.com/NX-AI/tirex) forecasts by twelve sLSTMs of 512 units in four heads. It reads
patches of 32 values, so a context of 2048 is 64 steps. On a CPU its cell is a loop in Python, which torch.compile
unrolls: products and states are in bfloat16, a step's arithmetic in float32. Here that loop is written down once more,
to be timed beside ``statewise.Recurrent``, which computes in float32 throughout.

To have a loaded model on statewise: ``swap(model)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch._dynamo
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

import statewise
from benchmarks.case import FORWARD, Case, Shape
from benchmarks.clock import Effort
from benchmarks.runner import Kind, run
from benchmarks.sides import ModuleSide, Problem

WIDTH, HEADS = 512, 4
PATCH, CONTEXT = 32, 2048
GATES = (
    "fizo"  # of their projections, whose places in a step are those of the gates i, f, z, o: their names are swapped
)


def weights_from(layer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a ``statewise.Recurrent("slstm_headwise", ...)`` from the state_dict of TiRex's ``sLSTMLayer``.

    Their recurrent weights are (heads, from unit, gate and to unit), their biases (heads, gate, unit).
    """
    recurrent, bias = layer["slstm_cell._recurrent_kernel_"], layer["slstm_cell._bias_"]
    heads, units, _ = recurrent.shape
    return {
        "weight_ih_l0": torch.cat([layer[f"{gate}gate.weight"].flatten(0, 1) for gate in GATES]),  # (4*H, I/heads)
        "weight_hh_l0": recurrent.unflatten(2, (4, units)).permute(2, 0, 3, 1).flatten(0, 2),  # (4*H, H/heads)
        "bias_ih_l0": bias.view(heads, 4, units).transpose(0, 1).flatten(),
    }


class Layer(nn.Module):
    """Stands where TiRex's ``sLSTMLayer`` stood: (N, T, H) to (N, T, H), with its weights and its norm of each head."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weights = weights_from(layer.state_dict())
        width, (heads, *_) = len(weights["bias_ih_l0"]) // 4, layer.slstm_cell._recurrent_kernel_.shape
        place = {name: getattr(weights["weight_hh_l0"], name) for name in ("device", "dtype")}
        self.recurrent = statewise.Recurrent(
            "slstm_headwise", width, width, batch_first=True, num_heads=int(heads), **place
        )
        self.recurrent.load_state_dict(weights)
        self.group_norm = layer.group_norm

    def forward(self, x: Tensor, slstm_state: None = None) -> Tensor:
        """What theirs gives; it never gives its own a state."""
        y = self.recurrent(x)[0].unflatten(-1, (self.recurrent.num_heads, -1))  # (N, T, heads, H/heads)
        normalised = self.group_norm(y.transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, normalised.flatten(2))


def swap(model: Any) -> Any:
    """Put every sLSTM of a TiRex model on statewise, in place."""
    for block in model.blocks:
        block.slstm_layer = Layer(block.slstm_layer)
    return model


class Loop(nn.Module):
    """Their layer up to the norm, parameters by their names, random: (N, T, I) to (N, T, H).

    Args:
        width: I and H.
        heads: they divide the width.
        inner: the dtype of products and states.
        compiled: whether torch.compile gets the loop.
    """

    def __init__(
        self, width: int = WIDTH, heads: int = HEADS, *, inner: torch.dtype = torch.bfloat16, compiled: bool = False
    ) -> None:
        super().__init__()
        units = width // heads
        for gate in GATES:
            projection = nn.Module()
            projection.weight = nn.Parameter(torch.randn(heads, units, units) * units**-0.5)
            setattr(self, f"{gate}gate", projection)
        self.slstm_cell = nn.Module()
        self.slstm_cell._recurrent_kernel_ = nn.Parameter(torch.randn(heads, units, 4 * units) * units**-0.5)
        self.slstm_cell._bias_ = nn.Parameter(torch.randn(4 * width))
        self.heads, self.inner = heads, inner
        self._loop: Callable[..., Tensor] = torch.compile(_loop) if compiled else _loop

    def forward(self, x: Tensor) -> Tensor:
        """The hidden states of all steps."""
        by_head = x.unflatten(-1, (self.heads, -1))
        shares = [torch.einsum("nthi,hoi->ntho", by_head, self.get_parameter(f"{gate}gate.weight")) for gate in GATES]
        gates = torch.stack(shares, 2).transpose(0, 1).to(self.inner)  # (T, N, 4, heads, units)
        recurrent, bias = (self.get_parameter(f"slstm_cell._{name}_") for name in ("recurrent_kernel", "bias"))
        found = self._loop(gates, recurrent.to(self.inner), bias.view(self.heads, 4, -1).transpose(0, 1))
        return found.to(x.dtype).transpose(0, 1).flatten(2)


def _loop(gates: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """Their time loop: (T, N, 4, heads, units) to (T, N, heads, units). A step computes in the dtype of ``bias``."""
    inner, outer = gates.dtype, bias.dtype
    units = gates.size(-1)
    h = c = n = m = gates.new_zeros(gates.size(1), *gates.shape[3:])
    outputs = []
    for x in gates:
        product = torch.einsum("nhj,hjk->nhk", h, recurrent).unflatten(-1, (4, units)).transpose(1, 2)
        i, f, z, o = (x.to(outer) + product.to(outer) + bias).unbind(1)
        c, n, m = c.to(outer), n.to(outer), m.to(outer)
        kept = m + logsigmoid(f.clamp(max=15))
        m = torch.where((n == 0).all(), i, torch.maximum(i, kept))
        take, keep = torch.exp(i - m).clamp(max=1), torch.exp(kept - m).clamp(max=1)
        c = keep * c + take * torch.tanh(z)
        n = keep * n + take
        h = torch.sigmoid(o) * c / n
        h, c, n, m = h.to(inner), c.to(inner), n.to(inner), m.to(inner)
        outputs.append(h)
    return torch.stack(outputs)


def ours(loop: Loop, **options: Any) -> statewise.Recurrent:
    """The layer of statewise that computes what ``loop`` does."""
    weights = weights_from(loop.state_dict())
    width = len(weights["bias_ih_l0"]) // 4
    layer = statewise.Recurrent("slstm_headwise", width, width, batch_first=True, num_heads=loop.heads, **options)
    layer.load_state_dict(weights)
    return layer


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """A layer on a context of 2048 values, so many series at once."""
    return (Case("slstm_headwise", shape, FORWARD, count) for count in threads for shape in shapes)


def problem(case: Case) -> Problem:
    """The layer of statewise, the compiled loop and the plain one, which may be off by what bfloat16 rounds."""
    torch._dynamo.reset()  # or it would compile the next batch for any size
    s = case.shape
    loops = {name: Loop(s.H, HEADS, compiled=name == "torch.compile") for name in ("torch.compile", "Python loop")}
    exact = Loop(s.H, HEADS, inner=torch.float64).double()
    plain = loops["Python loop"]
    for loop in (*loops.values(), exact):
        loop.load_state_dict(plain.state_dict())
    sides = {
        name: ModuleSide(m, m.state_dict(), trains=False) for name, m in {"statewise": ours(plain), **loops}.items()
    }
    one = ModuleSide(exact, exact.state_dict(), trains=False)
    return Problem(
        {name: {"": side} for name, side in sides.items()},
        dict.fromkeys(sides, one),
        lambda: ([torch.randn(s.N, s.T, s.I)], (), ()),
        reference="",
        floor=0.1,
    )


KIND = Kind(
    "one of TiRex's layers",
    cases,
    problem,
    effort=Effort(9, 3, 10.0),
    shapes=[Shape(CONTEXT // PATCH, batch, WIDTH, WIDTH, 1) for batch in (1, 16, 256)],
)


if __name__ == "__main__":
    torch.manual_seed(0)
    statewise.warn_on_fallback()
    records, _ = run(KIND, KIND.cases(KIND.shapes, [torch.get_num_threads()]))
    print(*(f"{r.case} {r.side}: off from float64 by {r.error:.1e} of the largest value" for r in records), sep="\n")
