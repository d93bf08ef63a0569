"""What direct networks write for a step: quantiles, or the parameters of a distribution, learnt by likelihood.

The likelihoods are in losses.py, with torch; here is what is read off a trained network.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .normal import normal_quantiles
from .split import Array

LEAST_SCALE = 1e-3  # of a distribution, in scaled values
ONE = math.log(math.e - 1)  # softplus of it is 1
LEAST_FREEDOM = 2.1  # so that the variance exists
LEAST_SIZE, LEAST_DISPERSION = 1e-2, 1e-2  # of a negative binomial distribution; of a Tweedie one
BEND = 20.0  # how sharply a mean turns away from 0, in scaled values
NOTHING = 1e-9  # degrees of freedom, as near to 0 as the quantiles of the noncentral chi-squared take


def softplus(x: Array, beta: float = 1.0) -> Array:
    """log(1 + exp(beta x)) / beta."""
    return np.asarray(np.logaddexp(0, beta * x) / beta)


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

    @property
    def placed(self) -> int:
        """How many of them, the first ones, are written relative to a base."""
        return 1

    @abstractmethod
    def read(self, placed: Array, unit: Array) -> Array:
        """The quantiles of every step, rising: (N, H, Q). ``unit`` (N,) is what a scaled value of 1 stands for."""

    def place(self, raw: Array, base: Array) -> Array:
        """``raw`` (N, H, size), written relative to ``base`` (N, H), on the scale of the values."""
        placed = np.array(raw)
        placed[..., : self.placed] += base[..., None]
        return placed

    def offsets(self, missed: Array) -> Array:
        """What to write, (H, size), where a base misses the target by ``missed`` (n, H): its middle stays."""
        return np.zeros((missed.shape[1], self.size))


class Quantiles(Output):
    """The quantiles themselves."""

    kind = "quantiles"

    @property
    def size(self) -> int:
        return len(self.quantiles)

    @property
    def placed(self) -> int:
        return self.size

    def read(self, placed: Array, unit: Array) -> Array:
        return np.sort(placed, axis=-1)

    def offsets(self, missed: Array) -> Array:
        found = np.nanquantile(missed, self.quantiles, axis=0).T  # (H, Q)
        found[:, self.quantiles.index(0.5)] = 0.0
        return found


class Gaussian(Output):
    """A normal distribution: mean and standard deviation."""

    kind = "gaussian"
    size = 2

    def read(self, placed: Array, unit: Array) -> Array:
        return np.asarray(placed[..., :1] + scale_of(placed)[..., None] * normal_quantiles(np.array(self.quantiles)))

    def offsets(self, missed: Array) -> Array:
        found = np.zeros((missed.shape[1], self.size))
        spread = np.maximum(np.sqrt(np.nanmean(missed**2, axis=0)) - LEAST_SCALE, LEAST_SCALE)
        found[:, 1] = spread + np.log(-np.expm1(-spread)) - ONE  # the inverse of softplus
        return found


class StudentT(Gaussian):
    """Student's t: location, scale and degrees of freedom, above 2."""

    kind = "student-t"
    size = 3

    def read(self, placed: Array, unit: Array) -> Array:
        from scipy.special import stdtrit

        freedom = freedom_of(np.asarray(placed, np.float64))
        steps = np.stack([stdtrit(freedom, quantile) for quantile in self.quantiles], axis=-1)
        return np.asarray(placed[..., :1] + scale_of(placed)[..., None] * steps)


class NegativeBinomial(Output):
    """Counts: the mean m, and the size r, by which the variance is m + m^2 / r. ``unit`` makes counts of values."""

    kind = "negative-binomial"
    size = 2

    def read(self, placed: Array, unit: Array) -> Array:
        from scipy.stats import nbinom

        placed = np.asarray(placed, np.float64)
        own, size = np.asarray(unit, np.float64)[:, None, None], size_of(placed)[..., None]
        mean = mean_of(placed)[..., None] * own
        return np.asarray(nbinom.ppf(self.quantiles, size, size / (size + mean)) / own)


class Tweedie(Output):
    """Amounts of which some are 0: mean m, dispersion d, and the variance d m^1.5.

    Of power 1.5 it is the sum of as many exponential amounts as a Poisson distribution has it, so that the series of
    its density is a Bessel function (Jorgensen 1987), and its quantiles are those of the noncentral chi-squared
    distribution without a degree of freedom (Siegel 1979).
    """

    kind = "tweedie"
    size = 2

    def read(self, placed: Array, unit: Array) -> Array:
        from scipy.special import chndtrix

        placed = np.asarray(placed, np.float64)
        root, dispersion = np.sqrt(mean_of(placed))[..., None], dispersion_of(placed)[..., None]
        often = 2 * root / dispersion  # how many amounts there are, on average
        quantiles = np.array(self.quantiles)
        above = np.where(quantiles > np.exp(-often), quantiles, 0.5)
        found = chndtrix(above, NOTHING, 2 * often) * dispersion * root / 4
        return np.where(quantiles > np.exp(-often), found, 0.0)


# The parameters, of what is written; ``softplus`` is numpy's or torch's


def scale_of(placed: Any, softplus: Any = softplus) -> Any:
    """The scale, or standard deviation."""
    return softplus(placed[..., 1] + ONE) + LEAST_SCALE


def freedom_of(placed: Any, softplus: Any = softplus) -> Any:
    """The degrees of freedom."""
    return LEAST_FREEDOM + softplus(placed[..., 2] + 3.0)


def mean_of(placed: Any, softplus: Any = softplus) -> Any:
    """The mean of what isn't below 0."""
    return softplus(placed[..., 0], beta=BEND) + LEAST_SCALE


def size_of(placed: Any, softplus: Any = softplus) -> Any:
    """The size of a negative binomial distribution."""
    return softplus(placed[..., 1] + ONE) + LEAST_SIZE


def dispersion_of(placed: Any, softplus: Any = softplus) -> Any:
    """That of a Tweedie distribution."""
    return softplus(placed[..., 1] + ONE) + LEAST_DISPERSION
