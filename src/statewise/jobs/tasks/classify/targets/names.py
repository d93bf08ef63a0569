"""The names of classes and labels: their order, their places, and which are no names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....errors import InputError
from .target import Said

Label = str | int | float | bool

LONGEST = 200  # characters of a class's name
SHOWN = 12  # names in a message


def rank(label: str) -> tuple[bool, float, str]:
    """What names are sorted by: numbers by size, and behind them others by letter."""
    value = number_of(label)
    return (True, 0.0, label) if math.isnan(value) else (False, value, label)


def number_of(label: str) -> float:
    """The number that ``label`` is, NaN where it is none."""
    try:
        return float(label)
    except ValueError:
        return math.nan


def places_of(names: Sequence[Label], labels: Sequence[str], source: str, ids: Sequence[str]) -> list[int]:
    """The places of ``labels`` in ``names``. Refuses one that is not among them."""
    place = {name: index for index, name in enumerate(names)}
    for label, id in zip(labels, ids, strict=True):
        if label not in place:
            shown = ", ".join(map(str, names[:SHOWN])) + (" ..." if len(names) > SHOWN else "")
            raise InputError(
                f"{source}: sequence {id!r} has the label {label!r}, which the training part hasn't got; there: {shown}"
            )
    return [place[label] for label in labels]


def check_names(found: Sequence[str], source: str) -> None:
    """Refuses what can't be the name of a class."""
    longest = max(found, key=len)
    if len(longest) > LONGEST:
        raise InputError(
            f"{source}: a label of {len(longest)} characters, {longest[:30]!r}...; expected names of classes,"
            " choose their column with --label"
        )


def names_in(content: Any) -> tuple[Label, ...]:
    """The names that a model's file has; ValueError where they are none."""
    if not isinstance(content, list) or not all(isinstance(c, (str, int, float)) and c == c for c in content):
        raise ValueError("expected the names of the classes")
    if len(set(content)) != len(content):
        raise ValueError("two classes have one name")
    return tuple(content)


def probabilities(names: Sequence[str], said: Said) -> dict[str, Any]:
    """The columns that ``said`` (n, names) is in a table."""
    return {f"p({name})": said[:, place] for place, name in enumerate(names)}
