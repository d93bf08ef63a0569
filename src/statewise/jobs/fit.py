"""The fitting loop that the jobs share: read it from top to bottom.

It knows nothing of the job: the model, where batches come from, and the loss are arguments. There is no stopping rule
in here either; how many updates a job wants is the job's decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def fit(
    model: nn.Module,
    batch: Callable[[], tuple[Tensor, ...]],
    loss: Callable[..., Tensor],
    updates: int,
    *,
    learning_rate: float,
    clip: float = 1.0,
    tick: Callable[[], Any] = lambda: None,
) -> None:
    """Train ``model`` in place for ``updates`` steps of AdamW, the learning rate falling to zero in a straight line.

    ``batch()`` gives the arguments of the next ``loss(model, ...)``; ``tick()`` is called after every update.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - update / updates)
        value = loss(model, *batch())
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        tick()
    model.eval()
