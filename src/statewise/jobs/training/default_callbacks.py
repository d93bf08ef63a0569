"""The callbacks of a run, put together from the command's options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..report import LiveReport, Page
from .callbacks import Callback, CallbackList, Log, Record
from .progress import bar
from .rank import is_main_process
from .trackers import TensorBoard, Visdom


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
    with bar(description) as progress:
        report = LiveReport(folder / "report.html", page)
        callbacks: list[Callback] = [progress, Log(folder / "metrics.jsonl"), report]
        if args.tensorboard:
            callbacks.append(TensorBoard(folder / "tensorboard"))
        if args.visdom:
            callbacks.append(Visdom(args.visdom, folder.name))
        everyone = CallbackList(callbacks)
        try:
            yield everyone
        except BaseException:
            with suppress(InputError):  # a disk that is full, which is what is being raised
                report.broken_off()
            raise
        finally:
            everyone.close()
