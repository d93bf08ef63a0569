"""What direct networks lose by what they write (distributions.py), as torch derives it.

Of each step it is the negative logarithm of the likelihood, but for what the parameters don't change; of quantiles
twice the pinball loss, of the median the absolute error. The others count for a fifth, however many there are: what
they need of a network takes room from what the median needs, and the validation part sets them right afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from . import distributions
from .distributions import Output

OTHERS = 0.2  # of the loss: quantiles beside the median

scale_of, freedom_of, mean_of, size_of, dispersion_of = (
    partial(of, softplus=softplus)
    for of in (
        distributions.scale_of,
        distributions.freedom_of,
        distributions.mean_of,
        distributions.size_of,
        distributions.dispersion_of,
    )
)


def placed(output: Output, raw: Tensor, base: Tensor) -> Tensor:
    """As ``output.place``: ``raw`` (N, H, size), written relative to ``base`` (N, H), on the scale of the values."""
    return torch.cat([raw[..., : output.placed] + base[..., None], raw[..., output.placed :]], dim=-1)


def summed(output: Output, raw: Tensor, window: Any) -> tuple[Tensor, float]:
    """The sum of the losses of the steps of a ``Window`` that are seen, and their number."""
    found = losses(output, placed(output, raw, window.base), window.target, window.unit)
    return (found * window.seen).sum(), float(window.seen.sum())


def losses(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    """Of each step, (N, H). ``unit`` (N,) is what a scaled value of 1 stands for."""
    return LOSSES[output.kind](output, placed, target, unit)


def _quantiles(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    count = len(output.quantiles)
    rest = OTHERS / max(count - 1, 1)
    told = [1 - rest * (count - 1) if quantile == 0.5 else rest for quantile in output.quantiles]
    quantiles, weights = (placed.new_tensor(each) for each in (output.quantiles, told))  # (Q,) each
    error = target[..., None] - placed  # (N, H, Q)
    return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error) @ weights


def _gaussian(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    scale: Tensor = scale_of(placed)
    return ((target - placed[..., 0]) / scale).square() / 2 + scale.log() + math.log(2 * math.pi) / 2


def _student_t(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    scale, freedom = scale_of(placed), freedom_of(placed)
    error = (target - placed[..., 0]) / scale
    normaliser = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - torch.log(math.pi * freedom) / 2
    found: Tensor = (freedom + 1) / 2 * torch.log1p(error.square() / freedom) + scale.log() - normaliser
    return found


def _negative_binomial(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    placed, target, unit = placed.double(), target.double(), unit.double()  # differences of large numbers
    mean, size, count = mean_of(placed) * unit[:, None], size_of(placed), target * unit[:, None]
    both = torch.log(size + mean)
    chosen = torch.lgamma(size) + torch.lgamma(count + 1) - torch.lgamma(count + size)
    found: Tensor = chosen - size * (size.log() - both) - count * (mean.log() - both)
    return found


def _tweedie(output: Output, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    root, dispersion = mean_of(placed).sqrt(), dispersion_of(placed)
    none = target <= 0
    amount = torch.where(none, torch.ones_like(target), target)
    argument = 4 * amount.sqrt() / dispersion
    bessel = torch.special.i1e(argument).log() + torch.log(2 / dispersion) - amount.log() / 2
    some = bessel - 2 * (amount.sqrt() - root).square() / (dispersion * root)
    return torch.where(none, 2 * root / dispersion, -some)


LOSSES: Mapping[str, Callable[[Output, Tensor, Tensor, Tensor], Tensor]] = {
    "quantiles": _quantiles,
    "gaussian": _gaussian,
    "student-t": _student_t,
    "negative-binomial": _negative_binomial,
    "tweedie": _tweedie,
}
