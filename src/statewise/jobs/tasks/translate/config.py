"""What can be set: the network, its training, the search, which column of a file is what. No torch here: help comes at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from ...command import Run
from ...config import Bounds, Cell, Config, Level, Part, Positive, Range, Share, Whole, again, option
from ...training.config import TrainingConfig

ZeroToOne = Annotated[float, Bounds(ge=0, le=1)]
Beam = Annotated[int, Bounds(ge=1, le=1000)]
Penalty = Annotated[float, Bounds(ge=0, le=5)]

data, network, reading = (partial(option, group=group) for group in ("data", "network", "reading files"))


@dataclass(kw_only=True)
class TranslateConfig(TrainingConfig):
    """How a translator is built, trained, and how it searches."""

    epochs: Whole = again(TrainingConfig, "epochs", 20)
    batch: Whole = again(TrainingConfig, "batch", 32)
    learning_rate: Positive = again(TrainingConfig, "learning_rate", 3e-3)

    level: Level = data("char", "what is read as one: characters, words between blanks, or pieces of words")
    target_level: Level | None = data(None, "what is written as one", default="as level")
    max_words: Whole = data(8000, "the most words, or pieces of words, of each side", metavar="N")
    min_count: Whole = data(1, "words and characters that occur less often are unknown", metavar="N")
    validation_share: Part | None = data(
        None,
        "of the sources to hold out, to keep the weights that do best on it, 0 for none",
        metavar="X",
        further="told",
        default="0.1 where that is 50 or more",
    )
    cell: Cell = network("gru", "the kind of layer", search=("gru", "lstm"))
    units: Whole = network(
        128, "hidden units of each layer and direction", metavar="N", search=Range(32, 256, log=True)
    )
    layers: Whole = network(2, "layers of the encoder, and of the decoder", metavar="N", search=Range(1, 3))
    embedding: Whole = network(128, "numbers learnt for each symbol", metavar="N")
    attention: Literal["multiplicative", "additive"] = network(
        "multiplicative",
        "how what is written asks what was read: by a product (Luong), or a sum (Bahdanau)",
        search=("multiplicative", "additive"),
    )
    dropout: Part = network(
        0.2,
        "probability of dropping a unit of an input or output, in training",
        metavar="X",
        further="kept",
        search=Range(0.0, 0.5),
    )
    smoothing: Part = option(0.1, "share of the target that goes to all symbols", group="training", metavar="X")
    forcing: ZeroToOne = option(
        1.0,
        "share of the symbols before that are the true ones at the end of training; others are the network's own",
        group="training",
        metavar="X",
    )
    forcing_schedule: Literal["linear", "sigmoid"] = option("linear", "how that share falls from 1", group="training")
    beam: Beam = option(4, "beginnings that are followed in the search", group="network", metavar="N", further="kept")
    length_penalty: Penalty = option(
        1.0,
        "power of the length that a probability's logarithm is divided by",
        group="network",
        metavar="X",
        further="kept",
    )


@dataclass(kw_only=True)
class Layout(Config):
    """Columns by name or, where a file's first line doesn't name them, by number from 1."""

    source: str | None = reading(None, "what is read", metavar="COLUMN", default="source, or the first")
    target: str | None = reading(None, "what is to be written", metavar="COLUMN", default="target, or the second")
    features: tuple[str, ...] = reading(
        (),
        "columns of what else is known, such as V;PST, read as one symbol each",
        metavar="A,B,...",
        default="none",
        commas=True,
    )
    header: bool = reading(
        True, "whether the first line names the columns; without, FILE has tabs between them and no quotes"
    )


@dataclass(kw_only=True)
class Options(Run, Layout, TranslateConfig):
    """What ``statewise translate`` can be told."""

    file: Path | None = option(None, "the training part, or all there is", metavar="FILE", positional=True, default="")
    test: Path | None = data(None, "the test part", metavar="FILE", default="split off FILE")
    test_share: Share = data(0.1, "of the sources to split off", metavar="X")
    validation: Path | None = data(None, "the validation part", metavar="FILE", default="split off FILE")
