"""Models that are loaded, each with its queue and its streams."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ..jobs.artifacts.model_file import Kernels
from ..jobs.errors import InputError
from ..runtime import LoadError, file
from .batching import Batcher
from .kinds import KINDS
from .kinds.base import Operation, Served, StepsOf
from .limits import Limits
from .messages import Message, Open, StepRequest, steps_for
from .metrics import Metrics
from .problem import Problem
from .streams import Kept, Opened, Place, Read, Steps, Streams

ONE = Kernels(threads=1)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Streaming:
    """The streams of a model: what its clients ask for, through the queue."""

    streams: Streams
    batcher: Batcher = field(repr=False)
    steps: StepsOf = field(repr=False)
    stepped: type[StepRequest]
    message: type[Message]
    """What a stream is told, by HTTP and by websocket."""

    async def open(self, told: Open) -> Place:
        """A stream that begins, or goes on."""
        try:
            state = None if told.state is None else b64decode(told.state, validate=True)
        except NotBase64:
            raise Problem(422, "state: expected base64") from None
        place: Place = await self.batcher(self.streams.open, Opened(state, told.steps))
        return place

    async def place(self, name: str) -> Place:
        """Where a stream is."""
        place: Place = await self.batcher(self.streams.place, name, name)
        return place

    async def step(self, name: str, told: StepRequest) -> dict[str, Any]:
        """What a stream says to steps."""
        said: Read = await self.batcher(self.streams.step, Steps(name, self.steps.read(told.x), told.at), name)
        return {"y": self.steps.told(said.y), "steps": said.steps}

    async def state(self, name: str, *, close: bool = False) -> dict[str, Any]:
        """The state of a stream, which is no more then with ``close``."""
        kept: Kept = await self.batcher(self.streams.close if close else self.streams.state, name, name)
        return {"state": b64encode(kept.state).decode(), "steps": kept.steps}


class Hosted:
    """A model that is served under a name."""

    def __init__(
        self,
        name: str,
        path: Path,
        limits: Limits,
        metrics: Metrics,
        states: Path | None = None,
        kernels: Kernels = ONE,
        *,
        durable: bool = False,
    ) -> None:
        """Of the file ``path``; streams are kept in the folder ``states``, maybe ``durable``. Raises ``InputError``."""
        self.name = name
        try:
            data = path.read_bytes()
            told = file.read(data, str(path))[0] if file.kind(data) == "safetensors" else {"kind": "network"}
            self.kind = KINDS.get(told["kind"], "")
            if not self.kind:
                raise InputError(f"{path}: a {' '.join(str(told['kind']).split())[:40]} can't be served")
            module = import_module(f".kinds.{self.kind}", __package__)
            served: Served = module.serve(path, told.get("content", {}), limits, kernels)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        except LoadError as error:
            raise InputError(str(error)) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: a damaged model: {' '.join(str(error).split())[:300]}") from None
        model, found = served.network, served.operations
        self.operations: Mapping[str, Operation] = {operation.name: operation for operation in found}
        self._about: dict[str, Any] = {**served.about, "labels": list(served.labels)[:1000]}
        if model is not None:
            self._about["inputs"] = [
                {"name": name, "width": form.width, "kind": form.kind} for name, form in model.inputs
            ]
        self.batcher = Batcher(
            name, most=limits.batch, waiting=limits.queue, timeout=limits.timeout, seen=metrics.batches(name)
        )
        self.streaming: Streaming | None = None
        if model is not None and model.streams:
            kept = None if states is None else states / f"{name}-{model.fingerprint[:16]}.streams"
            steps = StepsOf(model, limits)
            streams = Streams(model, limits.streams, kept, durable=durable)
            self.streaming = Streaming(streams, self.batcher, steps, *steps_for(steps))
        metrics.watch(name, lambda: len(self.batcher), lambda: len(self.streaming.streams) if self.streaming else 0)

    def about(self) -> dict[str, Any]:
        """What a client may want to know."""
        return {
            "name": self.name,
            "kind": self.kind,
            "operations": list(self.operations),
            "streams": self.streaming is not None,
            **self._about,
        }

    def close(self) -> None:
        """Compute what waits, and have the streams written."""
        self.batcher.close()
        if self.streaming is not None:
            self.streaming.streams.end()


def named(words: Sequence[str]) -> dict[str, Path]:
    """Files by name, of words such as ``FILE`` and ``NAME=FILE``. Raises ``InputError``.

    A file that is called model.safetensors, as in a run's folder, has the name of its folder.
    """
    found: dict[str, Path] = {}
    for word in words:
        before, equals, after = word.partition("=")
        path = Path(after if equals and "/" not in before else word)
        if equals and "/" not in before:
            name = before
        else:
            name = path.resolve().parent.name if path.stem == "model" else path.stem
        if not NAME.fullmatch(name):
            raise InputError(f"{word}: expected a name of letters, digits, '.', '_' and '-', got {name!r}: NAME=FILE")
        if name in found:
            raise InputError(f"{word}: a model is called {name} already; another name: NAME=FILE")
        found[name] = path
    return found
