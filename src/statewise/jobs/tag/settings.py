"""What can be set: the network, and how it is trained. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InputError
from ..recipe import Recipe

CELLS = ("lstm", "gru", "rnn")

RECIPE = Recipe(epochs=15, batch=16, learning_rate=3e-3, weight_decay=1e-2)
HELD_OUT, LEAST_HELD_OUT = 0.1, 50  # sentences; a smaller part held out says little of which epoch is best


@dataclass(frozen=True)
class Shape:
    """What a network is made of. Raises ``InputError`` where that makes no network."""

    cell: str = "lstm"
    units: int = 64
    """H, of each layer and direction."""
    layers: int = 2
    word_size: int = 64
    """Of the vector learnt for each word."""
    character_units: int = 24
    """Of the layer that reads the characters of a word, in each direction; 0: none reads them."""
    feature_size: int = 20
    """Of the vector learnt for each value of a feature column."""
    dropout: float = 0.5
    """Probability of dropping an input or an output of the recurrent layers, in training."""
    crf: bool = False
    """Whether tags are scored together with the one before, by a conditional random field."""

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise InputError(f"cell: expected one of {', '.join(CELLS)}, got {self.cell!r}")
        for name in ("units", "layers", "word_size", "feature_size"):
            _whole(name, getattr(self, name), 1)
        _whole("character_units", self.character_units, 0)
        _part("dropout", self.dropout)


@dataclass(frozen=True)
class Plan:
    """How a tagger is built and trained. Raises ``InputError`` where a value can't be used."""

    shape: Shape = field(default_factory=Shape)
    recipe: Recipe = field(default_factory=lambda: RECIPE)
    least: int = 1
    """Words that occur less often are unknown."""
    validation: float | None = None
    """The share of the training part held out of training, to keep the weights that do best on it; 0 for none. None: a
    tenth, where that is 50 sentences or more."""

    def __post_init__(self) -> None:
        _whole("least", self.least, 1)
        if self.validation is not None:
            _part("validation", self.validation)

    def validation_for(self, rows: int) -> float:
        """The share to hold out of ``rows`` sentences."""
        if self.validation is not None:
            return self.validation
        return HELD_OUT if rows * HELD_OUT >= LEAST_HELD_OUT else 0.0


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def _part(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{name}: expected a number of at least 0 and below 1, got {value!r}")
