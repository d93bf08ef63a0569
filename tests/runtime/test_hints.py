"""An array of the wrong shape is refused with the change that makes it right; and that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

import statewise
from statewise import runtime


class Net(nn.Module):
    """Numbers, or symbols, and a layer."""

    def __init__(self, width: int, symbols: bool = False, batch_first: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, width) if symbols else None
        self.recurrent = statewise.GRU(width, 4, batch_first=batch_first)

    def forward(self, x: Any, lengths: Any = None) -> Any:
        """The output."""
        return self.recurrent(x if self.embedding is None else self.embedding(x), lengths=lengths)[0]


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def run(net: Any, x: Any) -> Any:
    return net.run(x)


def run_two(net: Any, x: Any) -> Any:
    return net.run(x, [9, 2])


def step(net: Any, x: Any) -> Any:
    return net.step(x, net.start(1))


# What was given, the change that is named, and the words before it.
CASES = {
    "a sequence": (Net(3), run, zeros(9, 3), "x[:, None]", "x: expected (T, N, 3), got (9, 3); one sequence is "),
    "batch first": (Net(3, batch_first=True), run, zeros(9, 3), "x[None]", "; one sequence is "),
    "a text": (Net(3, symbols=True), run, np.zeros(9, int), "x[:, None]", "; one sequence is "),
    "a row": (Net(3), step, zeros(3), "x[None]", "; one row is "),
    "one feature": (Net(1), run, zeros(9, 2), "x[..., None]", "; a single feature has an axis too: "),
    "features": (Net(3), run, zeros(3, 9, 2), "np.moveaxis(x, 0, -1)", "; the features belong into the last axis: "),
    "axes": (Net(3), run_two, zeros(2, 9, 3), "x.swapaxes(0, 1)", "reads (T, N, ...), is the input (N, T, ...)? "),
    "axes of rows": (
        Net(3, batch_first=True),
        run_two,
        zeros(9, 2, 3),
        "x.swapaxes(0, 1)",
        "reads (N, T, ...), is the input (T, N, ...)? ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_shape_is_told_and_its_mend_works(case: str, tmp_path: Any) -> None:
    model, call, x, code, before = CASES[case]
    statewise.save(model, tmp_path / "net.safetensors")
    net = runtime.load(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="expected") as caught:
        call(net, x)
    assert str(caught.value).endswith(before + code)
    assert "\n" not in str(caught.value)
    call(net, eval(code, {"np": np}, {"x": x}))


def test_several_steps_are_for_run(tmp_path: Any) -> None:
    statewise.save(Net(3), tmp_path / "net.safetensors")
    net = runtime.load(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"got .* several steps are read by run, or by feed"):
        net.step(zeros(9, 1, 3), net.start(1))
