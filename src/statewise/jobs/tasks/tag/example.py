"""The data without a file: sentences made by a small grammar, in which dates, durations, amounts and sums are marked.

They are synthetic, and easier than what people write. But hardly a word tells its tag alone: a number may be part of a
date, a duration, an amount, a sum or of nothing; *May*, *March*, *second* and *pound* mean now this, now that; some
sentences are all in lower case, and one word in fifteen is misspelt.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from .corpus import Corpus

SENTENCES = 800
MISSPELT = 1 / 15
LOWER_CASE = 1 / 4
GRAMMAR = Path(__file__).parents[2] / "data" / "grammar.txt"
SPANS = ("AMOUNT", "DATE", "DURATION", "MONEY")

Rules = Mapping[str, Sequence[str]]


def _rules() -> dict[str, list[str]]:
    """What a symbol may stand for. In the file an alternative is a line, or a word after ``=``; TEXT is a sentence."""
    rules = {"DAY": [str(day) for day in range(2, 29)], "YEAR": [str(year) for year in range(1900, 2030)]}
    for block in GRAMMAR.read_text(encoding="utf-8").split("\n\n"):
        symbol, *alternatives = block.splitlines()
        if " = " in symbol:
            rules |= {name: words.split() for name, words in (line.split(" = ") for line in block.splitlines())}
        else:
            rules[symbol] = alternatives
    return rules


def sentences(count: int = SENTENCES, seed: int = 0) -> Corpus:
    """``count`` sentences; the same seed gives the same."""
    draw, rules = random.Random(seed), _rules()
    made = [_sentence(draw, rules) for _ in range(count)]
    words, tags = ([[pair[k] for pair in sentence] for sentence in made] for k in range(2))
    return Corpus("the built-in sentences", words, tags)


def _sentence(draw: random.Random, rules: Rules) -> list[tuple[str, str]]:
    """Words and their tags."""
    words: list[str] = []
    tags: list[str] = []
    for symbol in draw.choice(rules["TEXT"]).split():
        new = _expanded(symbol, draw, rules)
        words += new
        tags += [f"{'I' if k else 'B'}-{symbol}" for k in range(len(new))] if symbol in SPANS else ["O"] * len(new)
    words[0] = words[0][0].upper() + words[0][1:]
    if draw.random() < LOWER_CASE:
        words = [word.lower() for word in words]
    return [(_misspelt(word, draw), tag) for word, tag in zip(words, tags, strict=True)]


def _expanded(symbol: str, draw: random.Random, rules: Rules) -> list[str]:
    """``symbol`` in words; what is no symbol is a word."""
    if symbol not in rules:
        return [symbol]
    return [word for part in draw.choice(rules[symbol]).split() for word in _expanded(part, draw, rules)]


def _misspelt(word: str, draw: random.Random) -> str:
    """Now and then with two letters in each other's place."""
    if len(word) < 4 or not word.isalpha() or draw.random() >= MISSPELT:
        return word
    k = draw.randrange(1, len(word) - 1)
    return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
