"""Other libraries: each of them computes what torch.nn does, what is wrong is left out, and losses are told."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.case import CELLS, FORWARD, TRAINING, Case, Shape
from benchmarks.clock import Effort
from benchmarks.gate import verdicts
from benchmarks.kinds import peers
from benchmarks.kinds.peers.peer import Peer, Ways, modules
from benchmarks.record import Record
from benchmarks.runner import run
from benchmarks.sides import Side

STEP = Shape(1, 2, 5, 7, 1)
SEQUENCE = Shape(4, 3, 5, 7, 1)
KIND = replace(peers.KIND, effort=Effort(clean=1, at_least=1, seconds=0.0, sample=0.0))
pytestmark = pytest.mark.usefixtures("no_reference_product", "threads")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("shape", "mode"), [(STEP, FORWARD), (SEQUENCE, FORWARD), (SEQUENCE, TRAINING)])
@pytest.mark.parametrize("name", peers.PEERS)
def test_every_way_of_every_library_is_right(
    name: str, cell: str, shape: Shape, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways, needs = peers.PEERS[name]
    if needs and not find_spec(needs):
        pytest.skip(f"{needs} is not installed: pip install 'statewise[peers]'")
    monkeypatch.setattr(peers, "PEERS", {name: (ways, needs)})
    if name == "torch.compile":  # what it is given, not what torch makes of that, which takes a minute
        monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    with warnings.catch_warnings(), torch._dynamo.config.patch(), torch.set_grad_enabled(mode == TRAINING):
        warnings.simplefilter("ignore")  # theirs
        found = verdicts(peers.problem(Case(cell, shape, mode, 1)))
    for way, verdict in found.items():
        assert not verdict.wrong, way
        assert verdict.error is not None, way
        assert verdict.error < 1e-5, way
    assert found or (mode == TRAINING and name in ("statewise, frozen", "onnxruntime", "OpenVINO"))


class _Off:
    """A side whose results are a little off."""

    def __init__(self, side: Side, off: float) -> None:
        self._side, self._off = side, off
        self.feed = side.feed

    def __call__(self) -> object:
        return self._side()

    def results(self) -> dict[str, Tensor]:
        return {name: r * (1 + self._off) for name, r in self._side.results().items()}


def off(by: float) -> Any:
    def ways(peer: Peer) -> Ways:
        return {"layer": _Off(modules(peer, nn)["layer"], by)}

    return ways, None


@pytest.mark.slow
@pytest.mark.parametrize("shape", [STEP, SEQUENCE])
def test_a_wrong_result_is_left_out_and_named(
    shape: Shape, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {"good": off(1e-6), "bad": off(1e-3), "nan": off(float("nan"))}
    monkeypatch.setattr(peers, "PEERS", {"statewise": peers.PEERS["statewise"], **others})
    records, failed = run(KIND, [Case("GRU", shape, FORWARD, 1, "sequences")])
    assert ([r.side for r in records], failed) == (["statewise", "good"], 0)
    printed = capsys.readouterr().out
    assert all(f"WRONG {name}: layer output is off by" in printed for name in ("bad", "nan"))
    assert "good" not in [line.split("WRONG ")[1].split(":")[0] for line in printed.splitlines() if "WRONG" in line]


def test_statewise_that_is_wrong_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", {"statewise": off(1e-3), "torch.nn": off(0.0)})
    assert run(KIND, [Case("GRU", SEQUENCE, FORWARD, 1, "sequences")]) == ([], 1)


def test_of_several_ways_the_fastest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(_Off):
        def __call__(self) -> object:
            return [self._side() for _ in range(200)]

    def both(peer: Peer) -> Ways:
        return {"slow": Slow(modules(peer, nn)["layer"], 0.0), "quick": modules(peer, nn)["layer"]}

    monkeypatch.setattr(peers, "PEERS", {"statewise": (both, None)})
    (record,), _ = run(KIND, [Case("GRU", SEQUENCE, FORWARD, 1, "sequences")])
    assert record.way == "quick"


def test_a_missing_gradient_is_wrong() -> None:
    problem = peers.problem(Case("GRU", SEQUENCE, TRAINING, 1))
    side: Any = problem.sides["statewise"]["layer"]
    del side.parameters["bias_hh_l0"]
    only = replace(problem, sides={"statewise": {"layer": side}})
    assert verdicts(only)["statewise", "layer"].wrong == ["gradient of bias_hh_l0 is missing"]


def test_the_state_is_carried_from_call_to_call() -> None:
    problem = peers.problem(Case("LSTM", STEP, FORWARD, 1))
    assert problem.rounds > 1
    with torch.no_grad():
        for way, side in problem.sides["statewise"].items():
            problem.feed([side], step=False)
            first, second = (side.results()["output"].clone() for _ in range(2))
            assert not torch.equal(first, second), way


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert list(peers.installed()) == ["statewise", "statewise, frozen", "torch.nn", "torch.compile"]


def records(times: dict[str, float], case: Case) -> list[Record]:
    best = min(time for name, time in times.items() if name.startswith("statewise"))
    return [Record(case, name, time, time / best, way=f"{name}'s way") for name, time in times.items()]


def test_ratios_are_to_the_better_of_our_two() -> None:
    times = {"statewise": 40.0, "statewise, frozen": 20.0, "onnxruntime": 10.0, "JAX": 3000.0}
    found = peers.sections(records(times, Case("LSTM", STEP, FORWARD, 1, "single steps")))
    assert found["peers-steps"].splitlines()[2] == "| LSTM 1,2,5,7 | 40.0 | **20.0** | 10.0 (0.50) | 3,000 (150.00) |"
    assert found["losses"] == "- LSTM 1,2,5,7, single steps: onnxruntime 0.50 (onnxruntime's way)"


def test_every_group_has_a_table_and_no_losses_are_told_too() -> None:
    every = [r for c in peers.cases((), [1]) for r in records({"statewise": 1.0, "JAX": 2.0}, c)]
    every = [replace(r, disturbed=r.case.name == "training") for r in every]
    found = peers.sections(every)
    assert [len(found[f"peers-{name}"].splitlines()) for name in ("steps", "sequences", "training")] == [8, 11, 11]
    assert found["peers-training"].count("(busy)") == 9
    assert found["losses"].startswith("Nowhere")
