"""Choose symbol after symbol: a network says what is likely to come next, a draw decides, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


@torch.no_grad()
def likeliest(
    network: nn.Module, prompt: Sequence[int], length: int, width: int, *, end: int | None, never: Sequence[int] = ()
) -> list[tuple[list[int], float]]:
    """Continuations of ``prompt`` by ``length`` symbols, or to ``end``, and the logarithms of their probabilities.

    Falling, ``width`` of them. Beam search: ``width`` beginnings go on from step to step, so that these are the
    likeliest of all where no beginning was left out.
    """
    logits, state = network(torch.tensor(prompt)[:, None])
    live, written = torch.zeros(1, dtype=torch.float64), torch.empty(1, 0, dtype=torch.int64)  # (B,), (B, steps)
    done: list[tuple[list[int], float]] = []
    for _ in range(length):
        if not bool(logits.isfinite().all()):
            raise InputError(NOT_FINITE)
        scores = logits[-len(live) :].double().log_softmax(-1)  # (B, symbols)
        scores[:, list(never)] = -torch.inf
        ways = (live[:, None] + scores).flatten()
        best, places = ways.topk(min(width, len(ways)))
        places = places[best > -torch.inf]
        rows, symbols = places // scores.shape[1], places % scores.shape[1]
        live, written = ways[places], torch.cat([written[rows], symbols[:, None]], 1)
        ends = symbols == (-1 if end is None else end)
        done += zip(written[ends].tolist(), live[ends].tolist(), strict=True)
        live, written, rows = live[~ends], written[~ends], rows[~ends]
        if not len(live):
            break
        logits, state = network(written[None, :, -1], picked(state, rows))
    done += zip(written.tolist(), live.tolist(), strict=True)
    return sorted(done, key=lambda each: -each[1])[:width]


def picked(state: Any, rows: Tensor) -> Any:
    """``state`` of the sequences ``rows`` alone: in each of its tensors (L, N, H)."""
    if isinstance(state, Tensor):
        return state.index_select(1, rows)
    return type(state)(picked(each, rows) for each in state)
