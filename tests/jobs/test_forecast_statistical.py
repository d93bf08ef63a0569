"""AutoETS and AutoTheta beside the forecast of a short series: how much they count, what they see, what is said."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from statewise import cli
from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast import statistical
from statewise.jobs.tasks.forecast.dataset import EncodedSeries

ROWS, HORIZON = 80, 4
RANDOM = np.random.default_rng(0)
VALUES = np.cumsum(RANDOM.normal(size=(2, ROWS)), axis=1) + 50
QUICK = {"ensemble": 1, "epochs": 1, "horizon": HORIZON}


def encoded():
    empty = np.zeros((ROWS, 0))
    return [EncodedSeries(name, 0, values, empty, empty) for name, values in zip("ab", VALUES, strict=True)]


class Method:
    """Remembers what it was fitted to; knows the series, or says nothing that is of any use."""

    fitted: list[np.ndarray] = []  # noqa: RUF012
    off = 0.0

    def __init__(self, season_length):
        assert season_length == 1

    def fit(self, y):
        self.fitted.append(y)
        return self

    def forward(self, y, h):
        s = int(np.argmin(np.abs(VALUES[:, len(y) - 1] - y[-1])))
        told = VALUES[s, len(y) : len(y) + h]
        return {"mean": np.append(told, np.repeat(y[-1], h - len(told))) + self.off}


class Useless(Method):
    off = 1e3


@pytest.fixture
def fake(monkeypatch):
    Method.fitted.clear()
    models = SimpleNamespace(AutoETS=Method, AutoTheta=Useless)
    monkeypatch.setitem(sys.modules, "statsforecast", SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "statsforecast.models", models)
    monkeypatch.setattr(statistical, "there", lambda: True)
    monkeypatch.setattr(Method, "__init__", lambda self, season_length: None)


def judged():
    """Every origin of two pieces of both series."""
    pieces = ((20, 40), (40, 76))
    return [(np.tile(np.arange(*piece), 2), np.repeat([0, 1], piece[1] - piece[0])) for piece in pieces]


def test_what_knows_more_counts_more_and_what_is_off_nothing(fake):
    rows, of = (np.concatenate(each) for each in zip(*judged(), strict=True))
    real = VALUES[of[:, None], rows[:, None] + np.arange(HORIZON)]
    last = np.repeat(VALUES[of, rows - 1][:, None], HORIZON, 1)
    found = statistical.weights(encoded(), judged(), last, real, np.ones(2), 1, 20.0)
    assert found["AutoETS"] > 0.9
    assert found["AutoTheta"] < 1e-6
    ours = statistical.weights(encoded(), judged(), real, real, np.ones(2), 1, 20.0)
    assert ours["AutoETS"] == pytest.approx(0.2)  # as good: what it counts before anything is known, 0.5 of 2.5


def test_each_is_fitted_to_the_rows_before_the_first_forecast_alone(fake):
    rows, of = np.array([70, 60, 65, 30]), np.array([1, 1, 0, 0])
    said = statistical.points("AutoETS", encoded(), rows, of, 1, HORIZON)
    np.testing.assert_array_equal(said, VALUES[of[:, None], rows[:, None] + np.arange(HORIZON)])
    assert sorted(map(len, Method.fitted)) == [30, 60]


def test_quantiles_move_together_and_what_fails_moves_nothing(fake, monkeypatch):
    quantiles = np.array([1.0, 2.0, 4.0]) + np.zeros((1, HORIZON, 3))
    told = {"AutoETS": 0.25}, encoded(), np.array([60]), np.array([0])
    plan = SimpleNamespace(median=1, season=1, horizon=HORIZON)
    by = 0.25 * (VALUES[0, 60 : 60 + HORIZON] - 2.0)
    np.testing.assert_allclose(statistical.moved(quantiles, *told, plan), quantiles + by[None, :, None])
    monkeypatch.setattr(Method, "fit", lambda self, y: 1 / 0)
    np.testing.assert_array_equal(statistical.moved(quantiles, *told, plan), quantiles)


def test_a_model_says_what_it_is_made_of_and_comes_back(fake, tmp_path, monkeypatch):
    one = Forecaster(**QUICK).fit(VALUES[0])
    assert one.model_.statistical["AutoETS"] > 0.3
    assert len(one.model_.tails[0].values) == ROWS  # what they are fitted to anew is kept
    said = one.predict_quantiles()
    one.save(tmp_path / "model")
    np.testing.assert_array_equal(Forecaster.load(tmp_path / "model").predict_quantiles(), said)
    plain = Forecaster(**QUICK, statistical=False).fit(VALUES[0])
    assert not plain.model_.statistical
    assert not np.allclose(plain.predict_quantiles(), said)
    assert one.predict(h=3 * HORIZON).shape == (3 * HORIZON,)
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(InputError, match=r"statsforecast isn't installed: pip install 'statewise\[statsforecast\]'"):
        one.predict()


def test_where_it_is_missing_it_is_missed_only_if_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(statistical, "there", lambda: False)
    assert not Forecaster(**QUICK).fit(VALUES[0]).model_.statistical
    with pytest.raises(InputError, match="--statistical: statsforecast isn't installed"):
        Forecaster(**QUICK, statistical=True).fit(VALUES[0])


def test_the_package_itself(tmp_path, monkeypatch, capsys):
    pytest.importorskip("statsforecast", reason="the extra statsforecast isn't installed; it wants pandas below 3")
    monkeypatch.chdir(tmp_path)
    season = np.tile([0, 3, 9, 4], 20) + 0.2 * np.arange(ROWS) + RANDOM.normal(0, 0.3, ROWS)
    (tmp_path / "a.csv").write_text("y\n" + "\n".join(map(str, season)) + "\n")
    run = ["forecast", "a.csv", "--season", "4", "--horizon", "4", "--ensemble", "1", "--epochs", "1", "--out", "run"]
    assert cli.main(run) == 0
    out = capsys.readouterr().out
    assert "AutoETS" in out
    assert "AutoTheta" in out
    one = Forecaster.load("run/model.safetensors")
    assert np.abs(one.model_.predict()[0].quantiles[0, :, 1] - season[-4:]).max() < 4
