"""``statewise.inspect`` tells mistakes by what a result depends on; and says nothing of models that are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import statewise

T, N, H = 9, 6, 8
LENGTHS = torch.tensor([9, 4, 2, 7, 9, 5])
X = torch.randn(T, N, 3, generator=torch.Generator().manual_seed(0))
PADDED = X * (torch.arange(T).unsqueeze(1) < LENGTHS).unsqueeze(2)


class Net(nn.Module):
    """A layer, and what becomes of its results, as two numbers a row."""

    def __init__(self, use: Callable[..., Tensor], kind: Any = nn.LSTM, **options: Any) -> None:
        super().__init__()
        self.rnn, self.use, self.drop, self.state = kind(3, H, **options), use, nn.Dropout(0.3), None

    def forward(self, *given: Any) -> Tensor:
        """(N, 2) or (T, N, 2)."""
        y = self.use(self, *given)
        return y @ torch.linspace(-1, 1, y.shape[-1] * 2).view(-1, 2)


def packed(net: Any, x: Tensor, lengths: Tensor) -> Any:
    return net.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))


def going_on(keep: Callable[[Any], Any]) -> Callable[..., Tensor]:
    def use(net: Any, x: Tensor) -> Tensor:
        output, state = net.rnn(x, net.state)
        net.state = keep(state)
        return output[-1]

    return use


RIGHT = {
    "last state": (lambda net, x: net.rnn(x)[1][0][-1], {}, X),
    "last output": (lambda net, x: net.rnn(x)[0][-1], {}, X),
    "batch first": (lambda net, x: net.rnn(x)[0][:, -1], {"batch_first": True}, X),
    "as many rows as steps": (lambda net, x: net.rnn(x)[0][:, -1], {"batch_first": True}, X[:N]),
    "both directions": (lambda net, x: torch.cat([*net.rnn(x)[1][0][-2:]], 1), {"bidirectional": True}, X),
    "all states of a row": (lambda net, x: net.rnn(x)[1][0].transpose(0, 1).flatten(1), {"num_layers": 2}, X),
    "a number a step": (lambda net, x: net.rnn(x)[0], {"bidirectional": True}, X),
    "mean": (lambda net, x: net.rnn(x)[0].mean(0), {"bidirectional": True}, X),
    "ragged": (lambda net, x, n: net.rnn(x, lengths=n)[1][0][-1], {"kind": statewise.LSTM}, (PADDED, LENGTHS)),
    "ragged mean": (lambda net, x, n: net.rnn(x, lengths=n)[0].sum(0), {"kind": statewise.LSTM}, (PADDED, LENGTHS)),
    "ragged maximum": (lambda net, x, n: net.rnn(x, lengths=n)[0].amax(0), {"kind": statewise.LSTM}, (X, LENGTHS)),
    "packed": (lambda *given: packed(*given)[1][0][-1], {}, (X, LENGTHS)),
    "zeros in between": (lambda net, x: net.rnn(x)[0][-1], {}, PADDED * (torch.arange(T) != 1).view(T, 1, 1)),
}


@pytest.mark.parametrize("case", RIGHT)
def test_of_what_is_right_nothing_is_said(case: str) -> None:
    use, options, x = RIGHT[case]
    assert statewise.inspect(Net(use, **options).eval(), x, points=2).remarks == []


WRONG = {
    "axes": (
        lambda net, x: net.rnn(x)[0][:, -1],
        {},
        X[:N],
        "rnn reads its input as (T, N, I) = (6, 6, 3): did you mean batch_first=True?",
    ),
    "axes, the other way": (
        lambda net, x: net.rnn(x)[0][-1],
        {"batch_first": True},
        X[:N],
        "(N, T, I) = (6, 6, 3): did you mean batch_first=False?",
    ),
    "reshaped across rows": (
        lambda net, x: net.rnn(x)[1][0].reshape(N, -1),
        {"num_layers": 2},
        X,
        "h_n.transpose(0, 1).flatten(1) keeps the numbers of a row together",
    ),
    "last output of both directions": (
        lambda net, x: net.rnn(x)[0][-1],
        {"bidirectional": True},
        X,
        "output[-1] alone: there its backward half has read one step. torch.cat([h_n[-2], h_n[-1]], dim=1)",
    ),
    "first output of both directions": (
        lambda net, x: net.rnn(x)[0][:, 0],
        {"bidirectional": True, "batch_first": True},
        X.transpose(0, 1),
        "output[0] alone: there its forward half has read one step",
    ),
    "one direction's state": (
        lambda net, x: net.rnn(x)[1][0][-1],
        {"bidirectional": True},
        X,
        "the backward direction's last state alone, and nothing of the forward one's",
    ),
    "the first layer's state": (
        lambda net, x: net.rnn(x)[1][0][0],
        {"num_layers": 2},
        X,
        "states of layer 0 and none above",
    ),
    "c for h": (lambda net, x: net.rnn(x)[1][-1][-1], {}, X, "c_n alone"),
    "nothing of it": (lambda net, x: x.mean(0) + 0 * net.rnn(x)[0].sum(), {}, X, "doesn't change with anything"),
    "past the end": (
        lambda net, x, n: net.rnn(x, lengths=n)[0][-1],
        {"kind": statewise.LSTM},
        (X, LENGTHS),
        "output[-1] of rnn, which is zeros past their end",
    ),
    "past the end, packed": (
        lambda *given: pad_packed_sequence(packed(*given)[0])[0][-1],
        {},
        (X, LENGTHS),
        "Take h_n[-1], each row's state after its own last step.",
    ),
    "padding that counts": (lambda net, x: net.rnn(x)[0][-1], {}, PADDED, "4 of 6 rows end in steps of zeros, up to 7"),
    "a state that is kept": (going_on(statewise.detach), {}, X, "A new sequence begins with hx=None"),
    "and its graph": (going_on(lambda state: state), {}, X, "statewise.detach(state)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told(case: str) -> None:
    use, options, x, said = WRONG[case]
    found = statewise.inspect(Net(use, **options).eval(), x, points=2)
    (remark,) = found.remarks
    assert said in remark.text
    assert not found.healthy
    assert f"Remark: {remark.text}"[:60] in str(found)


def test_what_may_be_meant_is_no_illness() -> None:
    """Probabilities, and dropout that is on: said, and the net is healthy."""
    net = Net(lambda net, x: net.drop(net.rnn(x)[0][-1]), num_layers=2, dropout=0.1)
    found = statewise.inspect(nn.Sequential(net, nn.Softmax(1)), X, points=2)
    first, second = found.remarks
    assert first.text.startswith("The result's rows are probabilities")
    assert second.text.startswith("The model is in training mode, where Dropout, LSTM drop numbers by chance")
    assert first.good
    assert second.good
    assert "The model is in training mode" in found.html()


def test_a_result_with_a_row_for_each_step() -> None:
    with pytest.raises(ValueError, match="each of the 9 steps that rnn reads: did you mean batch_first=True"):
        statewise.inspect(Net(lambda net, x: net.rnn(x)[0][:, -1]).eval(), X)
    with pytest.raises(TypeError, match="must be Tensor, not tuple\nA recurrent layer returns"):
        statewise.inspect(nn.Sequential(nn.LSTM(3, H), nn.Linear(H, 2)), X)
