"""``Writer``: the job for programs, with scikit-learn's conventions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ...config import Whole, checked
from ...errors import InputError
from ...estimator import Estimator, of_texts
from .config import Draw, WriteConfig
from .likelihood import Score
from .model import Model
from .text import as_text, held_out, of_lines, read_text

if TYPE_CHECKING:
    from .training import WriteProblem

WIDTH = 10  # beginnings that a search follows


@dataclass(kw_only=True, eq=False, repr=False)
class Writer(Estimator, WriteConfig):
    """A recurrent network that writes as the text did that it was trained on by ``fit``.

    A text (``X``) is a string, a list of strings, which are lines each for itself, or the path of a file in UTF-8 as a
    ``pathlib.Path``. There is no ``y``, and ``eval_set`` is a text as well. Default values were chosen on the
    validation parts of the texts in docs/jobs/write.md.

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

    def _problem(self, config: WriteConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None) -> WriteProblem:
        from .training import WriteProblem

        text, lines = _text(X)
        config = replace(config, lines=lines or config.lines)
        if eval_set is not None:
            return WriteProblem.of(config, text, _text(eval_set)[0], like)
        kept, held = held_out(text, config.validation_share, lines=config.lines, level=config.level, seed=config.seed)
        return WriteProblem.of(config, kept, held, like)

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
        where that isn't None. Raises ``InputError`` for a prompt with a character that the model doesn't know.
        """
        check_is_fitted(self, "model_")
        checked("count", Whole, count)
        if length is not None:
            checked("length", Whole, length)
        return self.model_.samples(  # type: ignore[no-any-return]
            count, prompt, length, Draw(temperature=temperature, top_k=top_k, seed=random_state)
        )

    def complete(self, X: Any, length: int = 1) -> Any:
        """The text ``X`` with the likeliest ``length`` symbols after it; a list of texts, of each."""
        check_is_fitted(self, "model_")
        checked("length", Whole, length)
        if isinstance(X, str):
            return self.model_.complete(X, length)
        return [self.model_.complete(str(text), length) for text in X]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each of ``symbols_`` to come next after the text ``X``: (symbols,); a list: (n, symbols).

        Where lines were learnt, ``\\n`` is the end of the line.
        """
        check_is_fitted(self, "model_")
        if isinstance(X, str):
            return self.model_.probabilities(X)  # type: ignore[no-any-return]
        return np.array([self.model_.probabilities(str(text)) for text in X]).reshape(-1, len(self.symbols_))

    def predict_n_best(self, X: Any, n: int = 5, *, length: int = 1, width: int | None = None) -> Any:
        """The ``n`` likeliest continuations of the text ``X`` with their probabilities; a list of texts: of each.

        They are ``length`` symbols long or, of lines, end before that where the line does. Found by beam search, which
        follows ``width`` beginnings (default: 10, and at least ``n``): exactly, where none is left out, as at length 1.
        """
        check_is_fitted(self, "model_")
        for name, value in {"n": n, "length": length, "width": n if width is None else width}.items():
            checked(name, Whole, value)
        wide = max(n, width or WIDTH)
        if isinstance(X, str):
            return self.model_.continuations(X, length, wide)[:n]
        return [self.model_.continuations(str(text), length, wide)[:n] for text in X]

    def score_samples(self, X: Any) -> Any:
        """The logarithm of the likelihood of each symbol of the text ``X``, given those before it; a list: of each.

        Of a running text all but the first, which nothing is before; of a line all and its end. Characters that the
        model doesn't know are left out, words are ``<unk>`` to it.
        """
        if not isinstance(X, (str, PathLike)):
            return [self.score_samples(text) for text in X]
        check_is_fitted(self, "model_")
        found = self.model_.likelihood(_text(X)[0])
        return -found.nats[len(found.nats) - found.corpus.terms :]

    def score(self, X: Any, y: None = None) -> float:
        """The mean logarithm of the likelihood that each symbol of the text ``X`` is given, in nats; ``y`` is nothing.

        The higher the better: 0 would be certainty.
        """
        return -self._score(X).loss

    def perplexity(self, X: Any) -> float:
        """Among how many equally likely symbols it would be as hard to choose the next one of the text ``X``."""
        return self._score(X).perplexity

    def bits_per_character(self, X: Any) -> float:
        """In how many bits a character of the text ``X`` could be written with the model's help."""
        return self._score(X).bits

    def __sklearn_tags__(self) -> Any:
        return of_texts(super().__sklearn_tags__(), required=False)

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
        return as_text(X, "the text"), False
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
    return as_text(of_lines([line.strip() for line in lines]), "the lines"), True
