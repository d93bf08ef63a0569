"""What can be asked of a model: of each kind of file the operations, with what they are told and what they answer.

An operation is a pair of pydantic models, which check what comes and describe it, and a function from what many clients
ask for to what each of them gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, create_model

from ..runtime import Hypothesis, Network, State, Tagger, Translator, draw
from .batching import Again
from .limits import Limits
from .problem import Problem
from .rows import forward, joined, run, take

Array = NDArray[Any]
LARGEST = 2**53  # of whole numbers: JSON has no larger ones


class Shape(BaseModel):
    """The base of what comes and goes: nothing but what is declared, and no number that isn't finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=(), strict=True)


@dataclass(frozen=True)
class Operation:
    """``POST .../NAME``."""

    name: str
    summary: str
    asked: type[Shape]
    answer: type[Shape]
    read: Callable[[Any], Any]
    """From an ``asked`` to what ``compute`` is given. Raises ``Problem``."""
    compute: Callable[[Sequence[Any]], Sequence[Any]]
    """To as many dicts of ``answer``, exceptions, or ``Again``."""


class StepsOf:
    """How the steps of a network's sequences are told in JSON, and read."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self.network, self.limits = network, limits
        self.names = [name for name, _ in network.inputs]
        self.dtypes = [_dtype(entry, network) for entry in network.content["inputs"]]
        carry = any(getattr(op, "carry", False) for op in network.ops)
        types = [_steps_of(form.width, form.kind, carry, limits.length) for _, form in network.inputs]
        self.several = len(types) > 1
        self.type: Any = types[0]
        """The type of ``x``: steps, or an object of these where the network reads several things."""
        if self.several:
            fields: dict[str, Any] = {f"input_{k}": (t, Field(alias=self.names[k])) for k, t in enumerate(types)}
            self.type = create_model("Inputs", __base__=Shape, **fields)

    def read(self, x: Any) -> tuple[Array, ...]:
        """``x``, which has been checked, as arrays."""
        given = [getattr(x, f"input_{k}") for k in range(len(self.names))] if self.several else [x]
        if len({len(each) for each in given}) > 1:
            raise Problem(422, f"x: expected as many steps of each, got {[len(each) for each in given]}")
        found = []
        for name, dtype, each in zip(self.names, self.dtypes, given, strict=True):
            with np.errstate(over="ignore"):
                array = np.array(each, np.float64 if dtype.kind == "f" else dtype).astype(dtype)
            if np.isinf(array).any():
                raise Problem(422, f"{name}: expected numbers that {dtype} has room for")
            found.append(array)
        wide = self.network.width if any(self.network.over_time) else 1
        if len(given[0]) * wide > self.limits.answer:
            most = max(1, self.limits.answer // wide)
            raise Problem(422, f"x: expected {most} steps at most, got {len(given[0])}: each of them answers {wide}")
        return tuple(found)

    def told(self, y: tuple[Array, ...]) -> Any:
        """A result in JSON's terms; of several a list."""
        return y[0].tolist() if len(y) == 1 else [each.tolist() for each in y]


def _dtype(entry: Mapping[str, Any], network: Network) -> np.dtype[Any]:
    return {"values": network.dtype, "exact": np.dtype(np.float64), "symbols": np.dtype(np.int64)}[entry["kind"]]


def _steps_of(width: int, kind: str, gaps: bool, most: int) -> Any:
    if kind == "symbols":
        return Annotated[list[Annotated[int, Field(ge=0, lt=width)]], Field(min_length=1, max_length=most)]
    number: Any = float | None if gaps else float
    step = Annotated[list[number], Field(min_length=width, max_length=width)]
    return Annotated[list[step], Field(min_length=1, max_length=most)]


# Networks


def network(net: Network, content: Mapping[str, Any], limits: Limits) -> list[Operation]:
    """Whole sequences through a network."""
    steps = StepsOf(net, limits)

    def compute(asked: Sequence[tuple[Array, ...]]) -> list[dict[str, Any]]:
        return [{"y": steps.told(y)} for y in run(net, asked)]

    described = ", one for each step" if all(net.over_time) else ""
    return [
        Operation(
            "run",
            "The result for a whole sequence.",
            create_model("RunRequest", __base__=Shape, x=(steps.type, Field(description="its steps"))),
            create_model("RunAnswer", __base__=Shape, y=(Any, Field(description=f"what the network gives{described}"))),
            lambda told: steps.read(told.x),
            compute,
        )
    ]


# Classes


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


def classify(net: Network, content: Mapping[str, Any], limits: Limits) -> list[Operation]:
    """The class of a series of numbers."""
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
    return [Operation("classify", "The class of a sequence.", asked, Classes, lambda told: steps.read(told.x), compute)]


# Writing


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


def write(net: Network, content: Mapping[str, Any], limits: Limits) -> list[Operation]:
    """Text that goes on after a prompt; each step for all clients that are waiting for one."""
    from ..jobs.tasks.write.text import END, Vocabulary

    vocabulary = Vocabulary.from_json(content["config"]["level"], content)
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
    return [Operation("write", "Text that goes on after a prompt.", asked, Written, read, compute)]


# Tags


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


def tag(net: Tagger, content: Mapping[str, Any], limits: Limits) -> list[Operation]:
    """A tag for each word of a sentence."""
    from ..jobs.data.symbols import WORD
    from ..jobs.tasks.tag.spans import are_spans, spans

    columns, marks = len(net.vocabulary.features), are_spans(net.labels)
    word = Annotated[str, Field(min_length=1, max_length=1000)]
    words = Annotated[list[word], Field(min_length=1, max_length=limits.length)]

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
            list[words],
            Field(default_factory=list, description=f"what else is known of each word: {columns} columns"),
        ),
    )
    return [Operation("tag", "A tag for each word of a sentence.", asked, Tagged, read, compute)]


# Translations


class Target(Shape):
    """A text that the model would write."""

    text: str
    log_probability: float


class Targets(Shape):
    """The likeliest first."""

    targets: list[Target]


def translate(net: Translator, content: Mapping[str, Any], limits: Limits) -> list[Operation]:
    """A text for a text."""

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
        features=(list[str], Field(default_factory=list, description="what else is known of it", max_length=100)),
        beam=(Annotated[int, Field(ge=1, le=32)] | None, Field(None, description="how many targets are looked at")),
    )
    return [Operation("translate", "A text for a text.", asked, Targets, lambda told: told, compute)]


KINDS: dict[str, Callable[[Any, Mapping[str, Any], Limits], list[Operation]]] = {
    "network": network,
    "classification model": classify,
    "writing model": write,
    "tagging model": tag,
    "translation model": translate,
}
SHORT: dict[str, Literal["network", "classify", "write", "tag", "translate"]] = {
    "network": "network",
    "classification model": "classify",
    "writing model": "write",
    "tagging model": "tag",
    "translation model": "translate",
}
