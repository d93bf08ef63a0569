"""What streams are told and say, by HTTP and by websocket alike."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, create_model

from .kinds.base import LARGEST, Shape, StepsOf

Count = Annotated[int, Field(ge=0, le=LARGEST)]


class Open(Shape):
    """A stream to be."""

    state: str | None = Field(
        default=None, description="where it goes on from, as base64; from the beginning by default"
    )
    steps: Count = Field(default=0, description="how many steps were read by then")


class Opened(Shape):
    """A stream."""

    stream: str
    steps: Count = Field(description="how many steps it has read")


class Said(Shape):
    """What a stream says to steps."""

    y: Any
    steps: Count = Field(description="how many steps it has read now")


class Kept(Shape):
    """The state of a stream, for this very model."""

    state: str = Field(description="base64")
    steps: Count


class StepRequest(Shape):
    """Steps for a stream; ``steps_for`` has the type of ``x``."""

    x: Any
    at: Count | None = None


class Message(StepRequest):
    """What a client says by websocket: steps, or that it wants the state."""

    state: bool = False
    close: bool = False


def steps_for(steps: StepsOf) -> tuple[type[StepRequest], type[Message]]:
    """The same for a model: of HTTP, and of a websocket."""
    x, at = Field(description="steps"), Field(None, description="how many were read before: see docs/serve.md")
    return (
        create_model("StepRequest", __base__=StepRequest, x=(steps.type, x), at=(Count | None, at)),
        create_model("Message", __base__=Message, x=(steps.type | None, None), at=(Count | None, at)),
    )
