"""Layers and single steps of a cell of one's own: parameters, numbers against plain loops, and torch's tools."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import statewise
from oracle import flat, gradients
from statewise import cells

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it

T, N, I, H = 6, 5, 3, 4  # noqa: E741


def peephole_step(ops, x, r, w, state):
    """Gers & Schmidhuber, 2000: i and f see the old c, o the new one."""
    _, c = state
    i, f = ops.sigmoid(x.i + r.i + w.peep.i * c), ops.sigmoid(x.f + r.f + w.peep.f * c)
    c = f * c + i * ops.tanh(x.g + r.g)
    return ops.sigmoid(x.o + r.o + w.peep.o * c) * ops.tanh(c), c


def independent_step(ops, x, r, w, state):
    """Li et al., 2018: a unit sees of h itself alone."""
    return (ops.relu(x.h + w.u * state[0]),)


def reset_before_step(ops, x, r, w, state):
    """Cho et al., 2014, v3: the reset gate acts before the product."""
    (h,) = state
    z = ops.sigmoid(x.z + r.z)
    return (z * h + (1 - z) * ops.tanh(x.n + r.n(ops.sigmoid(x.r + r.r) * h)),)


PEEPHOLE = statewise.Cell(
    "test peephole", gates="ifgo", states="hc", step=peephole_step, vectors=(statewise.Vector("peep", "ifo", 0.25),)
)
INDEPENDENT = statewise.Cell(
    "test independent",
    gates="h",
    states="h",
    step=independent_step,
    recurrent="",
    vectors=(statewise.Vector("u", initial=0.5),),
)
RESET_BEFORE = statewise.Cell("test reset before", gates="rzn", states="h", step=reset_before_step, late="n")
MINE = (PEEPHOLE, INDEPENDENT, RESET_BEFORE)


# The same equations, written out for one row without any of statewise's code.


def peephole_row(x, state, w_ih, w_hh, b_ih, b_hh, peep):
    h, c = state
    a = w_ih @ x + b_ih + w_hh @ h + b_hh
    p = peep.view(3, -1)
    i, f = torch.sigmoid(a[:H] + p[0] * c), torch.sigmoid(a[H : 2 * H] + p[1] * c)
    c = f * c + i * torch.tanh(a[2 * H : 3 * H])
    return torch.sigmoid(a[3 * H :] + p[2] * c) * torch.tanh(c), c


def independent_row(x, state, w_ih, b_ih, u):
    return (torch.relu(w_ih @ x + b_ih + u * state[0]),)


def reset_before_row(x, state, w_ih, w_hh, b_ih, b_hh):
    h = state[0]
    a = w_ih @ x + b_ih
    b = w_hh[: 2 * H] @ h + b_hh[: 2 * H]
    r, z = torch.sigmoid(a[:H] + b[:H]), torch.sigmoid(a[H : 2 * H] + b[H:])
    n = torch.tanh(a[2 * H :] + w_hh[2 * H :] @ (r * h) + b_hh[2 * H :])
    return (z * h + (1 - z) * n,)


ROWS = {PEEPHOLE: peephole_row, INDEPENDENT: independent_row, RESET_BEFORE: reset_before_row}


def written_out(layer, x, hx, lengths):
    """Output (T, N, D*H) and final states, row by row; no batch, no stack, no option but what is written here."""
    row_step, d = ROWS[layer.cell], 1 + layer.bidirectional
    weights = list(layer.parameters())
    each = len(weights) // (layer.num_layers * d)
    outputs, finals = [], [[] for _ in hx]
    for n, length in enumerate(lengths):
        steps = list(x[:length, n])
        row_finals = [[] for _ in hx]
        for layer_index in range(layer.num_layers):
            heard = []
            for direction in range(d):
                k = layer_index * d + direction
                state, ys = tuple(s[k, n] for s in hx), []
                for value in reversed(steps) if direction else steps:
                    state = row_step(value, state, *weights[k * each : (k + 1) * each])
                    ys.append(state[0])
                heard.append(ys[::-1] if direction else ys)
                for kept, s in zip(row_finals, state, strict=True):
                    kept.append(s)
            steps = [torch.cat(parts) for parts in zip(*heard, strict=True)]
        padding = [x.new_zeros(d * H)] * (len(x) - length)
        outputs.append(torch.stack(steps + padding))
        for kept, s in zip(finals, row_finals, strict=True):
            kept.append(torch.stack(s))
    return [torch.stack(outputs, 1), *(torch.stack(s, 1) for s in finals)]


@pytest.mark.parametrize("cell", MINE, ids=lambda c: c.name)
@pytest.mark.parametrize("ragged", ["dense", "batch first", "lengths", "packed"])
@pytest.mark.parametrize("more", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_against_the_equations(cell, ragged, more):
    torch.manual_seed(0)
    layer = statewise.Recurrent(cell, I, H, dtype=torch.float64, batch_first=ragged == "batch first", **more)
    x = torch.randn(T, N, I, dtype=torch.float64, requires_grad=True)
    depth = layer.num_layers * (1 + layer.bidirectional)
    hx = [torch.randn(depth, N, H, dtype=torch.float64, requires_grad=True) for _ in cell.states]
    lengths = [3, 6, 1, 6, 2] if ragged in ("lengths", "packed") else [T] * N
    leaves = [x, *hx, *layer.parameters()]
    given = hx[0] if len(hx) == 1 else tuple(hx)
    if ragged == "packed":
        packed, final = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), given)
        found = [pad_packed_sequence(packed)[0], *flat(final)]
    elif ragged == "lengths":
        found = flat(layer(x, given, lengths=lengths))
    elif ragged == "batch first":
        output, final = layer(x.transpose(0, 1), given)
        found = [output.transpose(0, 1), *flat(final)]
    else:
        found = flat(layer(x, given))
    expected = written_out(layer, x, hx, lengths)
    cotangents = [torch.randn_like(e) for e in expected]
    pairs = zip(
        [*found, *gradients(found, leaves, cotangents)],
        [*expected, *gradients(expected, leaves, cotangents)],
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", MINE, ids=lambda c: c.name)
def test_a_single_step_and_an_unbatched_sequence(cell):
    layer = statewise.Recurrent(cell, I, H, dtype=torch.float64)
    step = statewise.RecurrentCell(cell, I, H, dtype=torch.float64)
    step.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    x = torch.randn(T, I, dtype=torch.float64)
    state = None
    for value in x:
        state = step(value, state)
    output, final = layer(x)
    for a, b in zip(flat(final), flat([state]), strict=True):
        torch.testing.assert_close(a[0], b)
    torch.testing.assert_close(output[-1], flat(final)[0][0])
    torch.testing.assert_close(flat([step(x)])[0], flat(layer(x.unsqueeze(0)))[0][0])  # a batch of T rows


def test_parameters_follow_from_the_description():
    layer = statewise.Recurrent(PEEPHOLE, I, H, num_layers=2, bidirectional=True, proj_size=2)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes["weight_ih_l0"] == (4 * H, I)
    assert shapes["weight_ih_l1_reverse"] == (4 * H, 4)
    assert shapes["weight_hh_l1"] == (4 * H, 2)
    assert shapes["peep_l1_reverse"] == (3 * H,)
    assert shapes["weight_hr_l0"] == (2, H)
    assert list(shapes)[:6] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "peep_l0", "weight_hr_l0"]
    assert all((p == 0.25).all() for name, p in layer.named_parameters() if name.startswith("peep"))
    bound = H**-0.5
    drawn = layer.weight_ih_l1.detach()
    assert drawn.abs().max() <= bound
    assert drawn.std() > 0.4 * bound
    assert set(dict(statewise.Recurrent(INDEPENDENT, I, H).named_parameters())) == {
        "weight_ih_l0",
        "bias_ih_l0",
        "u_l0",
    }
    assert set(dict(statewise.RecurrentCell(INDEPENDENT, I, H, bias=False).named_parameters())) == {"weight_ih", "u"}


@pytest.mark.parametrize(("name", "kind"), [("lstm", "LSTM"), ("gru", "GRU"), ("rnn_tanh", "RNN")])
def test_a_known_cell_by_name_is_the_layer_of_that_name(name, kind):
    torch.manual_seed(0)
    theirs = getattr(statewise, kind)(I, H, 2, dropout=0.5)
    torch.manual_seed(0)
    ours = statewise.Recurrent(name, I, H, 2, dropout=0.5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = torch.randn(T, N, I)
    torch.manual_seed(1)
    expected = flat(theirs(x))
    torch.manual_seed(1)
    for a, b in zip(flat(ours(x)), expected, strict=True):
        assert torch.equal(a, b)


def test_copies_files_and_what_is_printed():
    layer = statewise.Recurrent(PEEPHOLE, I, H, num_layers=2, batch_first=True)
    assert repr(layer) == "Recurrent(test peephole, 3, 4, num_layers=2, batch_first=True)"
    assert repr(statewise.RecurrentCell(PEEPHOLE, I, H, bias=False)) == "RecurrentCell(test peephole, 3, 4, bias=False)"
    x = torch.randn(N, T, I)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(file, weights_only=False),
        copy.copy(layer),
    ):
        assert other.cell is PEEPHOLE
        for a, b in zip(flat(other(x)), flat(layer(x)), strict=True):
            assert torch.equal(a, b)
    # what was made of a cell stays of it, whichever takes its name later
    first = cells.Cell("test renamed", "h", "h", lambda ops, x, r, w, s: (ops.tanh(x.h + r.h),))
    old = statewise.Recurrent("test renamed", I, H)
    cells.Cell("test renamed", "h", "h", lambda ops, x, r, w, s: (ops.relu(x.h + r.h),))
    assert copy.deepcopy(old).cell is first
    assert old._stack.cell is first


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchs_tools():
    layer = statewise.Recurrent(PEEPHOLE, I, H, num_layers=2, bidirectional=True)
    x = torch.randn(T, N, I)
    expected = flat(layer(x))
    for run in (
        torch.compile(layer, backend="eager", fullgraph=True),
        statewise.freeze(layer),
        lambda x: torch.func.functional_call(layer, dict(layer.named_parameters()), (x,)),
        torch.jit.trace(layer, (x,)),
    ):
        for a, b in zip(flat(run(x)), expected, strict=True):
            torch.testing.assert_close(a, b)
    many = torch.randn(3, T, N, I)
    together = torch.vmap(lambda x: layer(x)[0])(many)
    torch.testing.assert_close(together, torch.stack([layer(x)[0] for x in many]))
    frozen_step = statewise.freeze(statewise.RecurrentCell(INDEPENDENT, I, H))
    assert frozen_step(x[0]).shape == (N, H)
    assert not list(frozen_step.parameters())


@pytest.mark.parametrize("cell", MINE, ids=lambda c: c.name)
def test_derivatives(cell):
    layer = statewise.Recurrent(cell, 2, 3, dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]

    def call(x, *weights):
        return tuple(flat(torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))))

    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    leaves = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert gradcheck(call, (x, *leaves), fast_mode=True, check_forward_ad=True)


def test_heads():
    cell = cells.Cell("test heads", "h", "h", lambda ops, x, r, w, s: (ops.tanh(x.h + r.h),), heads="xh")
    layer = statewise.Recurrent(cell, 6, 4, 2, num_heads=2, dtype=torch.float64)
    assert layer.weight_ih_l0.shape == (4, 3)
    assert layer.weight_hh_l0.shape == (4, 2)
    assert "num_heads=2" in repr(layer)
    x = torch.randn(T, N, 6, dtype=torch.float64)
    plain = nn.RNN(6, 4, 2, dtype=torch.float64)
    with torch.no_grad():
        for name, p in plain.named_parameters():
            own = layer.get_parameter(name)
            p.copy_(torch.block_diag(*own.view(2, 2, -1)) if "weight" in name else own)
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    torch.testing.assert_close(statewise.RecurrentCell(cell, 6, 4, num_heads=2).weight_hh.shape, torch.Size([4, 2]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: statewise.Recurrent("nix", 1, 1), ValueError, "Recurrent: no cell is called 'nix'; there are .*gru"),
        (lambda: statewise.Recurrent(nn.LSTM, 1, 1), TypeError, "Recurrent: Expected cell to be a statewise.Cell or"),
        (lambda: statewise.RecurrentCell(3, 1, 1), TypeError, "RecurrentCell: Expected cell to be a statewise.Cell or"),
        (lambda: statewise.RecurrentCell("gru", 0, 1), ValueError, "input_size must be greater than zero"),
        (lambda: statewise.RecurrentCell("gru", 1, 1.0), TypeError, "hidden_size should be of type int, got: float"),
        (lambda: statewise.RecurrentCell("gru", 1, 1, 1), TypeError, "bias should be of type bool, got: int"),
        (lambda: statewise.Recurrent("gru", 1, 0), ValueError, "hidden_size must be greater than zero"),
        (lambda: statewise.Recurrent("gru", 1, 2, num_heads=2), ValueError, "num_heads should be 1 for the cell gru"),
        (lambda: statewise.Recurrent("gru", 1, 2, num_heads=0), ValueError, "num_heads must be greater than zero"),
        (lambda: statewise.Recurrent("gru", 1, 2, num_heads=1.0), TypeError, "num_heads should be of type int"),
        (lambda: statewise.Recurrent(RESET_BEFORE, 1, 3, proj_size=2), ValueError, "proj_size should be zero for the"),
        (lambda: heads_that_do_not_divide(), ValueError, r"num_heads has to divide every width .* \[3\], got 2"),
    ],
)
def test_what_makes_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make()


def heads_that_do_not_divide():
    cell = cells.Cell("test heads h", "h", "h", lambda ops, x, r, w, s: (ops.tanh(x.h + r.h),), heads="h")
    statewise.Recurrent(cell, 2, 3, num_heads=2)


def test_what_a_call_can_not_take():
    layer, step = statewise.Recurrent(PEEPHOLE, I, H), statewise.RecurrentCell(PEEPHOLE, I, H)
    x = torch.randn(T, N, I)
    with pytest.raises(TypeError, match=r"Recurrent: Expected hx to be a tuple of 2 tensors \(h_0, c_0\), got Tensor"):
        layer(x, torch.zeros(1, N, H))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 5, 4\), got \[1, 5, 3\]"):
        layer(x, (torch.zeros(1, N, H), torch.zeros(1, N, 3)))
    with pytest.raises(ValueError, match="Recurrent: Expected input to be 2D or 3D, got 4D instead"):
        layer(x.unsqueeze(0))
    with pytest.raises(ValueError, match="RecurrentCell: Expected input to be 1D or 2D, got 3D instead"):
        step(x)
    with pytest.raises(RuntimeError, match="hidden1 has inconsistent hidden_size: got 3, expected 4"):
        step(x[0], (torch.zeros(N, H), torch.zeros(N, 3)))


def test_a_compiled_layer_keeps_its_cell_where_another_takes_the_name():
    def described(function):
        return statewise.Cell(
            "test taken", gates="h", states="h", step=lambda ops, x, r, w, s: (function(ops)(x.h + r.h),)
        )

    x = torch.ones(3, 2, 3)
    layer = statewise.Recurrent(described(lambda ops: ops.tanh), 3, 4)
    compiled = torch.compile(layer, backend="eager")
    expected = layer(x)[0]
    described(lambda ops: ops.relu)
    assert torch.equal(compiled(x)[0], expected)
    assert torch.equal(layer(x)[0], expected)
    later = statewise.Recurrent("test taken", 3, 4)
    later.load_state_dict(layer.state_dict())
    assert not torch.equal(later(x)[0], expected)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda ops, x, r, w, s: (x.h if x.h > 0 else r.h,), "can't branch on a value"),
        (lambda ops, x, r, w, s: (torch.tanh(x.h + r.h),), "not with torch's own functions"),
        (lambda ops, x, r, w, s: (x.h**3,), "no power but the second"),
        (3, "'int' object is not callable"),
    ],
)
def test_a_step_that_cannot_be_traced(step, message):
    with pytest.raises(TypeError, match=f"cell test untraced: step failed on symbols.*{message}"):
        statewise.Cell("test untraced", gates="h", states="h", step=step)


def test_a_cell_needs_a_name():
    with pytest.raises(ValueError, match="Expected name to be some letters without a '#', got ''"):
        statewise.Cell("", gates="h", states="h", step=lambda ops, x, r, w, s: (x.h,))
