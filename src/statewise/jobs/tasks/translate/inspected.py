"""Some sources as ``statewise inspect`` looks at them, with the targets that the model writes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....inspecting.sample import ROWS, STEPS, Sample
from .config import Layout
from .model import Model
from .pairs import Pairs
from .pairs import read as read_pairs


class _Reading(nn.Module):
    """The network as a function of sources and the targets before: logits (T, N, V)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
        memory, state = self.network.encode(source, lengths)
        steps, _, _ = self.network.decode(memory, before, state)
        logits: Tensor = self.network.output(steps)
        return logits


def read(model: Model, path: Path) -> Pairs:
    """The sources in ``path``, read as the training part was."""
    return read_pairs(path, model.layout or Layout(), targets=False)[0]


def sample(model: Model, pairs: Pairs) -> Sample:
    """The first sources. The result is the logit of the likeliest symbol amid what the model writes for each."""
    some = pairs.select(range(min(ROWS, len(pairs))))
    sources = [model.source.encode(*told)[:STEPS] for told in zip(some.sources, some.features, strict=True)]
    written = [model.target.encode(best[0].text) for best in model.translate(some, beam=1)]
    lengths, counts = (torch.tensor(list(map(len, rows))) for rows in (sources, written))
    x, y = (torch.nn.utils.rnn.pad_sequence(list(map(torch.as_tensor, rows))) for rows in (sources, written))
    before = torch.cat([y.new_zeros(1, len(written)), y[:-1]])  # the end of another before the first symbol

    def of(logits: Tensor) -> Tensor:
        return logits[counts // 2, torch.arange(len(written))].amax(1)

    labels = [[model.source.symbols[number] for number in numbers] for numbers in (s.tolist() for s in sources)]
    row = int(lengths.argmax())
    return Sample(_Reading(model.network), (x, lengths, before), of, "network.encoder", labels=labels, row=row)
