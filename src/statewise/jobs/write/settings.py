"""What can be set: the network, and how it is trained. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InputError
from ..recipe import Recipe

CELLS = ("lstm", "gru", "rnn")
LEVELS = ("char", "word")

UPDATES = {False: 5000, True: 8000}  # of a training of running text, and of lines
MOST_EPOCHS = 300
UNITS = {False: 256, True: 128}
LAYERS = {False: 2, True: 1}
NARROW = 64  # an embedding of characters as wide as this tells any alphabet apart

HELD_OUT = 0.1
LEAST_HELD_OUT = {False: 500, True: 20}  # characters, lines; a smaller part held out says little

RECIPE = Recipe(batch=32, learning_rate=3e-3, weight_decay=1e-2, warmup=0.02)
"""The defaults but for the epochs, which depend on how much text there is: see ``Plan.epochs``."""


@dataclass(frozen=True)
class Shape:
    """What a network is made of. Raises ``InputError`` where that makes no network."""

    cell: str = "gru"
    units: int = 256
    """H, of each layer."""
    layers: int = 2
    embedding: int = 64
    """E, numbers that stand for a symbol where the first layer reads it."""
    dropout: float = 0.2
    """Probability of dropping a unit before and after each layer, in training. What is dropped stays the same over the
    steps of a chunk or line (variational dropout)."""
    tie: bool = False
    """Whether the output has the embedding's weights, which are then as wide as ``units``."""

    def __post_init__(self) -> None:
        _one_of("cell", self.cell, CELLS)
        for name in ("units", "layers", "embedding"):
            _whole(name, getattr(self, name), 1)
        _part("dropout", self.dropout)
        if self.tie and self.embedding != self.units:
            raise InputError(
                f"tie: the output has the embedding's weights, so both must be as wide as the layers: expected an"
                f" embedding of {self.units}, got {self.embedding}"
            )

    @classmethod
    def chosen(
        cls,
        level: str,
        lines: bool,
        *,
        cell: str = "gru",
        units: int | None = None,
        layers: int | None = None,
        embedding: int | None = None,
        dropout: float = 0.2,
        tie: bool = False,
    ) -> Shape:
        """The shape with what is None chosen: 2 layers of 256 units, 1 of 128 for lines; of characters 64 numbers."""
        units = UNITS[lines] if units is None else units
        if embedding is None:
            embedding = units if tie or level == "word" else min(units, NARROW)
        return cls(cell, units, LAYERS[lines] if layers is None else layers, embedding, dropout, tie)


@dataclass(frozen=True)
class Plan:
    """How a model is built and trained. Raises ``InputError`` where a value can't be used."""

    level: str = "char"
    lines: bool = False
    """Whether each line of the text is one for itself."""
    shape: Shape = field(default_factory=Shape)
    recipe: Recipe = field(default_factory=lambda: RECIPE)
    epochs: int | None = None
    """In the place of the recipe's. None: as many as make about 5000 updates, of lines 8000; 300 at most."""
    steps: int = 64
    """T, of a running text: so far the gradient goes back. The state goes on for ever."""
    most_words: int = 10_000
    """The most frequent ones are kept, of words that occur ``at_least`` times; the others are ``<unk>``."""
    at_least: int = 2

    def __post_init__(self) -> None:
        _one_of("level", self.level, LEVELS)
        for name in ("steps", "most_words", "at_least"):
            _whole(name, getattr(self, name), 1)
        if self.epochs is not None:
            _whole("epochs", self.epochs, 1)

    def epochs_for(self, updates: int) -> int:
        """The epochs where one has so many ``updates``."""
        return self.epochs if self.epochs is not None else min(-(-UPDATES[self.lines] // updates), MOST_EPOCHS)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def _part(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{name}: expected a number of at least 0 and below 1, got {value!r}")
