"""A saved model comes back to the bit, and what isn't one is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from statewise.jobs import InputError
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.config import ForecastConfig
from statewise.jobs.tasks.forecast.model import Model
from statewise.jobs.tasks.forecast.panel import read_panel
from statewise.jobs.tasks.forecast.training import prepare
from statewise.jobs.training.problem import Trainer


def made(**settings):
    prepared = prepare(read_panel(), ForecastConfig(units=4, ensemble=2, epochs=1, **settings))
    return prepared.train(Trainer())


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def rewrite(path, change):
    """The same file with another header or other tensors."""
    with safe_open(path, "pt") as opened:
        header = json.loads(opened.metadata()["statewise"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(header["content"], tensors)
    save_file(tensors, path, metadata={"statewise": json.dumps(header)})


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gru"},
        {"model": "seq2seq", "cell": "lstm", "layers": 2},
        {"model": "segrnn", "distribution": "student-t", "quantiles": (0.05, 0.95)},
    ],
    ids=lambda settings: settings["model"],
)
def test_round_trip(settings, tmp_path):
    before = made(**settings)
    before.save(tmp_path / "a")
    after = Model.load(tmp_path / "a")
    np.testing.assert_array_equal(
        forecast_ahead(before, before.tails).quantiles, forecast_ahead(after, after.tails).quantiles
    )
    assert (before.plan, before.columns, before.grid, before.names) == (
        after.plan,
        after.columns,
        after.grid,
        after.names,
    )
    after.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole"):
        Model.load(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda content, tensors: content.pop("learner"),
        lambda content, tensors: content["learner"].update(lags="no"),
        lambda content, tensors: content["learner"].update(lags=[1, 2, 3, 4, 5], features=9),
        lambda content, tensors: content["config"].update(units=10**12),
        lambda content, tensors: content["config"].update(ensemble=10**12),
        lambda content, tensors: content["config"].update(cell="os.system"),
        lambda content, tensors: content["config"].update(unknown=1),
        lambda content, tensors: content.update(config=3),
        lambda content, tensors: content.update(names=["a", "b"]),
        lambda content, tensors: content.update(rows=[10**6]),
        lambda content, tensors: tensors.pop("network.1.head.bias"),
        lambda content, tensors: tensors.pop("shifts"),
    ],
)
def test_a_damaged_header_is_refused_in_one_line(file, change):
    rewrite(file, change)
    with pytest.raises(InputError, match="damaged forecast model") as caught:
        Model.load(file)
    assert "\n" not in str(caught.value)
