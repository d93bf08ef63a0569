"""``Writer``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ...errors import InputError
from ...estimator import Estimator
from .config import WriteConfig
from .likelihood import Score
from .model import Draw, Model
from .text import checked, held_out, of_lines, read_text
from .training import WriteProblem


@dataclass(kw_only=True, eq=False, repr=False)
class Writer(Estimator, WriteConfig):
    """A recurrent network that writes as the text did that it was trained on by ``fit``.

    A text (``X``) is a string, a list of strings, which are lines each for itself, or the path of a file in UTF-8 as a
    ``pathlib.Path``. Default values were chosen on the validation parts of the texts in docs/jobs.md.

    Attributes:
        symbols_: the characters or words that the model knows.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> writer = Writer(epochs=5).fit(Path("names.txt").read_text().split())
        >>> writer.sample(10, temperature=0.9)
    """

    configuration: ClassVar[type[WriteConfig]] = WriteConfig
    model_class: ClassVar[type[Model]] = Model

    def fit(self, X: Any, y: None = None) -> Writer:
        """Train a network on the text ``X``; ``y`` is not looked at.

        Raises ``InputError``, a ValueError, where it or an argument can't be used.
        """
        config, (text, lines) = self.config(), _text(X)
        config = replace(config, lines=lines or config.lines)
        kept, held = held_out(text, config.validation_share, lines=config.lines, level=config.level, seed=config.seed)
        self._train(WriteProblem.of(config, kept, held))
        return self

    def sample(
        self,
        count: int = 1,
        *,
        prompt: str = "",
        length: int | None = None,
        temperature: float = 0.8,
        top_k: int | None = None,
        random_state: int = 0,
    ) -> list[str]:
        """``count`` new texts that begin with ``prompt``; the same ``random_state`` gives the same.

        Each has ``length`` symbols after the prompt (default: 500) or is a line, which has its own end. At temperature
        0 every symbol is the likeliest, at 1 it is drawn as likely as the model finds it, among the ``top_k`` likeliest
        where that isn't None.
        """
        check_is_fitted(self, "model_")
        _whole("count", count)
        if length is not None:
            _whole("length", length)
        return self.model_.samples(  # type: ignore[no-any-return]
            count, prompt, length, Draw(temperature=temperature, top_k=top_k, seed=random_state)
        )

    def complete(self, X: Any, length: int = 1) -> Any:
        """The text ``X`` with the likeliest ``length`` symbols after it; a list of texts, of each."""
        check_is_fitted(self, "model_")
        _whole("length", length)
        if isinstance(X, str):
            return self.model_.complete(X, length)
        return [self.model_.complete(str(text), length) for text in X]

    def score(self, X: Any, y: None = None) -> float:
        """The mean logarithm of the likelihood that each symbol of the text ``X`` is given: the higher the better."""
        return -self._score(X).loss

    def perplexity(self, X: Any) -> float:
        """Among how many equally likely symbols it would be as hard to choose the next one of the text ``X``."""
        return self._score(X).perplexity

    def bits_per_character(self, X: Any) -> float:
        """In how many bits a character of the text ``X`` could be written with the model's help."""
        return self._score(X).bits

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.symbols_ = model.vocabulary.symbols

    def _score(self, X: Any) -> Score:
        check_is_fitted(self, "model_")
        text, _ = _text(X)
        score: Score = self.model_.likelihood(text).score("")
        return score


def _text(X: Any) -> tuple[str, bool]:
    """``X`` as text, and whether it came as lines."""
    if isinstance(X, str):
        return checked(X, "the text"), False
    if isinstance(X, PathLike):
        return read_text(Path(X)), False
    try:
        lines = list(X)
    except TypeError:
        raise InputError(f"expected a text, a list of lines or a pathlib.Path, got {type(X).__name__}") from None
    for row, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise InputError(f"line {row}: expected a string, got {type(line).__name__}")
        if "\n" in line.strip():
            raise InputError(f"line {row}: expected one line, got several: {line[:40]!r}")
    return checked(of_lines([line.strip() for line in lines]), "the lines"), True


def _whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {value!r}")
