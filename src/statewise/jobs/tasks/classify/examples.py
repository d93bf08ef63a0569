"""What is read from a file: sequences, their labels where there are any, and what is known of them by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import InputError
from .config import Layout
from .sequences import Rows, Sequences
from .texts import Texts


@dataclass(frozen=True, eq=False)
class Examples:
    """``n`` sequences of a file, or of a part of one."""

    name: str
    """What run folders and titles are called after."""
    source: str
    """The file, for messages."""
    sequences: Sequences | Texts
    labels: Sequence[str] | None
    """(n,); None where the file has none."""
    ids: Sequence[str] = ()
    """What each sequence is called: (n,); by default 1, 2, and so on."""
    channels: tuple[str, ...] | None = None
    """The channels' names, where the file has any."""
    separator: str | None = None
    """What is between the labels of one sequence, where the file says that there are several."""
    picture: tuple[int, int] | None = None
    """Height and width, where each sequence is an image."""
    groups: Sequence[str] | None = None
    """The group that each belongs to: (n,); None where each stands alone."""
    layout: Layout | None = None
    """How other files of the same kind lie, as far as this one tells."""

    def __post_init__(self) -> None:
        if not len(self.ids):
            object.__setattr__(self, "ids", [str(row) for row in range(1, len(self) + 1)])

    def __len__(self) -> int:
        return len(self.sequences)

    def select(self, rows: Rows) -> Examples:
        """Those that ``rows`` name, in that order."""
        labels = None if self.labels is None else [self.labels[row] for row in rows]
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        sequences, ids = self.sequences.select(rows), [self.ids[row] for row in rows]
        return replace(self, sequences=sequences, labels=labels, ids=ids, groups=groups)

    def described(self) -> str:
        """How many there are of what, in words."""
        if self.picture is not None and isinstance(self.sequences, Sequences):
            height, width = self.picture
            way = "pixel by pixel" if self.sequences.channels == 1 and width > 1 else "row by row"
            return f"{len(self)} images of {height} x {width}, read {way}"
        return self.sequences.described()


def numbered(groups: Any, count: int) -> Rows:
    """The number of each row's group, (n,), of ``groups`` that may be called anything.

    Raises ``InputError`` where they aren't ``count``, or not two different ones at least.
    """
    named = [getattr(group, "item", lambda group=group: group)() for group in groups]
    if len(named) != count:
        raise InputError(f"groups: expected one of each of {count} sequences, got {len(named)}")
    number = {name: place for place, name in enumerate(dict.fromkeys(named))}
    if len(number) < 2:
        raise InputError(f"groups: expected at least two, all sequences are of {named[0]!r}")
    return np.array([number[name] for name in named], np.int64)


def met_again(train: Examples, test: Examples) -> int:
    """How many sequences of ``test`` are in ``train`` too, value for value."""
    ours, theirs = train.sequences, test.sequences
    if isinstance(ours, Sequences) and isinstance(theirs, Sequences):
        kind = np.result_type(ours.steps, theirs.steps)
        known, asked = ((hash(x.astype(kind).tobytes()) for x in part) for part in (ours, theirs))
        return _of_those(set(known), asked)
    if isinstance(ours, Texts) and isinstance(theirs, Texts):
        return _of_those(set(ours.items), theirs.items)
    return 0


def _of_those(known: set[Any], asked: Iterable[Any]) -> int:
    return sum(each in known for each in asked)


def check_alike(train: Examples, other: Examples) -> None:
    """Refuse ``other`` where its channels are not those of ``train``."""
    kinds = [type(part.sequences) for part in (train, other)]
    if kinds[0] != kinds[1]:
        numbers = ["numbers" if kind is Sequences else "texts" for kind in kinds]
        raise InputError(f"{other.source}: has {numbers[1]}, {train.source} has {numbers[0]}")
    ours, theirs = (getattr(part.sequences, "channels", 1) for part in (train, other))
    if ours != theirs:
        raise InputError(f"{other.source}: expected as many channels as in {train.source}, {ours}, got {theirs}")
    if train.channels != other.channels:
        raise InputError(
            f"{other.source}: has the channels {', '.join(other.channels or ('of no name',))},"
            f" {train.source} has {', '.join(train.channels or ('of no name',))}; expected the same"
        )
