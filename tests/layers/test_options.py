"""What torch.nn's layers have not: each option and their combinations against a plain loop over one row at a time."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import statewise
from oracle import flat, gradients
from plain_loop import LETTERS, Plain
from statewise import cells
from statewise.cells.variants import ACTIVATIONS

KINDS = ("LSTM", "GRU", "RNN")
F64 = torch.float64


# The noise of zoneout, written out in Python's integers as its documentation has it.

_ALL = (1 << 64) - 1


def _mix64(a: int) -> int:
    a = ((a ^ a >> 30) * 0xBF58476D1CE4E5B9) & _ALL
    a = ((a ^ a >> 27) * 0x94D049BB133111EB) & _ALL
    return a ^ a >> 31


def _fmix32(a: int) -> int:
    a = ((a ^ a >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    a = ((a ^ a >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return a ^ a >> 16


def bits(seed: int, scan: int, state: int, step: int, row: int, unit: int) -> int:
    key = _mix64((seed + (8 * scan + state + 1) * 0x9E3779B97F4A7C15) & _ALL)
    base = _mix64(key ^ (step << 32 | row))
    return _fmix32((base + unit * 0x9E3779B9 & 0xFFFFFFFF) ^ base >> 32) >> 8


@dataclass
class Case:
    """A layer with options, and a call of it."""

    kind: str = "LSTM"
    i: int = 3
    h: Any = 4  # a number or a list
    l: int = 1  # noqa: E741
    bidirectional: bool = False
    proj: int = 0
    bias: bool = True
    t: int = 5
    form: str = "dense"
    lengths: tuple[int, ...] = (5, 5)  # of the rows
    with_hx: bool = True
    training: bool = True
    with_reset: bool = False
    return_states: bool = False
    dropout: float = 0.0
    options: Any = None

    @property
    def layers(self) -> int:
        return len(self.h) if isinstance(self.h, list) else self.l

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def one_by_one(self) -> bool:
        return isinstance(self.h, list) or bool(self.options.get("residual") or self.options.get("norm"))

    def layer(self) -> Any:
        return getattr(statewise, self.kind)(
            self.i,
            self.h,
            self.l,
            bias=self.bias,
            batch_first=self.form == "batch first",
            dropout=self.dropout,
            bidirectional=self.bidirectional,
            proj_size=self.proj,
            dtype=F64,
            **self.options,
        ).train(self.training)


class Data:
    """What a case is called with, and the noise that its layer will draw from torch's generator."""

    def __init__(self, case: Case, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.case, self.layer = case, case.layer()
        with torch.no_grad():
            for p in self.layer.parameters():  # the learned states and norms begin with zeros and ones
                p.add_(0.3 * torch.randn_like(p))
        n = len(case.lengths)
        self.x = torch.randn(case.t, n, case.i, dtype=F64, requires_grad=True)
        self.reset = torch.rand(case.t, n) < 0.3 if case.with_reset else None
        self.hx: list[torch.Tensor] = []
        if case.with_hx:
            sizes = self.layer._state_sizes
            self.hx = [torch.randn(self.layer._depth, n, size, dtype=F64, requires_grad=True) for size in sizes]

    @property
    def leaves(self) -> list[torch.Tensor]:
        return [self.x, *self.hx, *self.layer.parameters()]

    def state(self) -> Any:
        """As the layer takes it."""
        if not self.hx:
            return None
        each = self.case.layers if isinstance(self.case.h, list) else 0
        hx = [self.hx[k : k + each] for k in range(0, len(self.hx), each)] if each else self.hx
        return hx[0] if len(hx) == 1 else tuple(hx)

    def call(self) -> list[torch.Tensor]:
        """The layer's results, padded where the oracle's are."""
        case, form = self.case, self.case.form
        more: dict[str, Any] = {"return_states": True} if case.return_states else {}
        x, state, reset = self.x, self.state(), self.reset
        if form == "batch first":
            x, reset = x.transpose(0, 1), None if reset is None else reset.t()
        elif form == "unbatched":
            x, reset = x[:, 0], None if reset is None else reset[:, 0]
            state = _each(state, lambda s: s.squeeze(1))
        elif form == "lengths":
            more["lengths"] = list(case.lengths)
        elif form == "packed":
            x = pack_padded_sequence(x, list(case.lengths), enforce_sorted=False)
            if reset is not None:
                reset = reset[_places(x)]
        if reset is not None:
            more["reset"] = reset
        torch.manual_seed(17)
        output, *rest = self.layer(x, state, **more)
        final, states = flat(rest[0]), flat(rest[1]) if case.return_states else []
        if form == "packed":
            t, n = _places(output)
            states = [s.new_zeros(len(s), *self.x.shape[:2], s.size(-1)).index_put((_all(s), t, n), s) for s in states]
            data = output.data
            output = data.new_zeros(*self.x.shape[:2], data.size(-1)).index_put((t, n), data)
        elif form == "batch first":
            output, states = output.transpose(0, 1), [s.transpose(1, 2) for s in states]
        elif form == "unbatched":
            output, final, states = (
                output.unsqueeze(1),
                [s.unsqueeze(1) for s in final],
                [s.unsqueeze(2) for s in states],
            )
        return [output, *final, *states]

    def expected(self) -> list[torch.Tensor]:
        case = self.case
        plain = Plain(case.kind, dict(self.layer.named_parameters()), case.layers, case.directions, reset=self.reset)
        plain.learned = bool(case.options.get("learn_initial_state"))
        for name in ("residual", "norm", "clip", "gradient_clip"):
            setattr(plain, name, case.options.get(name, getattr(plain, name)))
        letters = LETTERS[case.kind]
        zoneout = case.options.get("zoneout", 0.0)
        plain.zoneout = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(letters)
        if case.training:
            torch.manual_seed(17)
            self._draw(plain)
        activation = case.options.get("activation") or {}
        others = {"tanh": activation} if isinstance(activation, str) else activation
        plain.act = FUNCTIONS[others.get("tanh", "tanh")]
        plain.gate = FUNCTIONS[others.get("sigmoid", "sigmoid")]
        hx = None
        if self.hx:
            hx = [self._by_layer(list(self.hx), j) for j in range(len(letters))]
        outputs, finals, passed = plain.run(self.x, hx, case.lengths)
        return [self._padded(outputs), *self._states(finals), *(self._all_states(passed) if case.return_states else [])]

    def _by_layer(self, tensors: list[torch.Tensor], j: int) -> list[torch.Tensor]:
        """The j-th letter's states of all layers and directions, (N, .) each."""
        if isinstance(self.case.h, list):
            each = self.case.layers
            return [s for tensor in tensors[j * each : (j + 1) * each] for s in tensor]
        return list(tensors[j])

    def _draw(self, plain: Plain) -> None:
        """The layer's noise, in the order in which it says that it draws it."""
        case, options, n = self.case, self.case.options, len(self.case.lengths)
        named = dict(self.layer.named_parameters())
        if p := options.get("weight_dropout"):
            for name, w in named.items():
                if name.startswith("weight_hh"):
                    plain.weight_factors[name] = torch.dropout(torch.ones_like(w), p, True)
        if p := options.get("input_dropout"):
            plain.input_factors = torch.dropout(torch.ones(n, case.i, dtype=F64), p, True)
        read: list[torch.Tensor] = []
        between: list[torch.Tensor] = []
        seeds: list[int] = []
        widths = [case.proj or h for h in (case.h if isinstance(case.h, list) else [case.h] * case.layers)]
        calls = [[k] for k in range(case.layers)] if case.one_by_one else [list(range(case.layers))]
        for call in calls:
            if call[0] and case.dropout:
                between.append(self._between(widths[call[0] - 1]))
            if p := options.get("recurrent_dropout"):
                sizes = [widths[k] for k in call for _ in range(case.directions)]
                read += [torch.dropout(torch.ones(n, size, dtype=F64), p, True) for size in sizes]
            if any(plain.zoneout):
                seeds += [int(torch.randint(0x7FFFFFFFFFFFFFFF, ()))] * len(call)
            if case.dropout:
                between += [self._between(widths[k]) for k in call[1:]]
        plain.read_factors, plain.between_factors = read, between

        def keeps(k: int, j: int, t: int, row: int, units: int) -> torch.Tensor:
            layer, direction = divmod(k, case.directions)
            scan = direction if case.one_by_one else k
            limit = round(plain.zoneout[j] * 2**24)
            return torch.tensor([bits(seeds[layer], scan, j, t, row, u) < limit for u in range(units)])

        if any(plain.zoneout):
            plain.keeps = keeps

    def _between(self, width: int) -> torch.Tensor:
        """Dropout between layers is drawn as the data lie."""
        case = self.case
        ones = torch.ones(*self.x.shape[:2], case.directions * width, dtype=F64)
        if case.form != "packed":
            return torch.dropout(ones, case.dropout, True)
        packed = pack_padded_sequence(self.x.detach(), list(case.lengths), enforce_sorted=False)
        return ones.index_put(_places(packed), torch.dropout(ones[_places(packed)], case.dropout, True))

    def _padded(self, rows: list[list[torch.Tensor]]) -> torch.Tensor:
        """Steps of rows as (T, N, .), zeros where there is no step."""
        width = len(next(s for row in rows for s in row))
        zeros = self.x.new_zeros(width)
        return torch.stack([torch.stack([*row, *[zeros] * (self.case.t - len(row))]) for row in rows], 1)

    def _states(self, finals: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        found = []
        for j in range(len(LETTERS[self.case.kind])):
            layers = [torch.stack([final[k][j] for final in finals]) for k in range(len(finals[0]))]
            found += self._as_given(layers)
        return found

    def _all_states(self, passed: list[list[list[list[torch.Tensor]]]]) -> list[torch.Tensor]:
        found = []
        for j in range(len(LETTERS[self.case.kind])):
            layers = [self._padded([[s[j] for s in row[k]] for row in passed]) for k in range(len(passed[0]))]
            found += self._as_given(layers)
        return found

    def _as_given(self, layers: list[torch.Tensor]) -> list[torch.Tensor]:
        each = self.case.directions if isinstance(self.case.h, list) else len(layers)
        return [torch.stack(layers[k : k + each]) for k in range(0, len(layers), each)]


def _each(state: Any, change: Any) -> Any:
    if state is None or isinstance(state, torch.Tensor):
        return None if state is None else change(state)
    return tuple(_each(s, change) for s in state)


def _all(s: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(s)).unsqueeze(1)


def _places(packed: PackedSequence) -> tuple[torch.Tensor, torch.Tensor]:
    """For each packed step the time and the row of the caller."""
    order = packed.sorted_indices
    steps = [(t, int(order[k])) for t, count in enumerate(packed.batch_sizes.tolist()) for k in range(count)]
    t, n = torch.tensor(steps, dtype=torch.int64).reshape(-1, 2).unbind(1)
    return t, n


FUNCTIONS: dict[str, Any] = {
    name: getattr(nn.functional, name, None) or getattr(torch, name) for name in ACTIVATIONS if name != "linear"
}
FUNCTIONS["linear"] = lambda a: a
FUNCTIONS["hardsigmoid"] = lambda a: nn.functional.relu6(a + 3) / 6  # torch's own has its sixth in float32


def check(case: Case, seed: int = 0) -> None:
    data = Data(case, seed)
    found, expected = data.call(), data.expected()
    assert [f.shape for f in found] == [e.shape for e in expected]
    torch.manual_seed(3)
    cotangents = [torch.randn_like(e) for e in expected]
    names = ["output or state"] * len(found) + ["x", *["hx"] * len(data.hx), *dict(data.layer.named_parameters())]
    ours = [*found, *gradients(found, data.leaves, cotangents)]
    theirs = [*expected, *gradients(expected, data.leaves, cotangents)]
    for name, a, b in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}")


RAGGED = {"lengths": (5, 2, 0, 4), "packed": (2, 5, 1, 4), "unbatched": (5,)}
FORMS = ("dense", "batch first", "lengths", "packed", "unbatched")
ALONE = [
    {"zoneout": 0.4},
    {"zoneout": 0.3, "training": False},
    {"recurrent_dropout": 0.4},
    {"weight_dropout": 0.4},
    {"input_dropout": 0.4},
    {"clip": 0.15},
    {"gradient_clip": 0.2},
    {"learn_initial_state": True, "with_hx": False},
    {"learn_initial_state": True, "with_reset": True},
    {"with_reset": True},
    {"return_states": True},
    {"residual": True, "l": 2},
    {"norm": True, "l": 2},
    {"h": [4, 2, 3]},
]


def case_of(kind: str, form: str, given: dict[str, Any], **more: Any) -> Case:
    own = {k: v for k, v in given.items() if k in Case.__dataclass_fields__}
    options = {k: v for k, v in given.items() if k not in own}
    return Case(kind=kind, form=form, lengths=RAGGED.get(form, (5, 5, 5)), options=options, **(more | own))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", ALONE, ids=str)
def test_each_option_alone(kind, form, given):
    deep = {"bidirectional": True} if "l" in given or "h" in given else {"l": 2, "bidirectional": True}
    check(case_of(kind, form, given, **deep))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation(name):
    """Of one kind alone, since each makes a cell whose kernel is compiled once on a machine."""
    check(case_of("GRU", "dense", {"activation": name}, l=2))


@st.composite
def cases(draw: Any) -> Case:
    kind, form = draw(st.sampled_from(KINDS)), draw(st.sampled_from(FORMS))
    t = draw(st.integers(1, 6))
    n = 1 if form == "unbatched" else draw(st.integers(1, 4))
    lengths = (t,) * n
    if form in ("lengths", "packed"):
        least = 1 if form == "packed" else 0
        lengths = tuple(draw(st.lists(st.integers(least, t), min_size=n, max_size=n)))
        t = max(lengths) if form == "packed" else t
        lengths = (t, *lengths[1:]) if not any(lengths) else lengths
    h: Any = draw(st.integers(1, 5))
    layers = draw(st.integers(1, 3))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        h = draw(st.lists(st.integers(2, 5), min_size=1, max_size=3))
        layers = 1
    depth = len(h) if isinstance(h, list) else layers
    narrowest = min(h) if isinstance(h, list) else h
    proj = draw(st.integers(1, narrowest - 1)) if narrowest > 1 and draw(st.booleans()) else 0
    if depth > 1 and (not isinstance(h, list) or proj or len(set(h)) == 1) and draw(st.booleans()):
        options["residual"] = True
    if depth > 1 and draw(st.booleans()):
        options["norm"] = True
    states = len(LETTERS[kind])
    p = st.sampled_from([0.0, 0.25, 0.6, 1.0])
    if draw(st.booleans()):
        options["zoneout"] = tuple(draw(p) for _ in range(states)) if draw(st.booleans()) else draw(p)
    for name in ("recurrent_dropout", "weight_dropout", "input_dropout"):
        if draw(st.booleans()):
            options[name] = draw(st.sampled_from([0.3, 0.7, 1.0]))
    for name in ("clip", "gradient_clip"):
        if draw(st.booleans()):
            options[name] = draw(st.sampled_from([0.1, 0.5, 3]))
    if draw(st.booleans()):
        options["learn_initial_state"] = True
    if draw(st.booleans()):
        options["activation"] = "softsign" if kind == "RNN" else {"tanh": "relu", "sigmoid": "hardsigmoid"}
    return Case(
        kind,
        draw(st.integers(1, 4)),
        h,
        layers,
        draw(st.booleans()),
        proj,
        draw(st.booleans()),
        t,
        form,
        lengths,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([0.0, 0.5])) if depth > 1 else 0.0,
        options,
    )


