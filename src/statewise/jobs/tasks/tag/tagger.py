"""``Tagger``: the job for programs, with scikit-learn's conventions as far as sequences allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ...config import Whole, checked
from ...errors import InputError
from ...estimator import Estimator, of_texts, pair_of
from .config import TagConfig
from .corpus import LISTS, Corpus, as_corpus, as_rows
from .model import Model
from .result import score
from .running import cut

if TYPE_CHECKING:
    from .training import TagProblem


@dataclass(kw_only=True, eq=False, repr=False)
class Tagger(Estimator, TagConfig):
    """A recurrent network that gives every word of a sentence a tag, trained by ``fit``.

    Sentences (``X``) are a list of lists of words or, where more is known of the words, of tuples ``(word, feature,
    ...)``, as many features for all. Tags (``y``) are a list of lists of strings, one for each word. Where the tags
    mark spans, as ``B-NP I-NP O``, predicted ones keep to the grammar that all of ``y`` keep to.

    Attributes:
        classes_: the tags, sorted.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> tagger = Tagger(epochs=20).fit([["Anna", "lives", "in", "Oslo"]], [["NAME", "O", "O", "PLACE"]])
        >>> tagger.predict([["Anna", "lives"]])
        [['NAME', 'O']]
    """

    configuration: ClassVar[type[TagConfig]] = TagConfig
    model_class: ClassVar[type[Model]] = Model

    def _problem(self, config: TagConfig, X: Any, y: Any, like: Model | None, eval_set: Any = None) -> TagProblem:
        corpus = as_corpus(X, y)
        held_out = None if eval_set is None else as_corpus(*pair_of(eval_set))
        for part in (corpus, *([] if held_out is None else [held_out])):
            if not len(part):
                raise InputError("X has no sentences with words, there is nothing to learn")
        from .training import TagProblem

        return TagProblem.of(config, corpus, held_out, like)

    def predict(self, X: Any) -> list[list[str]]:
        """The tags of each sentence of ``X``: as many as it has words.

        Raises ``InputError`` for other features than were learnt.
        """
        return self._of_each(X, lambda corpus: map(list, self.model_.tags(corpus)), [])

    def annotate(self, text: str) -> list[dict[str, Any]]:
        """The sentences of a running text, each a dictionary, as a line of ``statewise tag predict --text --json``.

        ``tokens`` has its words, by the rule in docs/jobs/tag.md, each with ``word``, ``tag``, ``probability`` (the
        tag's marginal) and the characters ``text[begin:end]``. Where tags mark spans, ``spans`` has the ``type`` of
        each, its ``words`` from where to before where, and ``begin`` and ``end`` likewise.

        Raises ``InputError`` for a model that reads features beside words.
        """
        check_is_fitted(self, "model_")
        if not isinstance(text, str):
            raise InputError(f"expected a text, got {type(text).__name__}; predict takes lists of words")
        corpus = cut(text)
        return list(self.model_.annotated(corpus, self.model_.tags(corpus))) if len(corpus) else []

    def predict_proba(self, X: Any) -> list[NDArray[np.float64]]:
        """The probability of each tag of each word of ``X``, in the order of ``classes_``: a sentence (words, tags).

        They are those of the one word over all tags of the others (*marginals*), so that the likeliest tag of a word
        need not be the one in the likeliest sequence, which ``predict`` gives. Where predicted tags keep to the grammar
        of spans, so do the sequences that are summed over.
        """
        check_is_fitted(self, "model_")
        return self._of_each(X, lambda corpus: self.model_.probabilities(corpus), np.empty((0, len(self.classes_))))

    def predict_n_best(self, X: Any, n: int = 5) -> list[list[tuple[list[str], float]]]:
        """The ``n`` likeliest sequences of tags of each sentence of ``X``, with their probabilities, likeliest first.

        The first is what ``predict`` gives. There are fewer of a sentence that can't be tagged in as many ways.
        """
        count = checked("n", Whole, n)
        return self._of_each(X, lambda corpus: self.model_.n_best(corpus, count), [([], 1.0)])

    def score(self, X: Any, y: Any) -> float:
        """How well the tags ``y`` of the sentences ``X`` are predicted, from 0 to 1.

        That is the F1 of the spans by conlleval's rules or, where tags mark none, the share of the words that are
        right. Raises ``InputError`` where there is nothing to score.
        """
        check_is_fitted(self, "model_")
        corpus = as_corpus(X, y)
        if not len(corpus):
            raise InputError("X has no sentences with words, there is nothing to score")
        return score("", corpus.known_tags, self.model_.tags(corpus), self.model_.vocabulary.tags).value

    def _of_each(self, X: Any, say: Callable[[Corpus], Iterable[Any]], nothing: Any) -> list[Any]:
        """What ``say`` says of each sentence of ``X``; ``nothing`` of one without words."""
        check_is_fitted(self, "model_")
        if isinstance(X, str):
            raise InputError(f"{LISTS.format('X')}, got str; annotate takes a text")
        sentences = as_rows(X, LISTS.format("X"))
        said = iter(say(as_corpus(sentences)))
        return [next(said) if len(sentence) else nothing for sentence in sentences]

    def __sklearn_tags__(self) -> Any:
        return of_texts(super().__sklearn_tags__(), required=True)

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.classes_ = np.array(model.vocabulary.tags)
