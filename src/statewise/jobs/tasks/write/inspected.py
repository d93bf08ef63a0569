"""Some text as ``statewise inspect`` looks at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....inspecting.sample import ROWS, STEPS, Sample
from ...errors import InputError
from .model import Model
from .text import read_text


def read(model: Model, path: Path) -> str:
    """The text in ``path``."""
    return read_text(path)


def sample(model: Model, text: str) -> Sample:
    """Stretches of a running text, or lines of nearly the same length. The result is the likeliest symbol's logit."""
    corpus = model.vocabulary.encode(text, lines=model.lines)
    if corpus.lengths is None:
        steps = min(STEPS, len(corpus.ids) // ROWS or len(corpus.ids))
        starts = np.arange(min(ROWS, len(corpus.ids) // max(steps, 1))) * steps
    else:
        order = np.argsort(-np.minimum(corpus.lengths, STEPS), kind="stable")[:ROWS]
        steps, starts = int(min(corpus.lengths[order].min(), STEPS)), corpus.starts[order]
    if not len(starts) or steps < 1:
        raise InputError("expected text of symbols that the model knows, got none")
    ids = torch.from_numpy(corpus.ids[starts + np.arange(steps)[:, None]])  # (T, N)

    def of(result: Any) -> Tensor:
        logits: Tensor = result[0]  # (T * N, V)
        return logits[-len(starts) :].amax(1)

    labels = [[model.vocabulary.symbols[number] for number in column] for column in ids.T.tolist()]
    return Sample(model.network, (ids,), of, "recurrent.0", labels=labels)
