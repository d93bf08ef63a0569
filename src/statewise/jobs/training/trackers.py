"""Who looks on at a run, put together from the command's options; and the curve for programs of others.

A package that isn't installed or a server that doesn't answer costs one warning, never the run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from ..errors import InputError
from ..report import LiveReport, Page
from .callbacks import Callback, CallbackList, Log, Pace, Record
from .progress import Bar
from .rank import is_main_process

INTERVAL = 0.5  # seconds between two messages to a Visdom server
ANSWER = 1.0  # how long it may take to answer one
FLUSH = 5  # seconds until what TensorBoard is to read is in its file


@contextmanager
def default_callbacks(
    description: str, folder: Path, page: Callable[[Sequence[Record]], Page], args: Any
) -> Iterator[Callback]:
    """The bar, ``metrics.jsonl``, ``report.html`` as ``page`` draws it from the curve, and what ``args`` asks for.

    ``args`` are the options of ``command.Run``. Of several processes the first one has them all, the others none.
    """
    if not is_main_process():
        yield Callback()
        return
    report = LiveReport(folder / "report.html", page)
    callbacks = [Bar(description), Log(folder / "metrics.jsonl"), report]
    if args.tensorboard:
        callbacks.append(tensorboard(folder / "tensorboard"))
    if args.trackio:
        callbacks.append(trackio(folder.name))
    if args.visdom:
        callbacks.append(Visdom(args.visdom, folder.name))
    with closing(CallbackList(callbacks)) as everyone:
        try:
            yield everyone
        except BaseException:
            with suppress(InputError):  # a disk that is full, which is what is being raised
                report.broken_off()
            raise


class Tracker(Callback):
    """Calls ``tell`` with the measures of every record by name, and after how many updates; at last ``end``."""

    def __init__(self, tell: Callable[[dict[str, float], int], object], end: Callable[[], object]) -> None:
        self.tell, self.end = tell, end

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        prefix = f"{record['fit']}/" if "fit" in record else ""
        self.tell({prefix + name: value for name, value in _measures(record)}, record["update"])

    def close(self) -> None:
        self.end()


def tensorboard(folder: Path) -> Callback:
    """Writes the curve into ``folder``, for ``tensorboard --logdir``."""
    for events in folder.glob("events.out.tfevents.*"):
        events.unlink()  # of a run that was broken off; what of it counts, ``begin`` tells
    package = _package("tensorboard", "torch.utils.tensorboard")
    if package is None:
        return Callback()
    writer = package.SummaryWriter(str(folder), flush_secs=FLUSH)

    def tell(measures: dict[str, float], update: int) -> None:
        for name, value in measures.items():
            writer.add_scalar(name, value, update)

    return Tracker(tell, writer.close)


def trackio(name: str) -> Callback:
    """Logs the curve as the run ``name`` of the project statewise, for ``trackio show``.

    A run that is gone on with is told from its beginning, as another of that name.
    """
    package = _package("trackio", "trackio")
    if package is None:
        return Callback()
    run = package.init(project="statewise", name=name)
    return Tracker(lambda measures, update: run.log(measures, step=update), run.finish)


def _package(name: str, module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        _warn(f"--{name}: needs {error.name}, going on without it: pip install {name}")
        return None


class Visdom(Callback):
    """Shows the curve at the Visdom server ``url``: a window for each measure, in it a line for each network.

    It speaks the server's own HTTP, so the server's package isn't needed where the training runs. Windows are sent as a
    whole, so a server that was started anew in between shows all of it again.
    """

    def __init__(self, url: str, environment: str) -> None:
        self.url, self.environment, self.pace = url.rstrip("/"), environment, Pace(INTERVAL)
        self.windows: dict[str, dict[str, list[tuple[int, float]]]] = {}  # points by measure and network
        self.lost = False

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        for lines in self.windows.values():
            lines.pop(fit or "", None)  # what came after the checkpoint comes again
        for record in history:
            self.record(record)

    def record(self, record: Record) -> None:
        for name, value in _measures(record):
            self.windows.setdefault(name, {}).setdefault(record.get("fit", ""), []).append((record["update"], value))
        if self.pace.due():
            self.send()

    def close(self) -> None:
        self.send()

    def send(self) -> None:
        """Send all windows, until one is refused."""
        with self.pace.spent():
            for name, lines in self.windows.items():
                if not self.lost:
                    self._send(name, lines)

    def _send(self, name: str, lines: dict[str, list[tuple[int, float]]]) -> None:
        drawn = [
            {"type": "scatter", "mode": "lines", "name": fit or name, "x": x, "y": y}
            for fit, (x, y) in ((fit, zip(*points, strict=True)) for fit, points in lines.items())
        ]
        layout = {"title": name, "xaxis": {"title": "updates"}, "showlegend": len(lines) > 1}
        window = {"win": name, "eid": self.environment, "data": drawn, "layout": layout, "opts": {"title": name}}
        request = Request(f"{self.url}/events", json.dumps(window).encode(), {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=ANSWER) as answer:
                answer.read()
        except (OSError, HTTPException, ValueError) as error:
            self.lost = True
            _warn(f"--visdom {self.url}: {getattr(error, 'reason', None) or error}; going on without it")


def _measures(record: Record) -> Iterator[tuple[str, float]]:
    yield "training loss", record["loss"]
    yield "learning rate", record["learning_rate"]
    for name, value in record.get("validation", {}).items():
        yield f"validation {name}", value


def _warn(text: str) -> None:
    print(f"statewise: warning: {' '.join(text.split())}", file=sys.stderr)
