"""Classifiers, and what says a number of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, create_model

from ... import runtime
from ...jobs.artifacts.model_file import Kernels
from ...runtime import Network
from ..limits import Limits
from ..problem import Problem
from ..rows import run
from .base import Array, Operation, Served, Shape, StepsOf, listed, steps_of


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


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """The class of a series of numbers or of a text."""
    net = runtime.load(path, **kernels._asdict())
    task, of_texts = content.get("task", "classification"), content.get("input", "numbers") != "numbers"

    def compute(asked: Sequence[Any]) -> list[dict[str, Any]]:
        if isinstance(net, Network):
            return [said(y) for (y,) in run(net, asked)]
        return [said(y) for y in net.run(list(asked))]

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

    fields: dict[str, Any]
    about: dict[str, Any] = {"input": "text"} if of_texts else {}
    if of_texts:
        text = Annotated[str, Field(max_length=limits.length)]
        fields = {
            "text": (text | None, Field(None, description="a text")),
            "symbols": (listed(text, 1, limits.length) | None, Field(None, description="or the symbols of a sequence")),
        }
        read = _text
    elif isinstance(net, Network):
        steps = StepsOf(net, limits)
        fields = {"x": (steps.type, Field(description="its steps, unscaled"))}

        def read(told: Any) -> Any:
            return steps.read(told.x)
    else:
        about = {"inputs": [{"name": "x", "width": net.channels, "kind": "values"}]}
        kind = steps_of(net.channels, "values", content["config"]["gaps"] != "refuse", limits.length)
        fields = {"x": (kind, Field(description="its steps, unscaled"))}
        read = _numbers
    asked = create_model("ClassifyRequest", __base__=Shape, **fields)
    operation = Operation("classify", "The class of a sequence.", asked, Classes, read, compute)
    return Served([operation], net if isinstance(net, Network) else None, net.labels, about)


def _text(told: Any) -> Any:
    if (told.text is None) == (told.symbols is None):
        raise Problem(422, "expected either text or symbols")
    return told.symbols if told.text is None else told.text


def _numbers(told: Any) -> Array:
    return np.array(told.x, np.float64)
