"""Model files: what is saved comes back, and anything else is refused in one line."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from statewise.jobs import InputError
from statewise.jobs.artifacts import atomic, model_file

CONTENT = {"scale": 2.5, "names": ["ä", "b"], "lags": [1, 12]}
TENSORS = {"w": np.arange(6.0).reshape(2, 3).T, "b": np.array(3), "a": np.ones(3, bool)}


@pytest.fixture
def path(tmp_path):
    model_file.save(tmp_path / "m.safetensors", "forecast model", 2, CONTENT, TENSORS)
    return tmp_path / "m.safetensors"


def test_there_and_back(path):
    content, tensors = model_file.load(path, "forecast model", 2)
    assert content == CONTENT
    assert {name: array.tolist() for name, array in tensors.items()} == {n: a.tolist() for n, a in TENSORS.items()}
    assert {name: array.dtype for name, array in tensors.items()} == {n: a.dtype for n, a in TENSORS.items()}


def test_same_content_same_bytes(path, tmp_path):
    model_file.save(tmp_path / "again", "forecast model", 2, CONTENT, TENSORS)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"m\.safetensors: not a whole \.safetensors file"):
        model_file.load(path, "forecast model", 2)


def test_bytes_that_are_too_many(path):
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="not a whole"):
        model_file.load(path, "forecast model", 2)


def test_of_another_job(path):
    with pytest.raises(InputError, match="expected a classify model, the file holds a forecast model"):
        model_file.load(path, "classify model", 2)


def test_of_a_later_format(path):
    with pytest.raises(InputError, match=r"of format 2, written by statewise .*, which reads format 1"):
        model_file.load(path, "forecast model", 1)


@pytest.mark.parametrize("metadata", [None, {"other": "x"}, {model_file.KEY: "[]"}, {model_file.KEY: "{}"}])
def test_of_somebody_else(tmp_path, metadata):
    save_file({"w": torch.zeros(1)}, tmp_path / "m", metadata)
    with pytest.raises(InputError, match="expected a forecast model, the file holds nothing of statewise's"):
        model_file.load(tmp_path / "m", "forecast model", 1)


def test_with_a_header_that_is_not_json(tmp_path):
    save_file({"w": torch.zeros(1)}, tmp_path / "m", {model_file.KEY: "{"})
    with pytest.raises(InputError, match="not a whole"):
        model_file.load(tmp_path / "m", "forecast model", 1)


def test_without_content(tmp_path):
    header = json.dumps({"kind": "forecast model", "format": 1})
    save_file({"w": torch.zeros(1)}, tmp_path / "m", {model_file.KEY: header})
    with pytest.raises(InputError, match="format 1"):
        model_file.load(tmp_path / "m", "forecast model", 1)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        model_file.load(tmp_path / "m", "forecast model", 1)
    with pytest.raises(InputError, match="is a folder, expected a file"):
        model_file.load(tmp_path, "forecast model", 1)


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"can't write .*No space left on device"):
        model_file.save(path, "forecast model", 2, {}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_who_reads_meanwhile_has_the_old_file_whole(path):
    before = path.read_bytes()
    with path.open("rb") as reader:
        model_file.save(path, "forecast model", 2, {}, {"w": np.zeros(999)})
        assert reader.read() == before
    assert path.read_bytes() != before


@pytest.mark.parametrize("place", ["missing/m", "m.safetensors/m"])
def test_a_place_that_is_not_there(path, place):
    with pytest.raises(InputError, match="can't write"):
        atomic.write(path.parent / place, "text")
