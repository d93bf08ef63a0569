"""The curve for servers of other projects: TensorBoard and Visdom, imported when they are asked for.

A package that isn't installed or a server that doesn't answer costs one warning, never the run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from .watch import Record, Watch

INTERVAL = 0.5  # seconds between two messages to a Visdom server
PATIENCE = 5.0  # and how long it has for the last one
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
            for name, value in _values(record):
                self.writer.add_scalar(name, value, record["update"])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class Visdom(Watch):
    """Sends the curve to the Visdom server at ``url``, a window for each measure.

    A thread sends it: a server that is slow, or takes what it gets and never answers, doesn't hold up the training.
    """

    def __init__(self, url: str, environment: str) -> None:
        self.url, self.environment = url, environment
        self.waiting: dict[str, tuple[list[int], list[float]]] = {}  # by window, the points not sent yet
        self.lock, self.closing = Lock(), Event()
        self.thread = Thread(target=self._send, name="visdom", daemon=True)
        try:
            import visdom
        except ModuleNotFoundError as error:
            _warn(f"--visdom: needs {error.name}, going on without it: pip install visdom")
        else:
            self.package = visdom
            self.thread.start()

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        if not self.thread.is_alive():
            return
        with self.lock:
            for name, value in _values(record):
                updates, values = self.waiting.setdefault(name, ([], []))
                updates.append(record["update"])
                values.append(value)

    def close(self) -> None:
        self.closing.set()
        if self.thread.is_alive():
            self.thread.join(PATIENCE)
            if self.thread.is_alive():
                _warn(f"--visdom {self.url}: no answer, the end of the curve may be missing there")

    def _send(self) -> None:
        try:
            client = self._connect()
            drawn = set[str]()
            closing = False
            while not closing:
                closing = self.closing.wait(INTERVAL)
                with self.lock:
                    batch, self.waiting = self.waiting, {}
                for name, (updates, values) in batch.items():
                    client.line(
                        values,
                        updates,
                        win=name,
                        update="append" if name in drawn else None,
                        opts={"title": name, "xlabel": "updates"},
                    )
                    drawn.add(name)
        except Exception as error:  # whatever the client raises, the run is worth more
            _warn(f"--visdom {self.url}: no answer, going on without it ({type(error).__name__})")

    def _connect(self) -> Any:
        address = urlsplit(self.url)
        return self.package.Visdom(
            server=f"{address.scheme}://{address.hostname}",
            port=address.port or 8097,
            base_url=address.path.rstrip("/") or "/",
            env=self.environment,
            raise_exceptions=True,
            use_incoming_socket=False,
        )


def _values(record: Record) -> Iterator[tuple[str, float]]:
    prefix = f"{record['fit']}/" if "fit" in record else ""
    yield f"{prefix}training/loss", record["loss"]
    yield f"{prefix}training/learning_rate", record["learning_rate"]
    for name, value in record.get("validation", {}).items():
        yield f"{prefix}validation/{name}", value


def _warn(text: str) -> None:
    print(f"statewise: warning: {text}", file=sys.stderr)
