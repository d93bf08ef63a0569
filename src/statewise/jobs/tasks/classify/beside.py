"""A linear model of fixed features beside the network, and how much each of both counts.

With few rows such a model is what networks lose to, and with many the two err in different places. The network is
trained alone. What both say is added, each times a number, chosen by what is lost on sequences that neither has learnt
from. The network counts only where that helps by more than chance would have it, and not where rows are too few to
tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .features import Features, Floats, Lesson, Scores
from .ngrams import NGrams
from .rocket import Rocket
from .sequences import Sequences
from .targets import Target, Values

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the network, that are tried
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what the linear model would count alone
FEW = 30  # rows, of which halves tell nothing of a network
SURE = 2.0  # standard errors of what the network has to gain, or it counts nothing
KINDS: Mapping[str, type[Features]] = {kind.KIND: kind for kind in (NGrams, Rocket)}


@dataclass(frozen=True, eq=False)
class Beside:
    """What ``weights`` (F, W) and ``bias`` (W,) make of ``features`` counts ``linear``, the network ``share``."""

    PREFIX: ClassVar[str] = "beside."

    features: Features
    weights: Floats
    bias: Floats
    linear: float = 1.0
    share: float = 0.0

    @classmethod
    def fitted(cls, kind: type[Features], lesson: Lesson) -> tuple[Beside, Scores | None] | None:
        """One whose linear model alone counts, and what is said of each sequence by those without it."""
        found = kind.fitted(lesson)
        return found and (cls(*found[:3]), found[3])

    def scores(self, sequences: Sequences) -> Scores:
        """What the linear model says: (n, W)."""
        return self.features.times(sequences, self.weights) + self.bias

    def step(self, x: NDArray[Any], state: Any) -> tuple[Scores, Any]:
        """The same after one more step x (N, K) of each sequence, and the state; None at first."""
        said, state = self.features.step(x, state, self.weights)
        return said + self.bias, state

    def mixed(self, scores: Scores, outputs: Scores | None) -> Scores:
        """Both together: (n, W). ``outputs`` may be None where the network counts nothing."""
        if outputs is None or not self.share:
            return self.linear * scores
        return self.linear * scores + self.share * outputs

    def settled(
        self, target: Target, scores: Scores, outputs: Scores | None, values: Values, weights: Any = None
    ) -> Beside:
        """With what each counts, by ``scores`` and ``outputs`` (n, W) of sequences that neither has learnt from.

        Without ``outputs`` the network counts nothing. ``weights`` (W,) are those of the loss.
        """
        import torch

        alone = target.sharpness(scores, values)
        if outputs is None:
            return replace(self, linear=alone, share=0.0)
        truth, doubt = torch.from_numpy(values), target.doubt(len(values))

        def lost(linear: float, share: float) -> Scores:
            mixed = torch.from_numpy(linear * scores + share * outputs)
            losses: Scores = target.losses(mixed, truth, weights, doubt).numpy()
            return losses

        pairs = [(factor * alone, share) for factor in FACTORS for share in SHARES]
        without = lost(alone, 0.0)
        linear, share = min(pairs, key=lambda pair: lost(*pair).mean())
        gained = without - lost(linear, share)
        if gained.mean() <= SURE * gained.std(ddof=1) / np.sqrt(len(gained)):
            linear, share = alone, 0.0
        return replace(self, linear=float(linear), share=float(share))

    def content(self) -> dict[str, Any]:
        """What ``built`` reads, as JSON."""
        return {"features": self.features.KIND, "linear": self.linear, "share": self.share}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What ``built`` reads beside that."""
        arrays = {**self.features.arrays(), "weights": self.weights, "bias": self.bias}
        return {self.PREFIX + name: array for name, array in arrays.items()}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any], channels: int, width: int) -> Beside:
        """What ``content`` and ``arrays``, of which it takes its own, say; ValueError where they make no sense."""
        kind, linear, share = KINDS[content["features"]], content["linear"], content["share"]
        if not all(isinstance(value, float) and 0 <= value < np.inf for value in (linear, share)):
            raise ValueError("expected what network and linear model count")
        types = {**kind.ARRAYS, "weights": "float32", "bias": "float32"}
        taken = {name: arrays.pop(cls.PREFIX + name) for name in types}
        if {name: array.dtype.name for name, array in taken.items()} != types:
            raise ValueError(f"expected {kind.KIND} as {types}")
        weights, bias = taken.pop("weights"), taken.pop("bias")
        features = kind(**taken)
        features.check(channels)
        sizes = (features.count, width), (width,)
        if (weights.shape, bias.shape) != sizes or not np.isfinite(weights).all():
            raise ValueError("expected a weight for each feature")
        return cls(features, weights, bias, linear, share)


def as_today(content: Mapping[str, Any], arrays: dict[str, Any], most: int) -> Any:
    """The entry that ``Beside.built`` reads, None where nothing stands beside the network.

    Of a file that was written before there was one, whose n-grams are of up to ``most``, its ``arrays`` are renamed.
    """
    of, found = Beside.PREFIX, content.get("beside")
    with np.errstate(all="ignore"):
        if "highway" in content:
            names = {"kernels": "weights", **{name: name for name in Rocket.ARRAYS if name != "kernels"}}
            arrays |= {of + today: arrays.pop(f"rocket.{name}") for today, name in names.items()}
            mean, scale, weights, bias = (arrays.pop(f"ridge.{name}") for name in ("mean", "scale", "weights", "bias"))
            weights = weights / scale[:, None]
            arrays |= {of + "weights": weights, of + "bias": bias - mean @ weights}
            found = {"features": Rocket.KIND, **{name: content["highway"][name] for name in ("linear", "share")}}
        elif f"network.{of}keys" in arrays:
            keys, table, bias, share = (arrays.pop(f"network.{of}{n}") for n in ("keys", "table", "bias", "share"))
            idf, weights = table[:, 0], table[:, 1:] / table[:, :1]
            arrays |= {of + "most": np.array(most), of + "keys": keys, of + "idf": idf}
            arrays |= {of + "weights": weights, of + "bias": bias}
            found = {"features": NGrams.KIND, "linear": float(share), "share": 1 - float(share)}
    return found
