"""Makes the pictures of docs/jobs: ``python tools/pictures.py [FOLDER]``, some two minutes.

Runs the built-in example of each job with its defaults into FOLDER (build/pictures), unless it is there already, and
takes the pictures from the reports; that of the tags is drawn from the tagged test part.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[1] / "docs" / "jobs"
SECTIONS = {  # below which heading of the report the picture stands
    "forecast": "Forecasts of the test part",
    "classify": "Classes",
    "write": "Training",
    "translate": "Attention",
}
LIGHT = {"ink": "#1f2933", "quiet": "#6b7785", "line": "#d9dee4", "ground": "#ffffff", "soft": "#f3f5f7"} | {
    "model": "#e4572e",
    "second": "#2e7d9a",
}
DARK = {"ink": "#e4e7eb", "quiet": "#9aa5b1", "line": "#3a444e", "ground": "#161b20", "soft": "#20272e"} | {
    "model": "#ff7a52",
    "second": "#6bb8d3",
}
SIZE, ADVANCE, GAP, ROW, WIDTH = 14, 8.43, 14, 46, 750  # of the tags' picture: a monospaced letter is 0.602 of its size


class Span(NamedTuple):
    """Words that stand together, what they are, and what they were taken for where that is wrong."""

    words: list[str]
    true: str
    told: str


def main(arguments: Sequence[str]) -> int:
    """Run what hasn't been run, and draw; the exit status."""
    folder = Path(arguments[0] if arguments else "build/pictures")
    for job in (*SECTIONS, "tag"):
        run = folder / job
        if not (run / "metrics.json").exists():
            subprocess.run([Path(sys.executable).with_name("statewise"), job, "--out", run], check=True)
        if job == "tag":
            svg = of_tags((run / "predictions.conll").read_text(encoding="utf-8"))
        else:
            svg = of_report((run / "report.html").read_text(encoding="utf-8"), SECTIONS[job])
        (DOCS / f"{job}.svg").write_text(by_itself(svg), encoding="utf-8")
    return 0


def of_report(page: str, heading: str) -> str:
    """The first picture below ``heading``."""
    _, found, rest = page.partition(f"<h2>{heading}</h2>")
    if not found or "<svg" not in rest.partition("<h2>")[0]:
        raise ValueError(f"the report has no picture below {heading}")
    return rest[rest.index("<svg") : rest.index("</svg>")] + "</svg>\n"


def by_itself(svg: str) -> str:
    """A picture of a report as a file: the page's colours, light or dark, and its ground come along."""
    colours = [";".join(f"--{name}:{value}" for name, value in scheme.items()) for scheme in (LIGHT, DARK)]
    style = f"<style>svg{{{colours[0]}}}@media(prefers-color-scheme:dark){{svg{{{colours[1]}}}}}</style>"
    ground = '<rect width="100%" height="100%" style="fill:var(--ground)"/>'
    svg = re.sub(r"font-family: 'DejaVu Sans'[^;\"]*", "font-family: sans-serif", svg)
    head, _, body = svg.partition(">")
    return f"{head}>{style}{ground}{body}"


def spans(sentence: str) -> Iterator[Span]:
    """The spans of a sentence of CoNLL, of a word and two tags a line, and each word between them by itself."""
    found: list[Span] = []
    for word, true, told in (line.split("\t") for line in sentence.splitlines()):
        kind, taken = true.partition("-")[2], told.partition("-")[2]
        goes_on = found and true.startswith("I-") and (found[-1].true, found[-1].told) == (kind, taken)
        if goes_on:
            found[-1].words.append(word)
        else:
            found.append(Span([word], kind, taken))
    yield from found


def of_tags(conll: str, shown: int = 6) -> str:
    """Some sentences with the spans that were found in them; where those are wrong, the true ones below."""
    sentences = [list(spans(text)) for text in conll.strip().split("\n\n")]
    wrong = [each for each in sentences if any(span.true != span.told for span in each)]
    many = sorted((each for each in sentences if each not in wrong), key=lambda each: -len({s.true for s in each}))
    parts, top = [], 8.0
    for sentence in [*many[: shown - len(wrong[:2])], *wrong[:2]]:
        left = 8.0
        for span in sentence:
            said, bad = span.told, span.told != span.true
            note = f"{said or 'O'}, not {span.true or 'O'}" if bad else said
            text = " ".join(span.words)
            wide = max(ADVANCE * len(text), 0.75 * ADVANCE * len(note)) + (10 if note else 0)
            if left + wide > WIDTH:
                left, top = 8.0, top + ROW
            if note:
                colour = "model" if bad else "second"
                box = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="21" rx="3"'
                parts.append(f'<rect {box} style="fill:var(--{colour});opacity:.18"/>')
                parts.append(_text(left + wide / 2, top + 34, note, 0.75 * SIZE, colour))
            parts.append(_text(left + wide / 2, top + 15, text, SIZE, "ink"))
            left += wide + GAP / 2
        top += ROW + 8
    what = "Sentences with the spans that the tagger found"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img" aria-label="{what}">'
    return head + "\n".join(parts) + "</svg>\n"


def _text(x: float, y: float, text: str, size: float, colour: str) -> str:
    style = f"font:{size:g}px monospace;fill:var(--{colour})"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" style="{style}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
