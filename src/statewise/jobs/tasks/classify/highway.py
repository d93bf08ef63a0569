"""What stands beside the network: a ridge regression on MiniROCKET's features, and how much each of both counts.

The outputs of both are added, each times a number of its own, chosen by what is lost on sequences that neither has
learnt from. The network counts only where that helps by more than its own standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...training.weights import filled
from .ridge import Ridge
from .rocket import Rocket
from .sequences import Batches
from .targets import Target, Values

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the network, that are tried
FARTHEST = 1 << 24  # a dilation: no sequence is as long
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what the linear model would count alone
PARTS = ("mean", "scale", "weights", "bias")


@dataclass(frozen=True, eq=False)
class Highway:
    """What the ridge regression says of ``rocket``'s features counts ``linear``, what the network says ``share``."""

    rocket: Rocket
    ridge: Ridge
    linear: float = 1.0
    share: float = 0.0

    @classmethod
    def fitted(cls, batches: Batches, target: Target, values: Values, seed: int) -> tuple[Highway, Tensor]:
        """To say ``values``; also what it says of each sequence when that one is left out: (n, W)."""
        rocket = Rocket.fitted(batches, seed)
        ridge, scores = Ridge.fitted(rocket.of(batches), target.responses(values))
        return cls(rocket, ridge), torch.from_numpy(scores)

    def scores(self, batches: Batches) -> Tensor:
        """What the ridge regression says: (n, W)."""
        return torch.from_numpy(self.ridge(self.rocket.of(batches)))

    def mixed(self, scores: Tensor, outputs: Tensor | None) -> Tensor:
        """Both together: (n, W). ``outputs`` may be None where the network counts nothing."""
        return (
            self.linear * scores if outputs is None or not self.share else self.linear * scores + self.share * outputs
        )

    def content(self) -> dict[str, Any]:
        """What ``built`` reads, as JSON."""
        return {"dilations": len(self.rocket.dilations), "linear": self.linear, "share": self.share}

    def tensors(self) -> dict[str, Tensor]:
        """What ``built`` reads beside that."""
        rocket = {f"rocket.{name}": tensor for name, tensor in self.rocket.state_dict().items()}
        return rocket | {f"ridge.{name}": torch.from_numpy(getattr(self.ridge, name)) for name in PARTS}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], channels: int, width: int) -> Highway:
        """What ``content`` and ``tensors``, of which it takes its own, say; ValueError where they make no sense."""
        dilations, linear, share = (content[name] for name in ("dilations", "linear", "share"))
        if not all(isinstance(value, float) and 0 <= value < np.inf for value in (linear, share)):
            raise ValueError("expected what network and linear model count")
        taken = {name: tensors.pop(f"rocket.{name}") for name in Rocket(1, 1).state_dict()}
        if taken["dilations"].shape != (dilations,) or not 1 <= dilations <= len(taken["weights"]):
            raise ValueError("expected a dilation for each set of kernels")
        rocket = filled(lambda: Rocket(channels, dilations), taken)
        counts, reach = rocket.counts, rocket.dilations
        if int(counts.sum()) != rocket.heights.shape[1] or int(counts.min()) < 0 or int(reach.min()) < 1:
            raise ValueError("expected as many heights as the dilations count")
        if int(reach.max()) > FARTHEST:
            raise ValueError("expected dilations of a length that sequences have")
        ridge = Ridge(*(tensors.pop(f"ridge.{name}").numpy() for name in PARTS))
        features = rocket.heights.numel()
        sizes = [(features,), (features,), (features, width), (width,)]
        if [(a.shape, a.dtype.name) for a in vars(ridge).values()] != [(size, "float32") for size in sizes]:
            raise ValueError("expected a weight for each feature")
        if not (ridge.scale > 0).all():
            raise ValueError("expected scales above 0")
        return cls(rocket, ridge, linear, share)


def settled(highway: Highway, target: Target, scores: Tensor, outputs: Tensor, values: Values) -> Highway:
    """With what each of both counts, by ``scores`` and ``outputs`` (n, W) of sequences that neither has learnt from."""
    truth, doubt = torch.from_numpy(values), target.doubt(len(values))

    def lost(linear: float, share: float) -> NDArray[np.float64]:
        losses: NDArray[np.float64] = target.losses(linear * scores + share * outputs, truth, None, doubt).numpy()
        return losses

    alone = target.sharpness(scores.numpy(), values)
    pairs = [(factor * alone, share) for factor in FACTORS for share in SHARES]
    without = lost(alone, 0.0)
    linear, share = min(pairs, key=lambda pair: lost(*pair).mean())
    gained = without - lost(linear, share)
    if gained.mean() <= gained.std() / np.sqrt(len(gained)):
        linear, share = alone, 0.0
    return Highway(highway.rocket, highway.ridge, float(linear), float(share))
