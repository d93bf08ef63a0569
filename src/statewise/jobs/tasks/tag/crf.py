"""A conditional random field over the tags of a sentence, as torch trains it; the best way through them: decoding.py.

The score of a sentence's tags is the sum of the scores of each tag at its word and of each tag after the one before;
their probability is the exponential of that, over the sum of the same for all sequences of tags (Lafferty, McCallum
and Pereira, 2001). All of it works on packed rows (packed.py), so that sentences of different lengths need no mask,
which is why it is not a library's.

The logarithm of that sum is here twice: plainly, in log space, and quickly. The quick way multiplies where the plain
one adds, scales every step so that its sum is 1, and has the derivatives at hand, which are the tags' probabilities
(Rabiner, 1989): four small operations a step forward and two backward. In float64 it holds scores that lie up to about
700 apart, far more than a network's; where that is not enough the plain way takes over.

Shapes: emissions (S, K), packed, ``sizes`` (T,); between (K, K), first (K,), last (K,).
"""

from __future__ import annotations

from typing import Any

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
        return self.masked(self.between, self.first, self.last)

    def masked(self, between: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of others."""
        between = between.masked_fill(~self.allowed[:-1, :-1], NEVER)
        first = first.masked_fill(~self.allowed[-1, :-1], NEVER)
        last = last.masked_fill(~self.allowed[:-1, -1], NEVER)
        return between, first, last

    def forward(self, emissions: Tensor, sizes: Tensor, tags: Tensor) -> Tensor:
        """Minus the sum of the log probabilities of ``tags`` (S,) under ``emissions`` (S, K), packed; a scalar."""
        return lost(emissions, sizes, tags, *self.scores())


def lost(emissions: Tensor, sizes: Tensor, tags: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Minus the sum of the log probabilities of ``tags`` (S,); a scalar."""
    scores = between, first, last
    return log_sum(emissions, sizes, *scores).sum() - score(emissions, sizes, tags, *scores)


def score(emissions: Tensor, sizes: Tensor, tags: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The score of ``tags`` (S,), summed over the sentences."""
    n = int(sizes[0])
    moves = between[tags[befores(sizes).to(tags.device)], tags[n:]].sum()
    own = emissions.gather(1, tags[:, None]).sum()
    return own + moves + first[tags[:n]].sum() + last[tags[ends(sizes).to(tags.device)]].sum()


def log_sum(emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The logarithm for each row: (N,)."""
    result: Tensor = _Quick.apply(emissions, sizes, between, first, last)  # type: ignore[no-untyped-call]
    if not torch.isfinite(result).all():
        return plain_log_sum(emissions, sizes, between, first, last)
    return result


def plain_log_sum(emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The same, step by step in log space: the forward algorithm."""
    head, *rest = torch.split(emissions, sizes.tolist())
    alpha = head + first  # (N, K): of all ways to here that end in a tag
    for emission in rest:
        n = len(emission)
        step = (alpha[:n, :, None] + between).logsumexp(1) + emission
        alpha = step if n == len(alpha) else torch.cat([step, alpha[n:]])
    total: Tensor = (alpha + last).logsumexp(1)
    return total


def ends(sizes: Tensor) -> Tensor:
    """Where each row's last step stands: (N,)."""
    rows = torch.arange(int(sizes[0]))
    lengths = (rows[:, None] < sizes).sum(1)  # (N,)
    return (sizes.cumsum(0) - sizes)[lengths - 1] + rows


def befores(sizes: Tensor) -> Tensor:
    """Where the step before stands, for all steps but the first ones: (S - N,)."""
    n, steps = int(sizes[0]), int(sizes.sum())
    return torch.arange(n, steps) - sizes[:-1].repeat_interleave(sizes[1:])


class _Quick(torch.autograd.Function):
    """Scaled forward-backward. ``alpha`` (S, K) are the probabilities of the tags given all that came before."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, sizes: Tensor, between: Tensor, first: Tensor, last: Tensor) -> Tensor:
        n = int(sizes[0])
        x = emissions.double()
        x = torch.cat([x[:n] + first, x[n:]])
        highest = x.amax(1)  # (S,)
        weights = (x - highest[:, None]).exp_()  # (S, K)
        most, most_last = between.amax().double(), last.amax().double()
        move, leave = (between.double() - most).exp_(), (last.double() - most_last).exp_()
        alpha, scale = _forward(weights, sizes, move)
        whole = alpha.index_select(0, ends(sizes).to(x.device)) @ leave  # (N,)
        ctx.save_for_backward(weights, alpha, scale, move, leave, whole)
        ctx.sizes, ctx.dtype = sizes, emissions.dtype
        taken = scale.log() + highest  # (S,): what was taken out of every step
        taken[n:] += most
        rows = torch.arange(len(x)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        result = whole.log() + most_last
        return result.index_add(0, rows.to(x.device), taken).to(emissions.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_result: Tensor) -> tuple[Tensor | None, ...]:
        weights, alpha, scale, move, leave, whole = ctx.saved_tensors
        n = len(whole)
        # From here on everything is linear in what the rows' results count for.
        at_ends = (d_result.double() / whole)[:, None] * leave  # (N, K)
        d_last = (alpha.index_select(0, ends(ctx.sizes).to(alpha.device)) * at_ends).sum(0)
        beta, incoming = _backward(weights / scale[:, None], ctx.sizes, move, at_ends)
        d_emissions = alpha * beta
        before = alpha.index_select(0, befores(ctx.sizes).to(alpha.device))
        d_between = move * (before.t() @ incoming)
        gradients = (d_between, d_emissions[:n].sum(0), d_last)
        return d_emissions.to(ctx.dtype), None, *(d.to(ctx.dtype) for d in gradients)


def _forward(weights: Tensor, sizes: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """Step by step the sum of all ways to each tag, scaled to sum 1 (S, K), and by what (S,)."""
    head, *rest = torch.split(weights, sizes.tolist())
    scales = [head.sum(1, keepdim=True)]
    alphas = [head / scales[0]]
    for weight in rest:
        step = (alphas[-1][: len(weight)] @ move).mul_(weight)
        scales.append(step.sum(1, keepdim=True))
        alphas.append(step.div_(scales[-1]))
    return torch.cat(alphas), torch.cat(scales)[:, 0]


def _backward(weights: Tensor, sizes: Tensor, move: Tensor, at_ends: Tensor) -> tuple[Tensor, Tensor]:
    """Step by step from the ends the sum of all ways on (S, K), and the same before each step but the first."""
    counts = sizes.tolist()
    back = move.t()
    beta = at_ends[: counts[-1]]
    betas, incomings = [beta], []
    for weight, count, earlier in zip(
        reversed(torch.split(weights, counts)[1:]), reversed(counts[1:]), reversed(counts[:-1]), strict=True
    ):
        incoming = weight * beta
        beta = incoming @ back
        if earlier > count:  # rows whose last step comes now
            beta = torch.cat([beta, at_ends[count:earlier]])
        incomings.append(incoming)
        betas.append(beta)
    return torch.cat(betas[::-1]), torch.cat(incomings[::-1]) if incomings else weights[:0]
