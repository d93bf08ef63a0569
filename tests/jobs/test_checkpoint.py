"""Broken-off trainings go on with the same bits, and only those that are the same training."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import toy
from statewise.jobs import InputError
from statewise.jobs.artifacts import model_file
from statewise.jobs.training.average import Average
from statewise.jobs.training.callbacks import Callback, CallbackList, Log
from statewise.jobs.training.checkpoint import Checkpoint
from statewise.jobs.training.config import TrainingConfig
from statewise.jobs.training.fit import fit
from statewise.jobs.training.optimizer import Optimizer
from toy import Toy, weights

RECIPE = TrainingConfig(epochs=3, batch=10, learning_rate=0.01)  # of 4 batches each
UPDATES = 12
CHANGED = {"adamw": {}, "sgd": {"optimizer": "sgd"}, "averaged": {"average": 0.9}}


class Killed(BaseException):
    pass


class Kill(Callback):
    """Ends the training after so many updates, without any warning."""

    def __init__(self, after: int) -> None:
        self.left = after

    def tick(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


def train(folder: Path, recipe: TrainingConfig, *, task: Toy | None = None, kill: int = -1, every: float = 0.0):
    task = task or Toy()
    callback = CallbackList([Log(folder / "metrics.jsonl"), Kill(kill)])
    fit(task, recipe, callback=callback, checkpoint=Checkpoint(folder / "x.checkpoint", every))
    return weights(task)


def same(ours: dict, theirs: dict) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights and the log of trainings that nothing disturbed, by what is not as in ``RECIPE``."""
    results = {}
    for name, changed in CHANGED.items():
        folder = tmp_path_factory.mktemp(name)
        recipe = replace(RECIPE, **changed)
        results[name] = recipe, train(folder, recipe, every=1e9), toy.log(folder / "metrics.jsonl")
    return results


@pytest.mark.parametrize("optimizer", CHANGED)
@pytest.mark.parametrize("kill", range(1, UPDATES + 1))
def test_after_any_update_it_goes_on_with_the_same_bits(tmp_path, whole, optimizer, kill):
    recipe, expected, log = whole[optimizer]
    with pytest.raises(Killed):
        train(tmp_path, recipe, kill=kill)
    assert same(train(tmp_path, recipe), expected)
    assert toy.log(tmp_path / "metrics.jsonl") == log


def test_killed_after_every_single_update(tmp_path, whole):
    recipe, expected, log = whole["adamw"]
    for _ in range(UPDATES - 1):
        with pytest.raises(Killed):
            train(tmp_path, recipe, kill=2)  # the first of the two is the one that was lost
    assert same(train(tmp_path, recipe), expected)
    assert toy.log(tmp_path / "metrics.jsonl") == log


def test_between_two_points_of_the_curve(tmp_path, monkeypatch):
    monkeypatch.setattr("statewise.jobs.training.fit.POINTS", 2)  # every sixth update, and the end of an epoch
    expected = train(tmp_path, RECIPE, every=1e9)
    log = toy.log(tmp_path / "metrics.jsonl")
    assert [record["update"] for record in log] == [4, 6, 8, 12]
    for name in ("metrics.jsonl", "x.checkpoint"):
        (tmp_path / name).unlink()
    for _ in range(3):
        with pytest.raises(Killed):
            train(tmp_path, RECIPE, kill=4)
    assert same(train(tmp_path, RECIPE), expected)
    assert toy.log(tmp_path / "metrics.jsonl") == log


def test_early_stopping_counts_on(tmp_path):
    recipe = TrainingConfig(epochs=40, batch=10, learning_rate=0.3, patience=2)
    expected = train(tmp_path, recipe, every=1e9)
    log = toy.log(tmp_path / "metrics.jsonl")
    assert len({record["epoch"] for record in log}) < 40
    for name in ("metrics.jsonl", "x.checkpoint"):
        (tmp_path / name).unlink()
    with pytest.raises(Killed):
        train(tmp_path, recipe, kill=4 * log[-1]["epoch"] - 1)  # within the last epoch
    assert same(train(tmp_path, recipe), expected)
    assert toy.log(tmp_path / "metrics.jsonl") == log


class Worse(Toy):
    """Is best in the beginning: its score is how far the weights have come."""

    def __init__(self):
        super().__init__()
        self.start = weights(self)

    def validate(self):
        return {"way": sum(float((w - self.start[name]).norm()) for name, w in weights(self).items())}


