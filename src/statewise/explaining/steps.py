"""A module's own loops over cells as a picture: a box for each call, an arrow for what one call hands to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .loops import Call, Loop
from .picture import Box, Line, Picture, Text, text_width

MOST_CALLS, MOST_ROWS = 4, 8  # of a row with more calls the first two, a gap and the last are drawn
BOX, PITCH, LEVEL = (112, 34), 212, 128  # of a box width and height; from column to column; from row to row
HEAD, FOOT = 96, 66  # room above the highest row and below the lowest
FED = "red: what is read depends on what the cell has put out before"


@dataclass(eq=False)
class _Place:
    """Where a call is drawn, or a gap for those left out; then ``first`` and ``last`` are of these."""

    loop: Loop
    first: Call
    last: Call
    number: int
    row: int
    column: int = 0
    before: _Place | None = None  # left of it in its row
    x: float = 0.0
    y: float = 0.0

    @property
    def call(self) -> Call | None:
        return self.first if self.number >= 0 else None

    @property
    def half(self) -> float:
        return BOX[0] / 2 if self.number >= 0 else 14.0


def steps(loops: Sequence[Loop]) -> Picture:
    """The calls of ``loops``, time from left to right, the cells from below to above.

    What a call hands on as a state goes sideways, what another cell reads as its input upward.
    """
    rows = _rows(loops)
    places = _places(rows[:MOST_ROWS])
    columns = 1 + max(place.column for place in places)
    title = "The cells step by step, each arrow with its shape"
    title += f"; {len(rows) - MOST_ROWS} rows more are left out" if len(rows) > MOST_ROWS else ""
    fed = any(loop.fed_back for loop in loops)
    aside = 30 + max(text_width(text, "said") for loop in loops for text in (_ended(loop), _shape(loop.calls[0])))
    width = max(2 * aside + (columns - 1) * PITCH + BOX[0], *(text_width(t, "title") * 1.08 + 40 for t in (title, FED)))
    bottom = HEAD + (min(len(rows), MOST_ROWS) - 1) * LEVEL
    picture = Picture(width, bottom + FOOT + 20 * fed, title)
    picture.texts.append(Text(18, 18, title, "start", "title"))
    for place in places:
        place.x = width / 2 + (place.column - (columns - 1) / 2) * PITCH
        place.y = bottom - place.row * LEVEL
    found = {id(place.call): place for place in places if place.call is not None}
    read = {id(place.call.reads) for place in places if place.call is not None}
    last = {place.row: place for place in places}
    for place in places:
        if place.call is None:
            picture.texts.append(Text(place.x, place.y, "..."))
        else:
            _draw(picture, place, place.call, found, id(place.call) in read)
        _hand_on(picture, place, found)
    taken = {id(place.first.follows) for place in places}
    for place in last.values():
        if id(place.last) not in taken:
            _end(picture, place)
    if fed:
        picture.texts.append(Text(18, picture.height - 16, FED, "start", "said"))
    return picture


def _rows(loops: Sequence[Loop]) -> list[list[tuple[Loop, Call]]]:
    """The calls by rows: a cell has more than one where its chains go on at the same time."""
    rows: list[list[tuple[Loop, Call]]] = []
    for loop in loops:
        own: list[list[tuple[Loop, Call]]] = []
        for chain in loop.chains():
            row = next((row for row in own if row[-1][1].number < chain[0].number), [])
            if not row:
                own.append(row)
            row += [(loop, call) for call in chain]
        rows += own
    return rows


def _places(rows: Sequence[Sequence[tuple[Loop, Call]]]) -> list[_Place]:
    """Those that are drawn, each in its column: right of what it goes on from, above what it reads."""
    places: list[_Place] = []
    for number, row in enumerate(rows):
        loop, calls = row[0][0], [call for _, call in row]
        kept = [*range(len(row))] if len(row) <= MOST_CALLS else [0, 1, -1, len(row) - 1]
        for k, call in enumerate(kept):
            first, last = (calls[call],) * 2 if call >= 0 else (calls[2], calls[-2])
            places.append(_Place(loop, first, last, call, number, before=places[-1] if k else None))
    found = {id(place.call): place for place in places if place.call is not None}

    def least(place: _Place) -> int:
        columns = [0 if place.before is None else place.before.column + 1]
        for other, right in ((place.call.follows, 1), (place.call.reads, 0)) if place.call is not None else ():
            source = found.get(id(other))
            if source is not None and source.row != place.row:
                columns.append(source.column + right)
        return max(columns)

    for _ in places:  # each round moves what stands too far left; no way is longer than there are places
        for place in places:
            place.column = max(place.column, least(place))
    return places


def _draw(picture: Picture, place: _Place, call: Call, found: dict[int, _Place], is_read: bool) -> None:
    """A call's box, what it reads from below and, unless a cell reads that, what it puts out above."""
    x, top, foot = place.x, place.y - BOX[1] / 2, place.y + BOX[1] / 2
    name = place.loop.name
    picture.boxes.append(Box(x, place.y, *BOX, "forward"))
    picture.texts.append(Text(x, place.y, name if text_width(name) < BOX[0] - 8 else "..." + name[-10:]))
    source = found.get(id(call.reads))
    if source is not None and source.x == x and source.row == place.row - 1:
        picture.lines.append(Line((x, source.y - BOX[1] / 2), [(x, foot)], "up"))
        middle = (source.y + place.y) / 2
        picture.texts.append(Text(x + 8, middle, f"h[{source.number}] {tuple(call.x.shape)}", "start", "said"))
    else:
        text = f"x[{place.number}] {tuple(call.x.shape)}"
        picture.lines.append(Line((x, foot + 24), [(x, foot)], "up"))
        picture.texts.append(Text(x, foot + 32, text, kind="said"))
        if place.loop.fed_back and place.before is not None:
            before, edge = place.before, x - text_width(text, "said") / 2 - 5
            start = (before.x + before.half - 16, place.y + (BOX[1] / 2 if before.call is not None else 8))
            stop = (start[0], foot + 32, edge - 40, foot + 32, edge, foot + 32)
            picture.lines.append(Line(start, [stop], "backward"))
    if not is_read:
        picture.lines.append(Line((x, top), [(x, top - 22)], "up"))
        picture.texts.append(Text(x, top - 32, f"h[{place.number}] {_shape(call)}", kind="said"))


