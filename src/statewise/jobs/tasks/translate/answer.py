"""Predictions as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ....runtime import Hypothesis
from .pairs import Pairs


def predictions(pairs: Pairs, found: Sequence[Sequence[Hypothesis]]) -> str:
    """A row for each target that was written: its source, how likely it is, which of its source it is, the true one."""
    import polars as pl

    rows = [(row, rank, each) for row, best in enumerate(found) for rank, each in enumerate(best, 1)]
    columns = {
        "source": [pairs.sources[row] for row, _, _ in rows],
        **({"target": [pairs.targets[row] for row, _, _ in rows]} if pairs.targets is not None else {}),
        "predicted": [each.text for _, _, each in rows],
        "probability": [math.exp(each.probability) for _, _, each in rows],
        **({"rank": [rank for _, rank, _ in rows]} if any(len(best) > 1 for best in found) else {}),
    }
    return pl.DataFrame(columns).write_csv(float_precision=6)
