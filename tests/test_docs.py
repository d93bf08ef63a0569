"""The examples of the pages in docs/ run as they stand, one after the other."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

import statewise

LAYERS = Path(__file__).parents[1] / "docs" / "layers.md"


@pytest.mark.parametrize(("page", "least"), [("layers.md", 9), ("explain.md", 8), ("onnx.md", 3), ("tutorial.md", 7)])
def test_examples_of_a_page(page, least, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = LAYERS.with_name(page)
    text = path.read_text()
    names: dict[str, object] = {}
    blocks = list(re.finditer(r"```python\n(.*?)```", text, flags=re.DOTALL))
    assert len(blocks) >= least
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 1
        exec(compile("\n" * line + block[1], str(path), "exec"), names)


def test_the_guide_from_equations_to_a_layer():
    """Its cell is the mgu that statewise has."""
    text = (LAYERS.parent / "cells.md").read_text()
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1], names)
    theirs = statewise.Recurrent("mgu", 3, 20, num_layers=2)
    theirs.load_state_dict(names["layer"].state_dict())
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(names["layer"](x)[0], theirs(x)[0])


def test_examples_of_the_classes(tmp_path, monkeypatch):
    """Those of the section on all of them; the others have data that aren't here."""
    monkeypatch.chdir(tmp_path)
    text = (LAYERS.parent / "jobs.md").read_text()
    section = text[text.index("\n## In a program\n") : text.index("\n## Forecast\n")]
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, names)
    assert names["best"].units != 64


def test_examples_of_the_forecaster():
    """As they stand, but for networks that learn for a moment alone."""
    text = (LAYERS.parent / "jobs.md").read_text()
    example = re.search(
        r"```python\n(from statewise.jobs import Forecaster, ForecastRegressor\n.*?)```", text, re.DOTALL
    )
    rows, days = 80, pd.date_range("2024-01-01", periods=80)
    values = np.sin(np.arange(rows) * np.pi / 6) + np.random.default_rng(0).normal(size=rows) / 10
    df = pd.DataFrame({"unique_id": ["a"] * rows, "ds": days, "y": values})
    table = pd.DataFrame({"shop": ["a"] * rows, "date": days, "sales": values, "price": values.round()})
    ahead = pd.DataFrame({"shop": "a", "date": pd.date_range(days[-1], periods=13)[1:], "price": 1.0})
    names: dict[str, object] = {
        "df": df,
        "newer_df": df.assign(ds=df["ds"] + pd.Timedelta(days=9)),
        "df_with_prices": df.assign(price=values.round()),
        "prices_ahead": ahead.rename(columns={"shop": "unique_id", "date": "ds"}),
        "table": table,
        "table_with_prices_ahead": pd.concat([table, ahead]),
        "values": values,
        "X": values[:, None].round(),
        "y": values,
        "cross_val_score": cross_val_score,
        "TimeSeriesSplit": partial(TimeSeriesSplit, 2),
    }
    exec(re.sub(r"(Forecaster|Regressor)\(", r"\1(ensemble=1, epochs=1, season=12, ", example[1]), names)
    assert names["forecaster"].predict().shape == (12,)


def test_examples_of_the_runtime(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (LAYERS.parent / "runtime.md").read_text(), flags=re.DOTALL):
        exec(compile(block, "runtime.md", "exec", dont_inherit=True), names)
    assert names["y"].shape == (2, 5)


def test_examples_of_weights_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (LAYERS.parent / "weights.md").read_text(), flags=re.DOTALL):
        exec(compile(block, "weights.md", "exec", dont_inherit=True), names)
    assert torch.equal(names["decoder"].weight_hh_l0, names["model"]["decoder"].weight_hh_l0)
    assert names["y"].shape == (1, 1)


def test_every_option_has_an_example():
    text = LAYERS.read_text()
    missing = [name for name in statewise.layers.options.DEFAULTS if not re.search(rf"\(.*\b{name}=.*\)", text)]
    assert not missing


def test_detach():
    layer = statewise.LSTM(2, [3, 4])
    _, state = layer(torch.randn(5, 2, 2))
    again = statewise.detach(state)
    assert [[s.shape for s in letter] for letter in again] == [[s.shape for s in letter] for letter in state]
    assert again[0][1].data_ptr() == state[0][1].data_ptr()
    assert not any(s.requires_grad for letter in again for s in letter)
    assert statewise.detach(None) is None
    assert not statewise.detach(torch.zeros(2, requires_grad=True)).requires_grad
    with pytest.raises(TypeError, match="detach: Expected states as a layer returns them, got str"):
        statewise.detach("h")
