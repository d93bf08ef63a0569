"""TiRex's recurrent layer: the same outputs from ours, with its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tirex import HEADS, WIDTH, Layer, Loop, ours, swap, weights_from


def relative(found, expected):
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(("width", "heads"), [(6, 2), (24, 3), (WIDTH, HEADS)])
def test_equal_outputs(width, heads):
    exact = Loop(width, heads, inner=torch.float64).double()
    x = 3 * torch.randn(2, 9, width, dtype=torch.float64)
    expected = exact(x)
    torch.testing.assert_close(ours(exact, dtype=torch.float64)(x)[0], expected, rtol=0, atol=1e-12)

    half = Loop(width, heads)  # as TiRex computes it, in bfloat16
    half.load_state_dict(exact.state_dict())
    mine, theirs = relative(ours(half)(x.float())[0], expected), relative(half(x.float()), expected)
    assert mine < 1e-5 < theirs


def test_in_training_the_gradients_are_theirs():
    exact = Loop(12, 2, inner=torch.float64).double()
    layer = ours(exact, dtype=torch.float64)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    for module in (exact, layer):
        result = module(x)
        (result if isinstance(result, torch.Tensor) else result[0]).square().sum().backward()
    gradients = {name: p.grad for name, p in exact.named_parameters()}
    for name, expected in weights_from(gradients).items():
        torch.testing.assert_close(layer.get_parameter(name).grad, expected, rtol=0, atol=1e-10)


class Norm(nn.Module):
    """What follows in their layer, (N, heads, T, units): anything that tells heads, steps and units apart."""

    def __init__(self, heads, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(heads, 1, units))

    def forward(self, y):
        return self.weight * y / y.norm(dim=-1, keepdim=True)


def test_swap():
    theirs = Loop(6, 2, inner=torch.float32)
    theirs.group_norm = Norm(2, 3)
    model = nn.Module()
    block = nn.Module()
    block.slstm_layer = theirs
    model.blocks = nn.ModuleList([block])
    assert swap(model) is model
    assert isinstance(block.slstm_layer, Layer)

    x = torch.randn(2, 5, 6)
    y = theirs(x).unflatten(-1, (2, 3)).transpose(1, 2)  # (N, heads, T, units)
    expected = theirs.group_norm(y).transpose(1, 2).reshape(2, 5, 6)
    torch.testing.assert_close(block.slstm_layer(x, slstm_state=None), expected)
