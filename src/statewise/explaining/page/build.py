"""The page's parts put together into one file."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...cells import CELLS, Cell
from .description import describe

HERE = Path(__file__).parent
SCRIPTS = ("network.js", "program.js", "answers.js", "view.js")
LIBRARY = "vendor/lit-html.js"
MOST = {"steps": 6, "batch": 4, "input_size": 6, "hidden_size": 6, "layers": 3}  # of what can be seen whole


def page(start: Mapping[str, Any] | None = None) -> str:
    """The interactive page, as HTML.

    Args:
        start: what it shows first: ``cell``, by name or one of your own, ``steps``, ``batch``, ``input_size``,
            ``hidden_size``, ``layers``, ``bidirectional``, ``batch_first``, ``lengths`` (of which steps and batch
            follow). Sizes are cut down to ``MOST``, and the page says so.
    """
    given = _with_lengths(start or {})
    cells = list(CELLS)
    if isinstance(own := given.get("cell"), Cell):
        cells = [own, *[cell for cell in cells if cell is not own]]
        given["cell"] = own.name
    cuts = cut_down(given)
    data = {
        "cells": [describe(cell) for cell in cells],
        "most": MOST,
        "start": given | {name: most for name, (_, most) in cuts.items()},
        "cuts": {name: asked for name, (asked, _) in cuts.items()},
        "version": __version__,
    }
    style = _read("page.css")
    script = "\n".join([_library(), *map(_read, SCRIPTS)])
    script = f'(() => {{\n"use strict";\n{script}\n}})();'
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri "
        "'none'; form-action 'none'",
        "style": style,
        "notice": _read("vendor/LICENSE.lit-html").strip(),
        "data": json.dumps(data, separators=(",", ":")).replace("</", "<\\/"),
        "script": script,
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: parts[found[1]], _read("page.html"))


def cut_down(start: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The sizes that are too large to be seen whole, by name: what was asked for, and what is shown."""
    given = _with_lengths(start)
    return {name: (given[name], most) for name, most in MOST.items() if given.get(name, 0) > most}


def _with_lengths(start: Mapping[str, Any]) -> dict[str, Any]:
    lengths = start.get("lengths")
    return {**start, **({"steps": max(lengths), "batch": len(lengths)} if lengths else {})}


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _library() -> str:
    """lit-html as one constant: the module as it was published, what it exports given back instead."""
    module = re.sub(r"//# sourceMappingURL=.*", "", _read(LIBRARY))
    body, exports = module.rsplit("export{", 1)
    names = [name.split(" as ") for name in exports.split("}")[0].split(",")]
    given = ", ".join(f"{outer}: {inner}" for inner, outer in names if outer in ("html", "nothing", "render"))
    return f"const {{ html, nothing, render }} = (() => {{\n{body}return {{ {given} }};\n}})();"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
