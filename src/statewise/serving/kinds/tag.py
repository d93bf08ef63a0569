"""Taggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model

from ... import runtime
from ...jobs.artifacts.model_file import Kernels
from ...jobs.data.symbols import WORD
from ...jobs.tasks.tag.spans import are_spans, spans
from ..limits import Limits
from ..problem import Problem
from .base import Operation, Served, Shape, listed


class Entity(Shape):
    """Words that belong together."""

    begin: int
    end: int = Field(description="the word after the last")
    type: str


class Tagged(Shape):
    """What a tagger says."""

    words: list[str]
    tags: list[str]
    entities: list[Entity] | None = Field(description="the spans that the tags mark, where they mark spans")


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """A tag for each word of a sentence."""
    net = runtime.load(path, **kernels._asdict())
    columns, marks = len(net.vocabulary.features), are_spans(net.labels)
    word = Annotated[str, Field(min_length=1, max_length=1000)]
    words = listed(word, 1, limits.length)

    def read(told: Any) -> tuple[list[str], list[list[str]]]:
        if (told.words is None) == (told.text is None):
            raise Problem(422, "expected either words or text")
        found = told.words if told.text is None else WORD.findall(told.text)
        if not 1 <= len(found) <= limits.length:
            raise Problem(422, f"text: expected 1 to {limits.length} words, got {len(found)}")
        if len(told.features) != columns or any(len(column) != len(found) for column in told.features):
            raise Problem(422, f"features: expected {columns} columns of {len(found)} texts")
        return found, told.features

    def compute(asked: Sequence[tuple[list[str], list[list[str]]]]) -> list[dict[str, Any]]:
        features = [[each[1][column] for each in asked] for column in range(columns)]
        return [
            {
                "words": given,
                "tags": tags,
                "entities": [span._asdict() for span in spans(tags)] if marks else None,
            }
            for (given, _), tags in zip(asked, net.tag([each[0] for each in asked], features), strict=True)
        ]

    asked = create_model(
        "TagRequest",
        __base__=Shape,
        words=(words | None, Field(None, description="the words of a sentence")),
        text=(str | None, Field(None, description="or the sentence as text, which is cut into words")),
        features=(
            listed(words, 0, 1000),
            Field(default_factory=list, description=f"what else is known of each word: {columns} columns"),
        ),
    )
    operation = Operation("tag", "A tag for each word of a sentence.", asked, Tagged, read, compute)
    return Served([operation], labels=net.labels)
