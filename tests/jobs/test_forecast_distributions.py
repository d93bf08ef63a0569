"""Losses and distributions of the direct networks, held against scipy in float64, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast import losses
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.direct import Window
from statewise.jobs.tasks.forecast.distributions import BEND, NegativeBinomial, Output, Tweedie
from statewise.jobs.tasks.forecast.normal import normal_quantiles

LEVELS = (0.1, 0.5, 0.9)
ONE = torch.ones(4)
softplus = torch.nn.functional.softplus


def drawn(size, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, size, generator=random, dtype=torch.float64)


def summed(output, raw, base, target, seen):
    return losses.summed(output, raw, Window(None, None, None, base, target, seen, torch.ones(len(raw))))


def known(placed):
    """Mean and dispersion, or size, before what is least of it."""
    return softplus(placed[..., 0], beta=BEND).numpy(), softplus(placed[..., 1] + np.log(np.e - 1)).numpy()


def tweedie_density(y, mean, dispersion):
    """The chance of nothing, or the density, as the sum over how many amounts there are."""
    often, size = 2 * np.sqrt(mean) / dispersion, dispersion * np.sqrt(mean) / 2
    if y == 0:
        return np.exp(-often)
    count = np.arange(1, 400)
    return float((stats.poisson(often).pmf(count) * stats.gamma(count, scale=size).pdf(y)).sum())


def test_the_loss_of_the_median_is_the_absolute_error():
    output = Output.of("quantiles", (0.5,))
    raw, base, target = torch.tensor([[[0.0], [2.0]]]), torch.tensor([[1.0, 3.0]]), torch.tensor([[3.0, 4.0]])
    loss, terms = summed(output, raw, base, target, torch.tensor([[1.0, 0.0]]))
    assert (float(loss), terms) == (2.0, 1.0)


@pytest.mark.parametrize("levels", [LEVELS, (0.025, 0.1, 0.5, 0.9, 0.975)])
def test_the_median_is_four_fifths_of_the_loss_however_many_quantiles_are_beside_it(levels):
    output = Output.of("quantiles", levels)
    raw = torch.zeros(1, 1, len(levels), requires_grad=True)
    lost = losses.losses(output, raw, torch.full((1, 1), 2.0), ONE[:1])
    lost.sum().backward()
    slopes = [0.8 if level == 0.5 else 2 * level * 0.2 / (len(levels) - 1) for level in levels]
    np.testing.assert_allclose(-raw.grad[0, 0].numpy(), slopes, rtol=1e-6)
    assert float(lost.detach()) == pytest.approx(2 * sum(slopes))


def test_quantiles_that_cross_are_put_in_order():
    output = Output.of("quantiles", LEVELS)
    assert output.read(np.array([[[3.0, 1.0, 2.0]]]), ONE[:1]).flatten().tolist() == [1, 2, 3]


def test_normal_quantiles_are_scipys():
    shares = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 1001), [1e-300, 1e-50, 1e-16, 0.075, 0.925]])
    np.testing.assert_allclose(normal_quantiles(shares), special.ndtri(shares), rtol=2e-15, atol=1e-16)


@pytest.mark.parametrize("kind", ["gaussian", "student-t"])
def test_distributions_are_scipys(kind):
    raw, base, target = drawn(3), drawn(1, 1)[..., 0], drawn(1, 2)[..., 0]
    output = Output.of(kind, LEVELS)
    raw_of_kind = raw[..., : output.size]
    placed = output.place(raw_of_kind.numpy(), base.numpy())
    np.testing.assert_array_equal(losses.placed(output, raw_of_kind, base), placed)
    scale = known(raw)[1] + 1e-3
    freedom = (2.1 + softplus(raw[..., 2] + 3.0)).numpy()
    location = (raw[..., 0] + base).numpy()
    found = stats.norm(location, scale) if kind == "gaussian" else stats.t(freedom, location, scale)
    loss, terms = summed(output, raw_of_kind, base, target, torch.ones(4, 3))
    assert terms == 12
    assert float(loss) == pytest.approx(-found.logpdf(target.numpy()).sum(), rel=1e-12)
    for q, level in enumerate(LEVELS):
        np.testing.assert_allclose(output.read(placed, ONE)[..., q], found.ppf(level), rtol=1e-6)


def test_counts_are_scipys_negative_binomial_in_any_unit():
    raw, unit = drawn(2), torch.tensor([1.0, 2.5, 10.0, 0.5], dtype=torch.float64)
    counts = torch.tensor(np.random.default_rng(0).poisson(3.0, (4, 3)), dtype=torch.float64)
    output = NegativeBinomial(LEVELS)
    mean, size = known(raw)
    mean, size = (mean + 1e-3) * unit.numpy()[:, None], size + 1e-2
    found = stats.nbinom(size, size / (size + mean))
    lost = losses.losses(output, raw, counts / unit[:, None], unit)
    np.testing.assert_allclose(lost.numpy(), -found.logpmf(counts.numpy()), rtol=1e-10)
    for q, level in enumerate(LEVELS):
        np.testing.assert_allclose(
            output.read(raw.numpy(), unit.numpy())[..., q] * unit.numpy()[:, None], found.ppf(level), rtol=1e-12
        )
    # Counts of a million: float32 has no digit left of the difference of their logarithms of factorials.
    many = torch.full((1, 1, 2), 1.0)
    large = losses.losses(output, many, torch.ones(1, 1), torch.tensor([1e6]))
    mean, size = (
        softplus(torch.tensor(1.0, dtype=torch.float64), beta=BEND) + 1e-3,
        known(many.double())[1][0, 0] + 1e-2,
    )
    exact = -stats.nbinom(size, size / (size + float(mean) * 1e6)).logpmf(1e6)
    assert float(large) == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize(("mean", "dispersion"), [(0.3, 0.2), (1.0, 1.0), (4.0, 0.5), (0.05, 2.0)])
def test_amounts_are_sums_of_exponential_ones(mean, dispersion):
    wanted = np.log(np.expm1(np.array([BEND * (mean - 1e-3), dispersion - 1e-2]))) / [BEND, 1.0]
    raw = torch.tensor(wanted - [0.0, np.log(np.e - 1)]).reshape(1, 1, 2)
    output = Tweedie((0.05, 0.5, 0.9, 0.99))
    amounts = torch.tensor([0.0, 0.01, 0.3, 1.0, 2.7], dtype=torch.float64)
    lost = losses.losses(output, raw.expand(5, 1, 2), amounts[:, None], torch.ones(5))
    expected = [-np.log(tweedie_density(float(y), mean, dispersion)) for y in amounts]
    np.testing.assert_allclose(lost[:, 0].numpy(), expected, rtol=1e-9)
    random = np.random.default_rng(0)
    count = random.poisson(2 * np.sqrt(mean) / dispersion, 200_000)
    drawn = np.where(count > 0, random.gamma(np.maximum(count, 1), dispersion * np.sqrt(mean) / 2), 0.0)
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    found = output.read(raw.numpy(), ONE[:1])[0, 0]
    np.testing.assert_allclose(found, np.quantile(drawn, output.quantiles), rtol=0.05, atol=0.01)


@pytest.mark.parametrize("kind", ["negative-binomial", "tweedie", "gaussian", "student-t"])
def test_gradients_are_those_of_the_losses(kind):
    output = Output.of(kind, LEVELS)
    target = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 5.0], [1.0, 3.0, 0.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
    raw = drawn(output.size).requires_grad_()
    assert torch.autograd.gradcheck(lambda raw: losses.losses(output, raw, target, ONE.double()), raw)


def quick(**more):
    return Forecaster(horizon=4, season=1, model="seq2seq", units=4, epochs=2, **more)


@pytest.mark.parametrize("distribution", ["negative-binomial", "tweedie"])
def test_networks_learn_them(distribution):
    values = np.random.default_rng(0).poisson(1.0, 300).astype(float)
    for combine in (True, False):
        model = quick(distribution=distribution, combine=combine).fit(values).model_
        assert model.scaling.centre.tolist() == [0.0]
        quantiles = forecast_ahead(model, model.tails).quantiles
        assert quantiles.min() >= 0
        assert 0 < quantiles.max() < 8


def test_what_has_no_such_distribution_is_refused():
    with pytest.raises(InputError, match="expected counts, 0, 1, 2"):
        quick(distribution="negative-binomial").fit(np.arange(100) + 0.5)
    with pytest.raises(InputError, match="expected no value below 0"):
        quick(distribution="tweedie").fit(np.random.default_rng(0).standard_normal(100))
    with pytest.raises(InputError, match="logarithms have no tweedie"):
        quick(distribution="tweedie", log=True).fit(np.arange(1.0, 100.0))
