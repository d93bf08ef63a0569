"""torch.nn's names, as a state_dict, a checkpoint or a file of such tensors has them.

``weight_ih_l0`` of layers, ``weight_ih`` of cells; ``w_ih`` and ``b_ih`` of those who write them by hand in that order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import cells
from ..stack import Stack
from .part import Array, Arrays, Part, check, refuse

_NAME = re.compile(r"(?P<kind>weight|bias|w|b)_(?P<of>ih|hh|hr)(_l(?P<k>\d{1,4}))?(?P<way>_reverse)?")
_OWN = re.compile(r"(.*?)[._]?((?:weight|bias|w|b|initial)_[a-z]{1,6}(?:_l\d{1,4})?(?:_reverse)?)")
_CELLS = {4: "lstm", 3: "gru", 1: "rnn_tanh"}  # by the number of gates


def parts(arrays: Arrays) -> dict[str, Part]:
    """The stacks, by what their tensors' names begin with; ``layer`` for one whose names begin with nothing."""
    groups: dict[str, Arrays] = {}
    for name, array in arrays.items():
        if match := _OWN.fullmatch(name):
            groups.setdefault(match[1], {})[match[2]] = array
    return {prefix or "layer": _part(prefix or "layer", group) for prefix, group in groups.items() if _is_stack(group)}


def _is_stack(group: Mapping[str, Any]) -> bool:
    return any(match["of"] == "hh" and match["kind"][0] == "w" for match in map(_NAME.fullmatch, group) if match)


def _part(name: str, group: Arrays) -> Part:
    found: Arrays = {}
    for key, array in group.items():
        match = _NAME.fullmatch(key)
        if not match:
            raise refuse(name, "torch.nn's tensors alone", key)
        kind = {"w": "weight", "b": "bias"}[match["kind"][0]]
        place = f"{kind}_{match['of']}_l{int(match['k'] or 0)}{match['way'] or ''}"
        if place in found:
            raise refuse(name, "each tensor once", key)
        found[place] = array
    first = found.get("weight_hh_l0")
    if first is None or "weight_ih_l0" not in found:
        raise refuse(name, "weight_ih and weight_hh of the lowest layer", ", ".join(sorted(found)))
    projection = found.get("weight_hr_l0")
    for each in ("weight_hh_l0", "weight_ih_l0", *(["weight_hr_l0"] if projection is not None else [])):
        check(f"{name}.{each}", found[each], None, None)
    h = first.shape[1] if projection is None else projection.shape[1]
    gates = first.shape[0] / h if h else 0
    if gates not in _CELLS:
        raise refuse(f"{name}.weight_hh_l0", "rows for 1, 3 or 4 gates", str(first.shape))
    cell = _CELLS[int(gates)]
    layers = 1 + max(int(key.split("_l")[1].removesuffix("_reverse")) for key in found)
    stack = Stack(
        cells.by_name(cell),
        input_size=found["weight_ih_l0"].shape[1],
        hidden_size=h,
        num_layers=min(layers, len(found)),
        bidirectional=any(key.endswith("_reverse") for key in found),
        bias=any(key.startswith("bias") for key in found),
        proj_size=0 if projection is None else projection.shape[0],
    )
    taken = _taken(name, stack, found)
    sizes = (stack.input_size, h, stack.num_layers, stack.bidirectional, stack.bias, stack.proj_size)
    return Part(name, cell, *sizes, False, taken, ("rnn_relu",) if cell == "rnn_tanh" else ())


def _taken(name: str, stack: Stack, found: Arrays) -> Arrays:
    """All tensors that the stack has, and nothing beside them."""
    taken: dict[str, Array] = {}
    for k in range(stack.num_layers):
        for way in ("", "_reverse")[: stack.directions]:
            for weight in stack.weights:
                key = f"{weight.name}_l{k}{way}"
                if key not in found and weight.name == "bias_hh" and f"bias_ih_l{k}{way}" in found:
                    found[key] = np.zeros_like(found[f"bias_ih_l{k}{way}"])
                if key not in found:
                    raise refuse(name, key, ", ".join(sorted(found)))
                check(f"{name}.{key}", found[key], *stack.weight_shape(weight, k))
                taken[key] = found[key]
    if left := sorted(set(found) - set(taken)):
        raise refuse(name, f"{stack.num_layers} layers of one form", ", ".join(left))
    return taken
