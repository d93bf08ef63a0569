"""``import statewise`` is instant: what is heavy is imported when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import statewise
from statewise.ops.fallback import cell_reason


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_import_loads_neither_torch_nor_numpy():
    heavy = run("import sys, statewise; dir(statewise); print({'torch', 'numpy'} & set(sys.modules))")
    assert heavy == "set()"


def test_public_names_are_there_and_listed():
    for name in statewise.__all__:
        assert getattr(statewise, name) is not None
        assert name in dir(statewise)
        assert name in vars(statewise)  # from now on: no second search
    assert isinstance(statewise.__version__, str)


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'statewise' has no attribute 'Transformer'"):
        _ = statewise.Transformer


@pytest.mark.slow
def test_submodules_hide_no_public_name():
    code = (
        "import statewise, statewise.swap, statewise.layers; print(*[type(getattr(statewise, n)).__name__ for n in {}])"
    )
    assert run(code.format(["RNN", "LSTM", "GRU", "accelerate"])) == "type type type function"


@pytest.mark.slow
def test_layers_and_training_leave_torchs_compiler_alone():
    train = "import sys; from statewise.jobs import Writer; Writer(epochs=1, units=2).fit('abba ' * 20)"
    assert run(f"{train}; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)") == "True False"


def test_what_is_found_of_a_cell_is_marked_as_torch_marks_a_constant():
    marked = torch.compiler.assume_constant_result(lambda: None)
    assert vars(marked).items() <= vars(cell_reason).items()
    assert vars(marked)
