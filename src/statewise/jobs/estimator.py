"""What the classes with scikit-learn's conventions share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .recipe import Recipe


def seed_of(random_state: Any) -> int:
    """The seed that ``random_state`` stands for: a number, a ``RandomState`` to draw it from, or None for any."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def recipe_of(estimator: Any, defaults: Recipe) -> Recipe:
    """``defaults`` with what ``estimator`` has of the same names; ``epochs`` of None leaves the default."""
    given = {name: getattr(estimator, name) for name in Recipe.__dataclass_fields__ if hasattr(estimator, name)}
    if given.get("epochs") is None:
        given.pop("epochs", None)
    return replace(defaults, **given, seed=seed_of(estimator.random_state))
