"""Typical mistakes in calling a layer: torch.nn's text, and below it what was most likely meant."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
    "one series": (GRU, (Z(10),), "10 steps of one number: input.unsqueeze(-1) is (T, I) = (10, 1)."),
    "one step": (LSTM, (Z(26),), "One step: input.unsqueeze(0)"),
    "images": (ROWS, (Z(5, 1, 28, 28),), "row by row: input.squeeze(1) is (N, T, I) = (5, 28, 28)."),
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
    "a batch's state for one": (
        GRU,
        (Z(3, 1), Z(1, 1, 4)),
        "whose states have no N: h_0.squeeze(1). Or else: A batch of one sequence: input.unsqueeze(1)",
    ),
    "an array": (GRU, (np.zeros((3, 2, 1), np.float32),), "torch.as_tensor"),
    "a list": (GRU, ([Z(3, 1), Z(2, 1)],), "lengths="),
    "packed": (GRU, (pack_sequence([Z(3, 1), Z(2, 1)]), Z(2, 1, 4)), "h_0.transpose(0, 1)"),
    "a mask": (
        GRU,
        (Z(3, 10, 1), None, Z(10, 3, dtype=torch.bool)),
        "whole numbers (N,) = (10,): of a mask lengths.sum(1)",
    ),
    "lengths of rows that were cut": (GRU, (Z(3, 10, 1), None, [4] * 10), "torch.as_tensor(lengths).clamp(max=3)"),
    "lengths as floats": (GRU, (Z(3, 10, 1), None, Z(10)), "lengths.long()."),
    "too few lengths": (GRU, (Z(3, 10, 1), None, [1, 2]), "lengths are one for each of the N = 10 rows"),
    "lengths by their place": (GRU, (Z(3, 10, 1), [3] * 10), "lengths are given by name, lengths=."),
    "resets as numbers": (GRU, (Z(3, 10, 1), None, None, Z(3, 10)), "(T, N) = (3, 10): reset.bool()."),
    "resets in the other order": (
        GRU,
        (Z(3, 10, 1), None, None, Z(10, 3, dtype=torch.bool)),
        "reset.transpose(0, 1).",
    ),
    "resets of rows": (
        GRU,
        (Z(3, 10, 1), None, None, Z(10, dtype=torch.bool)),
        "reset has all axes of it but the last: (3, 10).",
    ),
    "a convolution's order": (LSTM, (Z(3, 26, 10),), "input.permute(2, 0, 1) is (T, N, I) = (10, 3, 26)."),
    "what a layer returns": (GRU, ((Z(3, 10, 1), Z(1, 10, 1)),), "the next one reads the output, input[0]"),
    "and as states": (LSTM, (Z(3, 10, 26), (Z(3, 10, 8), (Z(1, 10, 8),) * 2)), "hx[1] are the states."),
    "two states for one": (GRU, (Z(3, 10, 1), (Z(1, 10, 4),) * 2), "one state, h, which is given as a tensor: hx[0]."),
    "two states as one": (LSTM, (Z(3, 10, 26), Z(2, 1, 10, 8)), "each a tensor of its own: tuple(hx)."),
    "a smaller last batch": (GRU, (Z(3, 7, 1), Z(1, 10, 4)), "this one has 10 rows. Is the last batch of the data a"),
    "states of both directions": (GRU, (Z(3, 10, 1), Z(2, 10, 4)), "their sum: h_0.unflatten(0, (1, 2)).sum(1)."),
    "states of other units": (GRU, (Z(3, 10, 1), Z(1, 10, 5)), "since the layer was made with hidden_size=4."),
    "two mistakes": (
        STACK,
        (Z(3, 10, 26), (Z(10, 4, 8),) * 2),
        "batch_first=False? A state is (L*D, N, H) = (4, 10, 8), whether batch_first or not: h_0.transpose",
    ),
    "steps for a cell, batch first": (CELL, (Z(3, 5, 26), (Z(3, 8),) * 2), "call it with input[:, t] for each t"),
    "steps for a cell": (CELL, (Z(5, 3, 26),), "(T, N, I) = (5, 3, 26) are 5 steps"),
    "a cell's features": (CELL, (Z(26, 3),), "input.movedim(0, -1)"),
    "a layer's state for a cell": (
        CELL,
        (Z(3, 26), (Z(1, 3, 8),) * 2),
        "Of (L*D, N, H) = (1, 3, 8) it is h_0[0], and c_0[0].",
    ),
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


CODE = (
    r"(?:torch\.as_tensor\(\w+\)|input|[hc]_0|hx|lengths|reset)(?:\.(?!as_tensor)\w+\((?:[^()]|\([^()]*\))*\)|\[\w+\])+"
)


def mended(hint: str, layer: Any, call: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """The layers and the calls that ``hint`` names, as often as it says "or else"; none where it names no change."""
    base = dict(call)
    if "(h_0, torch.zeros_like(h_0))" in hint:
        base["hx"] = (call["hx"], torch.zeros_like(call["hx"]))
    elif "tuple(hx)" in hint:
        base["hx"] = tuple(call["hx"])
    elif "lengths=." in hint:
        base["hx"], base["lengths"] = None, call["hx"]
    elif which := re.search(r"hx\[\d\]", hint):
        base["hx"] = eval(which[0], {}, call)
    found = []
    for said in hint.split(" Or else: "):
        own, new = layer, dict(base)
        codes = [code for code in re.findall(CODE, said) if "zeros_like" not in code and not code.startswith("hx[")]
        if not codes and "did you mean" not in said and base["hx"] is call["hx"]:
            continue
        if "did you mean" in said:
            own = copy.deepcopy(layer)
            own.batch_first = "batch_first=True" in said
        states = list(new["hx"]) if isinstance(new["hx"], (tuple, list)) else [new["hx"]]
        for code in codes:
            name = re.search(r"input|[hc]_0|lengths|reset", code)[0]
            if name in ("h_0", "c_0"):
                states["hc".index(name[0])] = eval(code, {}, {name: states["hc".index(name[0])]})
            else:
                new[name] = eval(code, {"torch": torch}, new)
        new["hx"] = tuple(states) if len(states) > 1 else states[0]
        found.append((own, new))
    return found


WIDTHS = st.integers(1, 4)
LAYERS = st.tuples(
    st.sampled_from([statewise.GRU, statewise.LSTM]), WIDTHS, WIDTHS, st.integers(1, 2), st.booleans(), st.booleans()
)


@settings(max_examples=settings.default.max_examples // 8)
@given(LAYERS, WIDTHS, WIDTHS, st.data())
def test_whatever_is_named_works(described: Any, t: int, n: int, data: Any) -> None:
    """Calls whose tensors have axes too few, too many or exchanged: the code of each sentence makes the call right."""
    kind, i, h, depth, both, batch_first = described
    layer = kind(i, h, depth, bidirectional=both, batch_first=batch_first)

    def odd(*shape: int) -> tuple[int, ...]:
        axes = list(data.draw(st.permutations(shape)))
        change = data.draw(st.sampled_from(["", "", "", "less", "more", "other"]))
        if change == "less":
            axes.pop(data.draw(st.integers(0, len(axes) - 1)))
        elif change:
            at = data.draw(st.integers(0, len(axes) - 1))
            axes[at : at + (change == "other")] = [data.draw(WIDTHS)]
        return tuple(axes)

    call: dict[str, Any] = {"input": Z(odd(t, n, i)), "hx": None, "lengths": None, "reset": None}
    if data.draw(st.booleans()):
        states = [Z(odd(depth * (1 + both), n, h)) for _ in range(data.draw(st.sampled_from([1, 2, 2])))]
        call["hx"] = states[0] if len(states) == 1 else tuple(states)
    if data.draw(st.booleans()):
        call["lengths"] = torch.randint(1, t + 1, odd(n)).to(data.draw(st.sampled_from([torch.int64, torch.float32])))
    if data.draw(st.booleans()):
        call["reset"] = Z(odd(t, n)).to(data.draw(st.sampled_from([torch.bool, torch.float32])))
    try:
        layer(**call)
    except (TypeError, ValueError, RuntimeError) as error:
        for own, new in mended(getattr(error, "hint", ""), layer, call):
            own(**new)  # goes through


def test_other_refusals_keep_their_words() -> None:
    """Where shapes don't tell what was meant nothing is added."""
    with pytest.raises(ValueError, match=r"model.to\(torch.float64\)$"):
        LSTM(Z(3, 10, 26, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=r"parameter tensor at cpu$"):
        LSTM(Z(3, 10, 26, device="meta"))
