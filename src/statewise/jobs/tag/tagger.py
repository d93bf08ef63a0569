"""``Tagger``: the job for programs, with scikit-learn's conventions as far as sequences allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError
from ..estimator import recipe_of
from .corpus import Corpus, all_of
from .model import Model
from .result import score
from .settings import RECIPE, Plan, Shape
from .spans import are_spans
from .training import Lesson, train


class Tagger(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A recurrent network that gives every word of a sentence a tag, trained by ``fit``.

    Sentences (``X``) are a list of lists of words or, where more is known of the words, of tuples ``(word, feature,
    ...)``, as many features for all. Tags (``y``) are a list of lists of strings, one for each word. Where the tags
    mark spans, as ``B-NP I-NP O``, predicted ones keep to the grammar that all of ``y`` keep to.

    Args:
        cell: ``lstm``, ``gru`` or ``rnn``.
        units: hidden units of each layer and direction.
        layers: layers.
        word_size: numbers learnt for each word.
        character_units: hidden units, in each direction, of the layer that reads a word's characters; 0 for none.
        feature_size: numbers learnt for each value of a feature.
        dropout: probability of dropping an input or an output of the recurrent layers, in training.
        crf: whether tags are scored together with the one before, by a conditional random field.
        least: words that occur less often are unknown.
        epochs: passes over the training part at most.
        batch: sentences in a batch.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        learning_rate: the highest.
        schedule: how the rate falls: ``cosine``, ``linear`` or ``constant``.
        weight_decay: of the optimizer.
        clip: the largest norm of all gradients together; None for any.
        validation: share of the sentences held out, to keep the weights that do best on it; 0 for none. Default: a
            tenth, where that is 50 sentences or more.
        patience: stop after so many epochs without gain on the part held out; None: never.
        random_state: seed of everything drawn at random, or a ``numpy.random.RandomState``; None draws one.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on GPUs that have it.

    Attributes:
        classes_: the tags, sorted.
        model_: the ``Model``.
        history_: the loss curve, a list of records with ``epoch``, ``update``, ``loss`` and maybe ``validation``.

    Example:
        >>> tagger = Tagger(epochs=20).fit([["Anna", "lives", "in", "Oslo"]], [["NAME", "O", "O", "PLACE"]])
        >>> tagger.predict([["Anna", "lives"]])
        [['NAME', 'O']]
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        units: int = Shape.units,
        layers: int = Shape.layers,
        word_size: int = Shape.word_size,
        character_units: int = Shape.character_units,
        feature_size: int = Shape.feature_size,
        dropout: float = Shape.dropout,
        crf: bool = False,
        least: int = Plan.least,
        epochs: int = RECIPE.epochs,
        batch: int = RECIPE.batch,
        optimizer: str = RECIPE.optimizer,
        learning_rate: float = RECIPE.learning_rate,
        schedule: str = RECIPE.schedule,
        weight_decay: float = RECIPE.weight_decay,
        clip: float | None = RECIPE.clip,
        validation: float | None = None,
        patience: int | None = None,
        random_state: Any = 0,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.word_size = word_size
        self.character_units = character_units
        self.feature_size = feature_size
        self.dropout = dropout
        self.crf = crf
        self.least = least
        self.epochs = epochs
        self.batch = batch
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip = clip
        self.validation = validation
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def fit(self, X: Any, y: Any) -> Tagger:
        """Train a network on the sentences ``X`` and their tags ``y``.

        Raises ``InputError``, a ValueError, where they or an argument can't be used.
        """
        plan = self._plan()
        corpus = _corpus(X, y)
        if not len(corpus):
            raise InputError("X has no sentences with words, there is nothing to learn")
        self.model_, self.history_ = train(Lesson.of(corpus, plan), plan)
        self.classes_ = np.array(self.model_.vocabulary.tags)
        return self

    def predict(self, X: Any) -> list[list[str]]:
        """The tags of each sentence: as many as it has words."""
        check_is_fitted(self, "model_")
        sentences = _rows(X, "X")
        corpus = _corpus(sentences)
        tags = iter(self.model_.tags(corpus))
        return [list(next(tags)) if len(sentence) else [] for sentence in sentences]

    def score(self, X: Any, y: Any) -> float:
        """The F1 of the spans by conlleval's rules or, where tags mark none, the share of the words that are right."""
        check_is_fitted(self, "model_")
        corpus = _corpus(X, y)
        if not len(corpus):
            raise InputError("X has no sentences with words, there is nothing to score")
        truth = corpus.known_tags
        of_spans = are_spans({*self.model_.vocabulary.tags, *all_of(truth)})
        return score("", truth, self.model_.tags(corpus), of_spans=of_spans).value

    def save(self, path: str | PathLike[str]) -> None:
        """Write the trained tagger as one ``.safetensors`` file, which ``statewise tag predict`` reads too."""
        check_is_fitted(self, "model_")
        self.model_.save(Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Tagger:
        """The tagger in ``path``, also one that ``statewise tag`` wrote; on the CPU.

        Of the arguments it has those of the network; how it was trained isn't in the file. Raises ``InputError`` for
        any other file.
        """
        model = Model.load(Path(path))
        tagger = cls(**asdict(model.shape))
        tagger.model_, tagger.history_ = model, []
        tagger.classes_ = np.array(model.vocabulary.tags)
        return tagger

    def _plan(self) -> Plan:
        names = Shape.__dataclass_fields__
        shape = Shape(**{name: getattr(self, name) for name in names})
        return Plan(shape, recipe_of(self, RECIPE), self.least, self.validation)


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