def test_the_best_weights_may_be_older_than_the_kill(tmp_path):
    expected = train(tmp_path, RECIPE, task=Worse(), every=1e9)
    log = toy.log(tmp_path / "metrics.jsonl")
    ways = [record["validation"]["way"] for record in log if "validation" in record]
    assert ways == sorted(ways)
    for name in ("metrics.jsonl", "x.checkpoint"):
        (tmp_path / name).unlink()
    with pytest.raises(Killed):
        train(tmp_path, RECIPE, task=Worse(), kill=6)
    assert same(train(tmp_path, RECIPE, task=Worse()), expected)
    assert toy.log(tmp_path / "metrics.jsonl") == log


def test_a_complete_training_is_not_repeated(tmp_path, whole):
    recipe, expected, log = whole["adamw"]
    train(tmp_path, recipe, every=1e9)  # the end is written, due or not
    task = Toy()
    assert same(train(tmp_path, recipe, task=task), expected)
    assert task.seen == []
    assert toy.log(tmp_path / "metrics.jsonl") == log


@pytest.mark.parametrize(
    ("task", "recipe", "said"),
    [
        (Toy(seed=1), RECIPE, "of another task: its data or its network are not the ones given now"),
        (Toy(rows=38), RECIPE, "of another task"),
        (
            Toy(),
            TrainingConfig(epochs=4, batch=10, learning_rate=0.01),
            "of another configuration: epochs 3 there, 4 here",
        ),
        (
            Toy(),
            TrainingConfig(epochs=3, batch=10, learning_rate=0.1),
            "of another configuration: learning_rate 0.01 there, 0.1 here",
        ),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, task, recipe, said):
    with pytest.raises(Killed):
        train(tmp_path, RECIPE, kill=6)
    before = weights(task)
    with pytest.raises(InputError, match=said) as error:
        train(tmp_path, recipe, task=task)
    assert str(tmp_path / "x.checkpoint") in str(error.value)
    assert same(weights(task), before)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    with pytest.raises(Killed):
        train(tmp_path, RECIPE, kill=6)
    path = tmp_path / "x.checkpoint"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"x\.checkpoint: not a whole \.safetensors file"):
        train(tmp_path, RECIPE)


def test_a_model_is_no_checkpoint(tmp_path):
    model_file.save(tmp_path / "x.checkpoint", "forecast model", 1, {}, {"w": np.zeros(1)})
    with pytest.raises(InputError, match="expected a checkpoint, the file holds a forecast model"):
        train(tmp_path, RECIPE)


def test_it_is_written_now_and_then(tmp_path):
    checkpoint = Checkpoint(tmp_path / "x.checkpoint", every=3600)
    assert not checkpoint.pace.due()
    assert checkpoint.load() is None
    soon = Checkpoint(tmp_path / "x.checkpoint", every=0.05)
    time.sleep(0.06)
    assert soon.pace.due()
    task = Toy()
    optimizer, average = Optimizer(RECIPE, task.model.parameters()), Average(task.model, 0.0)
    soon.save(task, RECIPE, optimizer, average, toy_position(), {})
    assert not soon.pace.due()
    assert [path.name for path in tmp_path.iterdir()] == ["x.checkpoint"]


def toy_position():
    from statewise.jobs.training.checkpoint import Position

    return Position(epoch=1, history=[{"epoch": 1, "update": 4, "loss": 0.5}])


def test_seconds_add_up_over_the_parts(tmp_path):
    class Slow(Toy):
        def loss(self, model, rows):
            time.sleep(0.02)
            return super().loss(model, rows)

    with pytest.raises(Killed):
        train(tmp_path, RECIPE, task=Slow(), kill=9)
    train(tmp_path, RECIPE)
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 8 * 0.02


ARGUMENTS = ("--epochs", "4", "--batch", "5", "--rows", "60")  # 48 updates


@pytest.mark.slow
def test_kill_9_at_random_moments(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert toy.main([str(whole), *ARGUMENTS]) == 0
    for pause, moment in ((0.02, 0.1), (0.02, 0.3), (0.0, None)):
        command = [sys.executable, toy.__file__, str(broken), *ARGUMENTS, "--pause", str(pause)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline().startswith("begin ")
            if moment is not None:
                with pytest.raises(subprocess.TimeoutExpired):  # it is at work still
                    process.wait(moment)
                process.send_signal(signal.SIGKILL)
        assert process.returncode == (0 if moment is None else -signal.SIGKILL)
    expected, ours = (load_file(folder / "0-0.safetensors") for folder in (whole, broken))
    assert same(ours, expected)
    assert toy.log(broken / "metrics-0.jsonl") == toy.log(whole / "metrics-0.jsonl")
