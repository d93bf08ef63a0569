"""Flax: the parameters of its recurrent cells, of nnx and of linen, as nested mappings have them.

Kernels are (I, H) a gate, or (I, G*H) where all gates have one. LSTM's gates are i, f, g, o, GRU's r, z, n.
"""

from __future__ import annotations

import re

import numpy as np

from .part import Array, Arrays, Layout, One, Part, part, refuse

_LAYOUTS = {4: Layout("lstm", "ifgo"), 3: Layout("gru", "rzn"), 1: Layout("rnn_tanh", "h")}  # by the number of gates
_WAYS = re.compile(r"(^|\.)(forward|backward)_rnn(\.|$)")


def parts(arrays: Arrays) -> dict[str, Part]:
    """The cells, by the names of what they are in; the two directions of ``Bidirectional`` as one part."""
    groups: dict[str, Arrays] = {}
    for name, array in arrays.items():
        place, _, leaf = name.rpartition(".")
        prefix, _, product = place.rpartition(".")
        if leaf in ("kernel", "bias"):
            groups.setdefault(prefix, {})[f"{product.rstrip('_')}.{leaf}"] = array
    cells = {prefix: one for prefix, group in groups.items() if (one := _cell(prefix, group))}
    found: dict[str, list[tuple[Layout, One]]] = {}
    for prefix, one in sorted(cells.items(), key=lambda each: "backward_rnn" in each[0]):
        name = _WAYS.sub(lambda match: "." if match[1] and match[3] else "", prefix)
        name = re.sub(r"(^|\.)cell$", "", name) or "layer"
        found.setdefault(name, []).append(one)
    made = {}
    for name, ones in found.items():
        if len(ones) > 2 or len({layout.cell for layout, _ in ones}) > 1:
            raise refuse(name, "two directions of one cell", f"{len(ones)} cells")
        layout = ones[0][0]
        others = ("rnn_relu",) if layout.cell == "rnn_tanh" else ()
        made[name] = part(name, layout, [[one for _, one in ones]], others=others)
    return made


def _cell(prefix: str, group: Arrays) -> tuple[Layout, One] | None:
    """The cell that these are the products of, if they are one's."""
    for dense in ("dense_{}", "{}"):  # all gates in one product
        keys = [dense.format(of) + ".kernel" for of in "ih"]
        if all(key in group for key in keys) and len(_products(group)) == 2:
            w, r = (group[key] for key in keys)
            gates = r.shape[1] / r.shape[0] if r.ndim == 2 and r.size else 0
            if gates not in _LAYOUTS:
                raise refuse(f"{prefix}.{keys[1]}", "columns for 1, 3 or 4 gates", str(r.shape))
            own, state = (group.get(dense.format(of) + ".bias") for of in "ih")
            return _LAYOUTS[int(gates)], One(w, r, own, state)
    for layout in _LAYOUTS.values():
        if _products(group) == {f"{of}{gate}" for of in "ih" for gate in layout.gates}:
            w, r = (_joined(prefix, [group.get(f"{of}{gate}.kernel") for gate in layout.gates]) for of in "ih")
            own, state = (_biases([group.get(f"{of}{gate}.bias") for gate in layout.gates], r) for of in "ih")
            return layout, One(w, r, own, state)
    return None


def _products(group: Arrays) -> set[str]:
    return {name.partition(".")[0] for name in group}


def _joined(prefix: str, kernels: list[Array | None]) -> Array:
    there = [kernel for kernel in kernels if kernel is not None]
    if len(there) < len(kernels) or len({kernel.shape for kernel in there}) > 1 or there[0].ndim != 2:
        raise refuse(prefix, "kernels of one shape for all gates", ", ".join(str(kernel.shape) for kernel in there))
    return np.concatenate(there, axis=1)


def _biases(biases: list[Array | None], kernel: Array) -> Array | None:
    """Of all gates; zeros for one that has none, None if no gate has any."""
    if all(bias is None for bias in biases):
        return None
    h = kernel.shape[0]
    return np.concatenate([np.zeros(h, np.float32) if bias is None else bias.ravel() for bias in biases])
