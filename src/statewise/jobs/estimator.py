"""What the classes with scikit-learn's conventions share. Their arguments are their job's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .artifacts.model_file import Model, checked
from .command import by_group, default_in_words
from .config import Config
from .training.callbacks import Record
from .training.config import TrainingConfig
from .training.problem import Problem, Trainer

Own = TypeVar("Own", bound="Estimator")


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
    seed: int = field(init=False, default=0)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init_subclass__(cls) -> None:
        """Describe the arguments in the class's text."""
        described = [text for base in cls.__bases__ if issubclass(base, Config) for text in _described(base)]
        if described:
            drawn = "seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one"
            said = "\n".join(
                fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 12)
                for text in (*described, f"random_state: {drawn}.")
            )
            before, mark, after = (cls.__doc__ or "").partition("\n\n    Attributes:")
            cls.__doc__ = f"{before}\n\n    Args:\n{said}{mark}{after}"

    def __post_init__(self) -> None:
        """Leave the arguments as they are, unlooked at."""

    def config(self) -> Any:
        """The arguments as the job's configuration. Raises ``InputError`` for what can't be used."""
        given = {name: value for name, value in self.get_params(deep=False).items() if name != "random_state"}
        return self.configuration(**given, seed=seed_of(self.random_state))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained model as one ``.safetensors`` file, which the commands read too."""
        check_is_fitted(self, "model_")
        replace(self.model_, notes={**self.model_.notes, **self._notes()}).save(Path(path))

    @classmethod
    def load(cls: type[Own], path: str | PathLike[str]) -> Own:
        """What is in ``path``, also where a command wrote it; on the CPU. Raises ``InputError`` for any other file."""
        model = cls.model_class.load(Path(path))
        loaded = cls(**cls._arguments(model), random_state=model.config.seed)
        loaded.history_ = []
        with checked(Path(path), cls.model_class.KIND):
            loaded._take(model)
        return loaded

    @classmethod
    def _arguments(cls, model: Any) -> dict[str, Any]:
        """The arguments that ``model`` was trained with, but for the random state."""
        told = fields(cls.configuration)
        return {each.name: getattr(model.config, each.name) for each in told if each.name != "seed"}

    def _notes(self) -> dict[str, Any]:
        """What the file is to hold beside the model."""
        return {}

    def _take(self, model: Any) -> None:
        """Have ``model`` as what was trained."""
        self.model_ = model

    def _train(self, problem: Problem[Any]) -> None:
        """Have a model that has learnt ``problem``."""
        trainer = Trainer()
        self._take(problem.train(trainer))
        self.history_ = trainer.history


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
