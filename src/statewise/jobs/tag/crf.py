"""A conditional random field over the tags of a sentence, and the best way through them.

The score of a sentence's tags is the sum of the scores of each tag at its word and of each tag after the one before;
their probability is the exponential of that, over the sum of the same for all sequences of tags (Lafferty, McCallum
and Pereira, 2001). Sums go over the sequences' steps in log space. All of it works on packed rows (packed.py), so that
sentences of different lengths need no mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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


def log_sum(emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The logarithm of the sum over all sequences of tags: (N,). The forward algorithm."""
    head, *rest = torch.split(emissions, sizes.tolist())
    alpha = head + first  # (N, K): of all ways to here that end in a tag
    for emission in rest:
        n = len(emission)
        step = (alpha[:n, :, None] + between).logsumexp(1) + emission
        alpha = step if n == len(alpha) else torch.cat([step, alpha[n:]])
    total: Tensor = (alpha + last).logsumexp(1)
    return total


def score(emissions: Tensor, sizes: Tensor, tags: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The score of ``tags`` (S,), summed over the sentences."""
    n = int(sizes[0])
    here = torch.arange(n, len(tags), device=tags.device)
    before = here - sizes[:-1].repeat_interleave(sizes[1:]).to(here.device)  # the same row's place a step earlier
    ends = _ends(sizes).to(tags.device)
    own = emissions.gather(1, tags[:, None]).sum()
    return own + between[tags[before], tags[here]].sum() + first[tags[:n]].sum() + last[tags[ends]].sum()


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


def _ends(sizes: Tensor) -> Tensor:
    """Where each row's last step stands: (N,)."""
    starts = sizes.cumsum(0) - sizes  # (T,)
    rows = torch.arange(int(sizes[0]))
    lengths = (rows[:, None] < sizes).sum(1)  # (N,)
    return starts[lengths - 1] + rows
