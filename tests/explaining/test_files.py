"""A model's file explained by the runtime, without torch; other files by their tensors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import statewise
from statewise.cli import main
from statewise.explaining.explanation import Explanation


class Tagger(nn.Module):
    """Symbols, layers, a score each."""

    def __init__(self, bidirectional: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.recurrent = statewise.GRU(6, 8, 2, bidirectional=bidirectional)
        self.output = nn.Linear(16 if bidirectional else 8, 5)

    def forward(self, x: Any) -> Any:
        """Scores."""
        return self.output(self.recurrent(self.embedding(x))[0])


def rows(found: Explanation) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in found.tables[0].rows}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_saved_network(bidirectional: bool, tmp_path: Path) -> None:
    """Its ops with their shapes and sizes, the inside of its cell, and that it streams where it does."""
    model = Tagger(bidirectional)
    statewise.save(model, tmp_path / "tagger.safetensors")
    found = statewise.explain(tmp_path / "tagger.safetensors")
    parts, width = rows(found), 16 if bidirectional else 8
    assert parts["embedding"] == ["embedding", "180", "(3, 10) of 0 to 29 -> (3, 10, 6)"]
    size = sum(p.numel() for p in model.recurrent.parameters())
    ways = ", both ways" if bidirectional else ""
    assert parts["recurrent"] == [f"2 x gru, H = 8{ways}", f"{size:,}", f"(3, 10, 6) -> (3, 10, {width})"]
    assert found.equations[-1] == "h_t = n_t + z_t * (h_(t-1) - n_t)"
    assert len(found.pictures) == 2
    assert [r.held for r in found.relations] == ([] if bidirectional else [True])


def test_torch_is_not_loaded(tmp_path: Path) -> None:
    """In a process of its own, which must draw as well."""
    statewise.save(Tagger(), tmp_path / "tagger.safetensors")
    arguments = ["explain", str(tmp_path / "tagger.safetensors"), "--svg", str(tmp_path / "tagger.svg")]
    code = f"import sys; from statewise.cli import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "holds  net.feed(x[1:], state)[0] == net.run(x)[1:]" in done.stdout
    assert "One step of gru" in (tmp_path / "tagger.svg").read_text()


@pytest.mark.parametrize(("name", "parts"), [("forecast-steps", "the network"), ("forecast-windows", "the reader")])
def test_a_forecast(name: str, parts: str) -> None:
    """What runs its networks; of several the first."""
    found = statewise.explain(Path(__file__).parents[1] / "jobs" / "former" / f"{name}.safetensors")
    assert found.tables[0].title == f"Its parts: {parts}"
    assert any("lstm" in row[1] for row in found.tables[0].rows)
    assert all(relation.held for relation in found.relations)


def test_tensors_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their shapes, and what layers these are by torch.nn's names."""
    model = nn.ModuleDict({"a": nn.LSTM(3, 8, 2, bidirectional=True, proj_size=2), "b": nn.GRU(3, 4)})
    save_file(model.state_dict(), tmp_path / "other.safetensors")
    assert main(["explain", str(tmp_path / "other.safetensors")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "a: by torch.nn's names and shapes an LSTM: input_size=3, hidden_size=8, num_layers=2, in both" in out
    assert "b: by torch.nn's names and shapes a GRU: input_size=3, hidden_size=4, num_layers=1." in out
    assert f"together {sum(p.numel() for p in model.parameters()):,}" in out


def test_what_is_no_file_of_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"nothing of the kind")
    assert main(["explain", str(path)]) == 2
    assert capsys.readouterr().err == f"statewise explain: {path}: not a whole .safetensors file\n"


def test_any_module_by_hooks() -> None:
    """Parts that are called several times, by keyword, with parameters of their own; modes stay as they were."""

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.zeros(1, 4))
            self.cell, self.output = nn.GRUCell(3, 4), nn.Linear(4, 2)

        def forward(self, *, x: torch.Tensor) -> torch.Tensor:
            state = self.start.expand(x.size(1), 4)
            for step in x:
                state = self.cell(input=step, hx=state)
            return self.output(state)

    model = Loop()
    model.output.eval()
    found = statewise.explain(model, {"x": torch.zeros(6, 2, 3)})
    assert rows(found)["cell"] == ["GRUCell", "108", "(2, 3), (2, 4) -> (2, 4), 6 times"]
    assert rows(found)["of its own"][1] == "4"
    assert found.equations[-1] == "h_t = n_t + z_t * (h_(t-1) - n_t)"
    assert model.training
    assert not model.output.training
    assert "x: (6, 2, 3)" in found.summary


def test_parts_that_do_not_call_theirs_are_shown_themselves() -> None:
    """As attention does, whose linear part is never called."""
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "unused": nn.Linear(3, 3)})
    model.forward = lambda x: model["attention"](x, x, x)[0]  # type: ignore[method-assign]
    found = rows(statewise.explain(model, torch.zeros(5, 3, 8)))
    assert list(found) == ["attention", "of its own"]
    assert found["attention"][1:] == ["288", "(5, 3, 8), (5, 3, 8), (5, 3, 8) -> (5, 3, 8), (3, 5, 5)"]
    assert found["of its own"][1] == "12"
