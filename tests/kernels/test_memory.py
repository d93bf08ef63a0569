"""What a training step adds to the memory at its peak, and what is kept when everything of it is gone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.case import TRAINING, Case, Shape
from benchmarks.kinds import memory

# 67 MB of weights, which eight groups of rows could each have a gradient of.
LARGE = Shape(2, 256, 1024, 1024, 2)

KEPT = """
import gc, sys
import torch, statewise
from benchmarks.kinds.memory import resident

def step(hidden, layers, n):
    layer = getattr(statewise, sys.argv[1])(hidden, hidden, layers)
    layer(torch.randn(2, n, hidden))[0].sum().backward()

torch.set_num_threads(2)
step(4, 1, 2)
before = resident("VmRSS")
step(1024, 2, 256)
gc.collect()
print(resident("VmRSS") - before)
"""


@pytest.mark.slow
def test_large_weights_take_little_more_than_torchs():
    found = {record.side: record.value for record in memory.measure(Case("LSTM", LARGE, TRAINING, 2))}
    assert found["statewise"] <= 1.2 * found["torch.nn"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_little_is_kept_of_large_calls(kind):
    answer = subprocess.run([sys.executable, "-c", KEPT, kind], check=True, capture_output=True, text=True)
    assert float(answer.stdout) < 100  # MB
