"""What the classes with scikit-learn's conventions share."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone

from statewise.jobs import Classifier, Forecaster, ForecastRegressor, InputError, Tagger, Translator, Writer
from statewise.jobs.config import Whole, again, option
from statewise.jobs.estimator import Estimator, seed_of
from statewise.jobs.training.config import TrainingConfig


def test_a_number_is_the_seed_itself():
    assert seed_of(11) == seed_of(np.int64(11)) == 11
    assert type(seed_of(np.int64(11))) is int


def test_a_random_state_draws_the_seed_and_none_draws_another_each_time():
    assert seed_of(np.random.RandomState(3)) == seed_of(np.random.RandomState(3)) != seed_of(np.random.RandomState(4))
    assert len({seed_of(None) for _ in range(5)}) > 1


@dataclass(kw_only=True)
class ToyConfig(TrainingConfig):
    """With a field of its own."""

    epochs: Whole = again(TrainingConfig, "epochs", 7)
    units: Whole = option(3, "of the network")


@dataclass(kw_only=True, eq=False, repr=False)
class Toy(Estimator, ToyConfig):
    """Learns nothing.

    Attributes:
        model_: nothing.
    """

    configuration: ClassVar[type[ToyConfig]] = ToyConfig


def test_the_arguments_are_the_fields_of_the_configuration():
    arguments = inspect.signature(Toy).parameters
    assert set(arguments) == {each.name for each in fields(ToyConfig)} - {"seed"} | {
        "random_state",
        "verbose",
        "warm_start",
    }
    assert (arguments["epochs"].default, arguments["units"].default) == (7, 3)
    assert "units: of the network (default: 3)." in Toy.__doc__
    assert Toy.__doc__.index("Args:") < Toy.__doc__.index("random_state:") < Toy.__doc__.index("Attributes:")


def test_they_are_looked_at_when_they_are_used():
    toy = Toy(units=0, batch=5, clip=None, random_state=2)
    assert clone(toy).get_params() == toy.get_params()
    with pytest.raises(InputError, match="units: expected a whole number of at least 1, got 0"):
        toy.config()
    assert toy.set_params(units=4).config() == ToyConfig(units=4, batch=5, clip=None, seed=2)
    assert hash(toy) != hash(clone(toy))


@pytest.mark.parametrize("kind", [Classifier, Forecaster, ForecastRegressor, Tagger, Translator, Writer])
def test_the_classes_have_every_option_of_training_and_say_what_each_argument_is(kind):
    arguments = kind().get_params()
    assert {each.name for each in fields(TrainingConfig)} - {"seed"} <= arguments.keys()
    assert all(f"\n        {name}: " in kind.__doc__ for name in arguments)
