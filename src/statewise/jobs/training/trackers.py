"""The curve for servers of other projects: TensorBoard and Visdom.

A package that isn't installed or a server that doesn't answer costs one warning, never the run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from .callbacks import Record, Watch

INTERVAL = 0.5  # seconds between two messages to a Visdom server
ANSWER = 3.0  # how long it may take to answer one
PATIENCE = 5.0  # and to take the last ones, when training is over
FLUSH = 5  # seconds until what TensorBoard is to read is in its file


class TensorBoard(Watch):
    """Writes the curve into ``folder``, for ``tensorboard --logdir``."""

    def __init__(self, folder: Path) -> None:
        self.writer: Any = None
        # What a broken-off run left is told again by ``begin``, as far as it counts.
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink()
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder), flush_secs=FLUSH)
        except ModuleNotFoundError as error:
            _warn(f"--tensorboard: needs {error.name}, going on without it: pip install tensorboard")

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        if self.writer is not None:
            prefix = f"{record['fit']}/" if "fit" in record else ""
            for name, value in _measures(record):
                self.writer.add_scalar(prefix + name, value, record["update"])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class Visdom(Watch):
    """Shows the curve at the Visdom server ``url``: a window for each measure, in it a line for each network.

    It speaks the server's own HTTP, so the server's package isn't needed where the training runs. Whenever a window has
    changed it is sent as a whole, so a server that was started anew in between shows all of it again. A thread does
    that: a server that takes what it gets and never answers doesn't hold up the training.
    """

    def __init__(self, url: str, environment: str) -> None:
        self.url, self.environment = url.rstrip("/"), environment
        self.windows: dict[str, dict[str, _Line]] = {}  # by measure and network
        self.changed: set[str] = set()
        self.lock, self.closing = Lock(), Event()
        self.thread = Thread(target=self._serve, name="visdom", daemon=True)
        self.thread.start()

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        with self.lock:
            for lines in self.windows.values():
                lines.pop(fit or "", None)  # what came after the checkpoint comes again
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        with self.lock:
            for name, value in _measures(record):
                line = self.windows.setdefault(name, {}).setdefault(record.get("fit", ""), _Line([], []))
                line.x.append(record["update"])
                line.y.append(value)
                self.changed.add(name)

    def close(self) -> None:
        self.closing.set()
        self.thread.join(PATIENCE)
        if self.thread.is_alive():
            _warn(f"--visdom {self.url}: is slow, the end of the curve may be missing there")

    def _serve(self) -> None:
        try:
            closing = False
            while not closing:
                closing = self.closing.wait(INTERVAL)
                with self.lock:
                    messages = [self._message(name) for name in sorted(self.changed)]
                    self.changed.clear()
                for message in messages:
                    self._post(message)
        except (OSError, HTTPException, ValueError) as error:
            _warn(f"--visdom {self.url}: {getattr(error, 'reason', None) or error}; going on without it")

    def _message(self, name: str) -> bytes:
        lines = [
            {"type": "scatter", "mode": "lines", "name": fit or name, "x": line.x, "y": line.y}
            for fit, line in self.windows[name].items()
        ]
        layout = {"title": name, "xaxis": {"title": "updates"}, "showlegend": len(lines) > 1}
        window = {"win": name, "eid": self.environment, "data": lines, "layout": layout, "opts": {"title": name}}
        return json.dumps(window).encode()

    def _post(self, message: bytes) -> None:
        request = Request(f"{self.url}/events", message, {"Content-Type": "application/json"})
        with urlopen(request, timeout=ANSWER) as answer:
            answer.read()


class _Line(NamedTuple):
    x: list[int]
    y: list[float]


def _measures(record: Record) -> Iterator[tuple[str, float]]:
    yield "training loss", record["loss"]
    yield "learning rate", record["learning_rate"]
    for name, value in record.get("validation", {}).items():
        yield f"validation {name}", value


def _warn(text: str) -> None:
    print(f"statewise: warning: {' '.join(text.split())}", file=sys.stderr)
