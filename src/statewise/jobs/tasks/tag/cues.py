"""What a linear tagger looks at: of each word itself, of those around it, and how they are written, each as a key.

A *cue* is one such thing at a word: that it ends in "-ing", that the word before is "of" and it begins with a capital.
Keys are hashes that are the same in every process, so nobody has to name the cues. No torch here: the runtime reads
this too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ...data.symbols import Symbols, plain
from .corpus import Sentences, all_of

Keys = NDArray[np.int64]
Place = tuple[str, int]  # an attribute of the word so many places on

AFFIXES = range(1, 6)  # characters of a beginning or an end
REACH = 2  # words to each side
AROUND = range(-REACH, REACH + 1)
FACTOR, EDGE = np.uint64(0x9E3779B97F4A7C15), 1  # odd, of no pattern (2^64 over the golden ratio); beside a sentence
WORD, BRIEF, SHAPE, CAPITALS = "word", "brief shape", "shape", "capitals"
OF_A_WORD = (WORD, BRIEF, SHAPE, *(f"{side}{n}" for n in AFFIXES for side in "<>"))


def templates(columns: int) -> list[tuple[Place, ...]]:
    """What the cues of a word are made of, where ``columns`` features are known of each word beside it."""
    found: list[tuple[Place, ...]] = [(), ((CAPITALS, 0),)]
    found += [((name, at),) for name in (WORD, BRIEF, SHAPE) for at in AROUND]
    found += [((name, 0),) for name in OF_A_WORD[3:]]
    found += [((name, at), (name, at + 1)) for name in (WORD, BRIEF) for at in (-1, 0)]
    found.append(((BRIEF, -1), (BRIEF, 0), (BRIEF, 1)))
    for name in map(str, range(columns)):
        found += [((name, at),) for at in AROUND]
        found += [((name, at), (name, at + 1)) for at in AROUND[:-1]]
        found += [((name, at), (name, at + 1), (name, at + 2)) for at in AROUND[:-2]]
    return found


def cues(words: Sentences, features: Sequence[Sentences] = ()) -> Keys:
    """The keys of all words of all sentences, one after the other: (S, J), as many of each."""
    lengths = np.array([len(sentence) for sentence in words], np.int64)
    attributes = _attributes(words, features, lengths)
    # Between two sentences there are as many edges as a cue reaches over.
    at = np.arange(lengths.sum()) + REACH * np.repeat(np.arange(1, len(lengths) + 1), lengths)
    padded = np.full((len(attributes), lengths.sum() + REACH * (len(lengths) + 1)), EDGE, np.uint64)
    padded[:, at] = list(attributes.values())
    numbers = {name: number for number, name in enumerate(attributes)}
    made = templates(len(features))
    keys = np.arange(1, len(made) + 1, dtype=np.uint64)[:, None] * FACTOR  # (J, 1)
    for k in range(max(map(len, made))):
        which = [number for number, parts in enumerate(made) if len(parts) > k]
        rows = np.array([numbers[made[number][k][0]] for number in which])
        offsets = np.array([made[number][k][1] for number in which])
        if k == 0:
            keys = np.broadcast_to(keys, (len(made), len(at))).copy()
        keys[which] = (keys[which] ^ padded[rows[:, None], at + offsets[:, None]]) * FACTOR
        keys[which] ^= keys[which] >> np.uint64(29)
    return np.ascontiguousarray(keys.T).view(np.int64)


def _attributes(words: Sentences, features: Sequence[Sentences], lengths: Keys) -> dict[str, NDArray[np.uint64]]:
    """Of all words of all sentences each attribute as a number: (S,)."""
    distinct = Symbols(dict.fromkeys(all_of(words)))
    forms = distinct.encode(all_of(words))
    described = np.array([_described(word) for word in distinct], np.uint64).reshape(-1, len(OF_A_WORD))
    found = dict(zip(OF_A_WORD, described[forms].T, strict=True))
    capital = np.array([word[:1].isupper() for word in distinct], np.int64)[forms]
    begins = np.cumsum(lengths) - lengths
    share = 5 * np.add.reduceat(capital, begins) // lengths if len(lengths) else lengths
    found[CAPITALS] = (2 * np.repeat(share, lengths) + capital).astype(np.uint64)
    for number, column in enumerate(features):
        values = Symbols(dict.fromkeys(all_of(column)))
        found[str(number)] = np.array([_hash(value) for value in values], np.uint64)[values.encode(all_of(column))]
    return found


def _described(word: str) -> list[int]:
    """The attributes of a word, in the order of ``OF_A_WORD``."""
    form, shape = plain(word), "".join(map(_kind, word))
    brief = "".join(b for a, b in zip(chain(" ", shape), shape, strict=False) if a != b)
    return [_hash(text) for text in (form, brief, shape, *(t for n in AFFIXES for t in (form[:n], form[-n:])))]


def _kind(character: str) -> str:
    """A letter of each case, another letter and a digit for all such; signs as they are."""
    if character.isupper():
        return "X"
    if character.islower():
        return "x"
    return "0" if character.isdigit() else "a" if character.isalpha() else character


def _hash(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"))
