"""The inside of a cell as a picture, laid out from its description: products, gates, operations, states, equations.

The step's graph stands in columns, each value right of what it is made of. A line that passes a column has a place of
its own there, so none runs through a box. The order within the columns is the one with the fewest crossings that sweeps
find, the heights are a least-squares fit to straight lines.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from ..cells import Cell
from ..cells.symbols import Symbol
from .equations import Written
from .picture import CODE, Box, Line, Picture, Text, text_width

MARGIN, GAP, CHANNEL, ROUND = 18, 12, 38, 13
SWEEPS, FITS = 24, 200
SIGNS = {"add": "+", "sub": "+", "mul": "\N{MULTIPLICATION SIGN}", "div": "\N{DIVISION SIGN}"}
PORTS = {"sub": ("", "\N{MINUS SIGN}"), "div": ("", "by"), "where": ("if", "then", "else")}
WORDS = {"logsigmoid": "log sigmoid", "maximum": "max", "minimum": "min"}


@dataclass(eq=False)
class _Node:
    """Something that is drawn: ``kind`` is state, product, operation, bend or end."""

    kind: str
    text: str = ""
    name: str = ""
    colour: str = "up"
    sums: bool = False  # whether it adds up what it reads before it does anything else
    reads: list[tuple[_Node, str]] = field(default_factory=list)  # from where, and what stands at the end of the line
    column: int = 0
    y: float = 0.0

    @property
    def width(self) -> float:
        if self.kind == "bend":
            return 0.0
        if self.kind in ("state", "end"):
            return max(text_width(self.text), text_width(self.name, "said"))
        if self.text in SIGNS.values():
            return 2 * ROUND
        return max(text_width(self.text), text_width(self.name) + 6) + 16 + (22 if self.sums else 0) + self.inset

    @property
    def inset(self) -> float:
        """Room within the box for what stands at the ends of its lines."""
        return max([text_width(port, "said") for _, port in self.reads], default=0) if self.chooses else 0.0

    @property
    def chooses(self) -> bool:
        """Whether it takes one of its values by another."""
        return any(port in PORTS["where"] for _, port in self.reads)

    @property
    def height(self) -> float:
        if self.kind == "bend":
            return 8.0
        if self.kind in ("product", "end", "state"):
            return {"product": 24.0, "end": 30.0, "state": 34.0}[self.kind]
        if self.text in SIGNS.values():
            return 2 * ROUND + (32 if self.name else 0)  # the name above; below as much, for the middle to be its own
        return 54.0 if self.chooses else 42.0 if self.name else 28.0


def inside(cell: Cell, bias: bool = True) -> Picture:
    """One step of ``cell``, drawn from its description, with its equations below."""
    written = Written(cell, bias)
    columns = _columns(cell, written)
    _order(columns)
    _place(columns)
    return _draw(cell, bias, columns, written.lines)


# What there is to draw


def _columns(cell: Cell, written: Written) -> list[list[_Node]]:
    """The nodes, by columns: states and input, products, operations, states."""
    before = [_Node("state", f"{letter}_(t-1)", "(N, H)", "forward") for letter in cell.states]
    x = _Node("state", "x_t", "(N, I)", "input")
    ours = {gate: _Node("product", gate, colour="input", reads=[(x, "")]) for gate in cell.gates}
    theirs = {
        gate: _Node("product", gate, colour="forward", reads=[(before[0], "")])
        for gate in cell.recurrent or ()
        if gate not in cell.late
    }
    for node in (*ours.values(), *theirs.values()):
        node.column = 1
    made: dict[int, _Node] = {}

    def node_of(symbol: Symbol) -> _Node:
        if id(symbol) not in made:
            made[id(symbol)] = new(symbol)
        return made[id(symbol)]

    def new(symbol: Symbol) -> _Node:
        op, args = symbol.op, symbol.args
        if op in ("x", "r"):
            return (ours if op == "x" else theirs)[str(args[0])]
        if op == "state":
            return before[int(args[0])]
        name = written.names.get(id(symbol), "")
        values = [a for a in args if isinstance(a, Symbol)]
        moving = [a for a in values if _moves(a)]
        text, sums = _label(written, symbol, moving), False
        ports = [PORTS.get(op, ("",) * len(args))[k] for k, a in enumerate(args) if any(a is m for m in moving)]
        if op in SIGNS and len(moving) < len(values):
            ports = [""]
        if len(moving) == 1 and op not in (*SIGNS, "late", "norm", "where"):
            moving = _terms(moving[0], written)
            sums = len(moving) > 1
        reads = [(node_of(a), ports[k] if op in PORTS else "") for k, a in enumerate(moving)]
        node = _Node("operation", text, name, "forward" if op == "late" else "operation", sums, reads)
        node.column = max([1, *[each.column for each, _ in reads]]) + 1
        return node

    ends = []
    for letter, symbol in zip(cell.states, written.trace.states, strict=True):
        ends.append(_Node("end", f"{letter}_t", "(N, H)", "forward", reads=[(node_of(symbol), "")]))
    last = max(node.column for node in made.values()) + 1
    columns: list[list[_Node]] = [[] for _ in range(last + 1)]
    columns[0] = [*reversed(before), x]
    columns[1] = [*theirs.values(), *ours.values()]
    for node in made.values():
        if node.kind == "operation":
            columns[node.column].append(node)
    columns[last] = ends[::-1]
    for node in ends:
        node.column = last
    _bend(columns)
    used = {id(source) for column in columns for node in column for source, _ in node.reads}
    columns[0] = [node for node in columns[0] if id(node) in used]
    return columns


def _moves(symbol: Symbol) -> bool:
    """Whether a value is made of the input or the states, and not of weights and numbers alone."""
    if symbol.op in ("x", "r", "late", "state", "norm"):
        return True
    return any(isinstance(a, Symbol) and _moves(a) for a in symbol.args)


def _terms(symbol: Symbol, written: Written) -> list[Symbol]:
    """What is added up to ``symbol``, where that is used nowhere else and has no name: else it alone."""
    if symbol.op != "add" or written.uses[id(symbol)] > 1 or id(symbol) in written.names:
        return [symbol]
    if not all(_moves(a) for a in symbol.args):
        return [symbol]
    return [term for a in symbol.args for term in _terms(a, written)]


def _label(written: Written, symbol: Symbol, moving: Sequence[Symbol]) -> str:
    """What an operation is called: a sign, a function, or one of them with a number or a weight."""
    op, args = symbol.op, symbol.args
    if op == "late":
        return written.share(op, args[0], args[1]).replace(f"({written.text(args[1])})", "\N{MIDDLE DOT}")
    if op == "norm":
        return f"norm_{args[0]}"
    if op == "neg":
        return "\N{MINUS SIGN}"
    texts = ["" if any(a is m for m in moving) else written.text(a, op in ("mul", "div")) for a in args]
    if op in SIGNS:
        sign = "\N{MINUS SIGN}" if op == "sub" else SIGNS[op]
        if len(moving) == len(args):
            return SIGNS[op]
        return f"{texts[0]} {sign}" if texts[0] else f"{sign} {texts[1]}"
    if op == "where":
        return ", ".join(
            [f"{port} {t}" for port, t in zip(PORTS[op], texts, strict=True) if t] or ["\N{NOT EQUAL TO} 0"]
        )
    word = WORDS.get(op, op)
    return f"{word}({', '.join(t or chr(0xB7) for t in texts)})" if any(texts) else word


def _bend(columns: list[list[_Node]]) -> None:
    """Put a bend into every column that a line passes: one for all lines from the same node."""
    bends: dict[tuple[int, int], _Node] = {}
    for number, column in enumerate(columns):
        for node in column:
            for k, (source, port) in enumerate(node.reads):
                at = source
                for between in range(source.column + 1, number):
                    key = (id(source), between)
                    if key not in bends:
                        bends[key] = _Node("bend", colour=source.colour, reads=[(at, "")], column=between)
                        columns[between].insert(0, bends[key])
                    at = bends[key]
                node.reads[k] = (at, port)


# Where it stands


def _order(columns: list[list[_Node]]) -> None:
    """Sort the columns so that few lines cross. Products stay together, in their order."""
    readers = _readers(columns)
    best, fewest = [list(column) for column in columns], _crossings(columns)
    for sweep in range(SWEEPS):
        rightward = sweep % 2 == 0
        for k in range(1, len(columns)) if rightward else reversed(range(len(columns) - 1)):
            beside = columns[k - 1 if rightward else k + 1]
            place = {id(node): i for i, node in enumerate(beside)}

            def wanted(node: _Node, rightward: bool = rightward, place: dict[int, int] = place) -> float:
                near = [n for n, _ in node.reads] if rightward else readers[id(node)]
                places = [place[id(n)] for n in near]
                return sum(places) / len(places) if places else -1.0

            if k != 1:
                columns[k].sort(key=wanted)
            _swap(columns, k)
        if (found := _crossings(columns)) < fewest:
            best, fewest = [list(column) for column in columns], found
    columns[:] = best


def _swap(columns: list[list[_Node]], k: int) -> None:
    """Exchange neighbours of a column as long as that takes crossings away."""
    column, better = columns[k], True
    while better:
        better = False
        for i in range(len(column) - 1):
            if column[i].kind == column[i + 1].kind == "product":
                continue
            before = _crossings(columns[max(0, k - 1) : k + 2])
            column[i], column[i + 1] = column[i + 1], column[i]
            if _crossings(columns[max(0, k - 1) : k + 2]) < before and _products_together(column):
                better = True
            else:
                column[i], column[i + 1] = column[i + 1], column[i]


def _products_together(column: Sequence[_Node]) -> bool:
    """Whether nothing stands between the products of the same matrix."""
    runs = [node.colour if node.kind == "product" else "" for node in column]
    runs = [now for before, now in pairwise(["-", *runs]) if now != before and now]
    return len(set(runs)) == len(runs)


def _readers(columns: Sequence[Sequence[_Node]]) -> dict[int, list[_Node]]:
    found: dict[int, list[_Node]] = defaultdict(list)
    for column in columns:
        for node in column:
            for source, _ in node.reads:
                found[id(source)].append(node)
    return found


def _crossings(columns: Sequence[Sequence[_Node]]) -> int:
    """How many pairs of lines cross between neighbouring columns."""
    total = 0
    for left, right in pairwise(columns):
        place = {id(node): i for i, node in enumerate(left)}
        ends = [(place[id(s)], j) for j, node in enumerate(right) for s, _ in node.reads if id(s) in place]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    return total


def _place(columns: list[list[_Node]]) -> None:
    """Give every node its height: the lines as straight as the room between the nodes allows."""
    readers = _readers(columns)
    for column in columns:
        _fit(column, lambda node: 0.0)
    for sweep in range(FITS):
        for column in columns if sweep % 2 == 0 else reversed(columns):

            def wanted(node: _Node) -> float:
                near = [source for source, _ in node.reads] + readers[id(node)]
                pulls = [1 + 3 * (node.kind == "bend") + 3 * (each.kind == "bend") for each in near]
                return sum(each.y * pull for each, pull in zip(near, pulls, strict=True)) / sum(pulls)

            _fit(column, wanted)


def _fit(column: Sequence[_Node], wanted: Callable[[_Node], float]) -> None:
    """The heights nearest to what is wanted, in least squares, with room between the nodes: pools of neighbours."""
    offset, before, pools = 0.0, None, list[tuple[float, float, list[tuple[_Node, float]]]]()
    for node in column:
        if before is not None:
            offset += _room(before, node)
        weight = 4.0 if node.kind in ("bend", "end", "state") else 1.0
        pools.append((wanted(node) - offset, weight, [(node, offset)]))
        touches = before is not None and _touch(before, node)
        while len(pools) > 1 and (touches or pools[-2][0] >= pools[-1][0]):
            touches = False
            (a, v, upper), (b, w, lower) = pools[-2:]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, upper + lower)]
        before = node
    for height, _, nodes in pools:
        for node, down in nodes:
            node.y = height + down


def _room(above: _Node, below: _Node) -> float:
    """From middle to middle: products of a matrix touch, and its first one has a title above."""
    if _touch(above, below):
        return below.height
    gap = GAP + (34 if below.kind == "product" else 0)
    return (above.height + below.height) / 2 + gap


def _touch(above: _Node, below: _Node) -> bool:
    """Whether both are products of the same matrix."""
    return above.kind == below.kind == "product" and above.colour == below.colour


# Lines and boxes


def _draw(cell: Cell, bias: bool, columns: Sequence[Sequence[_Node]], lines: Sequence[str]) -> Picture:
    every = [node for column in columns for node in column]
    titles = _titles(cell, bias)
    top = min(node.y - node.height / 2 - (34 if node.kind == "product" else 0) for node in every)
    for node in every:
        node.y += MARGIN + 34 - top
    widths = [max(node.width for node in column) for column in columns]
    told = {node.colour for node in columns[1] if node.kind == "product"}
    widths[1] = max(text_width(text) for colour, text in titles.items() if colour in told)
    lefts, right = [], float(MARGIN)
    for k, width in enumerate(widths):
        lefts.append(right)
        more = sum(len(node.reads) for node in columns[k + 1]) if k + 1 < len(columns) else 0
        right += width + (CHANNEL + 3 * more if k + 1 < len(columns) else 0)
    graph = right + MARGIN
    title = f"One step of {cell.name}: what has no shape beside it is (N, H)"
    width = max(graph, min(max(CODE * len(line) for line in lines) + 2 * MARGIN, 860), text_width(title) * 1.08 + 40)
    shift = (width - graph) / 2
    middles = [left + w / 2 + shift for left, w in zip(lefts, widths, strict=True)]
    height = max(node.y + node.height / 2 for node in every) + MARGIN
    picture = Picture(width, height, title)
    picture.texts.append(Text(MARGIN, MARGIN, title, "start", "title"))
    for node in every:
        _draw_node(picture, node, middles[node.column])
    _draw_lines(picture, columns, middles, widths)
    for colour, text in titles.items():
        if nodes := [n for n in columns[1] if n.colour == colour and n.kind == "product"]:
            _draw_product(picture, nodes, text, middles, widths)
    at = height + 8
    for line in lines:
        under = " " * (line.index("=") + 4)
        room = int((width - 2 * MARGIN) / CODE)
        for piece in textwrap.wrap(line, room, subsequent_indent=under, break_long_words=False):
            picture.texts.append(Text(MARGIN, at, piece, "start", "code"))
            at += 18
    picture.height = at + MARGIN - 6
    return picture


def _titles(cell: Cell, bias: bool) -> dict[str, str]:
    """What stands above the products of the state and of the input."""
    theirs, ours = (
        f"norm({product})" if norm in cell.norms else product
        for product, norm in (("W_hh h_(t-1)", "r"), ("W_ih x_t", "x"))
    )
    second = bias and cell.biases == "xh"
    return {"forward": theirs + " + b_hh" * second, "input": ours + " + b_ih" * bias}


def _draw_node(picture: Picture, node: _Node, x: float) -> None:
    if node.kind in ("state", "end"):
        picture.texts.append(Text(x, node.y - 7, node.text))
        picture.texts.append(Text(x, node.y + 9, node.name, kind="said"))
    elif node.kind == "product":
        picture.boxes.append(Box(x, node.y, node.width, node.height, node.colour, 0))
        picture.texts.append(Text(x, node.y, node.text))
    elif node.kind == "operation":
        sign = node.text in SIGNS.values()
        height = 2.0 * ROUND if sign else node.height
        picture.boxes.append(Box(x, node.y, node.width, height, node.colour, ROUND if sign else 6))
        middle = x + node.inset / 2
        if node.sums:
            left = x - node.width / 2
            picture.boxes.append(Box(left + 11, node.y, 22, height, node.colour, 6))
            picture.texts.append(Text(left + 11, node.y, "+"))
            middle = x + 11
        if node.name and sign:
            picture.texts.append(Text(x, node.y - ROUND - 10, node.name))
            picture.texts.append(Text(x, node.y, node.text))
        elif node.name:
            picture.texts.append(Text(middle, node.y - 9, node.name))
            picture.texts.append(Text(middle, node.y + 9, node.text, kind="said"))
        else:
            picture.texts.append(Text(middle, node.y, node.text))


def _draw_lines(
    picture: Picture, columns: Sequence[Sequence[_Node]], middles: Sequence[float], widths: Sequence[float]
) -> None:
    for column in columns[1:]:
        for node in [n for n in column if n.kind != "product"]:
            ports = sorted(node.reads, key=lambda each: each[0].y)
            step = 16.0 if node.chooses else min(9.0, 20.0 / max(1, len(ports) - 1))
            for k, (source, port) in enumerate(ports):
                y = node.y + (k - (len(ports) - 1) / 2) * step
                _draw_line(picture, source, node, y, middles, widths)
                if port and node.chooses:
                    picture.texts.append(Text(middles[node.column] - node.width / 2 + 6, y, port, "start", "said"))
                elif port:
                    x = middles[node.column] - node.width / 2
                    above = k <= (len(ports) - 1) / 2 and len(ports) > 1
                    picture.texts.append(Text(x - 7, y + (-10 if above else 10), port, "end", "said"))


def _draw_line(
    picture: Picture, source: _Node, node: _Node, y: float, middles: Sequence[float], widths: Sequence[float]
) -> None:
    """From the right of ``source``'s column to ``node``'s left side at the height ``y``, level in both columns."""
    bend = node.kind == "bend"
    x0 = middles[source.column] + (0 if source.kind == "bend" else source.width / 2)
    a, b = middles[source.column] + widths[source.column] / 2, middles[node.column] - widths[node.column] / 2
    x1 = middles[node.column] - (0 if bend else node.width / 2 + (4 if node.kind == "end" else 0))
    b = min(b, x1)
    half = (b - a) / 2
    stops: list[tuple[float, ...]] = [(a, source.y)] if a > x0 else []
    stops += [(a + half, source.y, b - half, y, b, y), *([(x1, y)] if x1 > b else [])]
    picture.lines.append(Line((x0, source.y), stops, source.colour, not bend))


def _draw_product(
    picture: Picture, nodes: Sequence[_Node], text: str, middles: Sequence[float], widths: Sequence[float]
) -> None:
    """What is common to the products of a matrix: the line into it, what it multiplies, its shape."""
    source, _ = nodes[0].reads[0]
    top, bottom = nodes[0].y - nodes[0].height / 2, nodes[-1].y + nodes[-1].height / 2
    x, y = middles[1], (top + bottom) / 2
    picture.texts.append(Text(x, top - 24, text))
    shape = f"(N, {len(nodes)}*H)" if len(nodes) > 1 else "(N, H)"
    picture.texts.append(Text(x, top - 9, shape, kind="said"))
    _draw_line(picture, source, nodes[0], y, middles, widths)
