"""What a model remembers of its output: what labels are as numbers, what is lost, and what the network's numbers say.

A kind of output is a module with a class: one class of several (``Classes``), several labels (``Labels``), a number
(``Number``). ``target.py`` has what all of them are, ``names.py`` the names of classes and labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ....errors import InputError
from .classes import Classes
from .labels import Labels
from .names import number_of
from .number import Number
from .target import Said, Target, Task, Values, written

__all__ = ["TARGETS", "Classes", "Labels", "Number", "Said", "Target", "Values", "target_of", "written"]

LEAST_NUMBERS = 20  # different ones that make a column of fractions a thing to measure

TARGETS: Mapping[str, type[Target]] = {kind.TASK: kind for kind in (Classes, Labels, Number)}


def target_of(
    labels: Sequence[str] | None, source: str, task: Task | None = None, separator: str | None = None
) -> Target:
    """What the labels of a training part are: numbers where they are many and some have a fraction, unless told.

    Raises ``InputError`` where there are none, or none that could be learnt.
    """
    if labels is None:
        raise InputError(f"{source}: has no labels; --label names a table's column of them, --labels a file")
    if task is None:
        task = "multilabel" if separator else "regression" if _measured(labels) else "classification"
    if task == "multilabel":
        return Labels.of(labels, source, separator or "|")
    if task == "regression":
        return Number.of(Number().read(labels, source, [str(row) for row in range(1, len(labels) + 1)]))
    return Classes.of(labels, source)


def _measured(labels: Sequence[str]) -> bool:
    """Whether labels are what is measured: all numbers, some with a fraction, and most of them different."""
    different = set(labels)
    if len(different) < max(LEAST_NUMBERS, len(labels) / 4):
        return False
    values = [number_of(label) for label in different]
    return all(map(math.isfinite, values)) and any(value != round(value) for value in values)
