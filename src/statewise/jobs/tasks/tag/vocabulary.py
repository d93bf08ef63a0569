"""Which words, characters, features and tags a tagger knows, each as a number. What it doesn't know is number 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...data.symbols import Symbols, plain
from ...errors import InputError
from .corpus import Corpus, all_of

UNKNOWN = 0
MOST_TAGS = 5000  # more are no tags, but words or numbers
SHAPES = ("other", "lower", "Title", "UPPER", "miXed", "number", "with digits")
"""How a word may be written."""
LONGEST = 40  # characters of a word that are read


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What there is in a training part. But for the tags, a number is the place in it and 1."""

    words: Symbols
    """In the form of ``plain``."""
    characters: Symbols
    features: Sequence[Symbols]
    """The values of each feature column."""
    tags: Symbols
    vectors: Symbols = Symbols()
    """The words that have a pretrained vector, in the form of ``plain``."""
    vector_size: int = 0

    @classmethod
    def of(
        cls, corpus: Corpus, tags: Iterable[str], min_count: int = 1, vectors: Collection[str] = (), size: int = 0
    ) -> Vocabulary:
        """What there is in ``corpus``, words that occur ``min_count`` times alone; ``tags`` are all there are.

        ``vectors`` are the words of which there are vectors of ``size`` numbers.

        Raises ``InputError`` where that is one tag, or too many to be tags.
        """
        counts = Counter(all_of(corpus.words))
        words = Counter[str]()
        for word, times in counts.items():
            words[plain(word)] += times
        kept = sorted(word for word, times in words.items() if times >= min_count)
        found = sorted(set(tags))
        if len(found) < 2:
            raise InputError(f"{corpus.source}: every word has the tag {found[0]!r}, there is nothing to learn")
        if len(found) > MOST_TAGS:
            raise InputError(
                f"{corpus.source}: {len(found):,} different tags, such as {found[0]!r} and {found[-1]!r}: is another"
                " column the one of the tags? Choose with --column"
            )
        return cls(
            Symbols(kept),
            Symbols(sorted(set(all_of(counts)))),
            [Symbols(sorted(set(all_of(feature)))) for feature in corpus.features],
            Symbols(found),
            Symbols(vectors),
            size,
        )

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Vocabulary:
        """What ``to_json`` gave. Raises ValueError, and what else goes wrong, where it is something else."""
        words, characters, tags = (Symbols.from_json(content[name]) for name in ("words", "characters", "tags"))
        features = [Symbols.from_json(values) for values in content["features"]]
        vectors, size = Symbols.from_json(content.get("vectors", [])), content.get("vector_size", 0)
        if not isinstance(size, int) or size < 0 or bool(size) != bool(vectors):
            raise ValueError(f"expected the size of vectors, got {size!r}")
        return cls(words, characters, features, tags, vectors, size)


def spelling(word: str) -> str:
    """The characters of ``word`` that are read: of a long one as many from both ends."""
    return word if len(word) <= LONGEST else word[: LONGEST // 2] + word[-LONGEST // 2 :]


def shape_of(word: str) -> int:
    """How ``word`` is written, a number of ``SHAPES``."""
    digits = sum(map(str.isdigit, word))
    if digits:
        return 5 if not any(map(str.isalpha, word)) else 6
    if word.islower():
        return 1
    if word.isupper():
        return 3 if len(word) > 1 else 2
    if word[:1].isupper() and word[1:].islower():
        return 2
    return 4 if any(map(str.isalpha, word)) else 0
