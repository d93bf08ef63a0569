"""Runs that are broken off, and runs of several processes: the same result as one that nothing happened to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from commands import finished, logged, start


def table(rows=200):
    lines = [f"{i},{50 + 10 * ((i * i) % 7) + i % 12:.1f}" for i in range(rows)]
    return "\n".join(["step,value", *lines]) + "\n"


def forecast(folder, *options, processes=1):
    (folder / "data.csv").write_text(table())
    return start("forecast", *options, folder=folder, processes=processes)


STEPWISE = ("data.csv", "--model", "lstm", "--seeds", "2", "--horizon", "6", "--epochs", "150", "--out", "run")
WINDOWED = ("data.csv", "--model", "segment", "--horizon", "6", "--epochs", "40", "--batch", "16", "--out", "run")


@pytest.mark.slow
@pytest.mark.parametrize("options", [STEPWISE, WINDOWED], ids=["stepwise", "windowed"])
def test_a_run_killed_again_and_again_ends_with_the_same_bits(tmp_path, options):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    finished(forecast(whole, *options))
    kills, begin = 0, [*options, "--checkpoint-every", "0"]
    while kills < 3:
        job = forecast(broken, *begin)
        before = checkpoints(broken)
        deadline = time.monotonic() + 120
        while job.poll() is None and checkpoints(broken) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05 * kills)
        if job.poll() is not None:  # too quick to be killed once more
            break
        job.kill()
        job.communicate()
        kills += 1
        begin = ["--resume", "run"]
    assert kills >= 1
    if not (broken / "run" / "metrics.json").exists():
        finished(forecast(broken, "--resume", "run"))
    for name in ("model.safetensors", "predictions.csv"):
        assert (broken / "run" / name).read_bytes() == (whole / "run" / name).read_bytes()
    assert logged(broken / "run") == logged(whole / "run")
    assert not list((broken / "run").glob("*.checkpoint"))


def checkpoints(folder: Path):
    """What changes whenever a checkpoint is written."""
    return sorted(path.stat().st_mtime_ns for path in folder.glob("run/*.checkpoint"))


@pytest.mark.slow
def test_two_processes_make_the_model_of_one(tmp_path):
    options = [*WINDOWED, "--dropout", "0", "--epochs", "3"]
    for processes, name in ((1, "one"), (2, "two")):
        folder = tmp_path / name
        folder.mkdir()
        out = finished(forecast(folder, *options, processes=processes))
        assert out.count("segment GRU") == 2 + out.count("The segment GRU")  # said once: the plan and the table
    one, two = (tmp_path / name / "run" for name in ("one", "two"))
    for ours, theirs in zip(logged(two), logged(one), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    expected, found = (load_file(run / "model.safetensors") for run in (one, two))
    assert_close(found, expected, rtol=1e-2, atol=1e-3)
    assert sorted(os.listdir(one)) == sorted(os.listdir(two))
