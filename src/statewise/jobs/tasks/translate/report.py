"""What this job alone says of a run: lines of the terminal, sections of the page, the file of predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from ....runtime import Hypothesis
from ...data.vocabulary import Vocabulary
from ...experiment import percent
from ...experiment import verdict as verdict_of
from ...lazy import LazyModule
from ...report import Block, Heading, Note, Picture, Table, to_svg
from ...report.charts import LINE, MODEL, REAL, new_figure
from .model import Model
from .pairs import Pairs
from .result import Score

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

SHOWN, MAPS, MOST_SYMBOLS = 15, 6, 40  # mistakes; pictures, and symbols of a side of one
LOOKED_AT = 200  # targets of which some become pictures
ENDED = "↵"
FAINT = 0.02  # the least attention that is drawn


class Result(NamedTuple):
    """The likeliest targets of a test part."""

    model: Model
    pairs: Pairs
    best: Sequence[Hypothesis]


def symbols_line(source: Vocabulary, target: Vocabulary) -> str:
    """How many symbols there are on each side."""
    what = {"char": "characters", "word": "words", "subword": "pieces of words"}
    sides = [f"{len(side.symbols) - 2:,} {what[side.level]}" for side in (source, target)]
    return f"{sides[0]} read, {sides[1]} written"


def _cells(score: Score) -> list[str]:
    rates = [percent(share) for share in (score.exact, score.characters, score.words)]
    return rates + [f"{found:.2f}" for found in (score.bleu, score.chrf) if found is not None]


def table(score: Score, baselines: Sequence[Score]) -> Table:
    """How good the model and the baselines are."""
    head = [
        "on the test part",
        "exact",
        "wrong characters",
        "wrong words",
        *(["BLEU", "chrF"] if score.bleu is not None else []),
    ]
    return Table(head, [[each.name, *_cells(each)] for each in (score, *baselines)])


def verdict(score: Score, baselines: Sequence[Score], *, characters: bool) -> tuple[str, bool]:
    """One line: does the model beat the baselines, and where not; and whether that is good news."""
    measure = "characters" if characters else "words"
    values = [(each.name, -getattr(each, measure)) for each in (score, *baselines)]
    return verdict_of(values[0], values[1:], f"wrong {measure}", lambda rate: percent(-rate))


def blocks(result: Result) -> list[Block]:
    """The sections of the page."""
    wrong = [rows for rows in result.pairs.groups().values() if _is_wrong(result, rows)]
    wrong.sort(key=lambda rows: -result.best[rows[0]].probability)
    return [*_mistakes(result, wrong), *_attention(result)]


def _is_wrong(result: Result, rows: Sequence[int]) -> bool:
    return all(result.best[rows[0]].text != result.pairs.known_targets[row] for row in rows)


def _mistakes(result: Result, wrong: Sequence[Sequence[int]]) -> list[Block]:
    if not wrong:
        return [Note("Every source of the test part is written as it should be.", good=True)]
    rows = []
    for places in wrong[:SHOWN]:
        text, p = result.best[places[0]]
        true = " or ".join(result.pairs.known_targets[row] for row in places)
        rows.append([*map(short, (result.pairs.sources[places[0]], true, text)), f"{100 * math.exp(p):.1f} %"])
    said = f"The {len(rows)} that the model was surest of, of {len(wrong):,} wrong ones."
    return [Heading("Mistakes"), Table(("source", "true", "written", "probability"), rows, caption=said)]


def _attention(result: Result) -> list[Block]:
    """Where the model looked while it wrote, of some targets spread over the test part."""
    written = Pairs("", result.pairs.sources, [each.text for each in result.best], result.pairs.features)
    spread, model = range(0, len(written), max(1, len(written) // LOOKED_AT)), result.model
    fit = [row for row in spread if all(1 < len(side) <= MOST_SYMBOLS for side in _symbols(model, written, row))]
    if not fit:
        return []
    shown = fit[:: max(1, len(fit) // MAPS)][:MAPS]
    columns = 2
    figure = new_figure(10.5, 3.4 * -(-len(shown) // columns))
    panels = figure.subplots(-(-len(shown) // columns), columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, row in zip(panels, shown, strict=False):
        _map(axes, model, written, row)
    said = (
        f"Each row is a symbol that was written, each column one that was read, {ENDED} the end: the stronger the"
        " colour, the more the network looked there."
    )
    return [Heading("Attention"), Picture(to_svg(figure), said)]


def _symbols(model: Model, pairs: Pairs, row: int) -> tuple[list[str], list[str]]:
    texts = ((model.source, pairs.sources[row]), (model.target, pairs.known_targets[row]))
    read, written = ([side.decode([n]) for n in side.encode(text)[:-1]] for side, text in texts)
    return [*pairs.features[row], *read, ENDED], [*written, ENDED]


def _map(axes: Axes, model: Model, pairs: Pairs, row: int) -> None:
    weights = model.attention(pairs, row)  # (T, T')
    read, written = _symbols(model, pairs, row)
    cells = [(t, s) for t, s in zip(*(weights > FAINT).nonzero(), strict=True)]
    squares = PatchCollection([Rectangle((s, t), 1, 1) for t, s in cells], linewidths=0, facecolors=MODEL)
    squares.set_alpha([min(1.0, float(weights[cell])) for cell in cells])
    axes.add_collection(squares)
    axes.set(xlim=(0, len(read)), ylim=(len(written), 0))
    long = max(map(len, read)) > 2
    axes.set_xticks([s + 0.5 for s in range(len(read))], read, rotation=90 if long else 0, parse_math=False)
    axes.set_yticks([t + 0.5 for t in range(len(written))], written, parse_math=False)
    axes.tick_params(length=0, labelcolor=REAL, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(LINE)


def short(text: str, most: int = 40) -> str:
    """``text``, or its beginning where that is long."""
    return text if len(text) <= most else text[: most - 1] + "…"
