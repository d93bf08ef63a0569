"""Mistakes that a model runs with: told by what its result depends on, never by its names.

A mistake is found by gradients that are there or not, so it is one whatever was learnt: what a row's result changes
with, and which steps and which states of a layer are read after it. docs/mistakes.md shows each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from .findings import Finding
from .recording import Recording
from .running import first_tensor, over_time, scaled

Array = NDArray[Any]

SLIGHT = 1e-6  # a gradient beside another that counts as none
FEWEST = 3  # steps of a row by which its last one can be told from the others


@dataclass(frozen=True)
class Reading:
    """A model, in eval mode, and one of its layers, whose use is looked at."""

    model: nn.Module
    args: Sequence[Any]
    named: Mapping[str, Any]
    recording: Recording
    of: Callable[[Any], Tensor]

    @cached_property
    def layer(self) -> Any:
        """The layer."""
        return dict(self.model.named_modules())[self.recording.name]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.recording.name or type(self.layer).__name__.removeprefix("Accelerated")

    @cached_property
    def valid(self) -> Array:
        """(T, N), the steps that count, in the caller's order of rows."""
        order = self.recording.order
        return np.asarray((self.recording.valid if order is None else self.recording.valid[:, order]).numpy())

    @cached_property
    def run(self) -> tuple[Any, Tensor, list[Tensor], list[Any]]:
        """The model's result, the number of each row (N,), what the layer read, and what it returned, by calls."""
        returned: list[Any] = []
        hook = self.layer.register_forward_hook(lambda _, given, result: returned.append(result))
        try:
            with torch.enable_grad(), scaled(self.layer, self.recording.calls, 1.0) as read:
                result = self.model(*self.args, **self.named)
        finally:
            hook.remove()
        return result, self.of(result), read, [returned[k] for k in self.recording.calls]

    def changes_with(self, row: int) -> Array:
        """By how much this row's number changes with what each row reads: (N,)."""
        _, values, read, _ = self.run
        found = torch.autograd.grad(values[row], read, retain_graph=True, allow_unused=True)
        blocks = [np.zeros(tuple(x.shape)) if g is None else g.numpy() for x, g in zip(read, found, strict=True)]
        return np.asarray(np.nansum(np.abs(over_time(blocks, self.recording, self.valid)), axis=(0, 2)))

    @cached_property
    def uses(self) -> tuple[Array, list[Array]] | None:
        """How much the result changes with what one call returned: output (T, N, D*H), and states (L*D, N, H) each.

        None of a layer that is called several times, or that returns something else.
        """
        _, values, _, returned = self.run
        if len(returned) != 1 or not isinstance(returned[0], tuple) or len(returned[0]) != 2:
            return None
        output, states = returned[0]
        packed = isinstance(output, PackedSequence)
        states = list(states) if isinstance(states, tuple) else [states]
        if not all(isinstance(s, Tensor) and s.dim() == 3 for s in states):
            return None
        wanted = [output.data if packed else output, *states]
        found = torch.autograd.grad(values.sum(), wanted, retain_graph=True, allow_unused=True)
        sizes = [np.zeros(tuple(t.shape)) if g is None else g.abs().numpy() for t, g in zip(wanted, found, strict=True)]
        own = sizes[0]
        if not packed and own.ndim == 3:
            own = own.swapaxes(0, 1) if self.recording.batch_first else own
        elif not packed:
            own = own[:, None]
        else:
            own = np.nan_to_num(over_time([own], self.recording, self.valid))
        return own, sizes[1:]


def of_model(model: nn.Module, reading: Reading) -> list[Finding]:
    """What is to be said of how ``model``, of which ``reading`` has a copy, uses its layers."""
    told = [_carried(reading), _mixed(reading) or _unread(reading), _padding(reading)]
    found = [Finding(text, False) for text in told if text]
    return found + [Finding(text, True) for text in (_probabilities(reading), _training(model)) if text]


