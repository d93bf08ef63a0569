"""``Classifier`` and ``Regressor``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from ...config import short
from ...errors import InputError
from ...estimator import Estimator, pair_of
from ...training.callbacks import Callback
from .config import ClassifyConfig, SequenceConfig
from .examples import numbered
from .model import Model
from .sequences import Sequences, as_sequences
from .targets import Classes, Labels, Number, Said, Target, Values
from .texts import Texts, as_texts, is_texts

if TYPE_CHECKING:
    from .training import ClassifyProblem

Own = TypeVar("Own", bound="SequenceEstimator")


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceEstimator(Estimator):
    """What ``Classifier`` and ``Regressor`` share: sequences in, and what a ``Target`` says of them."""

    model_class: ClassVar[type[Model]] = Model
    targets: ClassVar[tuple[type[Target], ...]]
    """What its models may say."""

    @classmethod
    def _arguments(cls, model: Model) -> dict[str, Any]:
        if not isinstance(model.target, cls.targets):
            raise InputError(f"{cls.__name__} can't read a model of the task {model.target.TASK}")
        return super()._arguments(model)

    def fit(
        self: Own,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Own:
        """Train a network on the sequences ``X`` and their labels ``y``.

        Args:
            X: n sequences, as the class says.
            y: a label or number for each, (n,); of several labels (n, L) of 0 and 1.
            sample_weight: how much each sequence counts in the loss, (n,); one of weight 0 isn't looked at. Default:
                all alike.
            groups: to which each sequence belongs, such as the sentence of a phrase, (n,): none of a group is learnt
                from while others are validated with. Default: each stands alone.
            eval_set: what to validate with, a pair like ``(X, y)``, in the place of a part of them.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written, again and again, where training stands. A ``fit`` that was broken off goes on
                from there, to the same weights, when it is called again with the same data and arguments.

        With ``warm_start`` a network that is trained already goes on from its weights, as with ``partial_fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        like = getattr(self, "model_", None) if self.warm_start else None
        return self._fit(X, y, like, callbacks, folder, groups=groups, eval_set=eval_set, sample_weight=sample_weight)

    def _problem(
        self,
        config: Any,
        X: Any,
        y: Any,
        like: Model | None,
        eval_set: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
        classes: Any = None,
    ) -> ClassifyProblem:
        sequences, labels = self._part(X, y, like)
        weights, of = None, None if groups is None else numbered(groups, len(labels))
        if sample_weight is not None:
            weights = _weights(sample_weight, len(labels))
            used = np.flatnonzero(weights)
            sequences, labels, weights = sequences.select(used), labels[used], weights[used]
            of = None if of is None else of[used]
        target, notes = (like.target, like.notes) if like is not None else self._target(labels, classes)
        if like is not None and classes is not None:
            self._target(labels, classes, self.classes_)
        held_out = None
        if eval_set is not None:
            held, truth = self._part(*pair_of(eval_set), like)
            held_out = held, self._values(truth, target, "eval_set")
        from .training import ClassifyProblem

        given = config, sequences, self._values(labels, target, "y"), target, held_out
        problem = ClassifyProblem.of(*given, sample_weight=weights, groups=of, like=like)
        return replace(problem, notes=notes if like is not None else {**notes, "steps": self._width(X)})

    def _sequences(self, X: Any) -> Sequences | Texts:
        """``X`` as numbers or, where it has texts or symbols, as those."""
        config = self.config()
        if config.symbols and not is_texts(X):
            X = [[str(symbol) for symbol in np.asarray(row, object).ravel()] for row in X]
        return as_texts(X) if is_texts(X) else as_sequences(X, gaps=config.gaps)

    def _part(self, X: Any, y: Any, like: Model | None) -> tuple[Sequences | Texts, NDArray[Any]]:
        """Sequences and their labels."""
        sequences, labels = self._sequences(X), self._labels(y)
        if len(labels) != len(sequences):
            raise InputError(f"expected a label for each of {len(sequences)} sequences, got {len(labels)}")
        if like is not None:
            self._check_width(X)
        return sequences, labels

    def _labels(self, y: Any) -> NDArray[Any]:
        """``y`` as an array; refuses what is none that can be learnt."""
        raise NotImplementedError

    def _target(self, labels: NDArray[Any], classes: Any, known: Any = None) -> tuple[Target, dict[str, Any]]:
        """What ``labels`` are, and what else of them the model's file is to remember."""
        raise NotImplementedError

    def _values(self, labels: NDArray[Any], target: Target, where: str) -> Values:
        """``labels`` as ``target`` has them."""
        raise NotImplementedError

    def _said(self, X: Any) -> Said:
        check_is_fitted(self, "model_")
        self._check_width(X)
        said: Said = self.model_.predict(self._sequences(X))
        return said

    def _width(self, X: Any) -> int | None:
        """T of what is a table of numbers to scikit-learn; symbols are never one."""
        return None if self.symbols or is_texts(X) else _table_width(X)

    def _check_width(self, X: Any) -> None:
        """Raises ``InputError`` where arrays (n, T) of one width were fitted, and this is of another."""
        steps = self._width(X)
        if self.steps_ is not None and steps is not None and steps != self.steps_:
            raise InputError(
                f"X has {steps} features, but {type(self).__name__} is expecting {self.steps_} features as input;"
                " sequences of other lengths come as a list of arrays or as an array (n, T, I)"
            )

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.steps_ = model.notes.get("steps")
        self.n_features_in_ = self.steps_ or model.encoder.channels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.gaps == "carry"
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(ClassifierMixin, SequenceEstimator, ClassifyConfig):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that tells to which class a sequence belongs, or which labels it has, trained by ``fit``.

    Sequences (``X``) are a list of arrays (T, I), or (T,) for one channel, of any lengths T; or one array (n, T,
    I), or (n, T) for one channel; or a list of texts, or of lists of symbols. Labels (``y``) are n strings, whole
    numbers or booleans; of several labels a sequence an array (n, L) of 0 and 1. Default values were chosen as
    docs/jobs/classify.md says, never on the sets that it reports.

    Attributes:
        classes_: the labels, sorted: (classes,); of several labels their numbers, 0 to L - 1.
        n_features_in_: I, the channels of the sequences; T where they came as an array (n, T), and then ``predict``
            takes arrays of that width.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> classifier = Classifier(units=32).fit(X_train, y_train)
        >>> classifier.score(X_test, y_test)
    """

    configuration: ClassVar[type[ClassifyConfig]] = ClassifyConfig
    targets: ClassVar[tuple[type[Target], ...]] = (Classes, Labels)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Classifier:
        """Train the network further, on other data (fine-tuning), from its weights on.

        Args:
            X: sequences, as in ``fit``.
            y: their labels.
            classes: all labels that will ever come; the first call needs them where its ``y`` hasn't got them all.
            sample_weight: how much each sequence counts in the loss, (n,).
            groups: to which each sequence belongs, such as the sentence of a phrase, (n,): none of a group is learnt
                from while others are validated with. Default: each stands alone.
            eval_set: what to validate with, a pair like ``(X, y)``, in the place of a part of them.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written where training stands, as in ``fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used, such as a label that was never named.
        """
        how = {"groups": groups, "eval_set": eval_set, "sample_weight": sample_weight, "classes": classes}
        return self._fit(X, y, getattr(self, "model_", None), callbacks, folder, **how)

    def _labels(self, y: Any) -> NDArray[Any]:
        """``y`` as an array (n,) of labels, or (n, L) of 0 and 1; refuses what are no classes."""
        return _labels(y)

    def _target(self, labels: NDArray[Any], classes: Any, known: Any = None) -> tuple[Target, dict[str, Any]]:
        if labels.ndim == 2:
            return Labels(tuple(range(labels.shape[1]))), {}
        told = None if classes is None else np.unique(_labels(classes))
        if told is not None and known is not None and not np.array_equal(told, known):
            raise InputError(f"classes: expected {known.tolist()}, those of the first call, got {told.tolist()}")
        known = np.unique(labels) if told is None else told
        if len(known) < 2 and told is None:
            raise InputError(f"Classifier can't train when only one class is present: all labels are {labels[0]!r}")
        return Classes(tuple(known.tolist())), {"dtype": known.dtype.str}

    def _values(self, labels: NDArray[Any], target: Target, where: str) -> Values:
        shape = () if isinstance(target, Classes) else (target.width,)
        if labels.shape[1:] != shape:
            raise InputError(f"{where}: expected labels {('n', *shape)}, got an array of shape {labels.shape}")
        if isinstance(target, Classes):
            return _numbers(labels, np.array(target.names), where)
        return labels.astype(np.float32)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label of each sequence of ``X``, (n,); of several labels which each has, (n, L) of 0 and 1.

        Raises ``InputError`` for sequences of another kind or width than those that were learnt.
        """
        said = self.predict_proba(X)
        if isinstance(self.model_.target, Labels):
            return self.model_.target.chosen(said).astype(np.int64)
        labels: NDArray[Any] = self.classes_[said.argmax(1)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class for each sequence of ``X``, in the order of ``classes_``: (n, classes).

        Of several labels the probability of each: (n, L). Raises ``InputError`` as ``predict`` does.
        """
        return self._said(X)

    def _take(self, model: Model) -> None:
        super()._take(model)
        assert isinstance(model.target, Classes | Labels)  # what ``_arguments`` lets pass
        self.classes_ = np.array(model.target.names, dtype=model.notes.get("dtype"))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class Regressor(RegressorMixin, SequenceEstimator, SequenceConfig):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that tells a number of a sequence (time series extrinsic regression), trained by ``fit``.

    Sequences (``X``) are as ``Classifier`` takes them, ``y`` is (n,). ``score`` is R2.

    Attributes:
        n_features_in_: I, the channels of the sequences; T where they came as an array (n, T), and then ``predict``
            takes arrays of that width.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> regressor = Regressor(units=32).fit(X_train, y_train)
        >>> regressor.predict(X_test)
    """

    configuration: ClassVar[type[SequenceConfig]] = SequenceConfig
    targets: ClassVar[tuple[type[Target], ...]] = (Number,)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Regressor:
        """Train the network further, on other data (fine-tuning), from its weights on.

        Args:
            X: sequences, as in ``fit``.
            y: their numbers, (n,).
            sample_weight: how much each sequence counts in the loss, (n,).
            groups: to which each sequence belongs, such as the sentence of a phrase, (n,): none of a group is learnt
                from while others are validated with. Default: each stands alone.
            eval_set: what to validate with, a pair like ``(X, y)``, in the place of a part of them.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written where training stands, as in ``fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        like = getattr(self, "model_", None)
        return self._fit(X, y, like, callbacks, folder, groups=groups, eval_set=eval_set, sample_weight=sample_weight)

    def _labels(self, y: Any) -> NDArray[Any]:
        """``y`` as numbers (n,)."""
        if y is None:
            raise InputError("Regressor requires y to be passed, but the target y is None")
        try:
            values: NDArray[Any] = column_or_1d(y, warn=True)
            assert_all_finite(values, input_name="y")
            return values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None

    def _target(self, labels: NDArray[Any], classes: Any, known: Any = None) -> tuple[Target, dict[str, Any]]:
        return Number.of(labels), {}

    def _values(self, labels: NDArray[Any], target: Target, where: str) -> Values:
        return labels

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The number of each sequence of ``X``, in the units of what was learnt: (n,).

        Raises ``InputError`` for sequences of another kind or width than those that were learnt.
        """
        return self._said(X)


def _labels(y: Any) -> NDArray[Any]:
    """``y`` as an array (n,) of labels; refuses what are no classes."""
    if y is None:
        raise InputError("Classifier requires y to be passed, but the target y is None")
    try:
        table = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        if table.ndim == 2 and table.shape[1] > 1:
            assert_all_finite(table, input_name="y")
            if type_of_target(table) == "multilabel-indicator":
                return table
        labels: NDArray[Any] = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
    except ValueError as error:
        raise InputError(str(error)) from None
    return labels


def _numbers(labels: NDArray[Any], classes: NDArray[Any], where: str) -> NDArray[np.int64]:
    """The places of ``labels`` in ``classes``. Raises ``InputError`` where one is none of them."""
    places = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    if (other := classes[places] != labels).any():
        raise InputError(f"{where}: expected the classes {classes.tolist()}, got {labels[other][0]!r}")
    return places.astype(np.int64)


def _weights(sample_weight: ArrayLike, count: int) -> NDArray[np.float32]:
    """``sample_weight`` as (n,). Raises ``InputError`` where it isn't, or says that nothing counts."""
    try:
        weights = np.asarray(sample_weight, dtype=np.float32)
    except (TypeError, ValueError):
        weights = np.empty((0, 0), np.float32)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(
            f"sample_weight: expected {count} numbers of at least 0, not all zero, got {short(sample_weight)}"
        )
    return weights


def _table_width(X: Any) -> int | None:
    """T, where sequences come as one array or frame (n, T), or as a list of lists that could be one."""
    if isinstance(X, list) and X and all(isinstance(row, list) for row in X):
        widths = {len(row) for row in X}
        return widths.pop() if len(widths) == 1 and np.ndim(X[0]) == 1 else None
    shape: Any = getattr(X, "shape", ())
    return int(shape[1]) if len(shape) == 2 else None
