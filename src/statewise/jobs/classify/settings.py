"""What can be set: the network, and how it is trained. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..errors import InputError
from ..recipe import Recipe

CELLS = ("lstm", "gru", "rnn")
HEADS = ("last", "mean", "max", "attention")
SCALINGS = ("channel", "all", "none")

UPDATES = 2000
SEGMENTS, LEAST_SEGMENTED = 32, 64
LEAST_EPOCHS, MOST_EPOCHS = 12, 300
HELD_OUT, LEAST_HELD_OUT = 0.1, 50  # a smaller part held out says little of which epoch is best

RECIPE = Recipe(batch=32, learning_rate=3e-3, weight_decay=1e-2)
"""The defaults but for the epochs, which depend on how many sequences there are: see ``Plan.epochs``."""


@dataclass(frozen=True)
class Shape:
    """What a network is made of. Raises ``InputError`` where that makes no network."""

    cell: str = "gru"
    units: int = 64
    """H, of each layer and direction."""
    layers: int = 1
    bidirectional: bool = True
    head: str = "max"
    """What the output sees: the ``last`` state (of the reverse direction the one after the first step), the ``mean`` or
    the ``max`` of each unit over the steps, or a mean weighted by learnt ``attention``."""
    dropout: float = 0.2
    """Probability of dropping a unit between layers and before the output, in training."""
    segment: int = 1
    """So many steps are read at a time, as one."""

    def __post_init__(self) -> None:
        _one_of("cell", self.cell, CELLS)
        _one_of("head", self.head, HEADS)
        for name, number in (("units", self.units), ("layers", self.layers), ("segment", self.segment)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise InputError(f"{name}: expected a whole number of at least 1, got {number!r}")
        _part("dropout", self.dropout)


@dataclass(frozen=True)
class Plan:
    """How a classifier is built and trained. Raises ``InputError`` where a value can't be used."""

    shape: Shape = field(default_factory=Shape)
    segment: int | None = None
    """In the place of the shape's. None: as many as make about 32 segments of a sequence of more than 64 steps."""
    recipe: Recipe = RECIPE
    epochs: int | None = None
    """In the place of the recipe's. None: as many as make about 2000 updates, from 12 to 300."""
    balance: bool = False
    """Whether every class weighs the same in the loss, however many sequences it has."""
    smoothing: float = 0.1
    """The share of the target that is spread evenly over all classes (label smoothing), against overconfidence."""
    validation: float | None = None
    """The share of the training part held out of training, to keep the weights that do best on it; 0 for none. None: a
    tenth, where that is 50 sequences or more."""
    scaling: str = "channel"
    """See ``Scaler.fitted``."""

    def __post_init__(self) -> None:
        _one_of("scaling", self.scaling, SCALINGS)
        _part("smoothing", self.smoothing)
        if self.validation is not None:
            _part("validation", self.validation)

    def shape_for(self, length: float) -> Shape:
        """The network for sequences of which half are longer than ``length``."""
        segment = self.segment or (round(length / SEGMENTS) if length > LEAST_SEGMENTED else 1)
        return replace(self.shape, segment=segment)

    def epochs_for(self, rows: int) -> int:
        """The epochs for a training part of ``rows`` sequences."""
        if self.epochs is not None:
            return self.epochs
        batches = -(-rows // self.recipe.batch)
        return min(max(-(-UPDATES // batches), LEAST_EPOCHS), MOST_EPOCHS)

    def validation_for(self, rows: int) -> float:
        """The share to hold out of ``rows`` sequences."""
        if self.validation is not None:
            return self.validation
        return HELD_OUT if rows * HELD_OUT >= LEAST_HELD_OUT else 0.0


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _part(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{name}: expected a number of at least 0 and below 1, got {value!r}")
