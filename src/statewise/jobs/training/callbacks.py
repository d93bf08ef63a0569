"""What is told how a network is trained: the progress bar, the log, the report, TensorBoard, Visdom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from ..artifacts import atomic
from ..errors import InputError


class Record(TypedDict, total=False):
    """A point of the loss curve, and a line of ``metrics.jsonl``."""

    fit: str
    """Which of the run's networks this is about; only where there are several."""
    epoch: int
    update: int
    """Updates made so far."""
    seconds: float
    """Time trained so far, over all resumed parts."""
    loss: float
    """The mean training loss since the record before."""
    learning_rate: float
    validation: dict[str, float]
    """At the end of an epoch, where there is a validation part; the first entry decides which weights are kept."""


def is_record(content: Any) -> bool:
    """Whether ``content`` is one: numbers under these names."""
    if not isinstance(content, dict) or not {"epoch", "update", "seconds", "loss"} <= content.keys():
        return False
    numbers = {name: value for name, value in content.items() if name not in ("fit", "validation")}
    scores = content.get("validation", {})
    if not isinstance(scores, dict) or not isinstance(content.get("fit", ""), str):
        return False
    return all(isinstance(x, (int, float)) and abs(x) < math.inf for x in (*numbers.values(), *scores.values()))


class Callback:
    """Looks on and does nothing; those who do something derive from it."""

    def plan(self, updates: int) -> None:
        """So many more ``updates`` are coming, or fewer, where the number is negative."""

    def tick(self) -> None:
        """One of them is done. Called in every update, so this must be quick."""

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        """Training begins, or goes on after the records ``history``; ``fit`` names the network of several."""

    def record(self, record: Record) -> None:
        """A new point of the curve: ``record`` has epoch, update, seconds, loss, and maybe validation's numbers."""

    def close(self) -> None:
        """No more is coming."""


class CallbackList(Callback):
    """Passes everything on to all of ``callbacks``; where ``fit`` names one of several networks, under that name."""

    def __init__(self, callbacks: Iterable[Callback], fit: str = "") -> None:
        self.callbacks, self.named = tuple(callbacks), Record(fit=fit) if fit else Record()

    def plan(self, updates: int) -> None:
        for callback in self.callbacks:
            callback.plan(updates)

    def tick(self) -> None:
        for callback in self.callbacks:
            callback.tick()

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for callback in self.callbacks:
            callback.begin([{**self.named, **record} for record in history], fit or self.named.get("fit"))

    def record(self, record: Record) -> None:
        for callback in self.callbacks:
            callback.record({**self.named, **record})

    def close(self) -> None:
        for callback in self.callbacks:
            callback.close()


class Pace:
    """Tells when something that takes time may be done again: every ``every`` seconds, and so that it costs 2 %.

    Of the clock's time and of the processor's: on a crowded machine what is short waits for nobody, and the training
    most of the time.
    """

    COST = 0.02

    def __init__(self, every: float) -> None:
        self.every, self.next, self.used = every, time.monotonic() + every, 0.0

    def due(self) -> bool:
        """Whether it may be done."""
        return time.monotonic() >= self.next and time.process_time() >= self.used

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Around what is done. With ``every`` 0 it is always due."""
        began, used = time.monotonic(), time.process_time()
        yield
        now, cost = time.monotonic(), time.process_time() - used
        if self.every > 0:
            self.next = now + max(self.every, (now - began) / self.COST)
            self.used = used + cost + cost / self.COST


class Log(Callback):
    """``metrics.jsonl``: a line for every record, in the order in which the networks were trained."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = _read(path)
        self.whole = False  # whether the file holds these and nothing else, such as half a line before a kill

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        # What was logged after the checkpoint is trained, and logged, again.
        kept = [r for r in self.records if r.get("fit") != fit] + list(history)
        if not self.whole or kept != self.records:
            self.records, self.whole = kept, True
            atomic.write(self.path, "".join(map(_line, kept)))

    def record(self, record: Record) -> None:
        self.records.append(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))


def _read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    try:
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # a line that a kill cut short is no record
        records: list[Record] = [json.loads(line) for line in whole.split("\n") if line]
    except (ValueError, RecursionError):
        records = [{}]
    if not all(map(is_record, records)):
        raise InputError(f"{path}: damaged: expected a record of the training in every line")
    return records


def _line(record: Record) -> str:
    content: Any = record
    return json.dumps(content) + "\n"
