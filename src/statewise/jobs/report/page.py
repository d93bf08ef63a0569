"""A page of headings, texts, tables and pictures as one HTML file: light or dark, wide or narrow.

There is no script in it and nothing outside of it: its own security policy lets the browser load nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import NamedTuple

from ..._version import __version__
from .. import atomic

REFRESH = 5  # seconds
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


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
        refresh = f'<meta http-equiv="refresh" content="{REFRESH}">' if self.running else ""
        state = '<p class="running">training: this page renews itself</p>' if self.running else ""
        blocks = "\n".join(_html(block, number) for number, block in enumerate(self.blocks))
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
            f"{refresh}\n<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f"<header><h1>{escape(self.title)}</h1><p>{escape(self.subtitle)}</p>{state}</header>\n"
            f"{blocks}\n<footer>statewise {__version__}</footer>\n</main>\n</body>\n</html>\n"
        )


def _html(block: Block, number: int) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Text(text, plain):
            return f"<pre>{escape(text)}</pre>" if plain else f"<p>{escape(text)}</p>"
        case Note(text, good):
            return f'<p class="note {"good" if good else "bad"}">{escape(text)}</p>'
        case Picture(svg, caption):
            return _picture(svg, caption, f"p{number}-")
        case Table(head, rows, strong, caption):
            return _table(head, rows, strong, caption)
        case Words(words):
            return _words(words)


def _picture(svg: str, caption: str, own: str) -> str:
    """As wide as it was drawn, narrower where the page is; on a phone it is moved sideways rather than made tiny."""
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}", svg)  # names must be one picture's alone
    width = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt"', svg)
    natural = f' style="--width: {float(width[1]):.0f}pt"' if width else ""
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return f"<figure><div{natural}>{svg}</div><figcaption>{escape(caption)}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], strong: int | None, caption: str) -> str:
    title = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = ""
    for index, (name, *cells) in enumerate(rows):
        row = f'<th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        kind = ' class="strong"' if index == strong else ""
        body += f"<tr{kind}>{row}</tr>\n"
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="table"><div><table><thead><tr>{title}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'
        f"{below}</figure>"
    )


def _words(words: Sequence[Word]) -> str:
    shown = ""
    for text, said, wrong in words:
        kind = ' class="wrong"' if wrong else ""
        shown += f"<span{kind}>{escape(text)}<small>{escape(said)}</small></span> "
    return f'<p class="words">{shown.rstrip()}</p>'


STYLE = """
:root { --ink: #1f2933; --quiet: #5b6875; --line: #d9dee4; --ground: #fff; --soft: #f3f5f7; --model: #d64a20;
  --second: #2e7d9a; --good: #0b6e4f; --bad: #a61b1b; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --quiet: #9aa5b1; --line: #3a444e; --ground: #161b20;
  --soft: #20272e; --model: #ff8660; --second: #6cc0de; --good: #57c99b; --bad: #ff8080; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { max-width: 48rem; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--quiet); }
header .running { color: var(--model); font-weight: 600; margin-top: .5rem; }
.note { padding: .7rem 1rem; background: var(--soft); border-left: 4px solid var(--quiet); }
.note.good { border-color: var(--good); } .note.bad { border-color: var(--bad); }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; }
figure { margin: 1.2rem 0; } figcaption { color: var(--quiet); font-size: .9rem; margin-top: .4rem; max-width: 48rem; }
figure div { overflow-x: auto; }
figure svg { display: block; width: 100%; max-width: var(--width); min-width: min(var(--width), 36rem); height: auto; }
figure svg text { font-family: system-ui, sans-serif !important; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .3rem .9rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; font-weight: 400; }
thead th { color: var(--quiet); font-weight: 600; }
thead th:first-child { font-weight: 600; }
tr.strong th, tr.strong td { font-weight: 700; }
.words { max-width: none; } .words span { display: inline-block; vertical-align: top; margin: 0 .12rem .3rem; }
.words small { display: block; color: var(--quiet); font-size: .7rem; line-height: 1.1; min-height: .8rem; }
.words .wrong { font-weight: 700; border-bottom: 2px solid var(--bad); } .words .wrong small { color: var(--bad); }
footer { margin-top: 3rem; color: var(--quiet); font-size: .85rem; }
"""
