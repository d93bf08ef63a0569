"""A cell as data that a page computes and draws with: its weights, and its step as a graph and as equations."""

from __future__ import annotations

from typing import Any

from ...cells import Cell
from ...cells.symbols import Symbol
from ..equations import Operand, Written
from ..picture import parts_of

# What torch.nn has too: the class, and what it is told beside the sizes.
_CLASSES = {"lstm": ("LSTM", ""), "gru": ("GRU", ""), "rnn_tanh": ("RNN", ""), "rnn_relu": ("RNN", "relu")}


def describe(cell: Cell) -> dict[str, Any]:
    """What of ``cell`` a page needs, for JSON.

    ``symbols`` are the step's, each after those that it is computed ``of``; ``after`` has the place of each state
    after the step among them, and an equation that of what it defines. An equation's pieces are text, or text with
    the place of the symbol that it stands for; a lowered letter is written ``_{t}``.
    """
    written = Written(cell)
    places = {id(symbol): k for k, symbol in enumerate(written.trace.symbols)}
    return {
        "name": cell.name,
        "gates": list(cell.gates),
        "states": list(cell.states),
        "recurrent": list(cell.recurrent or ()),
        "late": list(cell.late),
        "weights": [{"name": w.name, "kind": w.kind, "parts": list(w.parts)} for w in cell.weights()],
        "groups": [list(group) for group in cell.norm_groups],
        "symbols": [_symbol(symbol, places) for symbol in written.trace.symbols],
        "after": [places[id(symbol)] for symbol in written.trace.states],
        "equations": [
            {
                "name": _lowered(made.name),
                "symbol": places[id(made.symbol)],
                "pieces": [
                    [_lowered(piece.text), places[id(piece.symbol)]] if isinstance(piece, Operand) else _lowered(piece)
                    for piece in made.pieces
                ],
            }
            for made in written.definitions
        ],
        **_made_by(cell),
    }


def _symbol(symbol: Symbol, places: dict[int, int]) -> dict[str, Any]:
    """The operation, which symbols it is of, and what else it is told: a letter, a place or a number."""
    of = [places[id(a)] for a in symbol.args if isinstance(a, Symbol)]
    return {"op": symbol.op, "of": of, "told": [a for a in symbol.args if not isinstance(a, Symbol)]}


def _lowered(text: str) -> str:
    return "".join(f"_{{{part}}}" if lowered else part for part, lowered in parts_of(text))


def _made_by(cell: Cell) -> dict[str, str]:
    """How a program makes the layer and the cell, ``{}`` standing for the sizes and options."""
    name, function = _CLASSES.get(cell.name, ("", ""))
    if name:
        more = f', nonlinearity="{function}"' if function else ""
        title = f"RNN with {function or 'tanh'}" if name == "RNN" else name
        return {"title": title, "layer": f"statewise.{name}({{}}{more})", "single": f"statewise.{name}Cell({{}}{more})"}
    return {
        "title": cell.name,
        "layer": f'statewise.Recurrent("{cell.name}", {{}})',
        "single": f'statewise.RecurrentCell("{cell.name}", {{}})',
    }
