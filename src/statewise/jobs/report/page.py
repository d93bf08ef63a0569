"""A page of headings, texts, tables and pictures as one HTML file: light or dark, wide or narrow.

There is no script in it and nothing outside of it: its own security policy lets the browser load nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..._version import __version__
from ..artifacts import atomic
from ..training.callbacks import Callback, Pace, Record

REFRESH = 5  # seconds
LEAST = 5.0  # seconds between two drawings while a network is trained: a tenth of a second each


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; with ``plain`` text as it would stand on a terminal."""

    text: str
    plain: bool = False


@dataclass(frozen=True)
class Note:
    """A sentence that stands out: ``good`` news, or what the reader should know before trusting the result."""

    text: str
    good: bool


@dataclass(frozen=True)
class Table:
    """Rows of cells under ``head``; the first column is text, the others numbers. ``strong`` is the row to look at."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int | None = None
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG, and what it shows in words."""

    svg: str
    caption: str

    @property
    def width(self) -> int | None:
        """As it was drawn, in points. It is narrower where the page is; on a phone it is moved sideways."""
        width = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt"', self.svg)
        return round(float(width[1])) if width else None


class Word(NamedTuple):
    """A word, what is said of it (nothing, where that is empty), and whether that is wrong."""

    text: str
    said: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Words:
    """A sentence, with what is said of its words below them; the wrong ones stand out."""

    words: Sequence[Word]


Block = Heading | Text | Note | Table | Picture | Words


@dataclass(frozen=True)
class Page:
    """A report. While ``running``, a browser loads the page anew every few seconds."""

    title: str
    subtitle: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    running: bool = False

    def write(self, path: Path) -> None:
        """Write the page as one file."""
        atomic.write(path, self.html())

    def html(self) -> str:
        """The page."""
        found: str = _template().render(page=self, refresh=REFRESH, version=__version__, picture=_picture)
        return found


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["whole"] = Markup
    return environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def _picture(picture: Picture, number: int) -> str:
    """The SVG with its caption for those who can't see it, and names that are its alone on the page."""
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", picture.svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(picture.caption)}" ', 1)


class LiveReport(Callback):
    """Draws the page that ``page(history)`` gives, after some seconds and then whenever it is worth the time."""

    def __init__(self, path: Path, page: Callable[[Sequence[Record]], Page]) -> None:
        self.path, self.page = path, page
        self.history: list[Record] = []
        self.pace = Pace(LEAST)

    def begin(self, history: Sequence[Record], fit: str | None = None) -> None:
        self.history = [r for r in self.history if r.get("fit") != fit] + list(history)

    def record(self, record: Record) -> None:
        self.history.append(record)
        if self.pace.due():
            with self.pace.spent():
                self.page(self.history).write(self.path)

    def broken_off(self) -> None:
        """Say on the page, where there is one, that nothing more is coming."""
        if self.path.exists():
            page = self.page(self.history)
            note = Note("Training was broken off here.", good=False)
            replace(page, running=False, blocks=[note, *page.blocks]).write(self.path)
