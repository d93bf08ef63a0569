"""Flax's cells and what they gave (``tools/origins/flax_figures.py`` made them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import statewise
from statewise.weights import flax

FIGURES = Path(__file__).parent / "figures"
TOLD = json.loads((FIGURES / "flax.json").read_text(encoding="utf-8"))
CELLS = {"nnx.lstm": "lstm", "nnx.optimized": "lstm", "nnx.gru": "gru", "nnx.simple": "rnn_tanh", "nnx.both": "gru"}
CELLS |= {"linen.lstm": "lstm", "linen.gru": "gru", "linen.simple": "rnn_tanh"}


def test_every_cell_is_found() -> None:
    parts = statewise.read_weights(FIGURES / "flax.npz")
    assert {name: part.cell for name, part in parts.items()} == CELLS
    assert [name for name, part in parts.items() if part.bidirectional] == ["nnx.both"]


@pytest.mark.parametrize("name", CELLS)
def test_a_layer_computes_what_flax_computed(name: str) -> None:
    part = statewise.read_weights(FIGURES / "flax.npz")[name]
    output, _ = part.layer(batch_first=True)(torch.tensor(TOLD["x"]))
    torch.testing.assert_close(output, torch.tensor(TOLD["y"][name]), rtol=0, atol=5e-7)
    y = part.network().run(np.swapaxes(TOLD["x"], 0, 1))
    np.testing.assert_allclose(y, np.swapaxes(TOLD["y"][name], 0, 1), rtol=0, atol=5e-7)


def test_a_nested_mapping_reads_as_the_file_does() -> None:
    with np.load(FIGURES / "flax.npz") as file:
        tree: dict[str, Any] = {}
        for name in file:
            *places, leaf = name.split("/")
            below = tree
            for place in places:
                below = below.setdefault(place, {})
            below[leaf] = file[name]
    parts = statewise.read_weights(tree)
    assert parts.keys() == CELLS.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"a.dense_i.kernel": (3, 16), "a.dense_h.kernel": (4, 15)},
            r"^a\.dense_h\.kernel: expected columns for 1, 3 or 4",
        ),
        (
            {"a.dense_i.kernel": (3, 12), "a.dense_h.kernel": (4, 16)},
            r"^a\.weight_ih: expected numbers of shape \(3, 16\)",
        ),
        (
            {f"a.{of}{g}.kernel": (3, 4) for of in "ih" for g in "ifgo"},
            r"^a\.weight_hh: expected numbers of shape \(3, 12\), got \(3, 16\)$",
        ),
        (
            {"a.dense_i.kernel": (3, 16), "a.dense_h.kernel": (4, 16), "a.dense_h.bias": (4,)},
            r"^a\.bias_hh: expected .*\(16\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flax.parts({name: np.zeros(shape, np.float32) for name, shape in change.items()})
