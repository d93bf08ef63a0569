"""Some sequences as ``statewise inspect`` looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....inspecting.sample import ROWS, STEPS, Sample
from .batches import Batches
from .config import Layout
from .formats import read as read_examples
from .model import Model
from .spelling import Spelling


def read(model: Model, path: Path) -> Any:
    """The sequences in ``path``, read as the training part was."""
    return read_examples(path, model.layout or Layout()).sequences


def sample(model: Model, sequences: Any) -> Sample:
    """The first sequences, of each the first steps. Raises ``InputError`` where the model reads others."""
    model.encoder.check(sequences)
    rows = np.arange(min(ROWS, len(sequences)))
    segment = model.config.segment or 1
    x, lengths = Batches(model.encoder.encoded(sequences.select(rows), segment)).take(torch.from_numpy(rows))
    x, lengths = x[:STEPS], None if lengths is None else lengths.clamp(max=STEPS)
    row = 0 if lengths is None else int(lengths.argmax())
    if isinstance(model.encoder, Spelling):
        known = list(model.encoder.vocabulary.symbols)
        labels = [[known[number] for number in column] for column in x[..., 0].T.tolist()]
        return Sample(model.network, (x, lengths), labels=labels, row=row)
    channels = model.encoder.channels
    names = [f"channel {k + 1}" for k in range(channels)] if channels > 1 else ["value"]
    if segment > 1:
        names = [f"{name}, step {k + 1}" for k in range(segment) for name in names]
    return Sample(model.network, (x, lengths), features=names, row=row)
