"""The job that measures other people's programs: toys stand in their places, and nothing is installed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import programs
from benchmarks.case import FORWARD, MODES, TRAINING
from benchmarks.clock import Effort
from programs import __main__ as command
from programs import install, measure, report
from statewise import accelerate


class Toy(nn.Module):
    """What programs do with recurrent layers: packing, dropout, states given, a cell in a loop, no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 5)
        self.first = nn.LSTM(5, 6, bidirectional=True)
        self.drop = nn.Dropout(0.3)
        self.fixed = nn.GRU(5, 4)
        self.cell = nn.GRUCell(16, 3)

    def forward(self, numbers):
        x = self.words(numbers)  # (T, N, 5)
        states = torch.zeros(2, 2, x.shape[1], 6).unbind()
        packed, (h, _) = self.first(pack_padded_sequence(x, [7, 4, 4]), states)
        with torch.no_grad():
            fixed = self.fixed(x)[0]
        h_t = torch.zeros(x.shape[1], 3)
        for x_t in fixed:
            h_t = self.cell(torch.cat([self.drop(h).transpose(0, 1).flatten(1), x_t], 1), h_t)
        return h_t, packed.data, numbers.sum()


def run(model):
    return model(torch.arange(21).reshape(7, 3) % 11)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    theirs = Toy()
    return theirs, accelerate(copy.deepcopy(theirs))


def test_an_accelerated_model_passes_the_gate(pair):
    assert measure.failures(run, *pair) == []


@pytest.mark.parametrize("name", ["first.weight_hh_l0_reverse", "cell.bias_ih", "fixed.weight_ih_l0"])
def test_a_weight_that_is_off_is_found(pair, name):
    theirs, ours = pair
    with torch.no_grad():
        ours.get_parameter(name).flatten()[0] += 1e-3
    found = measure.failures(run, theirs, ours)
    assert {line.split(":")[0] for line in found} == set(MODES)


def test_a_gradient_that_is_off_or_missing_is_found(pair):
    theirs, ours = pair
    ours.words.weight.register_hook(lambda gradient: gradient * 1.001)
    assert [line.split(" is off")[0] for line in measure.failures(run, theirs, ours)] == [
        f"{TRAINING}: gradient of words.weight"
    ]
    ours.words.weight.requires_grad_(False)
    assert measure.failures(run, theirs, ours) == [f"{TRAINING}: gradient of words.weight is missing"]


def test_the_layers_calls_are_made_again_as_they_were(pair):
    theirs, ours = pair
    names = measure.recurrent_names(theirs, ours)
    assert names == ["first", "fixed", "cell"]
    calls = measure.calls_in(measure.Side(run, theirs), names, TRAINING)
    assert [call.name for call in calls] == ["first", "fixed", *["cell"] * 7]
    first, fixed, *cells = calls
    # The output goes to the loss by itself, h_n by the cell, and c_n nowhere.
    assert [gradient is not None for gradient in first.incoming] == [True, True, False]
    assert first.args[0].data.requires_grad
    assert not fixed.differentiated
    assert not any(gradient is not None for gradient in fixed.incoming)
    assert all(call.args[0].requires_grad and call.incoming[0].abs().sum() > 0 for call in cells)

    seen = []
    modules = {name: ours.get_submodule(name) for name in names}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda module, args, output, name=name: seen.append((name, torch.is_grad_enabled(), output))
        )
    measure.again(calls, modules)
    assert [(name, grad) for name, grad, _ in seen] == [("first", True), ("fixed", False), *[("cell", True)] * 7]
    torch.manual_seed(0)
    measure.again(calls, {name: theirs.get_submodule(name) for name in names})
    output = theirs.first(*first.args)[0].data
    assert (seen[0][2][0].data - output).abs().max() < 1e-6


def test_nothing_is_recorded_once_the_calls_are_known(pair):
    side = measure.Side(run, pair[0])
    calls = measure.calls_in(side, ["first"], FORWARD)
    side.once(FORWARD)
    assert len(calls) == 1
    assert not calls[0].differentiated


@pytest.mark.usefixtures("steady_clock")
@pytest.mark.slow
def test_a_program_is_measured(monkeypatch):
    toy = SimpleNamespace(REQUIREMENTS=("torch[all]==0",), WORK="a toy", build=Toy, run=run)
    monkeypatch.setattr(measure, "program", lambda name: toy)
    threads = torch.get_num_threads()
    try:
        found = json.loads(json.dumps(measure.measure("toy", Effort(clean=1, at_least=1, seconds=0.0))))
    finally:
        torch.set_num_threads(threads)
    assert found["version"] == f"torch {torch.__version__}"
    assert found["wrong"] == []
    figures = report.figures_of(found)
    assert [(f.mode, f.threads) for f in figures] == [(mode, threads) for threads in (1, 2) for mode in MODES]
    assert all(time > 0 for f in figures for time in (f.ours, f.theirs, f.our_layers, f.their_layers))


