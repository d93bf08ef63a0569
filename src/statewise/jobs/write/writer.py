"""``Writer``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError
from ..estimator import recipe_of
from .model import Model
from .sampling import Draw
from .settings import RECIPE, Plan, Shape
from .surprise import Score
from .text import checked, held_out, of_lines, read_text
from .training import train


class Writer(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that writes as the text did that it was trained on by ``fit``.

    A text (``X``) is a string, a list of strings, which are lines each for itself, or the path of a file in UTF-8 as a
    ``pathlib.Path``. Default values were chosen on the validation parts of the texts in docs/jobs.md.

    Args:
        level: ``char`` or ``word``: what stands between blanks.
        lines: whether each line of a text is one for itself; a list of strings always is.
        cell: ``lstm``, ``gru`` or ``rnn``.
        units: hidden units of each layer. Default: 256, of lines 128.
        layers: layers. Default: 2, of lines 1.
        embedding: numbers that stand for a symbol in the input. Default: 64; of words, or tied, as many as ``units``.
        dropout: probability of dropping a unit before and after each layer, in training, the same over the steps.
        tie: whether the output has the embedding's weights.
        steps: how far the gradient goes back in a running text, in symbols.
        most_words: of words, how many are known, the most frequent.
        at_least: of words, how often one must occur to be known.
        epochs: passes over the training part at most. Default: as many as make about 5000 updates, of lines 8000.
        batch: lines in a batch, or streams in which a running text is read side by side.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        learning_rate: the highest.
        schedule: how the rate falls: ``cosine``, ``linear`` or ``constant``.
        warmup: share of the updates in which the rate rises.
        weight_decay: of the optimizer.
        clip: the largest norm of all gradients together; None for any.
        validation: share of the text held out, its end or lines drawn at random, to keep the weights that do best on
            it; 0 for none. Default: a tenth, where that says enough.
        patience: stop after so many epochs without gain on the part held out; None: never.
        random_state: seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on GPUs that have it.

    Attributes:
        symbols_: the characters or words that the model knows.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> writer = Writer(epochs=5).fit(Path("names.txt").read_text().split())
        >>> writer.sample(10, temperature=0.9)
    """

    def __init__(
        self,
        *,
        level: str = "char",
        lines: bool = False,
        cell: str = "gru",
        units: int | None = None,
        layers: int | None = None,
        embedding: int | None = None,
        dropout: float = 0.2,
        tie: bool = False,
        steps: int = 64,
        most_words: int = 10_000,
        at_least: int = 2,
        epochs: int | None = None,
        batch: int = 32,
        optimizer: str = "adamw",
        learning_rate: float = 3e-3,
        schedule: str = "cosine",
        warmup: float = 0.02,
        weight_decay: float = 1e-2,
        clip: float | None = 1.0,
        validation: float | None = None,
        patience: int | None = None,
        random_state: Any = 0,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.level = level
        self.lines = lines
        self.cell = cell
        self.units = units
        self.layers = layers
        self.embedding = embedding
        self.dropout = dropout
        self.tie = tie
        self.steps = steps
        self.most_words = most_words
        self.at_least = at_least
        self.epochs = epochs
        self.batch = batch
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.clip = clip
        self.validation = validation
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def fit(self, X: Any, y: None = None) -> Writer:
        """Train a network on the text ``X``; ``y`` is not looked at.

        Raises ``InputError``, a ValueError, where it or an argument can't be used.
        """
        text, lines = _text(X)
        plan = self._plan(lines or self.lines)
        kept, held = held_out(text, self._share(), lines=plan.lines, level=self.level, seed=plan.recipe.seed)
        self.model_, self.history_ = train(kept, held, plan)
        self.symbols_ = self.model_.vocabulary.symbols
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
        return self.model_.samples(count, prompt, length, Draw(temperature, top_k, random_state))

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

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained writer as one ``.safetensors`` file, which ``statewise write sample`` reads too."""
        check_is_fitted(self, "model_")
        self.model_.save(Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Writer:
        """The writer in ``path``, also one that ``statewise write`` wrote; on the CPU.

        Of the arguments it has those of the network; how it was trained isn't in the file. Raises ``InputError`` for
        any other file.
        """
        model = Model.load(Path(path))
        shape = model.shape
        writer = cls(
            level=model.vocabulary.level,
            lines=model.lines,
            cell=shape.cell,
            units=shape.units,
            layers=shape.layers,
            embedding=shape.embedding,
            dropout=shape.dropout,
            tie=shape.tie,
        )
        writer.model_, writer.history_, writer.symbols_ = model, [], model.vocabulary.symbols
        return writer

    def _score(self, X: Any) -> Score:
        check_is_fitted(self, "model_")
        text, _ = _text(X)
        score: Score = self.model_.surprise(text).score("")
        return score

    def _share(self) -> float | None:
        share = self.validation
        if share is not None and (isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1):
            raise InputError(f"validation: expected a number of at least 0 and below 1, got {share!r}")
        return share

    def _plan(self, lines: bool) -> Plan:
        recipe = recipe_of(self, RECIPE)
        shape = Shape.chosen(
            self.level,
            lines,
            cell=self.cell,
            units=self.units,
            layers=self.layers,
            embedding=self.embedding,
            dropout=self.dropout,
            tie=bool(self.tie),
        )
        return Plan(self.level, lines, shape, recipe, self.epochs, self.steps, self.most_words, self.at_least)


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
