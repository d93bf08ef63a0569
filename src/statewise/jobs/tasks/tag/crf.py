"""A conditional random field over the tags of a sentence, and the best way through them.

The score of a sentence's tags is the sum of the scores of each tag at its word and of each tag after the one before;
their probability is the exponential of that, over the sum of the same for all sequences of tags (Lafferty, McCallum
and Pereira, 2001). All of it works on packed rows (packed.py), so that sentences of different lengths need no mask,
which is why it is not a library's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .log_sum import befores, ends, log_sum

NEVER = -1e4  # the score of what may not be: as good as minus infinity, and its gradients are numbers


class CRF(nn.Module):
    """Scores for pairs of ``tags`` tags: ``between`` (K, K), row before, ``first`` (K,) and ``last`` (K,).

    ``allowed`` (K+1, K+1) says which may be, the last row and column for the sentence's ends; None: all.
    """

    allowed: Tensor

    def __init__(self, tags: int, allowed: Tensor | None = None) -> None:
        super().__init__()
        self.between = nn.Parameter(torch.zeros(tags, tags))
        self.first = nn.Parameter(torch.zeros(tags))
        self.last = nn.Parameter(torch.zeros(tags))
        everything = torch.ones(tags + 1, tags + 1, dtype=torch.bool)
        self.register_buffer("allowed", everything if allowed is None else allowed)

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """``between``, ``first`` and ``last`` with what may not be at ``NEVER``."""
        between = self.between.masked_fill(~self.allowed[:-1, :-1], NEVER)
        first = self.first.masked_fill(~self.allowed[-1, :-1], NEVER)
        last = self.last.masked_fill(~self.allowed[:-1, -1], NEVER)
        return between, first, last

    def forward(self, emissions: Tensor, sizes: Tensor, tags: Tensor) -> Tensor:
        """Minus the sum of the log probabilities of ``tags`` (S,) under ``emissions`` (S, K), packed; a scalar."""
        scores = self.scores()
        loss: Tensor = log_sum(emissions, sizes, *scores).sum() - score(emissions, sizes, tags, *scores)
        return loss


def score(emissions: Tensor, sizes: Tensor, tags: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The score of ``tags`` (S,), summed over the sentences."""
    n = int(sizes[0])
    moves = between[tags[befores(sizes).to(tags.device)], tags[n:]].sum()
    own = emissions.gather(1, tags[:, None]).sum()
    return own + moves + first[tags[:n]].sum() + last[tags[ends(sizes).to(tags.device)]].sum()


@torch.no_grad()
def best(emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The tags with the highest score: (S,). Viterbi's algorithm."""
    head, *rest = torch.split(emissions, sizes.tolist())
    alpha = head + first  # (N, K): of the best way to here that ends in a tag
    came_from = []
    for emission in rest:
        n = len(emission)
        highest, origin = (alpha[:n, :, None] + between).max(1)
        alpha = torch.cat([highest + emission, alpha[n:]])
        came_from.append(origin)  # (n, K)
    now = (alpha + last).argmax(1)  # (N,)
    found = []
    for origin in reversed(came_from):
        n = len(origin)
        found.append(now[:n])
        now = torch.cat([origin.gather(1, now[:n, None])[:, 0], now[n:]])
    return torch.cat([now, *reversed(found)])
