"""What the classes with scikit-learn's conventions share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from statewise.jobs import InputError
from statewise.jobs.estimator import recipe_of, seed_of
from statewise.jobs.recipe import Recipe

DEFAULTS = Recipe(epochs=7, batch=5, learning_rate=0.25, warmup=0.5)


def test_a_number_is_the_seed_itself():
    assert seed_of(11) == seed_of(np.int64(11)) == 11
    assert type(seed_of(np.int64(11))) is int


def test_a_random_state_draws_the_seed_and_none_draws_another_each_time():
    assert seed_of(np.random.RandomState(3)) == seed_of(np.random.RandomState(3)) != seed_of(np.random.RandomState(4))
    assert len({seed_of(None) for _ in range(5)}) > 1


def test_what_an_estimator_has_goes_before_the_default():
    given = SimpleNamespace(batch=3, clip=None, units=9, random_state=2)
    assert recipe_of(given, DEFAULTS) == Recipe(epochs=7, batch=3, learning_rate=0.25, warmup=0.5, clip=None, seed=2)


def test_epochs_of_none_are_the_default():
    assert recipe_of(SimpleNamespace(epochs=None, random_state=0), DEFAULTS).epochs == 7
    assert recipe_of(SimpleNamespace(epochs=2, random_state=0), DEFAULTS).epochs == 2


def test_what_can_not_be_is_refused():
    with pytest.raises(InputError, match="batch: expected"):
        recipe_of(SimpleNamespace(batch=0, random_state=0), DEFAULTS)
