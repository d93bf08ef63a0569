"""Words, characters and tags as numbers."""

from __future__ import annotations

import json

import pytest

from statewise.jobs.data.symbols import Symbols


def test_a_number_is_a_place():
    symbols = Symbols(["b", "a", "\n"])
    assert symbols.numbers == {"b": 0, "a": 1, "\n": 2}
    found = symbols.encode("ab\nxa")
    assert found.tolist() == [1, 0, 2, -1, 1]
    assert [symbols[number] for number in found if number >= 0] == ["a", "b", "\n", "a"]
    assert symbols.encode([]).shape == (0,)


def test_a_header_gives_them_back():
    symbols = Symbols(["b", "a"])
    again = Symbols.from_json(json.loads(json.dumps(symbols)))
    assert again == symbols
    assert again.numbers == symbols.numbers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ab", "expected a list of texts"),
        ({"a": 0}, "expected a list of texts"),
        (["a", 1], "expected a list of texts"),
        (["a", ""], "expected a list of texts"),
        (["a", "b", "a"], "there twice"),
    ],
)
def test_what_is_no_list_of_symbols_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        Symbols.from_json(content)
