"""What a window network writes for each step, quantiles or the parameters of a distribution, and the loss of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

LEAST_SCALE = 1e-3  # of a distribution, in levels
ONE = math.log(math.e - 1)  # softplus of it is 1
LEAST_FREEDOM = 2.1  # so that the variance exists


class Output:
    """``size`` numbers a step, the first one, or all of them, on the scale of the levels."""

    def __init__(self, kind: str, levels: Sequence[float]) -> None:
        self.kind, self.levels = kind, tuple(levels)
        self.size = {"quantiles": len(self.levels), "gaussian": 2, "student-t": 3}[kind]

    def place(self, raw: Tensor, base: Tensor) -> Tensor:
        """``raw`` (N, H, size), written relative to ``base`` (N, H), on the scale of the levels."""
        if self.kind == "quantiles":
            return raw + base[..., None]
        return torch.cat([raw[..., :1] + base[..., None], raw[..., 1:]], dim=-1)

    def loss(self, placed: Tensor, target: Tensor, seen: Tensor) -> tuple[Tensor, float]:
        """The sum of the losses of the steps that are ``seen``, and their number. ``target``, ``seen``: (N, H).

        For quantiles twice the pinball loss, averaged over them: that of the median alone is the absolute error. For a
        distribution the negative log-likelihood.
        """
        return (self._losses(placed, target) * seen).sum(), float(seen.sum())

    def quantiles(self, placed: Tensor) -> Tensor:
        """The quantiles ``levels`` of every step, rising: (N, H, Q)."""
        if self.kind == "quantiles":
            return placed.sort(dim=-1).values
        location, scale = placed[..., :1], _scale(placed)[..., None]  # (N, H, 1)
        if self.kind == "gaussian":
            steps: Tensor = torch.special.ndtri(torch.tensor(self.levels).to(placed))
            return location + scale * steps
        return location + scale * _student_steps(_freedom(placed), self.levels)

    def _losses(self, placed: Tensor, target: Tensor) -> Tensor:
        if self.kind == "quantiles":
            levels = torch.tensor(self.levels, dtype=placed.dtype, device=placed.device)
            error = target[..., None] - placed  # (N, H, Q)
            return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
        scale = _scale(placed)
        error = (target - placed[..., 0]) / scale
        if self.kind == "gaussian":
            return error.square() / 2 + scale.log() + math.log(2 * math.pi) / 2
        freedom = _freedom(placed)
        normaliser = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - torch.log(math.pi * freedom) / 2
        return (freedom + 1) / 2 * torch.log1p(error.square() / freedom) + scale.log() - normaliser


def _scale(placed: Tensor) -> Tensor:
    return softplus(placed[..., 1] + ONE) + LEAST_SCALE


def _freedom(placed: Tensor) -> Tensor:
    return LEAST_FREEDOM + softplus(placed[..., 2] + 3.0)


def _student_steps(freedom: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles of Student's t: (..., Q)."""
    from scipy.special import stdtrit

    at = freedom.detach().cpu().double().numpy()
    steps = [torch.from_numpy(stdtrit(at, level)) for level in levels]
    return torch.stack(steps, dim=-1).to(freedom)
