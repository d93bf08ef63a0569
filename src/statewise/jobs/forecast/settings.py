"""What can be set, and how the defaults were chosen.

No default has seen a test part. They come from the first 101 months of the airline series (forecast origins after 53,
65, 77 and 89 months, 12 months each, scored in logarithms), from twelve simulated series of 131 rows (seasonal moving
averages, autoregressions, a random walk, a threshold process), and from the first 70 % of the sunspots, Taylor's
electricity demand, ETTh1 and five M4 hourly series. On the airline origins a network that outputs zero misses by
0.0381; the defaults miss by 0.0347, and this hardly moves for 25 to 100 updates (0.0347 to 0.0348), 8 to 32 hidden
units (0.0347 to 0.0348), rates of 0.005 to 0.02 (0.0347) or four times the jitter (0.0353). It does move without
mirrored windows (0.0367), without jitter (0.0388) or with 200 updates (0.0412): on a hundred rows what counts is to
keep the network from learning the noise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the networks of one forecaster are built and trained."""

    cell: str = "lstm"
    hidden: int = 16
    seeds: int = 10
    """So many networks, of seeds ``seed``, ``seed + 1``, ...; the forecast is their mean."""
    seed: int = 0
    updates: int | None = None
    """None: found on the training part, see ``effort.py``."""
    mirror: bool | None = None
    """Whether every other window is turned upside down. None: found on the training part."""
    learning_rate: float = 0.01
    ridge: float = 32.0
    """Noise of variance ``ridge / rows`` on the inputs acts on a linear reader as this ridge penalty, at any length."""
    window: int = 256
    batch: int = 8