@settings(max_examples=settings.default.max_examples // 4)
@given(cases())
def test_combinations(case):
    check(case)


# What follows from the options beside the numbers


def of_class(kind: str, *args: Any, **options: Any) -> Any:
    return getattr(statewise, kind)(*args, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_for_every_form_of_a_call(kind):
    """What is drawn for a row has nothing to do with padding, sorting and packing."""
    noise = {"zoneout": 0.3, "recurrent_dropout": 0.3, "weight_dropout": 0.3, "input_dropout": 0.3}
    layer = of_class(kind, 3, 4, 2, bidirectional=True, **noise)
    x, lengths = torch.randn(6, 5, 3), [2, 6, 1, 6, 4]

    def run(call: Any, seed: int = 5) -> torch.Tensor:
        torch.manual_seed(seed)
        return call()

    padded = run(lambda: layer(x, lengths=lengths)[0])
    packed = run(lambda: layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])
    torch.testing.assert_close(padded[_places(packed)], packed.data)
    assert torch.equal(run(lambda: layer(x, lengths=lengths)[0]), padded)
    assert not torch.equal(run(lambda: layer(x, lengths=lengths)[0], 6), padded)
    layer.eval()
    before = torch.get_rng_state()
    assert torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(torch.get_rng_state(), before)  # nothing is drawn


def test_dropout_between_layers_of_several_widths_is_torchs():
    ours, theirs = statewise.LSTM(3, [4, 4], dropout=0.5), nn.LSTM(3, 4, 2, dropout=0.5)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 2, 3)
    torch.manual_seed(1)
    expected = theirs(x)[0]
    torch.manual_seed(1)
    output, (h_n, c_n) = ours(x)
    torch.testing.assert_close(output, expected)
    assert [s.shape for s in (*h_n, *c_n)] == [(1, 2, 4)] * 4
    assert ours.num_layers == 2


