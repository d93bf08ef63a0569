"""``Translator``: the job for programs, with scikit-learn's conventions as far as sequences allow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from ....runtime import Hypothesis
from ...errors import InputError
from ...estimator import Estimator, of_texts, pair_of
from .config import TranslateConfig
from .model import Model
from .pairs import Pairs
from .result import score

if TYPE_CHECKING:
    from .training import TranslateProblem


@dataclass(kw_only=True, eq=False, repr=False)
class Translator(Estimator, TranslateConfig):
    """A recurrent network with attention that writes a text for a text, trained by ``fit``.

    Sources (``X``) are a list of texts or, where more is known of them, of tuples ``(text, feature, ...)``, where a
    feature is one symbol beside those of the text. Targets (``y``) are a list of texts. A source may come several
    times, with different targets.

    Attributes:
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> translator = Translator(epochs=20).fit(["3 May 1984", "1 June 1990"], ["1984-05-03", "1990-06-01"])
        >>> translator.predict(["3 June 1990"])
        ['1990-06-03']
    """

    configuration: ClassVar[type[TranslateConfig]] = TranslateConfig
    model_class: ClassVar[type[Model]] = Model

    def __sklearn_tags__(self) -> Any:
        return of_texts(super().__sklearn_tags__(), required=True)

    def _problem(
        self, config: TranslateConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None
    ) -> TranslateProblem:
        held_out = None if eval_set is None else as_pairs(*pair_of(eval_set))
        from .training import TranslateProblem

        return TranslateProblem.of(config, as_pairs(X, y), held_out, like)

    def predict(self, X: Any) -> list[str]:
        """The likeliest target of each source of ``X``. Raises ``InputError`` for what is no text."""
        return [best[0].text for best in self._found(X)]

    def predict_n_best(self, X: Any, n: int = 5) -> list[list[tuple[str, float]]]:
        """Up to ``n`` targets of each source of ``X`` with their probabilities, the best first."""
        return [[(text, math.exp(p)) for text, p in best[:n]] for best in self._found(X, n)]

    def score(self, X: Any, y: Any) -> float:
        """The share of the sources ``X``, from 0 to 1, whose likeliest target is one of theirs in ``y``."""
        check_is_fitted(self, "model_")
        pairs = as_pairs(X, y)
        return score("", pairs, [best[0].text for best in self.model_.translate(pairs)]).exact

    def _found(self, X: Any, n: int = 1) -> list[list[Hypothesis]]:
        check_is_fitted(self, "model_")
        pairs, model = as_pairs(X, None), self.model_
        found: list[list[Hypothesis]] = model.translate(pairs, max(n, model.config.beam)) if len(pairs) else []
        return found


def as_pairs(X: Any, y: Any) -> Pairs:
    """The pairs of ``X`` and ``y``. Raises ``InputError`` by the first that can't be used."""
    rows = [(row,) if isinstance(row, str) else row for row in _listed(X, "X")]
    for place, row in enumerate(rows):
        if (
            not isinstance(row, (tuple, list))
            or not row
            or not all(isinstance(each, str) and each.strip() for each in row)
        ):
            raise InputError(f"X, row {place}: expected a text, or a tuple of a text and features, got {row!r:.60}")
    targets = None if y is None else _listed(y, "y")
    if targets is not None and len(targets) != len(rows):
        raise InputError(f"expected a target for each of {len(rows)} sources, got {len(targets)}")
    for place, target in enumerate(targets or ()):
        if not isinstance(target, str) or not target.strip():
            raise InputError(f"y, row {place}: expected a text, got {target!r:.60}")
    if targets is not None and not targets:
        raise InputError("X has no texts, there is nothing to learn")
    return Pairs(
        "X", [row[0].strip() for row in rows], targets and [t.strip() for t in targets], [row[1:] for row in rows]
    )


def _listed(given: Any, name: str) -> Sequence[Any]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InputError(f"{name}: expected a list of texts, got {type(given).__name__}")
    return list(given)
