"""The data without a file: sentences made by a small grammar, in which dates, amounts and durations are marked.

They are synthetic, and easier than real text; but no word tells its tag alone. A number may be part of a date, of a
duration, of an amount or of nothing, and *May*, *March*, *second* and *pound* mean now this, now that.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .corpus import Corpus

SENTENCES = 2000

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NAMES = [
    "Anna",
    "Boris",
    "Chen",
    "Dora",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ivo",
    "Jana",
    "May",
    "Mark",
    "April",
    "Rose",
    "August",
    "Kofi",
    "Lena",
    "Omar",
    "Pia",
    "Sun",
]
PLACES = ["Oslo", "Riga", "Porto", "Lima", "Turin", "Basel", "Cork", "Quito", "Perth", "Malmö", "Ghent", "Bergen"]
THINGS = [
    "bridge",
    "letter",
    "contract",
    "house",
    "engine",
    "report",
    "boat",
    "piano",
    "garden",
    "machine",
    "shop",
    "ticket",
    "book",
]
UNITS = ["second", "minute", "hour", "day", "week", "month", "year"]
MONEY = ["dollar", "euro", "pound", "crown", "franc", "yen"]
GOODS = ["pound", "tonne", "litre", "metre", "kilo", "mile", "barrel", "sack"]
FEW = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty", "thirty", "sixty"]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth"]

Words = list[tuple[str, str]]


def sentences(count: int = SENTENCES, seed: int = 0) -> Corpus:
    """``count`` sentences; the same seed gives the same."""
    draw = random.Random(seed)
    made = [_sentence(draw) for _ in range(count)]
    words, tags = ([[pair[k] for pair in sentence] for sentence in made] for k in range(2))
    return Corpus("the built-in sentences", words, tags)


def _sentence(draw: random.Random) -> Words:
    made: Words = []
    for part in draw.choice(TEMPLATES).split():
        if part in PARTS:
            text, kind = PARTS[part](draw)
            words = text.split()
            made += [(word, f"{'I' if k else 'B'}-{kind}" if kind else "O") for k, word in enumerate(words)]
        else:
            made.append((part, "O"))
    first, tag = made[0]
    return [(first[0].upper() + first[1:], tag), *made[1:]]


TEMPLATES = """\
NAME sold the THING in PLACE on DATE for MONEY .
on DATE NAME left PLACE and came back after TIME .
it took NAME TIME to repair the THING .
the THING costs MONEY , NAME may pay it in MONTH .
NAME and NAME march to PLACE every DAY .
in MONTH the price of a THING fell to MONEY .
room NUMBER in the house of NAME is free for TIME .
the ORDINAL THING was built in YEAR by NAME .
NAME bought AMOUNT of sand for MONEY .
TIME later NAME had AMOUNT of grain , flight NUMBER had none .
may NAME keep the THING until DATE ?
NAME , who was born on DATE , lives at NUMBER PLACE street .
the ORDINAL of them came on DATE , the ORDINAL TIME later .
AMOUNT or AMOUNT , said NAME , it is page NUMBER .
between DATE and DATE NAME worked for TIME a day .
NAME will pound on the door for TIME .
NUMBER people and AMOUNT of water for TIME .
the march to PLACE lasted TIME and cost MONEY .
""".splitlines()


def _date(draw: random.Random) -> str:
    day, month, year = draw.randint(1, 28), draw.choice(MONTHS), _year(draw)
    return draw.choice(
        [
            f"{day} {month}",
            f"{day} {month} {year}",
            f"{month} {day} , {year}",
            f"the {day}th of {month}",
            f"{draw.randint(1, 12):02}/{day:02}/{year}",
            f"{draw.choice(DAYS)} {day} {month}",
            f"the {draw.choice(ORDINALS)} of {month}",
            month,
            draw.choice(DAYS),
        ]
    )


def _number(draw: random.Random) -> str:
    return draw.choice([str(draw.randint(2, 90)), str(draw.randint(100, 2999)), draw.choice(FEW)])


def _year(draw: random.Random) -> str:
    return str(draw.randint(1900, 2029))


def _duration(draw: random.Random) -> str:
    unit = draw.choice(UNITS)
    return draw.choice(
        [f"a {unit}", f"{_number(draw)} {unit}s", f"half a {unit}", f"{draw.randint(2, 9)} more {unit}s"]
    )


def _money(draw: random.Random) -> str:
    much = draw.choice([_number(draw), f"{draw.randint(1, 99)}.{draw.randint(10, 99)}", f"{draw.choice(FEW)} million"])
    return draw.choice([f"{much} {draw.choice(MONEY)}s", f"$ {much}", f"a {draw.choice(MONEY)}"])


def _amount(draw: random.Random) -> str:
    good = draw.choice(GOODS)
    return draw.choice([f"{_number(draw)} {good}s", f"a {good}", f"half a {good}"])


PARTS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "NAME": lambda draw: (draw.choice(NAMES), ""),
    "PLACE": lambda draw: (draw.choice(PLACES), ""),
    "THING": lambda draw: (draw.choice(THINGS), ""),
    "NUMBER": lambda draw: (_number(draw), ""),
    "ORDINAL": lambda draw: (draw.choice(ORDINALS), ""),
    "DATE": lambda draw: (_date(draw), "DATE"),
    "MONTH": lambda draw: (draw.choice(MONTHS), "DATE"),
    "DAY": lambda draw: (draw.choice(DAYS), "DATE"),
    "YEAR": lambda draw: (_year(draw), "DATE"),
    "TIME": lambda draw: (_duration(draw), "DURATION"),
    "MONEY": lambda draw: (_money(draw), "MONEY"),
    "AMOUNT": lambda draw: (_amount(draw), "AMOUNT"),
}