def _carried(reading: Reading) -> str:
    """Whether a call of the model leaves something behind that changes the next one."""

    def result(change: Callable[[Any], Any]) -> Tensor | None:
        given = [change(each) for each in reading.args], {k: change(v) for k, v in reading.named.items()}
        with torch.no_grad():
            return first_tensor(reading.model(*given[0], **given[1]), reading.recording.batch_first)

    first = result(lambda given: given)
    result(_other)
    again = result(lambda given: given)
    if first is None or again is None or torch.allclose(first, again, rtol=1e-5, atol=1e-7, equal_nan=True):
        return ""
    return (
        "Two calls with the same input give different results: does the model keep a state from call to call, or draw"
        " numbers? A new sequence begins with hx=None; one that goes on from the last call's state reads"
        " statewise.detach(state)."
    )


def _other(given: Any) -> Any:
    """Something else of the same form: half of numbers, symbols in another order."""
    if isinstance(given, PackedSequence):
        return given._replace(data=_other(given.data))
    if not isinstance(given, Tensor):
        return given
    return given * 0.5 if given.is_floating_point() else given.flip(-1) if given.dim() > 1 else given


def _mixed(reading: Reading) -> str:
    """Whether a row's result changes with what other rows read."""
    rows = reading.valid.shape[1]
    if rows < 2:
        return ""
    for row in (0, rows - 1):
        found = reading.changes_with(row)
        others = np.delete(found, row)
        if others.max() <= SLIGHT * found.max():
            continue
        first = int(np.argmax(np.where(np.arange(rows) == row, -1, found)))
        said = f"Rows are mixed: the result of row {row} changes with what row {first} reads."
        if _other_order_is_right(reading):
            steps, width, batch_first = len(reading.valid), reading.recording.width, reading.recording.batch_first
            order, read = ("(N, T, I)", (rows, steps, width)) if batch_first else ("(T, N, I)", (steps, rows, width))
            said += f" {reading.name} reads its input as {order} = {read}"
            return f"{said}: did you mean batch_first={not batch_first}?"
        return (
            f"{said} Look where the results of {reading.name} are reshaped: h_n.transpose(0, 1).flatten(1) keeps the"
            " numbers of a row together, h_n.view(N, -1) does not."
        )
    return ""


def _other_order_is_right(reading: Reading) -> bool:
    """Whether no row is mixed with others where the layer takes its input's axes the other way round."""
    steps, rows = reading.valid.shape
    layer = reading.layer
    if steps != rows or not reading.valid.all():  # the result would have had another number of rows
        return False
    batch_first = bool(layer.batch_first)
    layer.batch_first = not batch_first
    try:
        other = replace(reading, recording=replace(reading.recording, batch_first=not batch_first))
        found = other.changes_with(0)
        return bool(found[0] > 0 and found[1:].max() <= SLIGHT * found[0])
    finally:
        layer.batch_first = batch_first


def _unread(reading: Reading) -> str:
    """Whether what is read of the layer has seen less than it could."""
    if reading.uses is None:
        return ""
    output, states = reading.uses
    steps = output.sum(2)  # (T, N)
    used = [state.sum((1, 2)) > 0 for state in states]  # (L*D,) each
    layer = reading.layer
    both = bool(layer.bidirectional)
    if not steps.any() and not any(each.any() for each in used):
        return f"The result doesn't change with anything that {reading.name} returns."
    if not steps.any():
        return _of_states(reading.name, used, both, layer.num_layers)
    result = first_tensor(reading.run[0], reading.recording.batch_first)
    lengths = reading.valid.sum(0)
    if any(each.any() for each in used) or result is None or result.dim() > 2:
        return ""
    short: Array = lengths < len(steps)
    within: Array = (steps * reading.valid).any(0)
    if short.any() and within[~short].any() and not within[short].any():
        return (
            f"Padding is read: of rows shorter than the longest the result has output[-1] of {reading.name}, which is"
            " zeros past their end whatever they read. Take h_n[-1], each row's state after its own last step."
        )
    if not both or lengths.min() < FEWEST or not (np.count_nonzero(steps, axis=0) == 1).all():
        return ""
    at = steps.argmax(0)
    half = output.shape[2] // 2
    halves = output[at, np.arange(len(at))]  # (N, D*H)
    for which, place, numbers in (("backward", lengths - 1, halves[:, half:]), ("forward", 0 * at, halves[:, :half])):
        if (at == place).all() and numbers.any():
            step = "-1" if which == "backward" else "0"
            return (
                f"Of {reading.name}, which reads both ways, the result has output[{step}] alone: there its {which} half"
                " has read one step. torch.cat([h_n[-2], h_n[-1]], dim=1) has both directions after all steps."
            )
    return ""


