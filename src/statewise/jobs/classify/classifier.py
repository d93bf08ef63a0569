"""``Classifier``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from ..errors import InputError
from ..estimator import recipe_of
from .given import as_sequences
from .model import Label, Model
from .sequences import Sequences
from .settings import RECIPE, Plan, Shape
from .training import train


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that tells to which class a sequence belongs, trained by ``fit``.

    Sequences (``X``) are a list of arrays (T, I), or (T,) for one channel, of any lengths T; or one array (n, T, I), or
    (n, T) for one channel. Labels (``y``) are n strings, whole numbers or booleans. Default values were chosen by
    cross-validation inside the training parts of the data sets in docs/jobs.md, never on a test part.

    Args:
        cell: ``lstm``, ``gru`` or ``rnn``.
        units: hidden units of each layer and direction.
        layers: layers.
        bidirectional: whether each layer reads backwards too.
        head: what the output sees: the ``last`` state, the ``mean`` or ``max`` over the steps, or learnt ``attention``.
        segment: so many steps are read at a time, as one. Default: as many as make about 32 segments of a sequence of
            more than 64 steps.
        dropout: probability of dropping a unit between layers and before the output, in training.
        epochs: passes over the training part at most. Default: as many as make about 2000 updates, 12 to 300.
        batch: sequences in a batch.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        learning_rate: the highest.
        schedule: how the rate falls: ``cosine``, ``linear`` or ``constant``.
        weight_decay: of the optimizer.
        clip: the largest norm of all gradients together; None for any.
        balance: whether every class weighs the same in the loss, however many sequences it has.
        smoothing: share of the target that is spread evenly over all classes, against overconfidence.
        validation: share of the training part held out, to keep the weights that do best on it; 0 for none. Default: a
            tenth, where that is 50 sequences or more.
        patience: stop after so many epochs without gain on the part held out; None: never.
        scaling: inputs get mean 0 and spread 1 over each ``channel``, over ``all`` together, or stay (``none``).
        gaps: what a missing value (NaN) is: an error (``refuse``), or the value before it in its sequence (``carry``;
            the mean where there is none before).
        random_state: seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on GPUs that have it.

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

    def __init__(
        self,
        *,
        cell: str = "gru",
        units: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        head: str = "max",
        segment: int | None = None,
        dropout: float = 0.2,
        epochs: int | None = None,
        batch: int = 32,
        optimizer: str = "adamw",
        learning_rate: float = 3e-3,
        schedule: str = "cosine",
        weight_decay: float = 1e-2,
        clip: float | None = 1.0,
        balance: bool = False,
        smoothing: float = 0.1,
        validation: float | None = None,
        patience: int | None = None,
        scaling: str = "channel",
        gaps: str = "refuse",
        random_state: Any = 0,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.head = head
        self.segment = segment
        self.dropout = dropout
        self.epochs = epochs
        self.batch = batch
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip = clip
        self.balance = balance
        self.smoothing = smoothing
        self.validation = validation
        self.patience = patience
        self.scaling = scaling
        self.gaps = gaps
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def fit(self, X: Any, y: ArrayLike) -> Classifier:
        """Train a network on the sequences ``X`` and their labels ``y`` (n,).

        Raises ``InputError``, a ValueError, where they or an argument can't be used.
        """
        plan = self._plan()
        sequences = self._sequences(X)
        labels = _labels(y)
        if len(labels) != len(sequences):
            raise InputError(f"expected a label for each of {len(sequences)} sequences, got {len(labels)}")
        self.classes_, targets = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"Classifier can't train when only one class is present: all labels are {labels[0]!r}")
        classes: list[Label] = self.classes_.tolist()
        self.model_, self.history_ = train(sequences, targets.astype(np.int64), classes, plan)
        self.n_features_in_ = sequences.channels if _table_width(X) is None else int(sequences.lengths[0])
        self.steps_ = _table_width(X)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label of each sequence: (n,)."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)] if self._fitted() else np.empty(0)
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, in the order of ``classes_``: (n, classes)."""
        self._fitted()
        sequences, steps = self._sequences(X), _table_width(X)
        if self.steps_ is not None and steps is not None and steps != self.steps_:
            raise InputError(
                f"X has {steps} features, but {type(self).__name__} is expecting {self.steps_} features as input;"
                " sequences of other lengths come as a list of arrays or as an array (n, T, I)"
            )
        return self.model_.probabilities(sequences)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained classifier as one ``.safetensors`` file, which ``statewise classify predict`` reads too."""
        self._fitted()
        notes = {**self.model_.notes, "gaps": self.gaps, "dtype": self.classes_.dtype.str, "steps": self.steps_}
        replace(self.model_, notes=notes).save(Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Classifier:
        """The classifier in ``path``, also one that ``statewise classify`` wrote; on the CPU.

        Of the arguments it has those of the network; how it was trained isn't in the file. Raises ``InputError`` for
        any other file.
        """
        model = Model.load(Path(path))
        shape = model.shape
        classifier = cls(
            cell=shape.cell,
            units=shape.units,
            layers=shape.layers,
            bidirectional=shape.bidirectional,
            head=shape.head,
            segment=shape.segment,
            dropout=shape.dropout,
            gaps=str(model.notes.get("gaps", "refuse")),
        )
        try:
            classifier.classes_ = np.array(model.classes, dtype=model.notes.get("dtype"))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: a damaged model: {error}") from None
        classifier.model_, classifier.history_ = model, []
        classifier.steps_ = model.notes.get("steps")
        classifier.n_features_in_ = classifier.steps_ or model.channels
        return classifier

    def _plan(self) -> Plan:
        shape = Shape(self.cell, self.units, self.layers, self.bidirectional, self.head, self.dropout)
        recipe = recipe_of(self, RECIPE)
        return Plan(
            shape,
            self.segment,
            recipe,
            self.epochs,
            balance=bool(self.balance),
            smoothing=self.smoothing,
            validation=self.validation,
            scaling=self.scaling,
        )

    def _sequences(self, X: Any) -> Sequences:
        return as_sequences(X, gaps=self.gaps)

    def _fitted(self) -> bool:
        check_is_fitted(self, "model_")
        return True

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