def test_every_program_says_what_it_needs_and_imports_nothing_of_it():
    for name in programs.NAMES:
        module = programs.program(name)
        assert "==" in module.REQUIREMENTS[0]
        assert module.WORK
        for part in ("cases",) if name in programs.CARRIED_OVER else ("build", "run"):
            assert callable(getattr(module, part))
        assert not {name, "silero_vad", "g2p_en", "nam"} & set(sys.modules)


REST = "The layers are 10% of the time: were they to take none, the program would gain 1.11. It is the rest."


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"their_layers": 0.11}, REST),
        ({"their_layers": 0.55}, "The layers are 50% of the time, and alone they gain 1.10. It is the layers."),
        ({"their_layers": 0.65}, "The layers are 59% of the time, and alone they gain 1.30, which the rest dilutes."),
        ({"their_layers": 1.2, "our_layers": 1.1}, "The layers are 100% of the time, and alone they gain 1.09. It is"),
    ],
)
def test_who_is_to_blame(layers, words):
    figure = {"mode": FORWARD, "threads": 1, "ours": 1.0, "theirs": 1.1, "our_layers": 0.5, "disturbed": False}
    assert report.blame(measure.Figure(**(figure | layers))).startswith(words)


def _record(**figure):
    machine = {"processor": "a processor", "instruction_set": "AVX512", "cores": 2, "torch": "2.13", "statewise": "0.1"}
    fields = {
        "mode": FORWARD,
        "threads": 2,
        "ours": 0.001,
        "theirs": 0.003,
        "our_layers": 0.0005,
        "their_layers": 0.002,
    }
    return {"version": "Toy 1.0", "machine": machine, "wrong": [], "figures": [fields | {"disturbed": False} | figure]}


def test_the_page():
    page = report.page({"darts": _record(), "flair": {"left_out": "no wheel"}})
    assert "| forward | 2 | 3.0 ms | 1.0 ms | **3.00** | 67% | 4.00 |" in page
    assert programs.program("darts").WORK in page
    assert "## Toy 1.0" in page
    assert "Nowhere." in page
    assert "## Left out\n\n- flair: no wheel\n" in page
    slow = report.page({"darts": _record(theirs=0.00119, disturbed=True)})
    assert "**1.19** (busy)" in slow
    assert "- darts, forward, threads 2: **1.19** (busy). The layers are 100% of the time" in slow
    assert "Left out" not in slow


def _case(ours, within=0.0):
    return programs.Case(lambda: [np.arange(6.0)], lambda: [ours], within)


def test_numbers_that_are_off_are_found_before_the_clock_starts(monkeypatch):
    cases = {
        "same": _case(np.arange(6.0)),
        "near": _case(np.arange(6.0) + 1e-6, 1e-5),
        "far": _case(np.arange(6.0) + 1e-3, 1e-5),
        "short": _case(np.arange(5.0), 1e9),
        "none": _case(np.full(6, np.nan), 1e9),
    }
    toy = SimpleNamespace(REQUIREMENTS=("torch==0",), WORK="a toy", cases=lambda: cases)
    monkeypatch.setattr(measure, "port", lambda name: toy)
    threads = torch.get_num_threads()
    try:
        found = measure.measure("silero", Effort(clean=1, at_least=1, seconds=0.0))
    finally:
        torch.set_num_threads(threads)
    assert found["wrong"] == [
        "far: 1.0e-03 apart, 1.0e-05 at most",
        "short: inf apart, 1.0e+09 at most",
        "none: inf apart, 1.0e+09 at most",
    ]
    assert found["cases"] == []


@pytest.mark.usefixtures("steady_clock")
def test_a_program_that_is_carried_over_is_measured(monkeypatch):
    toy = SimpleNamespace(REQUIREMENTS=("torch==0",), WORK="a toy", cases=lambda: {"one": _case(np.arange(6.0))})
    monkeypatch.setattr(measure, "port", lambda name: toy)
    threads = torch.get_num_threads()
    try:
        found = json.loads(json.dumps(measure.measure("silero", Effort(clean=1, at_least=1, seconds=0.0))))
    finally:
        torch.set_num_threads(threads)
    assert found["wrong"] == []
    (case,) = found["cases"]
    assert (case["case"], case["apart"]) == ("one", 0.0)
    assert case["ours"] > 0
    page = report.page({"darts": _record(), "silero": found})
    assert page.index("# Other people's networks in the runtime") > page.index("Nowhere.")
    assert "| one |" in page
    assert programs.port("silero").WORK in page


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "FOLDER", tmp_path / "environments")
    monkeypatch.setattr(command, "DOCS", tmp_path)
    return tmp_path


