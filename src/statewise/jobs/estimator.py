"""What the classes with scikit-learn's conventions share. Their arguments are their job's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .artifacts.model_file import Model, checked
from .command import by_group, default_in_words
from .config import Config, Whole, short
from .config import checked as checked_value
from .errors import InputError
from .training.callbacks import Callback, Record
from .training.config import TrainingConfig

if TYPE_CHECKING:
    from .training.problem import Problem

Own = TypeVar("Own", bound="Estimator")

OWN = (
    "random_state: seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one.",
    "verbose: whether training shows its progress on stderr (default: no).",
    "warm_start: whether ``fit`` goes on from the weights of the one before (default: no).",
)


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A dataclass that derives from this and from a job's configuration has the configuration's fields as arguments.

    They are looked at by ``fit``, as scikit-learn wants it; ``random_state`` stands in the place of ``seed``.
    """

    configuration: ClassVar[type[TrainingConfig]]
    model_class: ClassVar[type[Model]]
    model_: Any = field(init=False)
    history_: list[Record] = field(init=False)

    random_state: Any = 0
    verbose: Any = False
    warm_start: Any = False
    seed: int = field(init=False, default=0)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init_subclass__(cls) -> None:
        """Describe the arguments in the class's text."""
        described = [text for base in cls.__bases__ if issubclass(base, Config) for text in _described(base)]
        if described:
            said = "\n".join(
                fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 12) for text in (*described, *OWN)
            )
            before, mark, after = (cls.__doc__ or "").partition("\n\n    Attributes:")
            cls.__doc__ = f"{before}\n\n    Args:\n{said}{mark}{after}"

    def __post_init__(self) -> None:
        """Leave the arguments as they are, unlooked at."""

    def config(self) -> Any:
        """The arguments as the job's configuration. Raises ``InputError`` for what can't be used."""
        given = {name: getattr(self, name) for name in _told(self.configuration)}
        return self.configuration(**given, seed=seed_of(self.random_state))

    def fit(
        self: Own,
        X: Any,
        y: Any = None,
        *,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Own:
        """Train a network on ``X`` and ``y``; the class says what they are.

        Args:
            X: what to learn from.
            y: what to learn, where ``X`` doesn't say it.
            eval_set: what to validate with, a pair like ``(X, y)``, in the place of a part of them.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written, again and again, where training stands. A ``fit`` that was broken off goes on
                from there, to the same weights, when it is called again with the same data and arguments. What it has
                written is removed in the end.

        With ``warm_start`` a network that is trained already goes on from its weights, as with ``partial_fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        like = getattr(self, "model_", None) if self.warm_start else None
        return self._fit(X, y, like, callbacks, folder, eval_set=eval_set)

    def partial_fit(
        self: Own,
        X: Any,
        y: Any = None,
        *,
        eval_set: Any = None,
        callbacks: Sequence[Callback] = (),
        folder: str | PathLike[str] | None = None,
    ) -> Own:
        """Train the network further, on other data (fine-tuning): ``epochs`` of them, as ``fit`` does.

        It begins with the trained weights, also of a model that was loaded, and keeps what goes with them: classes,
        scale, vocabulary; data that don't fit those are refused. Where nothing is trained yet this is ``fit``.

        Args:
            X: what to learn from, as in ``fit``.
            y: what to learn, where ``X`` doesn't say it.
            eval_set: what to validate with, a pair like ``(X, y)``, in the place of a part of them.
            callbacks: are told how training goes on, see ``statewise.jobs.Callback``.
            folder: where it is written where training stands, as in ``fit``.

        Raises:
            InputError: a ValueError, where any of it can't be used.
        """
        return self._fit(X, y, getattr(self, "model_", None), callbacks, folder, eval_set=eval_set)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained model as one ``.safetensors`` file, which the commands and ``statewise.runtime`` read too.

        Args:
            path: of the file, which appears whole.

        Raises:
            NotFittedError: nothing is trained yet.
            OSError: the file can't be written.
        """
        check_is_fitted(self, "model_")
        self.model_.save(Path(path))

    @classmethod
    def load(cls: type[Own], path: str | PathLike[str]) -> Own:
        """What is in ``path``, also where a command wrote it; on the CPU. Raises ``InputError`` for any other file."""
        model = cls.model_class.load(Path(path))
        loaded = cls(**cls._arguments(model), random_state=model.config.seed)
        loaded.history_ = []
        with checked(Path(path), cls.model_class.KIND):
            loaded._take(model)
        return loaded

    def stream(self, rows: int | None = None) -> Stream:
        """Read sequences a step at a time: ``stream().step(x)`` says what is said of the sequence up to there.

        Args:
            rows: how many sequences side by side; ``step`` takes (rows, ...) then. Default: None, a single one.

        Raises:
            InputError: the model needs whole sequences, as where it reads backwards.
        """
        check_is_fitted(self, "model_")
        return Stream(self.model_, rows)

    @classmethod
    def _arguments(cls, model: Any) -> dict[str, Any]:
        """The arguments that ``model`` was trained with, but for the random state."""
        return {name: getattr(model.config, name) for name in _told(cls.configuration)}

    def _take(self, model: Any) -> None:
        """Have ``model`` as what was trained."""
        self.model_ = model

    def _problem(self, config: Any, X: Any, y: Any, like: Any, eval_set: Any = None) -> Problem[Any]:
        """What ``fit`` is to learn: with the encoders of the model ``like`` where that isn't None."""
        raise NotImplementedError

    def _fit(self: Own, X: Any, y: Any, like: Any, callbacks: Sequence[Callback], folder: Any, **how: Any) -> Own:
        config = self.config()
        if like is not None:  # what was left open is decided already
            told = {name: getattr(like.config, name) for name in _told(self.configuration) - _told(TrainingConfig)}
            config = replace(config, **{name: value for name, value in told.items() if getattr(config, name) is None})
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise InputError(f"callbacks: expected statewise.jobs.Callback, got {type(callback).__name__}")
        problem = self._problem(config, X, y, like, **how)
        where = None if folder is None else Path(folder)
        start = {} if like is None else like.networks()
        from .training.problem import Trainer

        trainer = Trainer(callbacks, where, start=start, verbose=bool(self.verbose))
        self._take(problem.train(trainer))
        self.history_ = trainer.history
        for checkpoint in trainer.checkpoints:
            checkpoint.unlink(missing_ok=True)
        return self


class Stream:
    """Sequences that are read a step at a time: what is said after each is what is said of the whole up to there.

    ``state`` is all that is remembered, and of a size that doesn't grow; put back, it goes on from there.
    """

    def __init__(self, model: Any, rows: int | None) -> None:
        self.model, self.rows = model, rows
        self.state: Any = model.start(1 if rows is None else checked_value("rows", Whole, rows))

    def step(self, x: Any) -> Any:
        """Read a step ``x`` of each sequence, (rows, ...), or of the single one; what is said of each by now."""
        said, self.state = self.model.step([x] if self.rows is None else x, self.state)
        return said[0] if self.rows is None else said


def pair_of(eval_set: Any) -> tuple[Any, Any]:
    """``eval_set`` as ``X`` and ``y``. Raises ``InputError`` where it is none."""
    if not isinstance(eval_set, (tuple, list)) or len(eval_set) != 2:
        raise InputError(f"eval_set: expected a pair (X, y), got {short(eval_set)}")
    return eval_set[0], eval_set[1]


def of_texts(tags: Any, *, required: bool) -> Any:
    """scikit-learn's ``tags`` of a class that reads texts; ``required``: whether it needs ``y``."""
    tags.input_tags.two_d_array, tags.input_tags.string = False, True
    tags.target_tags.required = required
    return tags


def _told(configuration: type[TrainingConfig]) -> set[str]:
    return {each.name for each in fields(configuration) if each.init and each.name != "seed"}


def _described(configuration: type[Config]) -> list[str]:
    return [
        f"{name}: {how.help}{default_in_words(each.default, how)}."
        for name, _, each, how in by_group(configuration)
        if name != "seed"
    ]


def seed_of(random_state: Any) -> int:
    """The seed that ``random_state`` stands for: a number, a ``RandomState`` to draw it from, or None for any."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
