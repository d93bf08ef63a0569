"""What is read from a file: sequences, their labels where there are any, and what is known of them by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        sequences, ids = self.sequences.select(rows), [self.ids[row] for row in rows]
        return replace(self, sequences=sequences, labels=labels, ids=ids)

    def described(self) -> str:
        """How many there are of what, in words."""
        if self.picture is not None and isinstance(self.sequences, Sequences):
            height, width = self.picture
            way = "pixel by pixel" if self.sequences.channels == 1 and width > 1 else "row by row"
            return f"{len(self)} images of {height} x {width}, read {way}"
        return self.sequences.described()


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
