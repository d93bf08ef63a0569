"""All who look on while a run trains, put together from the command's options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..report import LiveReport, Page
from .callbacks import Log, Record, Several, Watch
from .progress import bar
from .rank import leads
from .trackers import TensorBoard, Visdom


@contextmanager
def onlookers(description: str, folder: Path, page: Callable[[Sequence[Record]], Page], args: Any) -> Iterator[Watch]:
    """The bar, ``metrics.jsonl``, ``report.html`` as ``page`` draws it from the curve, and what ``args`` asks for.

    ``args`` are the options of ``command.Run``. Of several processes the first one has them all, the others none.
    """
    if not leads():
        yield Watch()
        return
    with bar(description) as progress:
        report = LiveReport(folder / "report.html", page)
        watches: list[Watch] = [progress, Log(folder / "metrics.jsonl"), report]
        if args.tensorboard:
            watches.append(TensorBoard(folder / "tensorboard"))
        if args.visdom:
            watches.append(Visdom(args.visdom, folder.name))
        everyone = Several(watches)
        try:
            yield everyone
        except BaseException:
            with suppress(InputError):  # a disk that is full, which is what is being raised
                report.broken_off()
            raise
        finally:
            everyone.close()
