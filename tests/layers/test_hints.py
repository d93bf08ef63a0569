"""Typical mistakes in calling a layer: torch.nn's text, and below it what was most likely meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import statewise

Z = torch.zeros
LSTM = statewise.LSTM(26, 8)
STACK = statewise.LSTM(26, 8, 2, batch_first=True, bidirectional=True)
GRU = statewise.GRU(1, 4)
ROWS = statewise.RNN(28, 4, batch_first=True)
CELL = statewise.LSTMCell(26, 8)

MISTAKES = {
    "states of another batch size": (LSTM, (Z(3, 10, 26), (Z(1, 3, 8),) * 2), "did you mean batch_first=True?"),
    "the same the other way round": (STACK, (Z(3, 10, 26), (Z(4, 10, 8),) * 2), "did you mean batch_first=False?"),
    "lengths of the steps": (
        GRU,
        (Z(3, 10, 1), None, [1] * 3),
        "(T, N, I) = (3, 10, 1): did you mean batch_first=True?",
    ),
    "features first": (LSTM, (Z(26, 3, 10),), "axis 0 has 26: input.movedim(0, -1)"),
    "other features": (LSTM, (Z(3, 10, 7),), "(T, N, I) = (3, 10, 7), and the layer was made with input_size=26"),
    "no axis of features": (GRU, (Z(32, 10),), "input.unsqueeze(-1)"),
    "one series": (GRU, (Z(10),), "10 steps of one number are input.unsqueeze(-1)"),
    "one step": (LSTM, (Z(26),), "One step is input.unsqueeze(0)"),
    "images": (ROWS, (Z(5, 1, 28, 28),), "row by row as input.squeeze(1)."),
    "numbers of symbols": (LSTM, (Z(3, 10, dtype=torch.int64),), "torch.nn.Embedding(symbols, 26)"),
    "whole numbers": (LSTM, (Z(3, 10, 26, dtype=torch.int64),), "input.float()"),
    "one of two states": (LSTM, (Z(3, 10, 26), Z(1, 10, 8)), "2 states: (h_0, c_0)"),
    "batch-first states": (
        GRU,
        (Z(3, 10, 1), Z(10, 1, 4)),
        "(L*D, N, H) = (1, 10, 4), whether batch_first or not: h_0.transpose",
    ),
    "states without layers": (GRU, (Z(3, 10, 1), Z(10, 4)), "h_0.unsqueeze(0)"),
    "one direction's states": (STACK, (Z(3, 10, 26), (Z(2, 3, 8),) * 2), "two of each layer, forward and backward"),
    "one state for all rows": (GRU, (Z(3, 10, 1), Z(1, 1, 4)), "h_0.expand(-1, 10, -1)"),
    "a batch's state for one": (GRU, (Z(3, 1), Z(1, 1, 4)), "whose states have no N: h_0[:, 0]. A batch of one"),
    "an array": (GRU, (np.zeros((3, 2, 1), np.float32),), "torch.as_tensor"),
    "a list": (GRU, ([Z(3, 1), Z(2, 1)],), "lengths="),
    "packed": (GRU, (pack_sequence([Z(3, 1), Z(2, 1)]), Z(2, 1, 4)), "h_0.transpose(0, 1)"),
    "steps for a cell": (CELL, (Z(5, 3, 26),), "(T, N, I) = (5, 3, 26) are 5 steps"),
    "a cell's features": (CELL, (Z(26, 3),), "input.movedim(0, -1)"),
    "a layer's state for a cell": (CELL, (Z(3, 26), (Z(1, 3, 8),) * 2), "(L*D, N, H) = (1, 3, 8) is h[0]"),
    "one of a cell's states": (CELL, (Z(3, 26), Z(3, 8)), "2 states: (h_0, c_0)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_and_its_mend_is_named(mistake: str) -> None:
    """In one line below torch.nn's."""
    module, arguments, said = MISTAKES[mistake]
    with pytest.raises((AttributeError, TypeError, ValueError, RuntimeError)) as caught:
        module(*arguments)
    _, hint = str(caught.value).split("\n")
    assert said in hint


@pytest.mark.parametrize(
    "mended",
    [
        lambda: LSTM(Z(26, 3, 10).movedim(0, -1)),
        lambda: GRU(Z(32, 10).unsqueeze(-1)),
        lambda: GRU(Z(10).unsqueeze(-1)),
        lambda: LSTM(Z(26).unsqueeze(0)),
        lambda: ROWS(Z(5, 1, 28, 28).squeeze(1)),
        lambda: GRU(Z(3, 10, 1), Z(10, 1, 4).transpose(0, 1)),
        lambda: GRU(Z(3, 10, 1), Z(10, 4).unsqueeze(0)),
        lambda: GRU(Z(3, 10, 1), Z(1, 1, 4).expand(-1, 10, -1)),
        lambda: GRU(Z(3, 1), Z(1, 1, 4)[:, 0]),
        lambda: GRU(Z(3, 1).unsqueeze(1), Z(1, 1, 4)),
        lambda: GRU(torch.as_tensor(np.zeros((3, 2, 1)), dtype=torch.float32)),
        lambda: CELL(Z(26, 3).movedim(0, -1)),
        lambda: CELL(Z(3, 26), (Z(1, 3, 8)[0],) * 2),
    ],
)
def test_what_is_named_works(mended: object) -> None:
    """The mends of the sentences above, as they stand there."""
    mended()  # type: ignore[operator]


def test_other_refusals_keep_their_words() -> None:
    """Where shapes don't tell what was meant nothing is added."""
    with pytest.raises(ValueError, match=r"model.to\(torch.float64\)$"):
        LSTM(Z(3, 10, 26, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"parameter tensor at cpu$"):
        LSTM(Z(3, 10, 26, device="meta"))
