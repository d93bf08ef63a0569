"""The public function: a module is run, its layers are looked into, and what they did is measured."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..layers import hints
from ..layers.checks import check_module
from ..swap import accelerate
from .inspection import Inspection
from .measures import Attributions, integrate, measured
from .recording import Recording, record
from .remarks import Reading, of_model
from .running import first_tensor, over_time, scaled

POINTS = 24  # at which gradients are taken for the attributions


def inspect(
    model: nn.Module,
    x: Any,
    *,
    of: Callable[[Any], Tensor] | None = None,
    layer: str | None = None,
    features: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
    row: int = 0,
    points: int = POINTS,
    title: str | None = None,
) -> Inspection:
    """Look inside ``model`` while it reads ``x``: gates, states, gradients through time, what mattered of the input.

    Every RNN, LSTM and GRU within, torch.nn's and statewise's, and every ``Recurrent`` is run by the plain reference,
    in eval mode, in a copy of ``model``; a few dozen rows are enough, and long ones take memory for each step.

    Args:
        model: a module that has such layers in it, or is one.
        x: what it is called with: a tensor, a tuple of arguments, or a dict of arguments by name.
        of: of what the model gives, the number of each row, (N,), that the input is to be held responsible for.
            Default: the largest of the last step's numbers, of layers in both directions the middle step's.
        layer: the name of the layer whose input is held responsible. Default: the first one that is called.
        features: the names of that input's features, (I,). Default: none, and its steps are looked at as wholes.
        labels: of each row what its steps are called, such as words.
        row: the row that is drawn. Default: the first.
        points: at how many points between zeros and the input gradients are taken. Default: 24.
        title: what it is called. Default: the model's class.

    Returns:
        An ``Inspection``: arrays, sentences, and a page with pictures.

    Raises:
        TypeError: ``model`` is no module.
        ValueError: it calls none of those layers, or what it gives says nothing of each row and there is no ``of``.
    """
    check_module("inspect", model)
    own = accelerate(copy.deepcopy(model)).eval()
    args = x if isinstance(x, tuple) and not isinstance(x, PackedSequence) else () if isinstance(x, dict) else (x,)
    named: Mapping[str, Any] = x if isinstance(x, dict) else {}
    try:
        recordings = record(own, args, named)
    except hints.REFUSALS as error:
        raise hints.explained(error, hints.for_model(error)) from None
    read = _chosen(recordings, layer)
    of = of or _largest(read, any(scan.backward for each in recordings for scan in each.scans))
    layers = [found for each in [read, *(r for r in recordings if r is not read)] for found in measured(each)]
    if any(not np.isfinite(np.nan_to_num(each.h)).all() for each in layers):
        raise ValueError("inspect: a state is not finite: the weights or the input are damaged, or far too large")
    reading = Reading(own, args, named, read, of)
    return Inspection(
        title or type(model).__name__,
        layers,
        _attributions(own, args, named, read, of, points),
        list(features) if len(features) == read.width else [],
        labels,
        row,
        of_model(model, reading),
    )


def _chosen(recordings: Sequence[Recording], name: str | None) -> Recording:
    if name is None:
        return recordings[0]
    for recording in recordings:
        if recording.name == name:
            return recording
    raise ValueError(f"inspect: Expected layer to be one of {', '.join(r.name for r in recordings)}, got {name!r}")


def _attributions(
    model: nn.Module,
    args: Sequence[Any],
    named: Mapping[str, Any],
    recording: Recording,
    of: Callable[[Any], Tensor],
    points: int,
) -> Attributions:
    part, rows = dict(model.named_modules())[recording.name], recording.valid.shape[1]

    def run(share: float) -> tuple[Tensor, list[Tensor]]:
        with torch.enable_grad(), scaled(part, recording.calls, share) as read:
            found = of(model(*args, **named))
            if found.shape != (rows,):
                raise ValueError(
                    f"inspect: Expected of to give a number for each row, ({rows},), got {tuple(found.shape)}"
                )
            return found, read

    values, inputs, told = integrate(run, points)
    valid = recording.valid.numpy() if recording.order is None else recording.valid[:, recording.order].numpy()
    return Attributions(over_time(values, recording, valid), over_time(inputs, recording, valid), told)


def _largest(recording: Recording, both_ways: bool) -> Callable[[Any], Tensor]:
    """Of each row the number that is largest now, in what a model gives, after the step that has seen most."""
    valid = recording.valid if recording.order is None else recording.valid[:, recording.order]
    steps, rows = valid.shape
    lengths = valid.sum(0)
    last = ((lengths - 1) // (2 if both_ways else 1)).clamp(min=0)

    def row_values(result: Any) -> Tensor:
        y = first_tensor(result, recording.batch_first)
        if y is not None and y.dim() == 2 and rows == 1 and y.size(0) == steps > 1:
            y = y.unsqueeze(1)
        if y is not None and y.dim() == 3:
            if y.shape[:2] == (steps, rows) and not (recording.batch_first and steps == rows):
                return y[last, torch.arange(rows)]
            if y.shape[:2] == (rows, steps):
                return y[torch.arange(rows), last]
        if y is not None and y.dim() in (1, 2) and y.size(0) == rows:
            return y if y.dim() == 2 else y.unsqueeze(1)
        shape = "no tensor" if y is None else tuple(y.shape)
        told = (
            f"inspect: Expected the model to give numbers (N, O), (N,), (T, N, O) or (N, T, O) with T = {steps} and "
            f"N = {rows}, got {shape}; of= makes a number for each row, (N,), of what it gives"
        )
        if y is not None and y.dim() in (1, 2) and y.size(0) == steps:
            told += (
                f"\nThe result has a row for each of the {steps} steps that {recording.name or 'the layer'} reads: did"
                f" you mean batch_first={not recording.batch_first}?"
            )
        raise ValueError(told)

    chosen: list[Tensor] = []

    def of(result: Any) -> Tensor:
        values = row_values(result)
        if not chosen:
            chosen.append(values.detach().argmax(1, keepdim=True))
        return values.gather(1, chosen[0]).squeeze(1)

    of(recording.result)
    return of