@pytest.mark.parametrize("kind", KINDS)
def test_carrying_on_from_the_states_is_going_on(kind):
    """Also where the layers are of several widths, and where a reset begins the rest anew."""
    layer = of_class(kind, 3, [4, 2], learn_initial_state=True)
    x, reset = torch.randn(8, 2, 3), torch.zeros(8, 2, dtype=torch.bool)
    reset[5, 1] = True
    whole, final = layer(x, reset=reset)
    first, state = layer(x[:5], reset=reset[:5])
    rest, last = layer(x[5:], state, reset=reset[5:])
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    torch.testing.assert_close(flat(last), flat(final))
    torch.testing.assert_close(layer(x[5:])[0][:, 1], whole[5:, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_first_values(kind):
    torch.manual_seed(0)
    plain = of_class(kind, 3, 4, 2)
    torch.manual_seed(0)
    layer = of_class(kind, 3, 4, 2, zoneout=0.1, clip=3)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), layer.parameters(), strict=True))
    layer = of_class(kind, 3, [64, 16], norm=True, learn_initial_state=True, bidirectional=True)
    assert layer.weight_ih_l0.abs().max() <= 1 / 8 < layer.weight_ih_l1.abs().max() <= 1 / 4
    named = dict(layer.named_parameters())
    assert named["weight_norm_l1"].shape == (128,)
    assert bool((named["weight_norm_l1"] == 1).all())
    assert not named["bias_norm_l1"].any()
    initial = {name: p for name, p in named.items() if name.startswith("initial")}
    assert initial.keys() == {f"initial_{s}_l{k}{d}" for s in LETTERS[kind] for k in (0, 1) for d in ("", "_reverse")}
    assert not any(p.any() for p in initial.values())


