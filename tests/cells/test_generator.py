"""A cell's generated functor against torch's autograd of the same equations, in float64, and its C++ against that."""

from __future__ import annotations

import ctypes
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from odd_cells import ODD_CELLS
from statewise.cells import CELLS, LSTM, Cell
from statewise.cells.generate import CLOSING, OPENING
from statewise.cells.interpreter import Functor
from statewise.cells.plan import plan_of
from statewise.cells.printer import struct_of, type_of
from statewise.kernels import cpu
from statewise.kernels.cpu import compile
from statewise.reference import Operations

ALL_CELLS = (*CELLS, *(cell for cell in ODD_CELLS if cell.name not in {c.name for c in CELLS}))
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
namespace statewise {{
struct CellShape {{
  const char* name;
  int gates, recurrent, slots, from_x[8], from_h[8], late_first, late, states, vectors, phases;
  bool carries_h, reads_h, h_in_slots, bias_x, bias_h, norm_x, norm_r;
  int crossing_states, crossing_state[4];
  bool heads_x, heads_h;
}};
}}
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


@pytest.mark.slow
@pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda c: c.name)
def test_compiled_functors_do_the_same(cell: Cell, tmp_path: Path) -> None:
    check_compiled(cell, [("float", 8), ("double", 2)], tmp_path)
