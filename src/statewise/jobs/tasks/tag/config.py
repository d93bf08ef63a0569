"""What can be set: the network, its training, which column of a file is what. No torch here: help comes at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...command import Run
from ...config import Cell, Config, Count, NotNegative, Part, Positive, Range, Share, Whole, again, option
from ...errors import InputError
from ...training.config import TrainingConfig

COLUMNS, CONLLU = "columns", "CoNLL-U"

data, network, reading = (partial(option, group=group) for group in ("data", "network", "reading files"))


@dataclass(kw_only=True)
class TagConfig(TrainingConfig):
    """How a tagger is built and trained."""

    epochs: Whole = again(TrainingConfig, "epochs", 15)
    batch: Whole = again(TrainingConfig, "batch", 16)
    learning_rate: Positive = again(TrainingConfig, "learning_rate", 3e-3)
    weight_decay: NotNegative = again(TrainingConfig, "weight_decay", 1e-2)

    validation_share: Part | None = data(
        None,
        "of the sentences to hold out, to keep the weights that do best on it, 0 for none",
        metavar="X",
        further="told",
        default="0.1 where that is 50 or more",
    )
    cell: Cell = network("lstm", "the kind of layer", search=("gru", "lstm"))
    units: Whole = network(64, "hidden units of each layer and direction", metavar="N", search=Range(16, 256, log=True))
    layers: Whole = network(2, "layers", metavar="N", search=Range(1, 3))
    bidirectional: bool = network(True, "whether each layer reads backwards too")
    word_size: Whole = network(64, "numbers learnt for each word", metavar="N")
    vectors: str | None = network(
        None, "pretrained vectors of words: word2vec's, GloVe's or fastText's text file", metavar="FILE", default=""
    )
    vectors_frozen: bool = network(True, "leave the pretrained vectors as they are in training")
    max_vectors: Count = network(
        50_000, "of the file's first vectors are kept whatever occurs in training, for other sentences", metavar="N"
    )
    character_units: Count = network(24, "of the layer that reads a word's characters, 0: none", metavar="N")
    feature_size: Whole = network(20, "numbers learnt for each value of a feature", metavar="N")
    dropout: Part = network(
        0.5,
        "probability of dropping an input or an output of the recurrent layers, in training",
        metavar="X",
        further="kept",
        search=Range(0.0, 0.6),
    )
    word_dropout: NotNegative = network(
        1.0,
        "of a word that occurs n times X / (X + n) of all are taken for an unknown one, in training",
        metavar="X",
        further="kept",
    )
    crf: bool | None = network(
        None,
        "score tags together with the one before, by a conditional random field",
        search=(False, True),
        default="where tags mark spans",
    )
    min_count: Whole = data(1, "words that occur less often are unknown", metavar="N")


@dataclass(kw_only=True)
class Layout(Config):
    """Columns by number, from 1, or by name where the format has names; those of CoNLL-U do."""

    words: str | None = reading(None, "the words", metavar="COLUMN", default="FORM, or the first")
    column: str | None = reading(
        None,
        "the tags: upos, xpos, feats, deprel, 4",
        metavar="COLUMN",
        default="UPOS, or the last",
        alias="--field",
    )
    features: tuple[str, ...] = reading(
        (), "columns that the network reads beside the words", metavar="A,B,...", default="none", commas=True
    )
    format: str | None = None
    """Of the file that the numbers are about: ``columns`` or ``CoNLL-U``; None: any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.features)) < len(self.features):
            raise InputError(f"--features {','.join(self.features)}: names a column twice")

    def over(self, other: Layout) -> Layout:
        """This layout with what ``other`` says where this one says nothing."""
        return Layout(**{name: value or getattr(other, name) for name, value in vars(self).items()})


@dataclass(kw_only=True)
class Options(Run, Layout, TagConfig):
    """What ``statewise tag`` can be told."""

    file: Path | None = option(None, "the training part, or all there is", metavar="FILE", positional=True, default="")
    test: Path | None = data(None, "the test part", metavar="FILE", default="split off FILE")
    test_share: Share = data(0.2, "of the sentences to split off", metavar="X")
    validation: Path | None = data(None, "the validation part", metavar="FILE", default="split off FILE")
