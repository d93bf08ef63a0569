"""Processes: those that end while a thread computes, that were forked, or that have another OpenMP runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

# Children that end while a daemon thread computes, one after the other and each at another moment; at last the parent.
ENDING = """
import os, sys, threading, time
import torch
import statewise

def compute(begun):
    torch.set_num_threads(2)
    torch.set_grad_enabled({backward})
    layer, x = {call}
    while True:
        output = layer(x{lengths})[0]
        if {backward}:
            output.sum().backward()
        begun.set()

def end_while_computing(delay):
    begun = threading.Event()
    threading.Thread(target=compute, args=[begun], daemon=True).start()
    begun.wait()
    time.sleep(delay)
    sys.exit(3)

for k in range({runs}):
    pid = os.fork()
    if pid == 0:
        end_while_computing(k * 0.7e-3)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), end=" ", flush=True)
end_while_computing(0.01)
"""
SMALL, LARGE = "statewise.GRU(3, 5), torch.randn(3, 2, 3)", "statewise.LSTM(32, 128), torch.randn(30, 16, 32)"
FROZEN = "statewise.freeze(statewise.LSTM({i}, {h})), torch.randn({t}, {n}, {i})"
ENDINGS = {
    "small forward": {"call": SMALL},
    "large forward": {"call": LARGE},
    "small backward": {"call": SMALL, "backward": True},
    "large backward": {"call": LARGE, "backward": True},
    "small frozen": {"call": FROZEN.format(t=3, n=2, i=3, h=5)},
    "large frozen": {"call": FROZEN.format(t=30, n=16, i=32, h=128)},
    "ragged": {"call": LARGE, "backward": True, "lengths": ", lengths=torch.arange(16) + 2"},
}

FORKED = """
import os, signal, sys
import torch
{first}
torch.set_num_threads(2)
torch.randn(1 << 20).exp()  # by OpenMP's threads
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
signal.alarm(60)
import statewise
layer, x = statewise.LSTM(16, 64), torch.randn(20, 20, 16)
found = []
for threads in (1, 2, 2):  # torch's own calls are too small for threads, which would hang here
    torch.set_num_threads(threads)
    output = layer(x)[0]
    found.append([output, *torch.autograd.grad(output[-1].sum(), [*layer.parameters()])])
for one, two in zip(found[0] * 2, found[1] + found[2]):
    assert torch.equal(one, two)
os._exit(7)
"""

STANDIN = """
int calls;
void GOMP_parallel(void (*task)(void*), void* data, unsigned threads, unsigned flags) { ++calls; task(data); }
"""
BY_STANDIN = """
import ctypes
import torch
import statewise
from statewise.kernels import cpu
calls = ctypes.c_int.in_dll(ctypes.CDLL(None), "calls")
layer, x = statewise.LSTM(16, 64), torch.randn(20, 20, 16)
torch.set_num_threads(1)
expected, before = layer(x)[0], calls.value
torch.set_num_threads(2)
found = layer(x)[0]
assert calls.value > before
assert torch.equal(found, expected)
print(cpu.thread_runtime())
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize(
    ("ending", "runs"),
    [("small backward", 1), *(pytest.param(e, 20, marks=pytest.mark.slow) for e in ENDINGS)],
)
def test_a_thread_that_computes_leaves_the_exit_status_alone(ending, runs):
    ended = run(ENDING.format(**{"backward": False, "lengths": "", "runs": runs, **ENDINGS[ending]}))
    assert (ended.stdout.split(), ended.returncode) == (["3"] * runs, 3), ended.stderr


@pytest.mark.parametrize(
    "first", [pytest.param("import statewise", marks=pytest.mark.slow), ""], ids=["imported before", "imported after"]
)
def test_a_process_forked_after_torch_used_its_threads(first):
    ended = run(FORKED.format(first=first))
    assert ended.returncode == 7, ended.stderr


@pytest.mark.slow
def test_the_runtime_that_the_process_has(tmp_path):
    """As torch's own calls are bound: here to a library that was loaded before all others."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    (tmp_path / "standin.c").write_text(STANDIN)
    library = str(tmp_path / "libiomp5.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "standin.c"], check=True)
    ended = run(BY_STANDIN, LD_PRELOAD=library)
    assert (ended.stdout, ended.returncode) == ("libiomp5\n", 0), ended.stderr
