"""What direct networks write for a step: quantiles, or the parameters of a distribution, learnt by likelihood."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from .split import Array

LEAST_SCALE = 1e-3  # of a distribution, in scaled values
ONE = math.log(math.e - 1)  # softplus of it is 1
LEAST_FREEDOM = 2.1  # so that the variance exists
LEAST_SIZE, LEAST_DISPERSION = 1e-2, 1e-2  # of a negative binomial distribution; of a Tweedie one
BEND = 20.0  # how sharply a mean turns away from 0, in scaled values
NOTHING = 1e-9  # degrees of freedom, as near to 0 as the quantiles of the noncentral chi-squared take


class Output(ABC):
    """``size`` numbers for each step, the first one, or all of them, on the scale of the values."""

    kind: ClassVar[str]

    def __init__(self, quantiles: Sequence[float]) -> None:
        self.quantiles = tuple(quantiles)

    @staticmethod
    def of(kind: str, quantiles: Sequence[float]) -> Output:
        """That of a name."""
        return {each.kind: each for each in (Quantiles, Gaussian, StudentT, NegativeBinomial, Tweedie)}[kind](quantiles)

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers a step takes."""

    @abstractmethod
    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        """Of each step, (N, H): the negative logarithm of the likelihood, but for what the parameters don't change."""

    @abstractmethod
    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        """The quantiles of every step, rising: (N, H, Q). ``unit`` (N,) is what a scaled value of 1 stands for."""

    def place(self, raw: Tensor, base: Tensor) -> Tensor:
        """``raw`` (N, H, size), written relative to ``base`` (N, H), on the scale of the values."""
        return torch.cat([raw[..., :1] + base[..., None], raw[..., 1:]], dim=-1)

    def loss(self, placed: Tensor, target: Tensor, seen: Tensor, unit: Tensor) -> tuple[Tensor, float]:
        """The sum of the losses of the steps that are ``seen``, and their number. ``target``, ``seen``: (N, H)."""
        return (self.losses(placed, target, unit) * seen).sum(), float(seen.sum())

    def offsets(self, missed: Array) -> Tensor:
        """What to write, (H, size), where a base misses the target by ``missed`` (n, H): its middle stays."""
        return torch.zeros(missed.shape[1], self.size)


class Quantiles(Output):
    """The quantiles themselves; the loss is twice the pinball loss, averaged: of the median the absolute error."""

    kind = "quantiles"

    @property
    def size(self) -> int:
        return len(self.quantiles)

    def place(self, raw: Tensor, base: Tensor) -> Tensor:
        return raw + base[..., None]

    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        quantiles = torch.tensor(self.quantiles, dtype=placed.dtype, device=placed.device)
        error = target[..., None] - placed  # (N, H, Q)
        return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(-1)

    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        return placed.sort(dim=-1).values

    def offsets(self, missed: Array) -> Tensor:
        found = np.nanquantile(missed, self.quantiles, axis=0).T  # (H, Q)
        found[:, self.quantiles.index(0.5)] = 0.0
        return torch.from_numpy(found.astype(np.float32))


class Gaussian(Output):
    """A normal distribution: mean and standard deviation."""

    kind = "gaussian"
    size = 2

    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        scale = _scale(placed)
        return ((target - placed[..., 0]) / scale).square() / 2 + scale.log() + math.log(2 * math.pi) / 2

    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        steps: Tensor = torch.special.ndtri(torch.tensor(self.quantiles).to(placed))
        return placed[..., :1] + _scale(placed)[..., None] * steps

    def offsets(self, missed: Array) -> Tensor:
        found = np.zeros((missed.shape[1], self.size))
        spread = np.maximum(np.sqrt(np.nanmean(missed**2, axis=0)) - LEAST_SCALE, LEAST_SCALE)
        found[:, 1] = spread + np.log(-np.expm1(-spread)) - ONE  # the inverse of softplus
        return torch.from_numpy(found.astype(np.float32))


