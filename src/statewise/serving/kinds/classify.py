"""Classifiers, and what says a number of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, create_model

from ... import runtime
from ..limits import Limits
from ..rows import run
from .base import Array, Operation, Served, Shape, StepsOf


class Probability(Shape):
    """One class or label."""

    label: Any
    probability: float | None


class Classes(Shape):
    """What a classifier says."""

    label: Any = Field(None, description="the likeliest class")
    labels: list[Any] | None = Field(None, description="those of a probability above a half, where there are several")
    probabilities: list[Probability] | None = Field(None, description="of all, the likeliest first")
    value: float | None = Field(None, description="the number, of a model that says one")


def serve(path: Path, content: Mapping[str, Any], limits: Limits, threads: int) -> Served:
    """The class of a series of numbers."""
    net = runtime.load(path, threads=threads)
    steps, task = StepsOf(net, limits), content.get("task", "classification")

    def compute(asked: Sequence[tuple[Array, ...]]) -> list[dict[str, Any]]:
        return [said(y) for (y,) in run(net, asked)]

    def said(y: Array) -> dict[str, Any]:
        if task == "regression":
            return {"value": float(y[0])}
        order = np.argsort(-y, kind="stable").tolist()
        found: dict[str, Any] = {
            "probabilities": [{"label": net.labels[at], "probability": float(y[at])} for at in order]
        }
        if task == "multilabel":
            return found | {"labels": [label for label, p in zip(net.labels, y, strict=True) if p > 0.5]}
        return found | {"label": net.labels[order[0]]}

    asked = create_model("ClassifyRequest", __base__=Shape, x=(steps.type, Field(description="its steps, unscaled")))
    operation = Operation(
        "classify", "The class of a sequence.", asked, Classes, lambda told: steps.read(told.x), compute
    )
    return Served([operation], net, net.labels)