def _of_states(name: str, used: Sequence[Array], both: bool, layers: int) -> str:
    """Of which layers and directions states are read, where nothing else is."""
    if len(used) == 2 and not used[0].any():
        return (
            f"Of {name} the result has c_n alone: an LSTM returns output, (h_n, c_n), so that [-1] of the second one is"
            " c_n. What it puts out is h_n."
        )
    some = np.logical_or.reduce(list(used))
    d = 2 if both else 1
    of_layer = some.reshape(layers, d).any(1)
    if layers > 1 and not of_layer[-1]:
        top = int(np.flatnonzero(of_layer)[-1])
        return (
            f"Of {name}, {layers} layers, the result has states of layer {top} and none above: the layers there make no"
            f" difference. The last layer's is h_n[-1]{', and h_n[-2] forward' if both else ''}."
        )
    if both and some[-2:].sum() == 1:
        which, other = ("backward", "forward") if some[-1] else ("forward", "backward")
        return (
            f"Of {name}, which reads both ways, the result has the {which} direction's last state alone, and nothing"
            f" of the {other} one's. torch.cat([h_n[-2], h_n[-1]], dim=1) has both."
        )
    return ""


def _padding(reading: Reading) -> str:
    """Whether rows end in steps of zeros that count as steps."""
    if not reading.valid.all():
        return ""
    blocks = [x.detach().numpy() for x in reading.run[2]]
    blank = (over_time(blocks, reading.recording, reading.valid) == 0).all(2)  # (T, N)
    steps = len(blank)
    ends = np.where(blank.all(0), 0, steps - (~blank[::-1]).argmax(0))  # (N,), of what isn't blank
    padded = (ends < steps) & (ends > 0)
    inside = any(blank[:end, n].any() for n, end in enumerate(ends))
    if inside or padded.sum() < 2 or len(set(ends[padded])) < 2:
        return ""
    return (
        f"{padded.sum()} of {len(ends)} rows end in steps of zeros, up to {steps - ends[padded].min()} of them, and no"
        f" row has any before its end. If that is padding, {reading.name} reads it like any other step: lengths= says"
        " where rows end."
    )


def _probabilities(reading: Reading) -> str:
    """Whether the result is of softmax."""
    result = first_tensor(reading.run[0], reading.recording.batch_first)
    if result is None or result.dim() < 2 or result.shape[-1] < 2 or not bool((result >= 0).all()):
        return ""
    sums = result.detach().sum(-1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        return ""
    return (
        "The result's rows are probabilities: they add up to 1. If this is trained with torch.nn.CrossEntropyLoss, take"
        " softmax away: it wants the numbers before that, and learns slowly from these."
    )


def _training(model: nn.Module) -> str:
    """Whether the model is in training mode, where dropout is active."""
    found = sorted({type(part).__name__ for part in model.modules() if part.training and _drops(part)})
    if not found:
        return ""
    return (
        f"The model is in training mode, where {', '.join(found)} drop numbers by chance, so that two predictions"
        " differ: model.eval() before predicting. What is shown here is of eval mode."
    )


def _drops(part: nn.Module) -> bool:
    if isinstance(part, nn.RNNBase):
        names = ("dropout", "recurrent_dropout", "weight_dropout", "input_dropout", "zoneout")
        return any(np.any(getattr(part, name, 0)) for name in names)
    return isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
