"""A writer: symbols become numbers, and numbers what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .file import Arrays
from .network import Array, Network


class Writer(Network):
    """Says how likely each symbol, a character, a word or a piece of a word, is to come next.

    ``run`` and ``step`` take what ``encode`` gives, and give the logarithms of probabilities.
    """

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1) -> None:
        from ..jobs.tasks.write.text import Vocabulary

        self.vocabulary = Vocabulary.from_json(content["level"], {"symbols": content["labels"], **_merges(content)})
        super().__init__(content, arrays, threads)

    def encode(self, text: str) -> Array:
        """The numbers of the symbols of ``text``, as ``run`` takes them, (T, 1); a word that isn't known is ``<unk>``.

        Of words every line's end is one. Raises ValueError for a character that isn't known; pieces of words need the
        package tokenizers.
        """
        numbers, unknown = self.vocabulary.numbers(text), self.vocabulary.unknown
        if unknown is None and (numbers < 0).any():
            raise ValueError(f"the model has never seen the character {text[int((numbers < 0).argmax())]!r}")
        return np.where(numbers < 0, unknown or 0, numbers)[:, None]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that ``numbers`` of symbols stand for."""
        return self.vocabulary.decode(map(int, numbers))


def _merges(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"merges": content["merges"]} if content["merges"] else {}
