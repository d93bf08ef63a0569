"""The measuring of TiRex's layer; that its outputs are right is in tests/cells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import tirex
from benchmarks.case import Shape
from benchmarks.clock import Effort
from benchmarks.runner import run


@pytest.mark.usefixtures("steady_clock", "no_reference_product", "threads")
def test_figures(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda loop: loop)
    shapes = [Shape(5, batch, 8, 8, 1) for batch in (1, 3)]
    kind = replace(tirex.KIND, effort=Effort(clean=1, at_least=1, seconds=0.0, sample=0.0))
    records, failed = run(kind, tirex.cases(shapes, [1]))
    assert not failed
    assert [r.side for r in records] == ["statewise", "torch.compile", "Python loop"] * 2
    assert len({r.value for r in records}) == 1  # by a clock that counts its looks
    ours, compiled, plain = records[:3]
    assert ours.error < 1e-5 < compiled.error == plain.error < 0.1
