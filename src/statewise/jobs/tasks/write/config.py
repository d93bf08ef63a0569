"""What can be set: what is written next, the network, how it is trained. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from ...command import Run
from ...config import (
    Bounds,
    Cell,
    Config,
    Count,
    Level,
    NotNegative,
    Part,
    Positive,
    Range,
    Whole,
    again,
    option,
    part_of,
)
from ...training.config import TrainingConfig

UPDATES = {False: 5000, True: 8000}  # of a training of running text, and of lines
MOST_EPOCHS = 300
UNITS = {False: 256, True: 128}
LAYERS = {False: 2, True: 1}
MOST = {"char": 10_000, "word": 10_000, "subword": 2_000}  # symbols; of characters all there are
NARROW = 64  # an embedding of characters as wide as this tells any alphabet apart

LEAST_HELD_OUT = {False: 500, True: 20}  # characters, lines; a smaller part held out says little

Remembered = Annotated[int, Bounds(ge=0, le=10_000)]

data, network = (partial(option, group=group) for group in ("data", "network"))


@dataclass(kw_only=True)
class WriteConfig(TrainingConfig):
    """How a writer is built and trained; what is None is decided by the text, see ``Plan``."""

    epochs: Whole | None = again(  # type: ignore[assignment]
        TrainingConfig, "epochs", None, "as many as make 5000 updates, of lines 8000; 300 at most"
    )
    learning_rate: Positive = again(TrainingConfig, "learning_rate", 3e-3)
    warmup: Part = again(TrainingConfig, "warmup", 0.02)
    weight_decay: NotNegative = again(TrainingConfig, "weight_decay", 1e-2)

    level: Level = data("char", "what is written next: a character, what stands between blanks, or a piece of that")
    lines: bool = data(False, "every line is one for itself, such as names, instead of one running text")
    max_words: Whole | None = data(
        None, "how many words or pieces are known, the most frequent", metavar="N", default="10,000 words, 2,000 pieces"
    )
    min_count: Whole = data(2, "words that occur less often are <unk>", metavar="N")
    validation_share: Part | None = data(
        None,
        "to hold out, the end, of lines any, to keep the weights that do best on it, 0 for none",
        metavar="X",
        further="told",
        default="0.1 where that says enough",
    )
    cell: Cell = network("gru", "the kind of layer", search=("gru", "lstm"))
    units: Whole | None = network(
        None, "hidden units of each layer", metavar="N", default="256, of lines 128", search=Range(64, 512, log=True)
    )
    layers: Whole | None = network(None, "layers", metavar="N", default="2, of lines 1", search=Range(1, 3))
    embedding: Whole | None = network(
        None,
        "numbers that stand for a symbol in the input",
        metavar="N",
        default="64; words, pieces, tied: as many as units",
    )
    dropout: Part = network(
        0.2,
        "probability of dropping a unit before and after each layer, in training, the same over the steps",
        metavar="X",
        further="kept",
        search=Range(0.0, 0.6),
    )
    weight_dropout: Part = network(
        0.0,
        "probability of dropping a weight between a layer's state and the next, in training, anew in every update",
        metavar="X",
        further="kept",
        search=Range(0.0, 0.6),
    )
    embedding_dropout: Part = network(
        0.0,
        "probability of dropping a symbol from the input, wherever it stands in an update",
        metavar="X",
        further="kept",
    )
    cache: Remembered | None = network(
        None,
        "steps that a cache beside the network remembers: what came after states like the present one comes again;"
        " 0: none",
        metavar="N",
        default="of running text of words or pieces 500 to 2000, where that does better on the validation part",
        further="kept",
    )
    tie: bool = network(False, "the output has the embedding's weights, and the last layer its width")
    steps: Whole = network(
        64, "how far the gradient goes back in a running text, where the state goes on", metavar="N", further="kept"
    )

    def epochs_for(self, updates: int) -> int:
        """The epochs where one has so many ``updates``."""
        return self.epochs or min(-(-UPDATES[self.lines] // updates), MOST_EPOCHS)


@dataclass(kw_only=True)
class Plan(WriteConfig):
    """A configuration in which the network is decided."""

    max_words: Whole
    units: Whole
    layers: Whole
    embedding: Whole

    @classmethod
    def of(cls, config: WriteConfig) -> Plan:
        """2 layers of 256 units, 1 of 128 for lines; of characters 64 numbers."""
        units, layers = config.units or UNITS[config.lines], config.layers or LAYERS[config.lines]
        wide = min(units, NARROW) if config.level == "char" and not config.tie else units
        most = config.max_words or MOST[config.level]
        return part_of(cls, config, max_words=most, units=units, layers=layers, embedding=config.embedding or wide)


@dataclass(kw_only=True)
class Draw(Config):
    """How symbols are drawn. Raises ``InputError`` where a value can't be used."""

    temperature: NotNegative = option(
        0.8, "logits are divided by it: below 1 the likely becomes likelier, at 0 it is taken always", metavar="X"
    )
    top_k: Whole | None = option(None, "among so many symbols, the likeliest", metavar="N", default="all")
    seed: Count = option(0, "of the draws", metavar="N")


@dataclass(kw_only=True)
class Options(Run, WriteConfig):
    """What ``statewise write`` can be told."""

    file: Path | None = option(None, "a text file", metavar="FILE", positional=True, default="")
    validation: Path | None = data(None, "the validation part", metavar="FILE", default="held out of FILE")
