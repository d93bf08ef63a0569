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
from ...cells import CELLS
from .description import describe

HERE = Path(__file__).parent
SCRIPTS = ("network.js", "program.js", "answers.js", "view.js")
LIBRARY = "vendor/lit-html.js"
MOST = {"steps": 6, "batch": 4, "input_size": 6, "hidden_size": 6, "layers": 3}  # more can't be overlooked


def page(start: Mapping[str, Any] | None = None) -> str:
    """The interactive page, as HTML.

    Args:
        start: what it shows first: ``cell`` by name, ``steps``, ``batch``, ``input_size``, ``hidden_size``,
            ``layers``, ``bidirectional``, ``batch_first``, ``lengths``; sizes are cut down to ``MOST``.
    """
    given = {key: min(value, MOST[key]) if key in MOST else value for key, value in (start or {}).items()}
    data = {"cells": [describe(cell) for cell in CELLS], "most": MOST, "start": given, "version": __version__}
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
