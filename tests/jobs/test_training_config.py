"""The settings of a training: what is refused, and how."""

from __future__ import annotations

import math

import pytest

from statewise.jobs import InputError
from statewise.jobs.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, got 0"),
        ({"epochs": True}, "epochs: expected a whole number of at least 1, got True"),
        ({"batch": 2.0}, "batch: expected a whole number of at least 1, got 2.0"),
        ({"patience": -1}, "patience: expected a whole number of at least 0, got -1"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"optimizer": "lion"}, "optimizer: expected one of adamw, adam, sgd, got 'lion'"),
        ({"schedule": "step"}, "schedule: expected one of cosine, linear, constant, got 'step'"),
        ({"precision": "float16"}, "precision: expected one of auto, float32, medium, bfloat16, got 'float16'"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, got 0.0"),
        ({"learning_rate": math.inf}, "learning_rate: expected a number above 0, got inf"),
        ({"learning_rate": math.nan}, "learning_rate: expected a number above 0, got nan"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number above 0, got 'fast'"),
        ({"weight_decay": -0.1}, "weight_decay: expected a number of at least 0, got -0.1"),
        ({"momentum": 1.0}, "momentum: expected a number of at least 0 and below 1, got 1.0"),
        ({"warmup": 1.5}, "warmup: expected a number of at least 0 and below 1, got 1.5"),
        ({"clip": -1.0}, "clip: expected a number of at least 0, got -1.0"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(given, said):
    with pytest.raises(InputError) as error:
        TrainingConfig(**given)
    assert str(error.value) == said


def test_the_edges_are_allowed():
    TrainingConfig(
        epochs=1, batch=1, patience=None, clip=None, momentum=0.0, warmup=0.0, weight_decay=0.0, learning_rate=1
    )


@pytest.mark.parametrize("nothing", [{"patience": 0, "clip": 0}, {"patience": None, "clip": None}])
def test_no_patience_and_no_clipping_can_be_said_as_0_too(nothing):
    TrainingConfig(**nothing)
