"""Recurrent cells of Flax and what they give, for tests/weights: made once, in an environment that has Flax.

    python -m venv ENV && ENV/bin/pip install flax==0.12.8 jax==0.10.2
    ENV/bin/python tools/origins/flax_figures.py tests/weights/figures

writes ``flax.npz``, the parameters by their places with a slash between, and ``flax.json``, which has the versions
and, by the place of each layer, an input (N, T, I) and its output. Every parameter is random, biases too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

READ, UNITS = 3, 4  # features, of the input and of the state


def of_nnx(x: jax.Array, random: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters and outputs of every cell of nnx."""
    rngs = nnx.Rngs(0)
    cells = {
        "lstm": nnx.LSTMCell,
        "optimized": nnx.OptimizedLSTMCell,
        "gru": nnx.GRUCell,
        "simple": nnx.SimpleCell,
    }
    layers: dict[str, Any] = {name: nnx.RNN(cell(READ, UNITS, rngs=rngs)) for name, cell in cells.items()}
    layers["both"] = nnx.Bidirectional(*(nnx.RNN(nnx.GRUCell(READ, UNITS, rngs=rngs)) for _ in range(2)))
    arrays, results = {}, {}
    for name, layer in layers.items():
        nnx.update(layer, jax.tree.map(lambda leaf: _drawn(leaf, random), nnx.state(layer, nnx.Param)))
        results[f"nnx.{name}"] = np.asarray(layer(x))
        arrays |= _flat(nnx.to_pure_dict(nnx.state(layer, nnx.Param)), f"nnx/{name}/")
    return arrays, results


def of_linen(x: jax.Array, random: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same of linen's cells."""
    arrays, results = {}, {}
    cells = {"lstm": linen.OptimizedLSTMCell, "gru": linen.GRUCell, "simple": linen.SimpleCell}
    for name, cell in cells.items():
        layer = linen.RNN(cell(UNITS))
        state = jax.tree.map(lambda leaf: _drawn(leaf, random), layer.init(jax.random.key(0), x))
        results[f"linen.{name}"] = np.asarray(layer.apply(state, x))
        arrays |= _flat(state["params"], f"linen/{name}/")
    return arrays, results


def _drawn(leaf: Any, random: np.random.Generator) -> Any:
    return jnp.asarray(random.uniform(-0.7, 0.7, leaf.shape).astype(np.float32))


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}/") if isinstance(value, Mapping) else {name: np.asarray(value)}
    return found


def main(folder: Path) -> None:
    """Write the files."""
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 7, READ)).astype(np.float32)
    arrays, results = of_nnx(jnp.asarray(x), random)
    more, others = of_linen(jnp.asarray(x), random)
    np.savez(folder / "flax.npz", **(arrays | more))
    versions = {"flax": flax.__version__, "jax": jax.__version__}
    outputs = {name: y.tolist() for name, y in (results | others).items()}
    told = {"versions": versions, "x": x.tolist(), "y": outputs}
    (folder / "flax.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
