"""Writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, create_model

from ... import runtime
from ...jobs.artifacts.model_file import Kernels
from ...jobs.tasks.write.text import END, Vocabulary
from ...runtime import State, draw
from ..batching import Again
from ..limits import Limits
from ..problem import Problem
from ..rows import forward, joined, take
from .base import LARGEST, Array, Operation, Served, Shape


class Written(Shape):
    """What a writer wrote."""

    text: str


@dataclass
class _Writing:
    """A text that is being written."""

    numbers: list[int]
    """Symbols that the network has to read next."""
    left: int
    temperature: float
    top_k: int | None
    random: np.random.Generator
    before: str
    """The last symbol of the prompt."""
    state: State | None = None
    found: list[int] = field(default_factory=list)


def serve(path: Path, content: Mapping[str, Any], limits: Limits, kernels: Kernels) -> Served:
    """Text that goes on after a prompt; each step for all clients that are waiting for one."""
    net = runtime.load(path, **kernels._asdict())
    vocabulary = Vocabulary.from_json(content["config"]["level"], content)
    vocabulary.numbers("")  # what it needs is imported now
    lines = content["longest"] > 0
    never = [] if vocabulary.unknown is None else [vocabulary.unknown]
    reach = min(limits.length, 2 * content["longest"] if lines else 500)

    def read(told: Any) -> _Writing:
        prompt = told.prompt if vocabulary.level == "char" else told.prompt.rstrip(" ")
        if lines and END in prompt:
            raise Problem(422, "prompt: expected the beginning of one line")
        numbers = vocabulary.numbers(prompt).tolist()
        if vocabulary.level == "word" and not prompt.endswith(END):
            numbers.pop()  # the end of a line that isn't there
        if never:
            numbers = [never[0] if number < 0 else number for number in numbers]
        if -1 in numbers:
            raise Problem(422, f"prompt: the model has never seen the character {prompt[numbers.index(-1)]!r}")
        if len(numbers) > limits.length:
            raise Problem(422, f"prompt: expected {limits.length} symbols at most, got {len(numbers)}")
        numbers = [vocabulary.end, *numbers] if vocabulary.end is not None else numbers or [0]
        random, before = np.random.default_rng(told.seed), vocabulary.symbols[numbers[-1]]
        length = reach if told.length is None else told.length
        return _Writing(numbers, length, told.temperature, told.top_k, random, before)

    def compute(asked: Sequence[_Writing]) -> list[Any]:
        state = joined([net.start(1) if each.state is None else each.state for each in asked])
        results, state = forward(net, [(np.array(each.numbers),) for each in asked], state)
        rows = zip(asked, results, range(len(asked)), strict=True)
        return [one(each, y[-1:], take(state, [row])) for each, (y,), row in rows]

    def one(writing: _Writing, scores: Array, state: State) -> Any:
        scores = scores.astype(np.float64)
        scores[:, never] = -np.inf
        if np.isnan(scores).any():
            return Problem(500, "the network has given no number")
        number = int(draw(scores, writing.random, temperature=writing.temperature, top_k=writing.top_k)[0])
        writing.left -= 1
        ended = lines and number == vocabulary.end
        if not ended:
            writing.found.append(number)
        if ended or writing.left == 0:
            return {"text": "".join(vocabulary.spelt(writing.found, writing.before))}
        writing.numbers, writing.state = [number], state
        return Again(writing)

    asked = create_model(
        "WriteRequest",
        __base__=Shape,
        prompt=(Annotated[str, Field(max_length=limits.length)], Field("", description="what the text goes on after")),
        length=(
            Annotated[int, Field(ge=1, le=limits.length)] | None,
            Field(None, description=f"symbols at most, {reach} by default"),
        ),
        temperature=(
            Annotated[float, Field(ge=0, le=100)],
            Field(0.8, description="below 1 the likely becomes likelier, at 0 it is taken always"),
        ),
        top_k=(Annotated[int, Field(ge=1, le=LARGEST)] | None, Field(None, description="among so many symbols")),
        seed=(Annotated[int, Field(ge=0, le=LARGEST)] | None, Field(None, description="of the draws; by chance")),
    )
    operation = Operation("write", "Text that goes on after a prompt.", asked, Written, read, compute)
    return Served([operation], net, net.labels)
