"""Predictions as a table."""

from __future__ import annotations

from typing import Any

from .examples import Examples
from .targets import Said, Target


def predictions(examples: Examples, target: Target, said: Said) -> str:
    """A row for each sequence: its id, its true label where it has one, and what the target says."""
    import polars as pl

    columns: dict[str, Any] = {"id": list(examples.ids)}
    if examples.labels is not None:
        columns["label"] = list(examples.labels)
    return pl.DataFrame(columns | target.columns(said)).write_csv()
