"""A cell's generated functor against torch's autograd of the same equations, in float64, and its C++ against that."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from odd_cells import ODD_CELLS
from statewise.cells import CELLS, GRU, LSTM, RNN_TANH, Cell, Vector
from statewise.cells.arithmetic import FUNCTIONS
from statewise.cells.expression import Graph
from statewise.cells.generate import CLOSING, OPENING, main, sources
from statewise.cells.interpreter import Functor
from statewise.cells.plan import plan_of
from statewise.cells.printer import struct_of, type_of
from statewise.cells.slots import Slot, Unsupported
from statewise.cells.symbols import OPERATIONS
from statewise.kernels import cpu
from statewise.kernels.cpu import compile
from statewise.reference import Operations

UNSERVED: set[str] = set()  # of CELLS
ALL_CELLS = [cell for cell in (*CELLS, *ODD_CELLS) if cell.name not in UNSERVED]
H = 5
KERNELS = Path(cpu.__file__).parent


def tensors(letters: Any, draw: Any) -> dict[str, Tensor]:
    return {letter: draw(H).requires_grad_() for letter in letters}


@dataclass
class Step:
    """A step of one row by torch: what goes in, what comes out, and the gradients of all that went in."""

    x: dict[str, Tensor]
    r: dict[
        str, Tensor
    ]  # what h, or the late product with a matrix of `late`, gives; for late ones what is added to it
    late: dict[str, Tensor]  # (H, H)
    before: list[Tensor]
    w: list[Tensor]
    gain: dict[str, Tensor]
    shift: dict[str, Tensor]
    after: list[Tensor]
    ds: list[Tensor]


def step_by_torch(cell: Cell, draw: Any) -> Step:
    recurrent = tuple(cell.recurrent or ())
    x, r = tensors(cell.gates, draw), tensors(recurrent, draw)
    late = {k: draw(H, H) for k in cell.late}
    before = [draw(H).requires_grad_() for _ in cell.states]
    parts = {v.name: tensors(v.parts or ("",), draw) for v in cell.vectors}
    norms = [k for k in cell.norms if k not in ("x", "r")]
    gain, shift = {k: draw(H) for k in norms}, {k: draw(H) for k in norms}
    own = {v.name: SimpleNamespace(**parts[v.name]) if v.parts else parts[v.name][""] for v in cell.vectors}
    for k in norms:
        own[f"norm_{k}"] = lambda value, k=k: layer_norm(value, (H,), gain[k], shift[k])
    products = {k: (lambda value, k=k: late[k] @ value + r[k]) if k in late else r[k] for k in recurrent}
    given = SimpleNamespace(**products) if recurrent else None
    after = cell.step(Operations, SimpleNamespace(**x), given, SimpleNamespace(**own), tuple(before))
    ds = [draw(H) for _ in after]
    w = [t for v in cell.vectors for t in parts[v.name].values()]
    return Step(x, r, late, before, w, gain, shift, list(after), ds)


def gradients(step: Step, leaves: list[Tensor]) -> list[Tensor]:
    if not leaves:
        return []
    found = torch.autograd.grad(step.after, leaves, step.ds, allow_unused=True, retain_graph=True)
    return [torch.zeros(H) if g is None else g for g in found]


SIZES = {"a": 8, "before": 8, "after": 8, "w": 16, "crossed": 4, "crossing": 1}
SIZES |= {"ds": 8, "db": 8, "d": 8, "dw": 16, "dcross": 4}


class Core:
    """What the kernels do around a functor, for the units of one row. What a functor may not read is NaN."""

    def __init__(self, cell: Cell, functor: Any, step: Step) -> None:
        self.functor, self.step, self.cell = functor, step, cell
        self.plan = plan = plan_of(cell)
        self.phases = len(plan.forward)
        self.units = [{name: [math.nan] * n for name, n in SIZES.items()} for _ in range(H)]
        self.recurrent = tuple(cell.recurrent or ())
        zero = torch.zeros(H)
        for k, slot in enumerate(plan.slots):
            from_x = step.x[cell.gates[slot.from_x]] if slot.from_x >= 0 else zero
            from_h = zero if slot.late or slot.from_h < 0 else step.r[self.recurrent[slot.from_h]]
            self.put("a", k, from_x + from_h)
        for k, value in enumerate(step.before):
            if k > 0 or plan.reads_h:
                self.put("before", k, value)
        for k, value in enumerate(step.w):
            self.put("w", k, value)

    def put(self, name: str, k: int, value: Tensor) -> None:
        for unit, number in zip(self.units, value.tolist(), strict=True):
            unit[name][k] = number

    def get(self, name: str, k: int) -> Tensor:
        return torch.tensor([unit[name][k] for unit in self.units], dtype=torch.float64)

    def _normalised(self, j: int, value: Tensor) -> Tensor:
        letter = self.cell.states[self.plan.normalised[j]]
        return layer_norm(value, (H,), self.step.gain[letter], self.step.shift[letter])

    def forward(self) -> None:
        self.functor.forward(0, self.units)
        if self.phases == 1:
            return
        for j, k in enumerate(self.plan.normalised):
            self.put("crossed", j, self._normalised(j, self.get("after", k)))
        for k, slot in enumerate(self.plan.slots):
            if slot.late:
                letter = self.recurrent[slot.from_h]
                product = self.step.late[letter] @ self.get("crossing", 0) + self.step.r[letter]
                self.put("a", k, self.get("a", k) + product)
        self.functor.forward(1, self.units)

    def backward(self) -> None:
        plan = self.plan
        for k, value in enumerate(self.step.ds):
            self.put("ds", k, value)
        for k in range(len(self.step.w)):
            self.put("dw", k, torch.full((H,), 0.5))
        self.put("after", 0, torch.full((H,), math.nan))
        if plan.crossing:
            crossed = self.get("crossing", 0)
            self.put("crossing", 0, torch.full((H,), math.nan))
            self.functor.crossing(0, self.units)
            torch.testing.assert_close(self.get("crossing", 0), crossed)
        if self.phases == 2:
            self.functor.backward(1, self.units)
            for j, k in enumerate(plan.normalised):
                value = self.get("after", k).requires_grad_()
                (through,) = torch.autograd.grad(self._normalised(j, value), value, self.get("dcross", j))
                self.put("ds", k, self.get("ds", k) + through)
            if plan.crossing:
                late = [(k, slot) for k, slot in enumerate(plan.slots) if slot.late]
                parts = [
                    self.step.late[self.recurrent[slot.from_h]].T @ self.get("d", k) for k, slot in late
                ]  # (H,) each
                self.put("dcross", 0, torch.stack(parts).sum(0))
        self.functor.backward(0, self.units)

    def check(self, **tolerance: float) -> None:
        """Compare everything with torch's."""

        def same(what: str, got: Tensor, expected: Tensor) -> None:
            torch.testing.assert_close(
                got, expected.detach(), msg=lambda m: f"{self.cell.name}, {what}: {m}", **tolerance
            )

        self.forward()
        for k, value in enumerate(self.step.after):
            same(f"state {k}", self.get("after", k), value)
        self.backward()
        for name, numbers, leaves in (
            ("x", [slot.from_x for slot in self.plan.slots], [self.step.x[k] for k in self.cell.gates]),
            ("r", [slot.from_h for slot in self.plan.slots], [self.step.r[k] for k in self.recurrent]),
        ):
            expected = gradients(self.step, leaves)
            assert sorted(k for k in numbers if k >= 0) == list(range(len(leaves)))
            for slot, k in enumerate(numbers):
                if k >= 0:
                    same(f"gradient of {name} {k}", self.get("d", slot), expected[k])
        for k, expected in enumerate(gradients(self.step, self.step.before)):
            if k > 0 or self.cell.carries_h:
                same(f"gradient of state {k} before", self.get("db", k), expected)
            else:
                assert not expected.any()
        for k, expected in enumerate(gradients(self.step, self.step.w)):
            same(f"gradient of vector {k}", self.get("dw", k) - 0.5, expected)


