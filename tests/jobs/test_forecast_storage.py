"""A saved forecaster comes back to the bit, and what isn't one is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from statewise.jobs import InputError
from statewise.jobs.forecast import Settings, fit, load, read_series, save


@pytest.fixture(scope="module")
def forecaster():
    series = read_series()
    return fit(series.values[:101], cycles=series.cycles, settings=Settings(seeds=2, updates=5))


@pytest.fixture
def file(forecaster, tmp_path):
    path = tmp_path / "model.safetensors"
    save(forecaster, path)
    return path


def rewrite(path, change):
    """The same file with another header."""
    with safe_open(path, "pt") as opened:
        header = json.loads(opened.metadata()["statewise"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, metadata={"statewise": json.dumps(header)})


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_round_trip(cell, tmp_path):
    values = read_series().values
    before = fit(values[:101], settings=Settings(cell=cell, hidden=3, seeds=2, updates=2))
    save(before, tmp_path / "a")
    after = load(tmp_path / "a")
    np.testing.assert_array_equal(before.predict(values), after.predict(values))
    assert (before.transform, before.settings, before.lags) == (after.transform, after.settings, after.lags)
    save(after, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole"):
        load(file)


def test_a_pickle_or_a_missing_file_or_a_folder_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.pt")
    with pytest.raises(InputError, match="not a whole"):
        load(tmp_path / "pickle.pt")
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            load(path)


def test_a_foreign_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="holds no statewise forecast"):
        load(tmp_path / "a.safetensors")


def test_a_file_of_another_job_or_a_later_format_is_refused(file):
    rewrite(file, lambda header, _: header.update(format=99, version="9.0"))
    with pytest.raises(InputError, match=r"has format 99 of statewise 9\.0"):
        load(file)
    rewrite(file, lambda header, _: header.update(job="classify"))
    with pytest.raises(InputError, match="holds no statewise forecast"):
        load(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, tensors: header.pop("lags"),
        lambda header, tensors: header.update(lags="no"),
        lambda header, tensors: header["settings"].update(hidden=10**12),
        lambda header, tensors: header["settings"].update(cell="os.system"),
        lambda header, tensors: header["settings"].update(unknown=1),
        lambda header, tensors: header.update(settings=3),
        lambda header, tensors: tensors.pop("1.head.bias"),
        lambda header, tensors: header.update(lags=[1, 2, 3, 4, 5]),
    ],
)
def test_a_damaged_header_is_refused_in_one_line(file, change):
    rewrite(file, change)
    with pytest.raises(InputError, match="damaged forecast model") as caught:
        load(file)
    assert "\n" not in str(caught.value)