def test_forget_bias():
    torch.manual_seed(0)
    plain = statewise.LSTM(3, 4, 2, bidirectional=True)
    torch.manual_seed(0)
    layer = statewise.LSTM(3, 4, 2, bidirectional=True, forget_bias=1.5)
    for (name, a), b in zip(layer.named_parameters(), plain.parameters(), strict=True):
        if name.startswith("bias"):
            i, f, *rest = a.chunk(4)
            assert bool((f == (1.5 if "ih" in name else 0.0)).all())
            assert torch.equal(torch.cat([i, *rest]), torch.cat([c for k, c in enumerate(b.chunk(4)) if k != 1]))
        else:
            assert torch.equal(a, b)
    layer.reset_parameters()
    assert bool((layer.bias_ih_l1[4:8] == 1.5).all())
    peephole = statewise.Recurrent("peephole_lstm", 3, 4, forget_bias=1)
    assert bool((peephole.bias_ih_l0[4:8] == 1).all())


def test_chrono_init():
    layer = statewise.LSTM(3, 500, chrono_init=100)
    i, f = layer.bias_ih_l0.detach().chunk(4)[:2]
    assert torch.equal(i, -f)
    assert f.min() >= 0
    assert f.max() <= 4.6  # log 99
    assert abs(float(f.exp().mean()) - 50) < 4 * 98 / (12 * 500) ** 0.5
    assert not layer.bias_hh_l0[:1000].any()
    gru = statewise.GRU(3, 50, chrono_init=10)
    z = gru.bias_ih_l0.detach()[50:100]
    assert z.min() >= 0
    assert z.max() <= 2.2
    assert not gru.bias_hh_l0[50:100].any()
    assert gru.bias_hh_l0[:50].any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"zoneout": 1.5}, ValueError, "zoneout should be from 0 to 1, got 1.5"),
        ({"zoneout": (0.1,)}, ValueError, r"zoneout has to be a number, or one for each state \(h, c\), got 1 of them"),
        ({"zoneout": "0.1"}, TypeError, "zoneout should be a number, got: str"),
        ({"zoneout": (0.1, True)}, TypeError, "zoneout should be a number, got: bool"),
        ({"recurrent_dropout": -0.1}, ValueError, "recurrent_dropout should be from 0 to 1, got -0.1"),
        ({"weight_dropout": 2}, ValueError, "weight_dropout should be from 0 to 1, got 2"),
        ({"input_dropout": None}, TypeError, "input_dropout should be a number, got: NoneType"),
        ({"clip": -1}, ValueError, "clip should be 0 or more, got -1"),
        ({"gradient_clip": float("inf")}, ValueError, "gradient_clip should be 0 or more, got inf"),
        ({"residual": 1}, TypeError, "residual should be of type bool, got: int"),
        ({"residual": True}, ValueError, "residual is between layers: it has no meaning where num_layers is 1"),
        ({"norm": True}, ValueError, "norm is between layers: it has no meaning where num_layers is 1"),
        ({"norm": "layer"}, TypeError, "norm should be of type bool, got: str"),
        ({"learn_initial_state": 0}, TypeError, "learn_initial_state should be of type bool, got: int"),
        ({"hidden_size": [3, 2], "residual": True}, ValueError, r"residual adds .* of one width, got \[3, 2\]"),
        ({"hidden_size": []}, ValueError, "hidden_size has to name one layer at least, got an empty list"),
        ({"hidden_size": [3, 0]}, ValueError, "hidden_size must be greater than zero"),
        ({"hidden_size": [3, 2.0]}, TypeError, "hidden_size should be of type int, got: float"),
        ({"hidden_size": [3, 2], "num_layers": 3}, ValueError, "num_layers should be left out, or be the 2 that"),
        ({"hidden_size": [3, 2], "proj_size": 2}, ValueError, "proj_size has to be smaller than hidden_size"),
        ({"forget_bias": "1"}, TypeError, "forget_bias should be a number, got: str"),
        ({"forget_bias": float("nan")}, ValueError, "forget_bias should be a finite number, got nan"),
        ({"forget_bias": 1, "bias": False}, ValueError, "forget_bias is a bias: it has no meaning where bias is False"),
        ({"forget_bias": 1, "chrono_init": 9}, ValueError, "forget_bias and chrono_init both say what the forget gate"),
        ({"chrono_init": 1}, ValueError, "chrono_init should be 2 or more, got 1"),
        ({"activation": "swish"}, ValueError, "activation has to be one of elu, hardsigmoid, .* got 'swish'"),
        ({"activation": 3}, TypeError, "activation should be a name, or names by tanh and sigmoid, got: int"),
        ({"activation": {"relu": "elu"}}, ValueError, "in the place of tanh or sigmoid, got 'relu' for the cell lstm"),
        ({"zone_out": 0.1}, TypeError, r"LSTM.__init__\(\) got an unexpected .* 'zone_out'. Did you mean 'zoneout'\?"),
        ({"layers": 2}, TypeError, r"argument 'layers'. Did you mean 'num_layers'\?"),
        ({"units": 2}, TypeError, r"argument 'units'. Did you mean 'hidden_size'\?"),
        ({"color": 2}, TypeError, r"argument 'color'$"),
        ({"bias": 0.5}, TypeError, "got: float\nThe argument after num_layers is bias: .* its name, dropout=0.5"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(change, error, message):
    with pytest.raises(error, match=message):
        statewise.LSTM(**({"input_size": 3, "hidden_size": 4} | change))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: statewise.GRU(3, 4, forget_bias=1),
            "forget_bias is the forget gate's: the cell gru has no gate f, but",
        ),
        (
            lambda: statewise.RNN(3, 4, chrono_init=9),
            "chrono_init is the forget gate's: the cell rnn_tanh",
        ),
        (lambda: statewise.RNN(3, 4, nonlinearity="relu", activation="elu"), "got 'tanh' for the cell rnn_relu"),
        (
            lambda: statewise.Recurrent("indrnn", 3, 4, recurrent_dropout=0.1),
            "recurrent_dropout should be 0",
        ),
        (
            lambda: statewise.Recurrent("indrnn", 3, 4, weight_dropout=0.1),
            "weight_dropout should be 0 for",
        ),
    ],
)
def test_options_that_make_no_sense_for_a_cell(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_a_call_can_not_take():
    layer, x = statewise.LSTM(3, [4, 2], batch_first=True), torch.randn(2, 5, 3)
    with pytest.raises(TypeError, match=r"LSTM: Expected reset to be a tensor of bools, got torch\.float32"):
        layer(x, reset=torch.zeros(2, 5))
    with pytest.raises(TypeError, match="LSTM: Expected reset to be a tensor of bools, got list"):
        layer(x, reset=[[False] * 5] * 2)
    with pytest.raises(ValueError, match=r"LSTM: Expected reset of size \[2, 5\], one for each step .* got \[5, 2\]"):
        layer(x, reset=torch.zeros(5, 2, dtype=torch.bool))
    packed = pack_padded_sequence(x, [5, 3], batch_first=True)
    with pytest.raises(ValueError, match=r"LSTM: Expected reset of size \[8\], one for each step .* got \[2, 5\]"):
        layer(packed, reset=torch.zeros(2, 5, dtype=torch.bool))
    zeros = torch.zeros(1, 2, 4), torch.zeros(1, 2, 2)
    with pytest.raises(TypeError, match=r"a tuple of 2 \(h_0, c_0\), each a tuple of 2 tensors, one a layer, got"):
        layer(x, zeros)
    with pytest.raises(TypeError, match="GRU: Expected hx to be a tuple of 2 tensors, one a layer, got Tensor"):
        statewise.GRU(3, [4, 2])(x, zeros[0])
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\]\[0\] size \(1, 2, 4\), got \[1, 2, 2\]"):
        layer(x, (zeros, zeros[::-1]))
    with pytest.raises(RuntimeError, match=r"For batched 3-D input, all of hx should also be 3-D but got \(2-D"):
        layer(x, ([z[0] for z in zeros], zeros))