def numbers(seed: int, whole: bool = False) -> Any:
    """Draws tensors from the normal distribution; or whole numbers, among which many are equal, or 0."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        found = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return found.round() if whole else found

    return draw


@pytest.fixture(autouse=True)
def float64() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Interpreted:
    """The interpreter, unit by unit."""

    def __init__(self, cell: Cell) -> None:
        self.functor = Functor(cell)

    def forward(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        for unit in units:
            self.functor.forward(phase, unit)

    def backward(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        for unit in units:
            self.functor.backward(phase, unit)

    def crossing(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        for unit in units:
            self.functor.crossing(unit)


@pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize("whole", [False, True])
def test_steps_and_gradients_are_autograds(cell: Cell, whole: bool) -> None:
    functor = Interpreted(cell)
    for seed in range(4):
        Core(cell, functor, step_by_torch(cell, numbers(seed, whole))).check(rtol=1e-10, atol=1e-12)


HARNESS = """
#include "math.hpp"
#include "shape.hpp"
{opening}{struct}
constexpr int kSizes[] = {{{sizes}}};

template <class C, class T, int W>
void call(int function, int phase, T* const* arrays) {{
  using V = Vec<T, W>;
  V all[11][16];
  for (int i = 0; i < 11; ++i)
    for (int k = 0; k < kSizes[i]; ++k) all[i][k] = load<V>(arrays[i] + k * W);
  auto& [a, before, after, w, crossed, crossing, ds, db, d, dw, dcross] = all;
  constexpr int last = C::shape.phases - 1;
  if (function == 0 && phase == 0) C::template forward<0, T, W>(a, before, w, crossed, after, crossing);
  if (function == 0 && phase == 1) C::template forward<last, T, W>(a, before, w, crossed, after, crossing);
  if (function == 1 && phase == 0)
    C::template backward<0, T, W>(a, before, after, w, crossed, ds, db, d, dw, dcross);
  if (function == 1 && phase == 1)
    C::template backward<last, T, W>(a, before, after, w, crossed, ds, db, d, dw, dcross);
  if constexpr (C::shape.late > 0)
    if (function == 2) C::template crossing<T, W>(a, before, w, crossing);
  for (int i = 0; i < 11; ++i)
    for (int k = 0; k < kSizes[i]; ++k) store(arrays[i] + k * W, all[i][k]);
}}
{closing}
#define STATEWISE_CALL(T, W) \\
  extern "C" void call_##T##_##W(int function, int phase, T* const* arrays) {{ \\
    statewise::STATEWISE_NS::call<statewise::STATEWISE_NS::{name}, T, W>(function, phase, arrays); \\
  }}
{calls}
"""


class Compiled:
    """The C++ functor on vectors of ``width`` units."""

    def __init__(self, library: ctypes.CDLL, number: str, width: int) -> None:
        self._call = library[f"call_{number}_{width}"]
        self._type = {"float": ctypes.c_float, "double": ctypes.c_double}[number]
        self._width = width

    def _run(self, function: int, phase: int, units: list[dict[str, list[float]]]) -> None:
        for first in range(0, len(units), self._width):
            some = units[first : first + self._width]
            lanes = some + [some[0]] * (self._width - len(some))
            arrays = {
                name: (self._type * (n * self._width))(*[unit[name][k] for k in range(n) for unit in lanes])
                for name, n in SIZES.items()
            }
            pointers = (ctypes.c_void_p * len(arrays))(*[ctypes.addressof(a) for a in arrays.values()])
            self._call(function, phase, pointers)
            for name, array in arrays.items():
                for lane, unit in enumerate(some):
                    unit[name][:] = array[lane :: self._width]

    def forward(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        self._run(0, phase, units)

    def backward(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        self._run(1, phase, units)

    def crossing(self, phase: int, units: list[dict[str, list[float]]]) -> None:
        self._run(2, phase, units)


def compiled(cell: Cell, kinds: list[tuple[str, int]], folder: Path) -> list[Compiled]:
    """The functor of ``cell`` for numbers of some type, in vectors of some length."""
    try:
        compiler = compile.compiler()
    except compile.NoCompilerError as reason:
        pytest.skip(str(reason))
    source, library = folder / "functor.cpp", folder / "functor.so"
    calls = "\n".join([f"STATEWISE_CALL({number}, {width})" for number, width in kinds])
    sizes = ", ".join(map(str, SIZES.values()))
    given = {"opening": OPENING, "closing": CLOSING, "struct": struct_of(cell), "name": type_of(cell)}
    source.write_text(HARNESS.format(**given, sizes=sizes, calls=calls))
    flags = [*compile.flags(cpu.instruction_set()), "-std=c++20", "-O1", "-fPIC", "-shared", "-w"]
    subprocess.run([*compiler, *flags, f"-I{KERNELS}", str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    return [Compiled(loaded, number, width) for number, width in kinds]


def check_compiled(cell: Cell, kinds: list[tuple[str, int]], folder: Path) -> None:
    for (number, _), functor in zip(kinds, compiled(cell, kinds, folder), strict=True):
        tolerance = 3e-5 if number == "float" else 1e-11
        for whole in (False, True):
            Core(cell, functor, step_by_torch(cell, numbers(3, whole))).check(rtol=tolerance, atol=tolerance)


def test_the_compiled_lstm_does_the_same_in_vectors_of_all_lengths(tmp_path: Path) -> None:
    check_compiled(LSTM, [("float", 1), ("float", 4), ("float", 16), ("double", 2), ("double", 8)], tmp_path)


def test_a_place_is_read_before_it_is_written(tmp_path: Path) -> None:
    leaky = next(cell for cell in ODD_CELLS if cell.name == "odd_leaky")
    assert ("a", 0) in dict(plan_of(leaky).forward[0].writes)
    check_compiled(leaky, [("float", 4)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda c: c.name)
def test_compiled_functors_do_the_same(cell: Cell, tmp_path: Path) -> None:
    check_compiled(cell, [("float", 8), ("double", 2)], tmp_path)


def test_the_lstms_functor_reads_as_one_would_write_it() -> None:
    body = struct_of(LSTM).split("  };\n")[1]
    assert (
        body
        == """\
  template <int phase, class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>*, const Vec<T, W>*,
                                       Vec<T, W>* after, Vec<T, W>*) {
    using V = Vec<T, W>;
    const V v0 = sigmoid<T, W>(a[0]);
    const V v1 = sigmoid<T, W>(a[1]);
    const V v2 = tanh<T, W>(a[2]);
    const V v3 = sigmoid<T, W>(a[3]);
    const V v4 = fma<V>(v1, before[1], v0 * v2);
    a[0] = v0;
    a[1] = v1;
    a[2] = v2;
    a[3] = v3;
    after[1] = v4;
    after[0] = v3 * tanh<T, W>(v4);
  }
  template <int phase, class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>* after,
                                        const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>* ds, Vec<T, W>* db,
                                        Vec<T, W>* d, Vec<T, W>*, Vec<T, W>*) {
    using V = Vec<T, W>;
    const V v0 = tanh<T, W>(after[1]);
    const V v1 = fma<V>(ds[0] * a[3], T(1) - v0 * v0, ds[1]);
    d[0] = v1 * a[2] * a[0] * (T(1) - a[0]);
    d[1] = v1 * before[1] * a[1] * (T(1) - a[1]);
    d[2] = v1 * a[0] * (T(1) - a[2] * a[2]);
    d[3] = ds[0] * v0 * a[3] * (T(1) - a[3]);
    db[1] = v1 * a[1];
  }
  template <class T, int W>
  static STATEWISE_INLINE void crossing(const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>*) {}
};
"""
    )


def test_the_grus_products_of_its_new_gate_stay_apart() -> None:
    plan = plan_of(GRU)
    assert plan.slots == (Slot(2, -1), Slot(0, 0), Slot(1, 1), Slot(-1, 2))
    assert plan.reads_h
    assert ".from_x = {2, 0, 1, -1}," in struct_of(GRU)
    assert ".from_h = {-1, 0, 1, 2}," in struct_of(GRU)


def test_parts_share_a_slot_where_they_only_occur_in_one_sum() -> None:
    slots = {cell.name: plan_of(cell).slots for cell in ODD_CELLS}
    assert slots["odd_peephole"] == tuple([Slot(k, k) for k in range(4)])
    # x.d - r.d and w.u * x.g + r.g are sums of other things than the parts.
    apart = [Slot(2, -1), Slot(5, -1)], [Slot(-1, 2), Slot(-1, 5)]
    assert slots["odd_six"] == (*apart[0], *[Slot(k, k) for k in (0, 1, 3, 4)], *apart[1])
    # x.b occurs twice, so r.b has a slot of its own; x.a and r.a are factors.
    assert slots["odd_uneven"] == (*[Slot(k, -1) for k in range(3)], *[Slot(-1, k) for k in range(3)])
    assert slots["odd_spare"] == (Slot(0, -1), Slot(1, -1), Slot(-1, 0), Slot(-1, 1))  # x.a + r.b: two gates


def test_a_late_product_shares_its_inputs_slot() -> None:
    plan = plan_of(next(cell for cell in ODD_CELLS if cell.name == "odd_late_pair"))
    assert [slot for slot in plan.slots if slot.late] == [Slot(1, 1, True), Slot(2, 2, True)]
    assert [slot.kind for slot in plan.slots] == sorted(slot.kind for slot in plan.slots)


def test_what_is_said_of_h_is_so() -> None:
    saves_h = {cell.name for cell in ALL_CELLS if plan_of(cell).saves_h}
    assert saves_h == {"rnn_tanh", "rnn_relu", "indrnn", "indrnn_tanh", "odd_indrnn"}
    assert not plan_of(LSTM).reads_h
    assert plan_of(RNN_TANH).reads_h is False


def odd(step: Any, gates: str = "a", states: str = "hc", **rest: Any) -> Cell:
    return Cell("odd_one", gates=gates, states=states, step=step, **rest)


def sum_of_all(ops: Any, x: Any, r: Any, w: Any, state: Any) -> Any:
    return tuple([ops.tanh(state[0] + x.a) for _ in state])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (lambda: odd(sum_of_all, states="hcdefgijk", recurrent=""), "9 states, the kernels have place for 8"),
        (lambda: odd(sum_of_all, vectors=(Vector("v", "abcdefghijklmnopq"),)), "17 vectors"),
        (lambda: odd(lambda o, x, r, w, s: (x.a * r.a, s[1] * x.b * r.b), gates="abcdefg"), "9 sums of products"),
        (lambda: odd(lambda o, x, r, w, s: (x.a + r.a(s[0]), x.a + r.a(s[1])), late="a"), "of two different values"),
        (
            lambda: odd(lambda o, x, r, w, s: (o.tanh(x.a) * r.a(s[0]), s[1]), late="a"),
            "in no sum with",
        ),
        (lambda: odd(lambda o, x, r, w, s: (x.a, s[1]), late="a"), "leaves out a late product"),
        (
            lambda: odd(lambda o, x, r, w, s: (x.a + r.a(s[0]), x.b + r.b(s[1])), gates="ab", late="ab"),
            "read different values",
        ),
        (
            lambda: odd(lambda o, x, r, w, s: (x.a + r.a(x.b + r.b(s[0])), s[1]), gates="ab", late="ab"),
            "read different values",
        ),
        (lambda: odd(lambda o, x, r, w, s: (x.a + r.a(s[1]), s[1]), late="a"), "all recurrent products are late"),
        (lambda: odd(lambda o, x, r, w, s: (w.norm_c(x.a), s[1]), norms="c"), "of another value than the state c"),
        (lambda: odd(lambda o, x, r, w, s: (x.a, s[1]), norms="c"), "leaves out the norm of a state"),
        (
            lambda: odd(lambda o, x, r, w, s: (x.a, x.b, w.norm_c(x.b)), gates="ab", states="hcd", norms="cd"),
            "leaves out the norm of a state",
        ),
        (
            lambda: odd(
                lambda o, x, r, w, s: (w.norm_d(w.norm_c(x.b) + x.a), x.b, w.norm_c(x.b) + x.a),
                gates="ab",
                states="hcd",
                norms="cd",
            ),
            "the norm of d reads another norm",
        ),
    ],
)
def test_what_the_kernels_have_no_place_for_is_said(cell: Any, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        plan_of(cell())


def test_which_of_the_built_in_cells_have_no_kernel() -> None:
    def is_served(cell: Cell) -> bool:
        try:
            return bool(plan_of(cell))
        except Unsupported:
            return False

    assert {cell.name for cell in CELLS if not is_served(cell)} == UNSERVED


def test_equal_computations_are_one_node_and_constants_are_folded() -> None:
    graph = Graph()
    a, b, two = graph.leaf("a"), graph.leaf("b"), graph.constant(2)
    assert graph.mul(a, b) is graph.mul(b, a)
    assert graph.sub(a, b) is not graph.sub(b, a)
    assert graph.neg(graph.sub(a, b)) is graph.sub(b, a)
    assert graph.add(a, graph.neg(b)) is graph.sub(a, b)
    assert graph.mul(graph.constant(1), a) is a
    assert graph.div(a, two) is graph.mul(a, graph.constant(0.5))
    assert graph.div(a, graph.constant(3)).op == "div"
    assert graph.call("maximum", two, graph.mul(two, two)).value == 4
    assert graph.mul(a, graph.constant(0)).op == "mul"  # NaN where a is infinite
    assert graph.constant(0.0) is not graph.constant(-0.0)


SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.5, -30.5, 40.0, -800.0, 800.0, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"where"}))
def test_operations_on_numbers_are_torchs(name: str) -> None:
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL]
    two = name in ("maximum", "minimum")
    arguments = pairs if two else [(a,) for a in SPECIAL]
    got = torch.tensor([FUNCTIONS[name](*each) for each in arguments])
    expected = getattr(Operations, name)(*torch.tensor(arguments).unbind(1))
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=0, equal_nan=True)  # softplus(x) is x from 20 on in torch


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_operators_on_numbers_are_torchs(name: str) -> None:
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL]
    a, b = torch.tensor(pairs).unbind(1)
    expected = {"add": a + b, "sub": a - b, "mul": a * b, "div": a / b}[name]
    got = torch.tensor([FUNCTIONS[name](*pair) for pair in pairs])
    torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


def test_names_that_no_identifier_can_have_are_made_into_some() -> None:
    for name, expected in (("my_cell", "MyCell"), ("3d-cell", "Cell3dCell"), ("ünlü", "Nl")):
        assert type_of(Cell(name, "a", "h", lambda o, x, r, w, s: (x.a,), recurrent="")) == expected


def test_a_name_is_a_string_literal_whatever_it_holds() -> None:
    text = struct_of(Cell('odd "\\?', "a", "h", lambda o, x, r, w, s: (x.a,), recurrent=""))
    assert '.name = "odd \\042\\134\\077",' in text


def test_the_build_writes_what_it_includes(tmp_path: Path) -> None:
    main(tmp_path / "generated")
    lines = (tmp_path / "generated" / "generated_cells.def").read_text().splitlines()
    assert lines == [f"STATEWISE_CELL({type_of(cell)})" for cell in CELLS if cell.name not in UNSERVED]
    text = (tmp_path / "generated" / "generated_cells.hpp").read_text()
    assert all(struct_of(cell) in text for cell in CELLS if cell.name not in UNSERVED)
    names = (tmp_path / "generated" / "generated_names.def").read_text().splitlines()
    assert 'STATEWISE_NAMES("peephole_lstm", "h c", "weight_ih weight_hh bias_ih bias_hh weight_ch")' in names
    assert len(names) == len(lines)


def test_cells_without_a_kernel_are_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = sources([LSTM, odd(sum_of_all, states="hcdefgijk", recurrent="")])
    assert found["generated_cells.def"] == "STATEWISE_CELL(Lstm)\n"
    assert "cell odd_one has no kernel: the cell has 9 states" in capsys.readouterr().err


def test_two_cells_with_one_type_are_refused() -> None:
    one, other = [Cell(name, "a", "h", lambda o, x, r, w, s: (x.a,), recurrent="") for name in ("odd_a", "odd-a")]
    with pytest.raises(ValueError, match="OddA"):
        sources([one, other])


def test_torch_is_not_needed(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None; from statewise.cells import generate;"
        "from pathlib import Path; generate.main(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, stderr=subprocess.DEVNULL)
    assert (tmp_path / "generated_cells.hpp").is_file()