def _stand_in(monkeypatch, records):
    monkeypatch.setattr(command, "_found", lambda name, quick: records[name])


def test_the_command_writes_the_page_and_keeps_the_other_figures(monkeypatch, folder, capsys):
    _stand_in(monkeypatch, {name: _record() for name in programs.NAMES})
    assert command.main([]) == 0
    assert list(json.loads((folder / "programs.json").read_text())) == list(programs.NAMES)
    _stand_in(monkeypatch, {"darts": _record(theirs=0.007)})
    assert command.main(["darts"]) == 0
    text = (folder / "programs.md").read_text()
    assert text.count("**7.00**") == 1
    assert text.count("**3.00**") == len(programs.NAMES) - 1
    assert "darts: Toy 1.0" in capsys.readouterr().out


def test_what_is_left_out_is_said_and_the_exit_status_tells(monkeypatch, folder, capsys):
    _stand_in(monkeypatch, {"stanza": {"left_out": "it can't be installed. ERROR: no such thing"}, "darts": _record()})
    assert command.main(["stanza", "darts"]) == 1
    assert "stanza: left out: it can't be installed. ERROR: no such thing" in capsys.readouterr().out
    assert "- stanza: it can't be installed" in (folder / "programs.md").read_text()


def test_wrong_numbers_write_nothing(monkeypatch, folder, capsys):
    _stand_in(monkeypatch, {"darts": {"version": "Toy 1.0", "wrong": ["output 0 is off"], "figures": []}})
    assert command.main(["darts"]) == 1
    assert "WRONG\n  output 0 is off" in capsys.readouterr().out
    assert not list(folder.glob("programs.*"))


def test_a_first_impression_writes_nothing(monkeypatch, folder):
    _stand_in(monkeypatch, {"darts": _record()})
    assert command.main(["--quick", "darts"]) == 0
    assert not list(folder.glob("programs.*"))


def test_names_that_there_are_none_of_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["dart"])
    assert "got dart" in capsys.readouterr().err


class Pip:
    """In the place of the processes: pip fails or not, and so does the measurement."""

    def __init__(self, *results):
        self.results, self.commands = list(results), []

    def __call__(self, command, **options):
        self.commands.append([str(part) for part in command])
        code, stderr = self.results.pop(0)
        return subprocess.CompletedProcess(command, code, "", stderr)


def _run(monkeypatch, *results):
    pip = Pip(*results)
    monkeypatch.setattr(install.subprocess, "run", pip)
    return pip


def test_an_environment_is_made_once_and_shares_what_is_here(monkeypatch, tmp_path):
    pip = _run(monkeypatch, (0, ""), (0, ""))
    python = install.environment(tmp_path / "it", ["toy==1", "other<2"])
    assert pip.commands[0][0] == str(python)
    assert pip.commands[0][-2:] == ["toy==1", "other<2"]
    limits = (tmp_path / "it" / "constraints.txt").read_text().splitlines()
    assert f"torch=={torch.__version__}" in limits
    assert pip.commands[0][pip.commands[0].index("--constraint") + 1] == str(tmp_path / "it" / "constraints.txt")
    assert install.environment(tmp_path / "it", ["toy==1", "other<2"]) == python
    assert len(pip.commands) == 1
    install.environment(tmp_path / "it", ["toy==2"])
    assert pip.commands[1][-1] == "toy==2"
    monkeypatch.undo()
    where = [python, "-c", "import statewise; print(statewise.__file__)"]
    seen = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    import statewise

    assert seen.strip() == statewise.__file__


def test_why_a_program_is_left_out_is_in_pips_words(monkeypatch, folder):
    refused = "WARNING: x\nERROR: Cannot install it\nERROR: ResolutionImpossible\nnote: y\n"
    pip = _run(monkeypatch, (1, refused), (1, refused), (0, ""), (1, "Traceback\nImportError: no libcudart\n\n"))
    for _ in range(2):  # and is tried again the next time
        assert command._found("darts", quick=True) == {"left_out": "it can't be installed. ERROR: Cannot install it"}
    assert command._found("darts", quick=True) == {"left_out": "it doesn't run. ImportError: no libcudart"}
    assert pip.commands[-1][1:4] == ["-m", "programs.measure", "darts"]
    assert pip.commands[-1][-1] == "--quick"
    assert install.last_words("\n") == "it says nothing"
