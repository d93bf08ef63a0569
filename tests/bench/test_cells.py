"""What cells and options cost: every one is measured, right, and in the table."""

from __future__ import annotations

import torch

import statewise
from benchmarks import cells as bench
from benchmarks.cases import Shape
from benchmarks.clock import Effort
from statewise import cells


def test_every_cell_and_option_is_measured(steady_clock: object) -> None:
    threads = torch.get_num_threads()
    try:
        figures = list(bench.measure(Effort(1, 1, 0.0, 1e-9), 1, Shape(3, 2, 8, 8, 1), compiled=False))
    finally:
        torch.set_num_threads(threads)
    names = [f.name for f in figures]
    assert names[: len(cells.CELLS)] == [c.name for c in cells.CELLS]
    assert set(bench.OPTIONS) <= set(names)
    table = bench.table(figures)
    assert all(name in table for name in names)
    assert figures[0].as_dict()["name"] == "rnn_tanh"


def test_the_loop_in_python_is_an_lstm() -> None:
    loop, layer = bench.Loop(3, 5, compiled=False), statewise.LSTM(3, 5)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(loop.input.weight)
        layer.bias_ih_l0.copy_(loop.input.bias)
        layer.weight_hh_l0.copy_(loop.recurrent.weight)
        layer.bias_hh_l0.copy_(loop.recurrent.bias)
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(loop(x), layer(x)[0])
