"""No torch kernel does our work: what a call runs is told by torch's own profiler."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import statewise
from oracle import CELLS, LAYERS, flat

# Whatever could compute a gate, a product or a whole recurrence.
COMPUTES = re.compile(
    r"lstm|gru|rnn|mm$|matmul|linear|dot$|mv$|outer|einsum|conv|sigmoid|tanh|relu|^aten::(mul|add|sub|div)_?$", re.I
)


def operations(call):
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        call()
    return {event.key for event in seen.key_averages() if event.key.startswith(("aten::", "mkldnn", "statewise::"))}


@pytest.mark.parametrize(
    ("kind", "ragged"), [*((k, r) for k in LAYERS for r in ("dense", "lengths", "packed")), *((k, "") for k in CELLS)]
)
def test_forward_and_backward(kind, ragged):
    if kind in CELLS:
        module, x, more = getattr(statewise, kind)(3, 4), torch.randn(2, 3), {}
    else:
        module, x, more = getattr(statewise, kind)(3, 4, 2, bidirectional=True, proj_size=2), torch.randn(5, 2, 3), {}
        if ragged == "lengths":
            more = {"lengths": torch.tensor([2, 5])}
        elif ragged == "packed":
            x = torch.nn.utils.rnn.pack_padded_sequence(x, [5, 2])
    results = []
    seen = operations(lambda: results.extend(flat(module(x, **more))))
    cotangents = [torch.ones_like(r) for r in results]
    seen |= operations(lambda: torch.autograd.backward(results, cotangents))
    assert "aten::empty_like" in seen or "aten::new_empty" in seen  # it did look
    assert not [name for name in seen if COMPUTES.search(name)]
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it
def test_it_would_be_seen():
    x = torch.randn(5, 2, 3)
    for module in (torch.nn.LSTM(3, 4), torch.nn.GRU(3, 4), torch.nn.RNN(3, 4)):
        assert [name for name in operations(partial(module, x)) if COMPUTES.search(name)]
    tangents = partial(torch.func.jvp, statewise.LSTM(3, 4), (x,), (x,))  # which the reference computes
    assert "aten::sigmoid" in operations(tangents)
