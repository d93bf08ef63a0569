"""Networks: what statewise.save and other libraries wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from ... import runtime
from ...jobs.artifacts.model_file import Kernels
from ..limits import Limits
from ..rows import run
from .base import Array, Operation, Served, Shape, StepsOf


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """Whole sequences through a network."""
    net = runtime.load(path, **kernels._asdict())
    steps = StepsOf(net, limits)

    def compute(asked: Sequence[tuple[Array, ...]]) -> list[dict[str, Any]]:
        return [{"y": steps.told(y)} for y in run(net, asked)]

    described = ", one for each step" if all(net.over_time) else ""
    operation = Operation(
        "run",
        "The result for a whole sequence.",
        create_model("RunRequest", __base__=Shape, x=(steps.type, Field(description="its steps"))),
        create_model("RunAnswer", __base__=Shape, y=(Any, Field(description=f"what the network gives{described}"))),
        lambda told: steps.read(told.x),
        compute,
    )
    return Served([operation], net, net.labels)
