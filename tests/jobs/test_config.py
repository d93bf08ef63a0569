"""What values are taken for a type: of a program, of a command line, of JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from statewise.jobs.config import Bounds, Part, Says, Share, Whole, checked, from_json, read_word, to_json
from statewise.jobs.errors import InputError

Shares = Annotated[tuple[Share, ...], Says("shares", bool)]


def refusing(value):
    raise ValueError("expected something else altogether")


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 3),
        (float, 3),
        (float | None, None),
        (Whole | None, 2**62),
        (bool, False),
        (str, ""),
        (Path, Path("a")),
        (Literal["a", 3], 3),
        (Shares, (0.1, 0.5)),
        (tuple[str, ...] | None, ()),
        (dict[str, float], {"a": 1.5}),
        (Part, 0),
    ],
)
def test_what_fits_is_taken_as_it_is(hint, value):
    found = checked("x", hint, value)
    assert (found, type(found)) == (value, type(value))


def test_lists_and_numbers_of_numpy():
    assert checked("x", Shares, [0.1, 0.5]) == (0.1, 0.5)
    assert checked("x", Whole, np.int64(3)) == 3
    assert checked("x", Part, np.float32(0.5)) == 0.5
    assert checked("x", Whole, np.array(3)) == 3


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (int, True, "expected a whole number, got True"),
        (int, 3.0, "expected a whole number, got 3.0"),
        (Whole, 0, "expected a whole number of at least 1, got 0"),
        (Whole | None, 2**62 + 1, "expected a whole number from 1 to 4611686018427387904, got 4611686018427387905"),
        (float, math.nan, "expected a number, got nan"),
        (float, 10**400, "expected a number, got 1000"),
        (float, False, "expected a number, got False"),
        (Share, 1.0, "expected a number between 0 and 1, got 1.0"),
        (Annotated[float, Bounds(gt=0)], 0, "expected a number above 0, got 0"),
        (bool, 1, "expected true or false, got 1"),
        (str, 3, "expected a text, got 3"),
        (str, None, "expected a text, got None"),
        (Literal["a", 3], True, "expected one of a, 3, got True"),
        (Literal[1, 2], True, "expected one of 1, 2, got True"),
        (Shares, (), "expected shares, got ()"),
        (Shares, (0.5, 2.0), "expected shares, got (0.5, 2.0)"),
        (tuple[int, ...], "ab", "expected a list, got 'ab'"),
        (Annotated[str, Says("a word", refusing)], "x", "expected something else altogether"),
    ],
)
def test_what_does_not_fit_is_refused(hint, value, said):
    with pytest.raises(InputError) as caught:
        checked("x", hint, value)
    assert str(caught.value).startswith(f"x: {said}")


@pytest.mark.parametrize(
    ("hint", "word", "value"),
    [(Whole | None, "12", 12), (Share, "5e-1", 0.5), (bool, "Yes", True), (bool, "0", False), (str, "3", "3")],
)
def test_words(hint, word, value):
    assert read_word(hint, word) == value


@pytest.mark.parametrize(
    ("hint", "word", "said"),
    [
        (Whole, "1.5", "expected a whole number of at least 1, got '1.5'"),
        (Whole, "9" * 5000, "expected a whole number from 1 to 4611686018427387904, got '999"),
        (Share, "inf", "expected a number between 0 and 1, got 'inf'"),
        (bool, "perhaps", "expected true or false, got 'perhaps'"),
    ],
)
def test_words_that_can_not_be_used(hint, word, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # what it says is looked at
        read_word(hint, word)
    assert str(caught.value).startswith(said)


@dataclass(frozen=True)
class Inner:
    n: Whole


@dataclass(frozen=True)
class Outer:
    inner: Inner
    shares: Shares
    where: Path | None = None
    weights: dict[str, float] | None = None


def test_there_and_back_through_json():
    whole = Outer(Inner(3), (0.1, 0.9), Path("a/b"), {"x": 1.0})
    told = to_json(whole)
    assert told == {"inner": {"n": 3}, "shares": [0.1, 0.9], "where": "a/b", "weights": {"x": 1.0}}
    assert from_json(Outer, told) == whole
    assert from_json(Outer, {"inner": {"n": 3}, "shares": [0.5]}) == Outer(Inner(3), (0.5,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": 3}, "expected the entries of Inner, got 3"),
        ({"inner": {"n": 0}}, "n: expected a whole number of at least 1, got 0"),
        ({"inner": {}}, "there is no 'n'"),
        ({"shares": [0.5, None]}, "shares: expected shares, got [0.5, None]"),
        ({"shares": {"a": 1}}, "shares: expected shares, got {'a': 1}"),
        ({"weights": {"x": "1"}}, "weights: expected a text, got {'x': '1'}"),
        ({"more": 1}, "Outer has no 'more'"),
    ],
)
def test_json_that_makes_no_sense(change, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # what it says is looked at
        from_json(Outer, {"inner": {"n": 3}, "shares": [0.5], **change})
    assert str(caught.value) == said
