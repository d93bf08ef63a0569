"""``Tagger``: the job for programs, with scikit-learn's conventions as far as sequences allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ...config import Whole, checked
from ...errors import InputError
from ...estimator import Estimator
from .config import TagConfig
from .corpus import Corpus
from .model import Model
from .result import score
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

    def fit(self, X: Any, y: Any) -> Tagger:
        """Train a network on the sentences ``X`` and their tags ``y``.

        Raises ``InputError``, a ValueError, where they or an argument can't be used.
        """
        config, corpus = self.config(), _corpus(X, y)
        if not len(corpus):
            raise InputError("X has no sentences with words, there is nothing to learn")
        self._train(TagProblem.of(config, corpus))
        return self

    def predict(self, X: Any) -> list[list[str]]:
        """The tags of each sentence: as many as it has words."""
        return self._of_each(X, lambda corpus: map(list, self.model_.tags(corpus)), [])

    def predict_proba(self, X: Any) -> list[NDArray[np.float64]]:
        """The probability of each tag of each word, in the order of ``classes_``: of each sentence (words, tags).

        They are those of the one word over all tags of the others (*marginals*), so that the likeliest tag of a word
        need not be the one in the likeliest sequence, which ``predict`` gives. Where predicted tags keep to the grammar
        of spans, so do the sequences that are summed over.
        """
        check_is_fitted(self, "model_")
        return self._of_each(X, lambda corpus: self.model_.probabilities(corpus), np.empty((0, len(self.classes_))))

    def predict_n_best(self, X: Any, n: int = 5) -> list[list[tuple[list[str], float]]]:
        """The ``n`` likeliest sequences of tags of each sentence, with their probabilities, the likeliest first.

        The first is what ``predict`` gives. There are fewer of a sentence that can't be tagged in as many ways.
        """
        count = checked("n", Whole, n)
        return self._of_each(X, lambda corpus: self.model_.n_best(corpus, count), [([], 1.0)])

    def score(self, X: Any, y: Any) -> float:
        """The F1 of the spans by conlleval's rules or, where tags mark none, the share of the words that are right."""
        check_is_fitted(self, "model_")
        corpus = _corpus(X, y)
        if not len(corpus):
            raise InputError("X has no sentences with words, there is nothing to score")
        return score("", corpus.known_tags, self.model_.tags(corpus), self.model_.vocabulary.tags).value

    def _of_each(self, X: Any, say: Callable[[Corpus], Iterable[Any]], nothing: Any) -> list[Any]:
        """What ``say`` says of each sentence of ``X``; ``nothing`` of one without words."""
        check_is_fitted(self, "model_")
        sentences = _rows(X, "X")
        said = iter(say(_corpus(sentences)))
        return [next(said) if len(sentence) else nothing for sentence in sentences]

    def _take(self, model: Model) -> None:
        super()._take(model)
        self.classes_ = np.array(model.vocabulary.tags)


def _corpus(X: Any, y: Any = None) -> Corpus:
    """The sentences of ``X`` that have words, and their tags. Raises ``InputError`` by the first that can't be used."""
    sentences = [_words(sentence, place) for place, sentence in enumerate(_rows(X, "X"))]
    tags = None if y is None else [_tags(told, place) for place, told in enumerate(_rows(y, "y"))]
    if tags is not None:
        if len(tags) != len(sentences):
            raise InputError(f"expected tags for each of {len(sentences)} sentences, got {len(tags)}")
        for place, (words, told) in enumerate(zip(sentences, tags, strict=True)):
            if len(words) != len(told):
                raise InputError(f"sentence {place}: {len(words)} words, but {len(told)} tags")
        tags = [told for told in tags if told]
    sentences = [sentence for sentence in sentences if sentence]
    widths = {len(word): place for place, sentence in reversed(list(enumerate(sentences))) for word in sentence}
    if len(widths) > 1:
        raise InputError(f"sentence {max(widths.values())}: expected as many features of every word")
    columns = [[[word[k] for word in sentence] for sentence in sentences] for k in range(max(widths, default=1))]
    return Corpus("the sentences", columns[0], tags, columns[1:])


def _rows(given: Any, name: str) -> Sequence[Any]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InputError(f"{name}: expected a list of sentences, each a list, got {type(given).__name__}")
    return list(given)


def _words(sentence: Any, place: int) -> list[tuple[str, ...]]:
    """The words of a sentence, each with its features."""
    if isinstance(sentence, (str, bytes)) or not isinstance(sentence, Iterable):
        raise InputError(f"sentence {place}: expected a list of words, got {type(sentence).__name__}")
    words = [(word,) if isinstance(word, str) else word for word in sentence]
    for word in words:
        if not isinstance(word, (tuple, list)) or not word or not all(isinstance(item, str) and item for item in word):
            raise InputError(f"sentence {place}: expected words, or tuples of a word and its features, got {word!r}")
    return [tuple(word) for word in words]


def _tags(told: Any, place: int) -> list[str]:
    if isinstance(told, (str, bytes)) or not isinstance(told, Iterable):
        raise InputError(f"sentence {place}: expected a list of tags, got {type(told).__name__}")
    tags = list(told)
    for tag in tags:
        if not isinstance(tag, str) or not tag:
            raise InputError(f"sentence {place}: expected tags that are text, got {tag!r}")
    return [str(tag) for tag in tags]
