"""Renew ``report.html`` while a network is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..training.callbacks import Record, Watch
from .page import Note, Page

COST = 0.02  # the share of the time that drawing may take
LEAST = 3.0  # seconds between two drawings


class LiveReport(Watch):
    """Draws the page that ``page(history)`` gives, soon after training began and then whenever it is worth the time."""

    def __init__(self, path: Path, page: Callable[[Sequence[Record]], Page]) -> None:
        self.path, self.page = path, page
        self.history: list[Record] = []
        self.next = time.monotonic() + 1.0

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        self.history = [r for r in self.history if r.get("fit") != fit] + list(history)

    def record(self, record: Record) -> None:
        self.history.append(record)
        began = time.monotonic()
        if began >= self.next:
            self.page(self.history).write(self.path)
            ended = time.monotonic()
            self.next = ended + max(LEAST, (ended - began) / COST)

    def broken_off(self) -> None:
        """Say on the page, where there is one, that nothing more is coming."""
        if self.path.exists():
            page = self.page(self.history)
            note = Note("Training was broken off here.", good=False)
            replace(page, running=False, blocks=[note, *page.blocks]).write(self.path)
