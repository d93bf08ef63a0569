"""Ways that a series may go: each step as far off as its interval says, all steps as they hang together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from statewise import cli
from statewise.jobs import Forecaster, InputError

COUNT = 2000


def fitted(values, **options):
    quick = {"horizon": 6, "season": 1, "model": "seq2seq", "units": 2, "epochs": 1, "windows": 64}
    return Forecaster(**quick | options).fit(values)


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.fixture(scope="module")
def walking():
    return fitted(100 + np.cumsum(noise(3000)), log=False)


def test_steps_of_a_random_walk_hang_together(walking):
    paths = walking.predict(samples=COUNT, h=18)  # three times the horizon
    assert paths.shape == (COUNT, 18)
    moved = paths - walking.model_.tails[0].values[-1]
    found = np.corrcoef(moved.T)
    steps = np.arange(1, 19)
    truth = np.sqrt(np.minimum.outer(steps, steps) / np.maximum.outer(steps, steps))  # of sums of independent steps
    assert np.abs(found - truth).max() < 0.2
    scale = moved[:, 0].std()  # a bit above 1: intervals are half a standard error further out
    assert 0.9 < scale < 1.3
    np.testing.assert_allclose(np.diff(moved, axis=1, prepend=0.0).std(0), scale, rtol=0.15)
    np.testing.assert_allclose(moved.std(0), scale * np.sqrt(steps), rtol=0.15)


def test_steps_of_noise_do_not():
    found = np.corrcoef(fitted(noise(1500)).predict(samples=COUNT).T)
    assert np.abs(found[np.triu_indices(6, 1)]).max() < 0.35


def test_as_many_are_inside_an_interval_as_it_says(walking):
    paths, quantiles = walking.predict(samples=COUNT), walking.predict_quantiles(level=[80, 95])
    for side, expected in ((1, 0.8), (0, 0.95)):
        inside = (quantiles[:, side] <= paths) & (paths <= quantiles[:, -1 - side])
        np.testing.assert_allclose(inside.mean(0), expected, atol=0.03)
    np.testing.assert_allclose(np.median(paths, axis=0), quantiles[:, 2], atol=0.25)


def test_the_same_seed_gives_the_same_and_none_is_below_zero():
    demand = fitted(np.random.default_rng(0).poisson(0.5, 400).astype(float))
    one, same, other = (demand.predict(samples=50, h=15, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.min() == 0
    assert one.max() > 0


def test_channels_and_tables(tmp_path):
    values = np.cumsum(noise(400).reshape(200, 2), axis=0)
    assert fitted(values).predict(samples=3).shape == (3, 6, 2)
    frame = pl.DataFrame({"shop": np.repeat(["a", "b"], 200), "y": values.T.ravel()})
    forecaster = fitted(frame, id="shop", target="y")
    found = forecaster.predict(samples=3, seed=5)
    assert found.columns[-3:] == ["sample 1", "sample 2", "sample 3"]
    assert len(found) == 12
    with pytest.raises(InputError, match="samples have no intervals"):
        forecaster.predict(samples=3, level=80)
    with pytest.raises(InputError, match="samples: expected"):
        forecaster.predict(samples=0)
    forecaster.save(tmp_path / "m.safetensors")
    out = tmp_path / "out.csv"
    told = ["--samples", "3", "--seed", "5", "--out", str(out)]
    assert cli.main(["forecast", "predict", str(tmp_path / "m.safetensors"), *told]) == 0
    written = pl.read_csv(out)
    np.testing.assert_allclose(written["sample 2"].to_numpy(), found["sample 2"].to_numpy())
