"""The sentences that a program gives: lists of words, or of words with their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import InputError
from .corpus import Corpus


def as_corpus(X: Any, y: Any = None) -> Corpus:
    """The sentences of ``X`` that have words, and their tags. Raises ``InputError`` by the first that can't be used."""
    sentences = [_words(sentence, place) for place, sentence in enumerate(as_rows(X, "X"))]
    tags = None if y is None else [_tags(told, place) for place, told in enumerate(as_rows(y, "y"))]
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


def as_rows(given: Any, name: str) -> Sequence[Any]:
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
