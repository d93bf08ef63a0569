"""Linear models that a network is compared with, of features that may be sparse, as those of texts are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ....lazy import LazyModule
from .target import Values

if TYPE_CHECKING:
    import sklearn.linear_model as linear_models
else:  # what is said needs none of it
    linear_models = LazyModule("sklearn.linear_model")


def logistic(x: Any, values: Values) -> Any:
    """Logistic regression of ``x`` (n, F), fitted to classes (n,)."""
    # Features that are texts' n-grams are many and small: there a weaker penalty is better.
    model = linear_models.LogisticRegression(C=10.0 if _sparse(x) else 1.0, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not wholly converged is as good here
        return model.fit(x, values)


def ridge(x: Any, values: Values) -> Any:
    """Ridge regression, its penalty chosen by leaving rows out one by one; of sparse features it is 1."""
    model = linear_models.Ridge() if _sparse(x) else linear_models.RidgeCV(np.logspace(-3, 6, 19))
    return model.fit(x, values)


def _sparse(x: Any) -> bool:
    return hasattr(x, "toarray")
