"""Choose symbol after symbol: a network says what is likely to come next, a draw decides, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...config import Config, Count, NotNegative, Whole
from ...errors import InputError

NOT_FINITE = "the model's output is not finite: its file is damaged"


@dataclass(kw_only=True)
class Draw(Config):
    """How to draw. Raises ``InputError`` where a value can't be used."""

    temperature: NotNegative = 0.8
    """Logits are divided by it: below 1 the likely becomes likelier; at 0 the likeliest symbol is taken always."""
    top_k: Whole | None = None
    """Among so many symbols, the likeliest; None for all."""
    seed: Count = 0


def symbols_after(
    network: nn.Module, prompt: Sequence[int], draw: Draw, random: torch.Generator, never: Sequence[int] = ()
) -> Iterator[int]:
    """Symbols that go on after ``prompt``, without end; ``never`` are not drawn. The network keeps the state."""
    logits, state = network(torch.tensor(prompt)[:, None])
    while True:
        symbol = drawn(logits[-1], draw, random, never)
        yield symbol
        logits, state = network(torch.tensor([[symbol]]), state)


def drawn(logits: Tensor, draw: Draw, random: torch.Generator, never: Sequence[int] = ()) -> int:
    """One symbol by ``logits`` (symbols,). Raises ``InputError`` where they are no numbers."""
    if not bool(logits.isfinite().all()):
        raise InputError(NOT_FINITE)
    if never:
        logits = logits.index_fill(0, torch.tensor(never), -torch.inf)
    if draw.temperature == 0:
        return int(logits.argmax())
    logits = logits.double() / draw.temperature
    if draw.top_k is not None and draw.top_k < len(logits):
        least = logits.topk(draw.top_k).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return int(torch.multinomial(logits.softmax(-1), 1, generator=random))
