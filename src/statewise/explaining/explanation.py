"""What is explained, as data; how it looks on a terminal and in a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from html import escape

from .picture import Picture

WIDTH = 80


@dataclass(frozen=True)
class Table:
    """A heading, the names of the columns, and the rows; the last column is prose and may run over lines."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Relation:
    """What holds between results, as Python; and whether it held for the numbers that were tried."""

    code: str
    meaning: str
    held: bool


@dataclass(frozen=True)
class Explanation:
    """What a module computes. ``print`` it; a notebook shows it with a picture.

    Attributes:
        title: the module, as it prints.
        summary: a sentence or two.
        tables: letters, inputs, outputs, parameters, costs.
        equations: one step of the cell; none for other modules.
        relations: how the results relate, tried there and then.
        notes: what else a reader should know.
        pictures: the layer, or a module's own loops, unrolled over the steps, and the inside of each cell; none for
            other modules.
        tried: what the relations were tried on.
    """

    title: str
    summary: str
    tables: Sequence[Table]
    equations: Sequence[str] = ()
    relations: Sequence[Relation] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tried: str = "random numbers"

    @property
    def picture(self) -> Picture | None:
        """All pictures in one, with ``svg()`` and ``png()``; None where there are none."""
        return reduce(Picture.above, self.pictures) if self.pictures else None

    def __str__(self) -> str:
        parts = [self.title, textwrap.fill(self.summary, WIDTH)]
        parts += [_text_table(table) for table in self.tables]
        if self.equations:
            parts.append("\n".join(["One step", *_equations(self.equations)]))
        if self.relations:
            lines = [f"How the results relate, tried on {self.tried}"]
            for relation in self.relations:
                lines.append(f"  {'holds' if relation.held else 'FAILS'}  {relation.code}")
                lines += textwrap.wrap(relation.meaning, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
            parts.append("\n".join(lines))
        parts += [textwrap.fill(note, WIDTH) for note in self.notes]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<h3><code>{escape(self.title)}</code></h3><p>{escape(self.summary)}</p>"]
        parts += [_html_picture(picture) for picture in self.pictures]
        parts += [_html_table(table) for table in self.tables]
        if self.equations and not self.pictures:  # which have them too
            parts.append(f"<h4>One step</h4><pre>{escape(chr(10).join(self.equations))}</pre>")
        if self.relations:
            rows = [
                [f"<code>{escape(r.code)}</code>", "holds" if r.held else "<b>fails</b>", escape(r.meaning)]
                for r in self.relations
            ]
            parts.append(f"<h4>How the results relate, tried on {self.tried}</h4>" + _html_rows([], rows))
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        return "\n".join(parts)


def _equations(lines: Sequence[str]) -> list[str]:
    """Indented, and what runs over the page goes on under its right side."""
    found = []
    for line in lines:
        under = " " * (line.index("=") + 4)
        found += textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent=under, break_long_words=False)
    return found


def _text_table(table: Table) -> str:
    rows = [*([list(table.head)] if any(table.head) else []), *map(list, table.rows)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head) - 1)]
    left = 2 + sum(widths) + 2 * len(widths)
    lines = [table.title]
    for row in rows:
        cells = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        if left + 24 <= WIDTH:
            first, *more = textwrap.wrap(row[-1], WIDTH - left) or [""]
            lines += [f"  {cells}{first}".rstrip(), *[" " * left + line for line in more]]
        else:  # no room beside: the prose stands below
            lines.append(f"  {cells}".rstrip())
            lines += textwrap.wrap(row[-1], WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _html_picture(picture: Picture) -> str:
    """A page may shrink it as long as it can be read; then it scrolls."""
    svg = picture.svg().replace("<svg ", f'<svg style="min-width:{0.6 * picture.width:.0f}px" ', 1)
    return f'<div style="overflow-x:auto">{svg}</div>'


def _html_table(table: Table) -> str:
    rows = [[*[f"<code>{escape(c)}</code>" for c in row[:-1]], escape(row[-1])] for row in table.rows]
    return f"<h4>{escape(table.title)}</h4>" + _html_rows(
        [escape(c) for c in table.head] if any(table.head) else [], rows
    )


def _html_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; aligned to the left, whatever the notebook does."""
    style = ' style="text-align:left"'
    top = "<tr>" + "".join(f"<th{style}>{cell}</th>" for cell in head) + "</tr>" if head else ""
    body = "".join("<tr>" + "".join(f"<td{style}>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table style="margin-left:0">{top}{body}</table>'
