"""Models of RTNeural's repository and the numbers that it tests them with, for tests/weights: taken once.

    python tools/origins/rtneural_figures.py CHECKOUT tests/weights/figures

writes ``rtneural.json``: of each model its description, an input and the output that Keras or torch gave. RTNeural has
the BSD 3-clause licence, which is in the file too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MODELS = ("lstm_1d", "gru_1d", "lstm", "gru", "conv", "lstm_torch", "gru_torch")
STEPS = 200


def main(checkout: Path, file: Path) -> None:
    """Write the file."""
    told = {"licence": (checkout / "LICENSE").read_text(encoding="utf-8")}
    for name in MODELS:
        model = json.loads((checkout / f"models/{name}.json").read_text(encoding="utf-8"))
        x, y = (
            [float(line) for line in (checkout / f"test_data/{name}_{of}_python.csv").read_text().split()][:STEPS]
            for of in "xy"
        )
        told[name] = {"model": _rounded(model), "x": x, "y": y}
    file.write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")


def _rounded(tree: object) -> object:
    """Numbers in the nine digits that tell a float32."""
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return float(f"{tree:.9g}") if isinstance(tree, float) else tree


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2], "rtneural.json"))
