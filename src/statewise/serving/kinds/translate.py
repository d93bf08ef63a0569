"""Translators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model

from ... import runtime
from ...jobs.artifacts.model_file import Kernels
from ...runtime import Hypothesis
from ..limits import Limits
from .base import Operation, Served, Shape, listed


class Target(Shape):
    """A text that the model would write."""

    text: str
    log_probability: float


class Targets(Shape):
    """The likeliest first."""

    targets: list[Target]


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """A text for a text."""
    net = runtime.load(path, **kernels._asdict())
    net.source.encode("a")  # what it needs is imported now

    def compute(asked: Sequence[Any]) -> list[Any]:
        found: list[Any] = [None] * len(asked)
        for beam in {each.beam for each in asked}:
            rows = [row for row, each in enumerate(asked) if each.beam == beam]
            features = [asked[row].features for row in rows]
            every: list[list[Hypothesis]] = net.translate([asked[row].text for row in rows], features, beam)
            for row, best in zip(rows, every, strict=True):
                found[row] = {"targets": [{"text": each.text, "log_probability": each.probability} for each in best]}
        return found

    text = Annotated[str, Field(min_length=1, max_length=limits.length)]
    asked = create_model(
        "TranslateRequest",
        __base__=Shape,
        text=(text, Field(description="the source")),
        features=(listed(str, 0, 100), Field(default_factory=list, description="what else is known of it")),
        beam=(Annotated[int, Field(ge=1, le=32)] | None, Field(None, description="how many targets are looked at")),
    )
    operation = Operation("translate", "A text for a text.", asked, Targets, lambda told: told, compute)
    return Served([operation])
