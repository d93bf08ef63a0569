"""The data without a file: sentences made by a small grammar, in which dates, durations, amounts and sums are marked.

They are synthetic, and easier than what people write. But hardly a word tells its tag alone: a number may be part of a
date, a duration, an amount, a sum or of nothing; *May*, *March*, *second* and *pound* mean now this, now that; some
sentences are all in lower case, and one word in fifteen is misspelt.
"""

from __future__ import annotations

import random

from .corpus import Corpus

SENTENCES = 800
MISSPELT = 1 / 15
LOWER_CASE = 1 / 4
SPANS = ("AMOUNT", "DATE", "DURATION", "MONEY")

# A symbol stands for one of the alternatives, each on a line of its own; of TEXT a sentence is made.
GRAMMAR = {
    "TEXT": """
        NAME sold the THING in PLACE on DATE for MONEY .
        on DATE NAME left PLACE and came back after DURATION .
        it took NAME DURATION to repair the THING .
        the THING costs MONEY , NAME may pay it on DATE .
        NAME and NAME march to PLACE on DATE .
        in DATE the price of AMOUNT of sand fell to MONEY .
        room NUMBER in the house of NAME is free for DURATION .
        the ORDINAL THING was built in DATE by NAME .
        NAME bought AMOUNT of sand for MONEY .
        DURATION later NAME had AMOUNT of grain , flight NUMBER had none .
        may NAME keep the THING until DATE ?
        NAME , who was born on DATE , lives at NUMBER PLACE street .
        the ORDINAL of them came on DATE , the ORDINAL DURATION later .
        AMOUNT or AMOUNT , said NAME , it is page NUMBER .
        between DATE and DATE NAME worked for DURATION a day .
        NAME will pound on the door for DURATION .
        NUMBER people and AMOUNT of water for DURATION .
        the march to PLACE lasted DURATION and cost MONEY .
        NUMBER of NUMBER say that MONEY for a THING is too much , or that DURATION is too long .
    """,
    "DATE": """
        DAY MONTH
        DAY MONTH YEAR
        MONTH DAY , YEAR
        MONTH YEAR
        the ORDINAL of MONTH
        WEEKDAY
        WEEKDAY DAY MONTH
        MONTH
        YEAR
    """,
    "DURATION": "a UNIT\nNUMBER UNITS\nhalf a UNIT\nDAY more UNITS\nNUMBER UNITS and a half",
    "AMOUNT": "a MEASURE\nNUMBER MEASURES\nhalf a MEASURE\nDAY more MEASURES\nNUMBER MEASURES and a half",
    "MONEY": "a COIN\nNUMBER COINS\n$ NUMBER\nNUMBER million\nFEW million COINS\nNUMBER COINS and a half",
    "NUMBER": "DAY\nYEAR\nFEW",
}

WORDS = {
    "NAME": "Anna Boris Chen Dora Emil Farah Goran Hana Ivo Jana May Mark April Rose August Kofi Lena Omar Pia Sun",
    "PLACE": "Oslo Riga Porto Lima Turin Basel Cork Quito Perth Malmö Ghent Bergen",
    "THING": "bridge letter contract house engine report boat piano garden machine shop ticket book crown",
    "MONTH": "January February March April May June July August September October November December",
    "WEEKDAY": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "ORDINAL": "first second third fourth fifth sixth 2nd 3rd 4th 5th 6th 7th 8th",
    "UNIT": "second minute hour day week month year",
    "UNITS": "seconds minutes hours days weeks months years",
    "MEASURE": "pound tonne litre metre kilo mile barrel sack",
    "MEASURES": "pounds tonnes litres metres kilos miles barrels sacks",
    "COIN": "dollar euro pound crown franc yen",
    "COINS": "dollars euros pounds crowns francs yen",
    "FEW": "two three four five six seven eight nine ten twelve twenty thirty sixty",
    "DAY": " ".join(map(str, range(2, 29))),
    "YEAR": " ".join(map(str, range(1900, 2030))),
}

RULES = {symbol: text.strip().splitlines() for symbol, text in GRAMMAR.items()} | {
    symbol: text.split() for symbol, text in WORDS.items()
}


def sentences(count: int = SENTENCES, seed: int = 0) -> Corpus:
    """``count`` sentences; the same seed gives the same."""
    draw = random.Random(seed)
    made = [_sentence(draw) for _ in range(count)]
    words, tags = ([[pair[k] for pair in sentence] for sentence in made] for k in range(2))
    return Corpus("the built-in sentences", words, tags)


def _sentence(draw: random.Random) -> list[tuple[str, str]]:
    """Words and their tags."""
    words: list[str] = []
    tags: list[str] = []
    for symbol in draw.choice(RULES["TEXT"]).split():
        new = _expanded(symbol, draw)
        words += new
        tags += [f"{'I' if k else 'B'}-{symbol}" for k in range(len(new))] if symbol in SPANS else ["O"] * len(new)
    words[0] = words[0][0].upper() + words[0][1:]
    if draw.random() < LOWER_CASE:
        words = [word.lower() for word in words]
    return [(_misspelt(word, draw), tag) for word, tag in zip(words, tags, strict=True)]


def _expanded(symbol: str, draw: random.Random) -> list[str]:
    """``symbol`` in words; what is no symbol is a word."""
    if symbol not in RULES:
        return [symbol]
    return [word for part in draw.choice(RULES[symbol]).split() for word in _expanded(part, draw)]


def _misspelt(word: str, draw: random.Random) -> str:
    """Now and then with two letters in each other's place."""
    if len(word) < 4 or not word.isalpha() or draw.random() >= MISSPELT:
        return word
    k = draw.randrange(1, len(word) - 1)
    return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
