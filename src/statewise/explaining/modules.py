"""A module of any kind explained: what each part reads and gives, found by running it once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .explanation import Explanation, Table


def explain_module(module: nn.Module, x: Any) -> Explanation:
    """``module`` run on ``x``: a row for each part that computes, in the order in which they do."""
    names = {id(part): name or type(part).__name__ for name, part in module.named_modules()}
    rows: list[list[str]] = []

    def look(part: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        numbers = sum(p.numel() for p in part.parameters())
        shapes = f"{_shape(given if len(given) != 1 else given[0])} -> {_shape(result)}"
        rows.append([names[id(part)], type(part).__name__, f"{numbers:,}", shapes])

    parts = [part for part in module.modules() if not any(part.children())] or [module]
    hooks = [part.register_forward_hook(look) for part in parts]
    was_training = module.training
    try:
        with torch.no_grad():
            result = module.eval()(*x) if isinstance(x, tuple) else module.eval()(x)
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    total = sum(p.numel() for p in module.parameters())
    given = _shape(x)
    summary = f"Reads {given}, gives {_shape(result)}; {total:,} numbers are learnt."
    return Explanation(
        type(module).__name__, summary, [Table("Its parts", ("", "", "numbers", "reads -> gives"), rows)]
    )


def _shape(value: Any) -> str:
    """Of a tensor its shape, of several those of all."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape)).replace(",)", ",)")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(v)}" for key, v in value.items()) + "}"
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return f"packed {tuple(value.data.shape)}"
    if isinstance(value, (tuple, list)):
        return ", ".join(_shape(v) for v in value if v is not None) if len(value) < 4 else f"{len(value)} tensors"
    return type(value).__name__
