"""Other libraries: each of them computes what torch.nn does, what is wrong is left out, and losses are told."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from benchmarks import peak
from benchmarks.cases import CELLS, FORWARD, TRAINING, Case, Shape
from benchmarks.clock import Clock, Effort
from benchmarks.peers import OURS, PEERS, check, installed, layers, live, measure, problem, report
from benchmarks.samples import Summary

STEP = Shape(1, 2, 5, 7, 1)
SEQUENCE = Shape(4, 3, 5, 7, 1)
INSTANT = Effort(clean=1, at_least=1, seconds=0.0, sample=0.0)


@pytest.fixture(autouse=True)
def _no_reference_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "product", lambda: lambda: None)


def sides(name: str, case: Case) -> tuple[problem.Problem, dict[str, problem.Side]]:
    module, needs = PEERS[name]
    if needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed: pip install 'statewise[peers]'")
    one = problem.Problem(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        return one, import_module(f"benchmarks.peers.{module}").sides(one)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("shape", "mode"), [(STEP, FORWARD), (SEQUENCE, FORWARD), (SEQUENCE, TRAINING)])
@pytest.mark.parametrize("name", PEERS)
def test_every_way_of_every_library_is_right(
    name: str, cell: str, shape: Shape, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "torch.compile":  # what it is given, not what torch makes of that, which takes a minute
        monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    with warnings.catch_warnings(), torch._dynamo.config.patch():  # which is put back as it was
        warnings.simplefilter("ignore")
        one, ways = sides(name, Case(cell, shape, mode, 1))
        for way, side in ways.items():
            assert check.error(one, side) < 1e-5, way


def test_every_library_is_drawn_and_listed() -> None:
    plots = pytest.importorskip("benchmarks.plots")
    assert set(plots.PEERS) == set(PEERS) - set(OURS)
    assert {"statewise", "torch.nn", "torch.compile"} <= set(installed())


class _Off:
    """A side whose output is a little off."""

    def __init__(self, side: problem.Side, off: float) -> None:
        self._side, self._off = side, off
        self.feed = side.feed

    def __call__(self) -> None:
        self._side()

    def results(self) -> dict[str, Tensor]:
        return {name: r * (1 + self._off) for name, r in self._side.results().items()}


def off(by: float) -> ModuleType:
    return cast(ModuleType, SimpleNamespace(sides=lambda p: {"layer": _Off(live.sides(p)["layer"], by)}))


@pytest.mark.parametrize("shape", [STEP, SEQUENCE])
def test_a_wrong_result_is_left_out_and_named(shape: Shape) -> None:
    peers: dict[str, Any] = {"statewise": live, "good": off(1e-6), "bad": off(1e-3), "nan": off(float("nan"))}
    result, wrong = measure.measure(Case("GRU", shape, FORWARD, 1), peers, Clock(INSTANT))
    assert list(result.ways) == ["statewise", "good"]
    assert [name for name, _ in wrong] == ["bad", "nan"]
    assert "off by" in wrong[0][1]


def test_a_missing_gradient_is_wrong() -> None:
    one = problem.Problem(Case("GRU", SEQUENCE, TRAINING, 1))
    side = live.sides(one)["layer"]
    assert isinstance(side, layers.LayerSide)
    del side._parameters["bias_hh_l0"]
    assert check.error(one, side) == float("inf")


def test_the_state_is_carried_from_call_to_call() -> None:
    one = problem.Problem(Case("LSTM", STEP, FORWARD, 1))
    for way, side in live.sides(one).items():
        side.feed(*one.inputs())
        seen = []
        for _ in range(2):
            side()
            seen.append(side.results()["output"].clone())
        assert not torch.equal(*seen), way


def result(times: dict[str, float], case: Case) -> measure.PeerResult:
    ways = {name: measure.Way(f"{name}'s way", 1e-7, 0.1) for name in times}
    summary = Summary(times=tuple(times.values()), reference=1.0, clean=9, taken=10, quartile=1.0)
    return measure.PeerResult(case, ways, summary)


def test_ratios_are_to_the_better_of_our_two() -> None:
    times = {"statewise": 4e-5, "statewise, frozen": 2e-5, "JAX": 3e-5, "onnxruntime": 1e-5}
    one = result(times, Case("LSTM", STEP, FORWARD, 1))
    assert one.ratios == pytest.approx({"JAX": 1.5, "onnxruntime": 0.5})
    assert one.as_dict()["sides"]["JAX"]["us"] == 30.0
    row = report.table([one]).splitlines()[2]
    assert row == "| LSTM 1,2,5,7 | 40.0 | **20.0** | 10.0 (0.50) | 30.0 (1.50) |"
    assert report.losses([one]) == "- LSTM 1,2,5,7, single steps: onnxruntime 0.50 (onnxruntime's way)"


def test_no_losses() -> None:
    assert report.losses([result({"statewise": 1.0, "JAX": 2.0}, Case("GRU", SEQUENCE, FORWARD, 1))]).startswith(
        "Nowhere"
    )


def test_the_section_has_a_table_for_each_kind_of_work() -> None:
    cases = [Case("GRU", STEP, FORWARD, 1), Case("GRU", SEQUENCE, FORWARD, 1), Case("GRU", SEQUENCE, TRAINING, 1)]
    results = [result({"statewise": 1.0, "JAX": 2.0}, case) for case in cases]
    results[1] = replace(results[1], summary=replace(results[1].summary, disturbed=True))
    text = report.section(results, {"JAX": "9.9"}, "a machine")
    assert text.count("| cell T,N,I,H | statewise | JAX |") == 3
    assert text.count("(busy)") == 1
    assert "JAX 9.9." in text