class StudentT(Gaussian):
    """Student's t: location, scale and degrees of freedom, above 2."""

    kind = "student-t"
    size = 3

    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        scale, freedom = _scale(placed), _freedom(placed)
        error = (target - placed[..., 0]) / scale
        normaliser = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - torch.log(math.pi * freedom) / 2
        return (freedom + 1) / 2 * torch.log1p(error.square() / freedom) + scale.log() - normaliser

    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        from scipy.special import stdtrit

        freedom = _numbers(_freedom(placed))
        steps = np.stack([stdtrit(freedom, quantile) for quantile in self.quantiles], axis=-1)
        return placed[..., :1] + _scale(placed)[..., None] * torch.from_numpy(steps).to(placed)


class NegativeBinomial(Output):
    """Counts: the mean m, and the size r, by which the variance is m + m^2 / r. ``unit`` makes counts of values."""

    kind = "negative-binomial"
    size = 2

    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        placed, target, unit = placed.double(), target.double(), unit.double()  # differences of large numbers
        mean, size, count = _mean(placed) * unit[:, None], _size(placed), target * unit[:, None]
        both = torch.log(size + mean)
        chosen = torch.lgamma(size) + torch.lgamma(count + 1) - torch.lgamma(count + size)
        return chosen - size * (size.log() - both) - count * (mean.log() - both)

    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        from scipy.stats import nbinom

        own, size = _numbers(unit)[:, None, None], _numbers(_size(placed))[..., None]
        mean = _numbers(_mean(placed))[..., None] * own
        return torch.from_numpy(nbinom.ppf(self.quantiles, size, size / (size + mean)) / own).to(placed)


class Tweedie(Output):
    """Amounts of which some are 0: mean m, dispersion d, and the variance d m^1.5.

    Of power 1.5 it is the sum of as many exponential amounts as a Poisson distribution has it, so that the series of
    its density is a Bessel function (Jorgensen 1987), and its quantiles are those of the noncentral chi-squared
    distribution without a degree of freedom (Siegel 1979).
    """

    kind = "tweedie"
    size = 2

    def losses(self, placed: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        root, dispersion = _mean(placed).sqrt(), _dispersion(placed)
        none = target <= 0
        amount = torch.where(none, torch.ones_like(target), target)
        argument = 4 * amount.sqrt() / dispersion
        bessel = torch.special.i1e(argument).log() + torch.log(2 / dispersion) - amount.log() / 2
        some = bessel - 2 * (amount.sqrt() - root).square() / (dispersion * root)
        return torch.where(none, 2 * root / dispersion, -some)

    def read(self, placed: Tensor, unit: Tensor) -> Tensor:
        from scipy.special import chndtrix

        root, dispersion = (_numbers(each)[..., None] for each in (_mean(placed).sqrt(), _dispersion(placed)))
        often = 2 * root / dispersion  # how many amounts there are, on average
        quantiles = np.array(self.quantiles)
        above = np.where(quantiles > np.exp(-often), quantiles, 0.5)
        found = chndtrix(above, NOTHING, 2 * often) * dispersion * root / 4
        return torch.from_numpy(np.where(quantiles > np.exp(-often), found, 0.0)).to(placed)


def _scale(placed: Tensor) -> Tensor:
    return softplus(placed[..., 1] + ONE) + LEAST_SCALE


def _freedom(placed: Tensor) -> Tensor:
    return LEAST_FREEDOM + softplus(placed[..., 2] + 3.0)


def _mean(placed: Tensor) -> Tensor:
    return softplus(placed[..., 0], beta=BEND) + LEAST_SCALE


def _size(placed: Tensor) -> Tensor:
    return softplus(placed[..., 1] + ONE) + LEAST_SIZE


def _dispersion(placed: Tensor) -> Tensor:
    return softplus(placed[..., 1] + ONE) + LEAST_DISPERSION


def _numbers(values: Tensor) -> Array:
    return np.asarray(values.detach().cpu().double().numpy())
