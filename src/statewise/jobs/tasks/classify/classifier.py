"""``Classifier``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from ...errors import InputError
from ...estimator import Estimator
from .config import ClassifyConfig
from .model import Label, Model
from .sequences import as_sequences
from .training import ClassifyProblem


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(ClassifierMixin, Estimator, ClassifyConfig):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that tells to which class a sequence belongs, trained by ``fit``.

    Sequences (``X``) are a list of arrays (T, I), or (T,) for one channel, of any lengths T; or one array (n, T, I), or
    (n, T) for one channel. Labels (``y``) are n strings, whole numbers or booleans. Default values were chosen by
    cross-validation inside the training parts of the data sets in docs/jobs.md, never on a test part.

    Attributes:
        classes_: the labels, sorted: (classes,).
        n_features_in_: I, the channels of the sequences; T where they came as an array (n, T), and then ``predict``
            takes arrays of that width.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> classifier = Classifier(units=32).fit(X_train, y_train)
        >>> classifier.score(X_test, y_test)
    """

    configuration: ClassVar[type[ClassifyConfig]] = ClassifyConfig
    model_class: ClassVar[type[Model]] = Model

    def fit(self, X: Any, y: ArrayLike) -> Classifier:
        """Train a network on the sequences ``X`` and their labels ``y`` (n,).

        Raises ``InputError``, a ValueError, where they or an argument can't be used.
        """
        config = self.config()
        sequences, labels = as_sequences(X, gaps=config.gaps), _labels(y)
        if len(labels) != len(sequences):
            raise InputError(f"expected a label for each of {len(sequences)} sequences, got {len(labels)}")
        found, targets = np.unique(labels, return_inverse=True)
        if len(found) < 2:
            raise InputError(f"Classifier can't train when only one class is present: all labels are {labels[0]!r}")
        classes: list[Label] = found.tolist()
        self.classes_, self.steps_ = found, _table_width(X)
        self._train(ClassifyProblem.of(config, sequences, targets.astype(np.int64), classes))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label of each sequence: (n,)."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, in the order of ``classes_``: (n, classes)."""
        check_is_fitted(self, "model_")
        sequences, steps = as_sequences(X, gaps=self.config().gaps), _table_width(X)
        if self.steps_ is not None and steps is not None and steps != self.steps_:
            raise InputError(
                f"X has {steps} features, but {type(self).__name__} is expecting {self.steps_} features as input;"
                " sequences of other lengths come as a list of arrays or as an array (n, T, I)"
            )
        probabilities: NDArray[np.float64] = self.model_.probabilities(sequences)
        return probabilities

    def _notes(self) -> dict[str, Any]:
        return {"dtype": self.classes_.dtype.str, "steps": self.steps_}

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.steps_ = model.notes.get("steps", getattr(self, "steps_", None))
        self.n_features_in_ = self.steps_ or model.channels
        if not hasattr(self, "classes_"):
            self.classes_ = np.array(model.classes, dtype=model.notes.get("dtype"))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.gaps == "carry"
        return tags


def _labels(y: Any) -> NDArray[Any]:
    """``y`` as an array (n,) of labels; refuses what are no classes."""
    if y is None:
        raise InputError("Classifier requires y to be passed, but the target y is None")
    try:
        labels: NDArray[Any] = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
    except ValueError as error:
        raise InputError(str(error)) from None
    return labels


def _table_width(X: Any) -> int | None:
    """T, where sequences come as one array or frame (n, T), or as a list of lists that could be one."""
    if isinstance(X, list) and X and all(isinstance(row, list) for row in X):
        widths = {len(row) for row in X}
        return widths.pop() if len(widths) == 1 and np.ndim(X[0]) == 1 else None
    shape: Any = getattr(X, "shape", ())
    return int(shape[1]) if len(shape) == 2 else None
