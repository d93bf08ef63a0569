"""The curve for servers of other projects: TensorBoard and Visdom, imported when they are asked for.

A package that isn't installed or a server that doesn't answer costs one warning, never the run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .watch import Record, Watch


class TensorBoard(Watch):
    """Writes the curve into ``folder``, for ``tensorboard --logdir``."""

    def __init__(self, folder: Path) -> None:
        self.writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder))
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
    """Sends the curve to the Visdom server at ``url``, a window for each measure."""

    def __init__(self, url: str, environment: str) -> None:
        self.url, self.client = url, None
        self.drawn: set[str] = set()
        try:
            from visdom import Visdom as Client

            self.client = Client(server=url, port=_port(url), env=environment, raise_exceptions=True)
        except ModuleNotFoundError as error:
            _warn(f"--visdom: needs {error.name}, going on without it: pip install visdom")
        except Exception as error:  # whatever the client raises, the run is worth more
            self._give_up(error)

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        try:
            for name, value in _values(record):
                if self.client is not None:
                    self.client.line(
                        [value],
                        [record["update"]],
                        win=name,
                        update="append" if name in self.drawn else None,
                        opts={"title": name, "xlabel": "updates"},
                    )
                    self.drawn.add(name)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.client = None
        _warn(f"--visdom {self.url}: no answer, going on without it ({type(error).__name__})")


def _values(record: Record) -> Iterator[tuple[str, float]]:
    prefix = f"{record['fit']}/" if "fit" in record else ""
    yield f"{prefix}training/loss", record["loss"]
    yield f"{prefix}training/learning_rate", record["learning_rate"]
    for name, value in record.get("validation", {}).items():
        yield f"{prefix}validation/{name}", value


def _port(url: str) -> int:
    tail = url.rpartition(":")[2].rstrip("/")
    return int(tail) if tail.isdecimal() else 8097


def _warn(text: str) -> None:
    print(f"statewise: warning: {text}", file=sys.stderr)