def test_what_is_printed_copied_and_restored():
    layer = statewise.LSTM(3, [4, 4], residual=True, zoneout=(0.1, 0.5), clip=2, activation="relu")
    assert repr(layer) == (
        "LSTM(3, (4, 4), num_layers=2, residual=True, zoneout=(0.1, 0.5), activation='relu', clip=2)"
    )
    x = torch.randn(5, 2, 3)
    layer.eval()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), statewise.freeze(layer)):
        for a, b in zip(flat(other(x)), flat(layer(x)), strict=True):
            assert torch.equal(a, b)
    other = statewise.LSTM(3, [4, 4], residual=True)
    other.load_state_dict(layer.state_dict())
    other.zoneout, other.clip, other.activation = (0.1, 0.5), 2, "relu"  # attributes count, as those of torch.nn do
    other.eval()
    assert torch.equal(other(x)[0], layer(x)[0])
    for module in (layer, statewise.GRU(3, 4, activation="relu"), statewise.RNN(3, 4, learn_initial_state=True)):
        with pytest.raises(ValueError, match=r"Expected layers that .* has, got an extended model"):
            statewise.restore(module)


def test_a_variant_is_found_by_its_name():
    made = statewise.GRU(3, 4, activation={"sigmoid": "hardsigmoid", "tanh": "relu"})._stack.cell
    assert made.name == "gru(sigmoid=hardsigmoid, tanh=relu)"
    assert cells.by_name(made.name) is made
    assert cells.by_name("lstm(tanh=softsign)").name == "lstm(tanh=softsign)"
    assert statewise.LSTM(3, 4, activation="tanh")._stack.cell is cells.LSTM
    with pytest.raises(KeyError, match=r"no cell is called .{0,2}'nix"):
        cells.by_name("nix(tanh=relu)")


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_know_all_options(kind):
    x, reset = torch.randn(6, 3, 3), torch.rand(6, 3) < 0.4
    for options in ({}, {"learn_initial_state": True, "norm": True, "zoneout": 0.3, "weight_dropout": 0.5}):
        layer = of_class(kind, 3, 4, 2, **options).eval()
        with torch.no_grad():
            for p in layer.parameters():
                p.add_(0.1 * torch.randn_like(p))
        frozen = statewise.freeze(layer)
        for more in ({}, {"reset": reset}, {"return_states": True}, {"reset": reset, "lengths": [3, 6, 1]}):
            for a, b in zip(flat(frozen(x, **more)), flat(layer(x, **more)), strict=True):
                torch.testing.assert_close(a, b)


