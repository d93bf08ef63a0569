"""Train one network on the differences of the training part.

Three things keep it from learning the noise of a short series: few updates, noise on the inputs, and mirroring every
other window, since a differenced series may as well go down as up.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ..fit import fit
from ..progress import Progress
from .network import Network
from .settings import Settings


def train(x: Tensor, y: Tensor, mirrored: Tensor, seed: int, settings: Settings, progress: Progress) -> Network:
    """A network trained to read ``x`` (T, features) and give ``y`` (T,).

    ``mirrored`` (features,) is -1 for the inputs that change sign with the target, and 1 for the calendar's.
    """
    assert settings.updates is not None
    width = min(len(y), settings.window)
    noise = (settings.ridge / len(y)) ** 0.5
    upside_down = (torch.arange(settings.batch) % 2 == 1) & bool(settings.mirror)  # (N,)
    x_sign = torch.where(upside_down[:, None], mirrored, 1.0)  # (N, features)
    y_sign = torch.where(upside_down, -1.0, 1.0)  # (N,)

    def batch() -> tuple[Tensor, Tensor]:
        begin = torch.randint(len(y) - width + 1, (settings.batch,))
        rows = begin + torch.arange(width)[:, None]  # (T, N)
        seen = x[rows]  # (T, N, features)
        return (seen + noise * torch.randn(seen.shape)) * x_sign, y[rows] * y_sign

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(settings.cell, x.shape[1], settings.hidden)
        fit(network, batch, squared_error, settings.updates, learning_rate=settings.learning_rate, tick=progress.tick)
    return network


def squared_error(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """The loss."""
    return mse_loss(network(x), y)


@torch.no_grad()
def mean_output(networks: list[Network], x: Tensor) -> Tensor:
    """The mean of what the networks give for ``x`` (T, features), in float64: (T,)."""
    return torch.stack([network(x[:, None])[:, 0].double() for network in networks]).mean(0)