def _hand_on(picture: Picture, place: _Place, found: dict[int, _Place]) -> None:
    """The state that a place is given: from the left, from another row, or from outside."""
    call, beside, end = place.first, place.before, (place.x - place.half, place.y)
    letters = place.loop.stack.cell.states
    goes_on = beside is not None and call.follows is beside.last
    source = beside if goes_on else found.get(id(call.follows))
    if source is None:
        if place.call is not None:
            said = "zeros" if call.before is None else ", ".join(f"{letter}_0" for letter in letters)
            picture.lines.append(Line((end[0] - 22, end[1]), [end], "forward"))
            picture.texts.append(Text(end[0] - 26, end[1] - 7 * (call.before is not None), said, "end", "said"))
            if call.before is not None:
                shape = str(tuple(call.before[0].shape))
                picture.texts.append(Text(end[0] - 26, end[1] + 8, shape, "end", "said"))
        return
    start = (source.x + source.half, source.y)
    middle, level = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    shape, said = _shape(call), ", ".join(letters)
    if source.row != place.row:
        picture.lines.append(Line(start, [(middle, start[1], middle, end[1], *end)], "forward"))
        picture.texts.append(Text(middle + 12, level + 8, f"{said} {shape}", "start", "said"))
        return
    picture.lines.append(Line(start, [end], "forward"))
    if source.call is not None and place.call is not None:
        picture.texts.append(Text(middle - 3, level - 11, said, kind="said"))
        picture.texts.append(Text(middle - 3, level + 11, shape, kind="said"))


def _end(picture: Picture, place: _Place) -> None:
    """What is left after the last call of a row."""
    x = place.x + place.half
    picture.lines.append(Line((x, place.y), [(x + 22, place.y)], "forward"))
    picture.texts.append(Text(x + 26, place.y - 7, _ended(place.loop), "start", "said"))
    picture.texts.append(Text(x + 26, place.y + 8, _shape(place.last), "start", "said"))


def _ended(loop: Loop) -> str:
    """What is left of a loop, by name."""
    return ", ".join(f"{letter}[-1]" for letter in loop.stack.cell.states)


def _shape(call: Call) -> str:
    return str(tuple(call.after[0].shape))
