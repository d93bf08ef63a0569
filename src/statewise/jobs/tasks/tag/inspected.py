"""Some sentences as ``statewise inspect`` looks at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....inspecting.sample import ROWS, STEPS, Sample
from .config import Layout
from .corpus import Corpus
from .formats import read as read_corpus
from .model import Model
from .packed import Packed


def read(model: Model, path: Path) -> Corpus:
    """The sentences in ``path``, read as those of the training part were; else features stand beside the words."""
    features = tuple(str(2 + k) for k in range(len(model.vocabulary.features)))
    layout = Layout() if model.layout else Layout(features=features)
    return read_corpus(path, layout, tagged=False, remembered=model.layout)[0]


def sample(model: Model, corpus: Corpus) -> Sample:
    """The longest sentences that aren't too long. The result is the score of the likeliest tag of a word amid each.

    Raises ``InputError`` where the model reads others.
    """
    packed = Packed(corpus, model.vocabulary, model.linear)
    model.check(corpus)
    short = np.flatnonzero(packed.lengths <= STEPS)
    rows = short[np.argsort(-packed.lengths[short], kind="stable")][:ROWS]
    batch = packed.take(rows)
    lengths = torch.from_numpy(packed.lengths[rows])  # falling, as they are packed
    begins = batch.sizes.cumsum(0) - batch.sizes
    amid = begins[lengths // 2] + torch.arange(len(rows))  # (N,), among the words of all

    def of(emissions: Tensor) -> Tensor:
        return emissions[amid].amax(1)

    labels = [list(corpus.words[row]) for row in rows]
    return Sample(model.network, (batch,), of, "recurrent", labels=labels)
