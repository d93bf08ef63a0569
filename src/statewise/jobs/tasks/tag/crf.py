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
    return n_best(emissions, sizes, between, first, last, 1)[1][:, 0]


@torch.no_grad()
def n_best(
    emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores (N, count), falling, minus infinity past the last one, and their tags (S, count).

    Viterbi's algorithm, which keeps that many ways to each tag.
    """
    head, *rest = torch.split(emissions, sizes.tolist())
    alpha = (head + first)[:, :, None]  # (N, K, C): of the best ways to here that end in a tag
    alpha = nn.functional.pad(alpha, (0, count - 1), value=-torch.inf)
    came_from = []
    for emission in rest:
        n = len(emission)
        ways = (alpha[:n, :, :, None] + between[:, None]).flatten(1, 2)  # (n, K*C, K)
        highest, origin = ways.topk(count, 1) if count > 1 else ways.max(1, keepdim=True)  # (n, C, K)
        alpha = torch.cat([highest.transpose(1, 2) + emission[:, :, None], alpha[n:]])
        came_from.append(origin.transpose(1, 2).flatten(1))  # (n, K*C)
    scores, now = (alpha + last[:, None]).flatten(1).topk(count)  # (N, C), of all tags and ranks
    found = []
    for origin in reversed(came_from):
        n = len(origin)
        found.append(now[:n])
        now = torch.cat([origin.gather(1, now[:n]), now[n:]])
    return scores, torch.cat([now, *reversed(found)]) // count


@torch.enable_grad()
def marginals(emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The probability of each tag of each word over all tags of the others: (S, K), float64.

    The gradient of the logarithm of the sum over all sequences by a score is how often it counts on average.
    """
    x = emissions.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(log_sum(x, sizes, between, first, last).sum(), x)
    return found
