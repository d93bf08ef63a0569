"""The progress bar on a terminal; elsewhere a line a minute."""

from __future__ import annotations

import sys
import time
from shutil import get_terminal_size

from .callbacks import Callback, Record

MINUTE = 60.0  # seconds from line to line


class Bar(Callback):
    """A progress bar on stderr that is gone when it is closed; a line a minute where stderr is no terminal."""

    def __init__(self, description: str) -> None:
        from tqdm import tqdm

        size = get_terminal_size()  # tqdm draws nothing on a terminal that says its size is 0
        self.description, self.done, self.next = description, 0, time.monotonic() + MINUTE
        self.bar = tqdm(
            total=0,
            desc=description,
            unit=" updates",
            ncols=min(size.columns, 100),
            nrows=size.lines,
            disable=None,  # unless stderr is a terminal
            leave=False,
        )

    def plan(self, updates: int) -> None:
        self.bar.total = (self.bar.total or 0) + updates
        self.bar.refresh()

    def tick(self) -> None:
        self.done += 1
        if not self.bar.disable:
            self.bar.update()
        elif time.monotonic() >= self.next:
            print(f"{self.description}: {self.done} of {self.bar.total} updates", file=sys.stderr, flush=True)
            self.next += MINUTE

    def record(self, record: Record) -> None:
        scores = [f"{name} {value:.4g}" for name, value in record.get("validation", {}).items()]
        if scores:
            self.bar.set_postfix_str(scores[0], refresh=False)

    def close(self) -> None:
        self.bar.close()
