"""What show_config tells, what STATEWISE_ISA forces, and what warn_on_fallback makes audible."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest
import torch

import statewise
from statewise import cells
from statewise.kernels import cpu
from statewise.ops.fallback import FallbackWarning

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it

X = torch.linspace(-1, 1, 30).reshape(5, 2, 3)


def test_show_config():
    lines = dict(line.split(": ", 1) for line in statewise.show_config().splitlines() if ": " in line)
    assert statewise.show_config().startswith(f"statewise {statewise.__version__}, torch {torch.__version__}\n")
    assert lines["instruction set"].startswith(f"{cpu.instruction_set()} (this machine has ")
    assert all(name in lines["instruction set"] for name in cpu.instruction_sets())
    assert lines["threads"] == f"{torch.get_num_threads()}, by {cpu.thread_runtime()}"
    assert lines["cells with kernels"] == ", ".join(sorted(cell.name for cell in cells.CELLS))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)
    try:
        assert f"threads: {threads + 2}," in statewise.show_config()
    finally:
        torch.set_num_threads(threads)


def with_isa(name: str, code: str) -> subprocess.CompletedProcess[str]:
    """``code`` run by a fresh interpreter that imports what this one does, with STATEWISE_ISA set to ``name``."""
    env = os.environ | {"STATEWISE_ISA": name, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


WHICH = "from statewise.kernels import cpu; print(cpu.instruction_set())"


@pytest.mark.parametrize("name", cpu.instruction_sets())
def test_an_instruction_set_is_forced(name):
    assert with_isa(name, WHICH).stdout.strip() == name


def test_the_last_instruction_set_is_the_default():
    assert with_isa("", WHICH).stdout.strip() == cpu.instruction_sets()[-1]


@pytest.mark.slow
def test_an_unknown_instruction_set_is_refused():
    ended = with_isa("sse9", "import statewise; statewise.LSTM(1, 1)")
    expected = f"no instruction set 'sse9' on this machine; it has {', '.join(cpu.instruction_sets())}"
    assert ended.returncode != 0
    assert ended.stderr.strip().endswith(f"ValueError: STATEWISE_ISA: {expected}")
    with pytest.raises(ValueError, match="no instruction set 'sse9'"):
        cpu.use_instruction_set("sse9")


def second_gradient():
    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(statewise.GRU(3, 4)(x)[0].square().sum(), x, create_graph=True)
    return g


def second_gradient_by_func():
    layer = statewise.GRU(3, 4)
    slope = torch.func.grad(lambda x: layer(x)[0].square().sum())
    return torch.func.grad(lambda x: slope(x).square().sum())(X)


FALLBACKS = {
    "the dtype is torch.float16": lambda: statewise.GRU(3, 4, dtype=torch.float16)(X.half(), lengths=[2, 5]),
    "the device is meta": lambda: statewise.GRU(3, 4, device="meta")(X.to("meta")),
    "forward-mode differentiation is active": lambda: torch.func.jvp(statewise.GRU(3, 4), (X,), (X,)),
    "a gradient is differentiated": lambda: second_gradient_by_func(),
    "the gradient is to be differentiated again": second_gradient,
    "a tensor is a Odd": lambda: statewise.GRU(3, 4)(X.as_subclass(type("Odd", (torch.Tensor,), {}))),
}


@pytest.fixture
def _audible():
    statewise.warn_on_fallback()
    yield
    statewise.warn_on_fallback(False)


@pytest.mark.usefixtures("_audible")
@pytest.mark.parametrize("reason", FALLBACKS)
def test_a_fallback_warns_with_its_reason(reason):
    with pytest.warns(FallbackWarning, match=reason):
        FALLBACKS[reason]()


@pytest.mark.usefixtures("_audible")
def test_the_kernels_do_not_warn():
    layer = statewise.LSTM(3, 4, 2, bidirectional=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(X, lengths=[2, 5])[0].sum().backward()


@pytest.mark.parametrize("reason", FALLBACKS)
def test_silent_by_default(reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FallbackWarning)
        FALLBACKS[reason]()
    statewise.warn_on_fallback()
    statewise.warn_on_fallback(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FallbackWarning)
        FALLBACKS[reason]()
