"""What can be set: the network, how it is trained, how files are read. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from ...command import Run
from ...config import Cell, Config, Count, Level, NotNegative, Part, Positive, Range, Share, Whole, again, option
from ...training.config import TrainingConfig, training

SEGMENTS, LEAST_SEGMENTED = 32, 64
ROCKET_ROWS, ROCKET_LENGTH, ROCKET_STEPS = range(20, 4001), 9, 2_000_000  # where MiniROCKET takes seconds
MOST_EPOCHS, EMBEDDING = 300, 64
LONG = 30  # symbols of a text: of longer ones fewer updates are made, down to 2000


class Usual(NamedTuple):
    """What suits a kind of input."""

    updates: int
    least_epochs: int
    units: int = 64
    dropout: float = 0.2
    ngrams: int = 0


NUMBERS = Usual(2000, 12)
USUAL = {
    "char": Usual(8000, 5, 128, ngrams=4),
    "subword": Usual(1000, 4, dropout=0.5, ngrams=3),
    "word": Usual(1000, 4, dropout=0.5, ngrams=2),
}
"""Of texts, by level; lists of symbols are as characters."""

Own = TypeVar("Own", bound="SequenceConfig")

data, network, reading = (partial(option, group=group) for group in ("data", "network", "reading files"))


@dataclass(kw_only=True)
class SequenceConfig(TrainingConfig):
    """How a network of sequences is built and trained; what is None is decided by the data, see ``decided``."""

    epochs: Whole | None = again(  # type: ignore[assignment]
        TrainingConfig,
        "epochs",
        None,
        "as many as make 2000 updates, 12 to 300; texts: 1000, by characters 8000 to 2000",
    )
    learning_rate: Positive = again(TrainingConfig, "learning_rate", 3e-3)
    weight_decay: NotNegative = again(TrainingConfig, "weight_decay", 1e-2)

    cell: Cell = network("gru", "the kind of layer", search=("gru", "lstm"))
    units: Whole | None = network(
        None,
        "hidden units of each layer and direction",
        metavar="N",
        default="64; characters and symbols: 128",
        search=Range(16, 256, log=True),
    )
    layers: Whole = network(1, "layers", metavar="N", search=Range(1, 3))
    bidirectional: bool = network(True, "whether each layer reads backwards too")
    head: Literal["last", "mean", "max", "attention"] = network(
        "max",
        "what the output sees: the last state, the mean or the maximum over the steps, or learnt attention",
        search=("last", "mean", "max", "attention"),
    )
    segment: Whole | None = network(
        None, "steps read at a time, as one", metavar="N", default="a 32nd of 65 or more; images: 1"
    )
    minirocket: bool | None = network(
        None,
        "whether a ridge regression on MiniROCKET's features stands beside the network",
        default="yes where whole series of numbers are read, 20 to 4000 of 9 steps and more",
    )
    dropout: Part | None = network(
        None,
        "probability of dropping a unit between layers and before the output, and a number of a vector, in training",
        metavar="X",
        default="0.2; words and pieces of words: 0.5",
        further="kept",
        search=Range(0.0, 0.6),
    )
    validation_share: Part | None = data(
        None,
        "of the training part to hold out, to keep the weights that do best on it, 0 for none",
        metavar="X",
        further="told",
        default="0.1 where that is 50 or more",
    )
    scaling: Literal["channel", "all", "none"] | None = data(
        None, "what gets mean 0 and spread 1", default="each channel; images: all"
    )
    gaps: Literal["refuse", "carry"] = reading(
        "refuse", "missing values: refuse, or carry the last one on", further="kept"
    )
    symbols: bool = reading(False, "values are symbols, such as numbers of events, and no magnitudes")

    level: Level | None = data(None, "what of a text is read as one", default="by validation")
    max_words: Whole = data(30_000, "the most words, characters or pieces of words that are known", metavar="N")
    min_count: Whole = data(2, "words and characters that occur less often are unknown", metavar="N")
    longest: Whole = data(400, "what is read of a text at most: of a longer one as much from both ends", metavar="N")
    embedding: Whole | None = network(
        None, "size of a word's or character's vector", metavar="N", default="64, or that of --vectors"
    )
    ngrams: Count | None = network(
        None,
        "a linear model of n-grams of up to N symbols beside the network, 0 for none",
        metavar="N",
        default="texts: 4 characters, 3 pieces of words, 2 words",
    )
    vectors: str | None = network(
        None, "pretrained vectors of words: word2vec's, GloVe's or fastText's text file", metavar="FILE", default=""
    )
    vectors_frozen: bool = network(False, "leave the pretrained vectors as they are in training")

    def decided(self: Own, rows: int, length: float, *, image: bool = False, texts: bool = False) -> Own:
        """The same with nothing open, for ``rows`` sequences to train on, of which half are longer than ``length``.

        Of texts the level must be known.
        """
        usual = USUAL[self.level or "char"] if texts else NUMBERS
        whole = image or texts or length <= LEAST_SEGMENTED
        updates = min(usual.updates, max(NUMBERS.updates, round(usual.updates * LONG / max(length, 1.0))))
        epochs = min(max(-(-updates // -(-rows // self.batch)), usual.least_epochs), MOST_EPOCHS)
        beside = self.bidirectional and not image and not texts and rows in ROCKET_ROWS and length >= ROCKET_LENGTH
        beside = beside and rows * length <= ROCKET_STEPS
        return replace(
            self,
            minirocket=beside if self.minirocket is None else self.minirocket,
            epochs=self.epochs or epochs,
            segment=self.segment or (1 if whole else round(length / SEGMENTS)),
            scaling=self.scaling or ("all" if image else "channel"),
            units=self.units or usual.units,
            dropout=usual.dropout if self.dropout is None else self.dropout,
            embedding=self.embedding or EMBEDDING,
            ngrams=usual.ngrams if self.ngrams is None else self.ngrams,
        )


@dataclass(kw_only=True)
class ClassifyConfig(SequenceConfig):
    """That, and how classes are learnt."""

    balance: bool = training(False, "every class weighs the same in the loss, however rare")
    smoothing: Part = training(  # not to be searched: the loss that trials are compared by is smoothed
        0.1,
        "share of the target that is spread over all classes, against overconfidence",
        metavar="X",
    )


@dataclass(kw_only=True)
class Layout(Config):
    """How sequences lie in files. Column names are those of CSV and Parquet files and of frames."""

    id: str | None = reading(
        None, "says of which sequence a row is", metavar="COLUMN", default="id, sequence, series or case"
    )
    label: str | None = reading(
        None, "the class, the labels or the number", metavar="COLUMN", default="label, class or target"
    )
    time: str | None = reading(None, "orders the rows", metavar="COLUMN", default="time, timestamp, date, t or step")
    group: str | None = reading(
        None,
        "says what belongs together: a group is validated or tested with as a whole, or learnt from",
        metavar="COLUMN",
        default="each sequence stands alone",
    )
    separator: str | None = reading(
        None, "is between labels, where a sequence may have several", metavar="TEXT", default="labels aren't cut"
    )
    channels: tuple[str, ...] | None = reading(
        None, "the columns of values", metavar="A,B,...", default="all others", commas=True
    )
    pixels: bool = reading(False, "read images pixel by pixel instead of row by row")
    gaps: Literal["refuse", "carry"] = again(SequenceConfig, "gaps", "refuse")
    text: tuple[str, ...] | None = reading(
        None, "the column of the texts", metavar="A,B,...", default="text, sentence, review or the like", commas=True
    )
    symbols: bool = again(SequenceConfig, "symbols", False)
    header: bool | None = reading(
        None, "whether the first line of a table of texts names its columns", default="unless it has a label"
    )
    long: bool | None = None
    """Whether a row is a step, and not a sequence; None: where ids repeat."""
    labelled: bool = True
    """Whether a column named as ``label`` has to be there."""


@dataclass(kw_only=True)
class Options(Run, Layout, ClassifyConfig):
    """What ``statewise classify`` can be told."""

    file: Path | None = option(None, "the training part, or all there is", metavar="FILE", positional=True, default="")
    test: Path | None = data(None, "the test part", metavar="FILE", default="split off FILE")
    test_share: Share = data(0.2, "of each class to split off", metavar="X")
    task: Literal["classification", "multilabel", "regression"] | None = data(
        None,
        "what labels are: a class, several labels, or a number",
        default="regression where most labels differ and some have a fraction; multilabel with --separator",
    )
    labels: Path | None = data(None, "the labels, where they are in a file of their own", metavar="FILE", default="")
    test_labels: Path | None = data(None, "those of the test part", metavar="FILE", default="")