EVERYTHING = {
    "norm": True,
    "residual": True,
    "zoneout": 0.3,
    "recurrent_dropout": 0.3,
    "weight_dropout": 0.3,
    "input_dropout": 0.3,
    "learn_initial_state": True,
    "clip": 0.5,
    "gradient_clip": 0.5,
}


@pytest.mark.parametrize("kind", ["LSTM", pytest.param("GRU", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch loads its decompositions with it
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.*should not be instantiated")  # by torch.compile
@pytest.mark.slow
def test_torchs_tools(kind):
    x, reset = torch.randn(3, 2, 3), torch.tensor([[False, True], [True, False], [False, True]])
    layer = of_class(kind, 3, 4, 2, bidirectional=kind == "GRU", **EVERYTHING)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    for training in (True, False):
        layer.train(training)
        torch.manual_seed(3)
        expected = flat(layer(x, reset=reset, return_states=True))
        torch.manual_seed(3)
        found = flat(compiled(x, reset=reset, return_states=True))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
    layer.eval()
    traced = torch.fx.symbolic_trace(Calls(layer))
    assert torch.equal(traced(x, reset), layer(x, reset=reset)[0])
    exported = torch.export.export(Calls(layer), (x, reset)).module()
    torch.testing.assert_close(exported(x, reset), layer(x, reset=reset)[0])
    many = torch.randn(3, 3, 2, 3)
    torch.testing.assert_close(torch.vmap(lambda x: layer(x)[0])(many), torch.stack([layer(x)[0] for x in many]))
    layer.train()
    torch.manual_seed(3)
    same = torch.vmap(lambda x: layer(x)[0], randomness="same")(many)
    torch.manual_seed(3)
    torch.testing.assert_close(same[0], layer(many[0])[0])
    with pytest.raises(RuntimeError, match="zoneout draws one seed for a call: Expected vmap with randomness='same'"):
        torch.vmap(lambda x: layer(x)[0], randomness="different")(many)


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_the_dtypes_are_those_of_the_plain_layer(kind):
    x, reset = torch.randn(4, 2, 3), torch.rand(4, 2) < 0.4
    plain, layer = of_class(kind, 3, 4, 2), of_class(kind, 3, 4, 2, clip=0.5, zoneout=0.1, recurrent_dropout=0.2)
    with torch.autocast("cpu", torch.bfloat16):
        output, final, states = layer(x, reset=reset, return_states=True)
        expected = flat(plain(x))
    assert [t.dtype for t in flat([output, final])] == [t.dtype for t in expected]
    assert [t.dtype for t in flat(states)] == [t.dtype for t in expected[1:]]
    loss = sum(t.float().sum() for t in flat([output, final, states]))
    assert all(g.dtype is torch.float32 for g in torch.autograd.grad(loss, list(layer.parameters())))


class Calls(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, reset: torch.Tensor) -> Any:
        return self.layer(x, reset=reset)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["dense", "packed"])
@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch loads its decompositions with it
@pytest.mark.slow
def test_further_derivatives(kind, form):
    options = EVERYTHING | {"gradient_clip": 50.0, "clip": 50.0}  # whose kinks are nowhere near
    layer = of_class(kind, 2, 3, 2, dtype=F64, **options)
    names = [name for name, _ in layer.named_parameters()]
    reset = torch.tensor([[False, True], [True, False], [False, False]])

    def call(x: torch.Tensor, *weights: torch.Tensor) -> Any:
        given = pack_padded_sequence(x, [3, 2]) if form == "packed" else x
        marks = reset[_sorted_places(given)] if form == "packed" else reset
        torch.manual_seed(4)
        named = dict(zip(names, weights, strict=True))
        return tuple(flat(torch.func.functional_call(layer, named, (given,), {"reset": marks, "return_states": True})))

    x = torch.randn(3, 2, 2, dtype=F64, requires_grad=True)
    leaves = [(p + 0.1 * torch.randn_like(p)).detach().requires_grad_() for p in layer.parameters()]
    # Packing has no tangents in torch.
    assert gradcheck(call, (x, *leaves), fast_mode=True, check_forward_ad=form == "dense")
    assert gradgradcheck(call, (x, *leaves), fast_mode=True)


def _sorted_places(packed: PackedSequence) -> tuple[torch.Tensor, torch.Tensor]:
    steps = [(t, k) for t, count in enumerate(packed.batch_sizes.tolist()) for k in range(count)]
    t, n = torch.tensor(steps).unbind(1)
    return t, n


def test_what_has_no_kernel_is_told():
    x, reset = torch.randn(4, 2, 3), torch.zeros(4, 2, dtype=torch.bool)
    statewise.warn_on_fallback()
    try:
        for option in ("zoneout", "clip", "gradient_clip"):
            with pytest.warns(
                statewise.ops.fallback.FallbackWarning, match=f"{option} has no kernel with a projection"
            ):
                statewise.LSTM(3, 4, proj_size=2, **{option: 0.5})(x)
        # The others are by the kernels, without a warning.
        for options in ALONE:
            case = case_of("LSTM", "dense", options)
            case.layer()(x.double(), reset=reset if case.with_reset else None, return_states=case.return_states)
    finally:
        statewise.warn_on_fallback(False)
