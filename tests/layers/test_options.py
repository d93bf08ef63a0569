"""What torch.nn's layers have not: each option and their combinations against a plain loop over one row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import statewise
from oracle import flat, gradients
from plain_loop import LETTERS, Plain

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
        if case.kind == "RNN" and self.layer.nonlinearity == "relu":
            plain.act = torch.relu
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


@given(cases())
def test_combinations(case):
    check(case)
