"""What the papers say of their cells beside the equations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import statewise
from statewise import cells, ops
from statewise.stack import Stack

T, N, I, H = 6, 3, 4, 4  # noqa: E741


def weights_of(stack, dtype=torch.float64):
    return {w.name: torch.randn(stack.weight_shape(w, 0), dtype=dtype) for w in stack.weights}


def run(stack, w, x, state=None):
    return ops.recurrent(x, state, [w[weight.name] for weight in stack.weights], stack)


def test_without_peepholes_it_is_the_lstm():
    stack = Stack(cells.by_name("peephole_lstm"), I, H)
    w, x = weights_of(stack), torch.randn(T, N, I, dtype=torch.float64)
    w["weight_ch"].zero_()
    plain = nn.LSTM(I, H, dtype=torch.float64)
    plain.load_state_dict({f"{name}_l0": weight for name, weight in w.items() if name != "weight_ch"})
    torch.testing.assert_close(run(stack, w, x)[0], plain(x)[0])


@pytest.mark.parametrize("scale", [1.0, 3.0**0.5])
def test_sru_with_x_itself_on_the_highway(scale):
    """The paper's form, for equal widths: no product, but alpha * x."""
    stack = Stack(cells.by_name("sru"), I, I)
    w, x = weights_of(stack), torch.randn(T, N, I, dtype=torch.float64)
    w["weight_ih"][3 * I :] = scale * torch.eye(I)
    w["bias_ih"].view(4, I)[[0, 3]] = 0
    _, w_f, w_r, _ = w["weight_ih"].chunk(4)
    _, b_f, b_r, _ = w["bias_ih"].chunk(4)
    v_f, v_r = w["weight_c"].chunk(2)
    c, outputs = torch.zeros(N, I, dtype=torch.float64), []
    for a in x:
        f, r = torch.sigmoid(a @ w_f.T + v_f * c + b_f), torch.sigmoid(a @ w_r.T + v_r * c + b_r)
        c = f * c + (1 - f) * (a @ w["weight_ih"][:I].T)
        outputs.append(r * c + (1 - r) * a * scale)
    torch.testing.assert_close(run(stack, w, x)[0], torch.stack(outputs))


def test_slstm_is_that_without_a_stabiliser():
    """The paper's first form: the gates are exp(i) and sigmoid(f) themselves."""
    stack = Stack(cells.by_name("slstm"), I, H, num_heads=2)
    w, x = weights_of(stack), torch.randn(T, N, I, dtype=torch.float64)
    blocks = w["weight_hh"].view(4, 2, H // 2, H // 2)
    dense = torch.cat([torch.block_diag(*gate) for gate in blocks])
    h = c = n = torch.zeros(N, H, dtype=torch.float64)
    outputs = []
    for a in x:
        i, f, z, o = (a @ w["weight_ih"].T + h @ dense.T + w["bias_ih"]).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.exp(i) * torch.tanh(z)
        n = torch.sigmoid(f) * n + torch.exp(i)
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    output, h_n, c_n, n_n, m_n = run(stack, w, x)
    torch.testing.assert_close(output, torch.stack(outputs))
    torch.testing.assert_close(c_n[0] * m_n[0].exp(), c)
    torch.testing.assert_close(n_n[0] * m_n[0].exp(), n)
    assert torch.equal(h_n[0], output[-1])


@pytest.mark.parametrize("size", [-1e3, 1e3])
@pytest.mark.parametrize("gate", range(4))
def test_slstm_bears_gates_of_any_size(gate, size):
    """Neither exp(i) nor what is divided by leaves the numbers, from the first step on."""
    stack = Stack(cells.by_name("slstm"), I, H)
    w, x = weights_of(stack, torch.float32), torch.randn(T, N, I)
    w["bias_ih"][gate * H : (gate + 1) * H] = size
    leaves = {name: weight.requires_grad_() for name, weight in w.items()}
    results = run(stack, leaves, x)
    assert all(r.isfinite().all() for r in results)
    assert results[0].abs().max() <= 1
    assert (results[3] >= 1).all()
    gradients = torch.autograd.grad(results[0].sum(), list(leaves.values()))
    assert all(g.isfinite().all() for g in gradients)


def test_slstm_with_one_head_reads_all_units():
    one, two = (Stack(cells.by_name(name), I, H) for name in ("slstm", "slstm_headwise"))
    w, x = weights_of(one), torch.randn(T, N, I, dtype=torch.float64)
    for a, b in zip(run(one, w, x), run(two, w, x), strict=True):
        assert torch.equal(a, b)


def test_minlstm_where_both_gates_are_nearly_shut():
    """f / (f + i) would be 0 / 0 in float32."""
    stack = Stack(cells.by_name("minlstm"), I, H)
    w, x = weights_of(stack, torch.float32), torch.randn(T, N, I)
    w["bias_ih"][: 2 * H] = -300
    exact = run(stack, {name: weight.double() for name, weight in w.items()}, x.double())
    torch.testing.assert_close(run(stack, w, x)[0], exact[0].float(), rtol=0, atol=1e-4)


def test_layer_normalisation_forgets_scale_and_shift_of_what_it_normalises():
    stack = Stack(cells.by_name("layer_norm_gru"), I, H)
    w, x = weights_of(stack), torch.randn(T, N, I, dtype=torch.float64)
    expected = run(stack, w, x)[0]
    w["weight_ih"][: 2 * H] *= 30  # of its two groups one alone
    torch.testing.assert_close(run(stack, w, x)[0], expected, rtol=0, atol=1e-2)
    w["weight_ih"][:H] *= 30
    assert (run(stack, w, x)[0] - expected).abs().max() > 0.1


def test_groups_of_a_norm_are_runs_of_the_gates():
    def step(ops, x, r, w, state):
        return (x.a + x.b,)

    with pytest.raises(ValueError, match="norm_groups to cut the gates 'ab' into runs"):
        statewise.cells.Cell("wrong", gates="ab", states="h", step=step, norms="x", norm_groups=("b", "a"))


def test_a_step_computes_with_numbers_too():
    """In the reference as in the symbols that a kernel is made from."""

    def step(ops, x, r, w, state):
        a = x.a + r.a
        return (ops.where(ops.relu(a), ops.minimum(a, 1), 0.5) + ops.maximum(-2, a) + ops.minimum(0.25, a),)

    cell = cells.Cell("with_numbers", gates="a", states="h", step=step)
    try:
        stack = Stack(cell, I, H)
        w, x = weights_of(stack), torch.randn(1, N, I, dtype=torch.float64)
        a = x[0] @ w["weight_ih"].T + w["bias_ih"] + w["bias_hh"]
        expected = torch.where(a > 0, a.clamp(max=1), 0.5) + a.clamp(min=-2) + a.clamp(max=0.25)
        torch.testing.assert_close(run(stack, w, x)[0][0], expected)
    finally:
        del cells.registry._DEFINED["with_numbers"]
