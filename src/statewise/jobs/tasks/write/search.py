"""The likeliest ways to go on: beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError

NOT_FINITE = "the model's output is not finite: its file is damaged"


def finite(logits: Tensor) -> Tensor:
    """``logits``. Raises ``InputError`` where they are no numbers."""
    if not bool(logits.isfinite().all()):
        raise InputError(NOT_FINITE)
    return logits


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
        scores = finite(logits)[-len(live) :].double().log_softmax(-1)  # (B, symbols)
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
