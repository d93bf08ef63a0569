"""What the measures say, in a sentence each, and what to do about it: nothing where a net is healthy.

The bounds were chosen by nets made sick on purpose and by healthy trained ones: see tests/inspecting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .measures import Attributions, LayerStates

LEFT = 0.01  # of a gradient: less counts as nothing
FEWEST_STEPS, SHORT, LITTLE = 20, 5, 0.2  # rows that are long enough to judge; a reach that is sick, and one to say
GROWN = 100.0  # a gradient that grows so many times explodes
SATURATED = 0.8  # of a gate's values
DEAD = 0.1  # of a layer's units
ALIKE = 0.01  # how far rows differ, beside how far units do
MOSTLY = 0.95  # of what the result comes from


@dataclass(frozen=True)
class Finding:
    """A sentence or two, and whether nothing needs to be done."""

    text: str
    good: bool


def of_gradients(layers: Sequence[LayerStates]) -> Finding:
    """Whether they vanish or explode on their way back through time."""
    grown = max(layers, key=lambda layer: layer.reach.max(initial=0))
    most = float(grown.reach.max(initial=0))
    if not most < GROWN:
        return Finding(
            f"They explode: in {grown.name} a gradient grows {most:.3g} times on its way back through"
            f" {int(grown.reach.argmax())} steps. Clip gradients in training, and take an LSTM or GRU in the place of"
            " an RNN; a smaller learning rate keeps W_hh from growing.",
            False,
        )
    # Of layers above one another the one that reaches furthest tells: what it hands up, the others needn't keep.
    stacks: dict[str, list[LayerStates]] = {}
    for layer in layers:
        stacks.setdefault(layer.name.partition(", ")[0], []).append(layer)
    furthest = [max(stack, key=_back) for stack in stacks.values()]
    short = min(furthest, key=lambda layer: _back(layer) / max(len(layer.reach), 1))
    steps, back = len(short.reach), _back(short)
    advice = (
        f"an LSTM with chrono_init={steps} or a GRU in the place of an RNN, a head that looks at all steps (attention,"
        " max), or several steps as one."
    )
    if steps >= FEWEST_STEPS and back <= SHORT:
        return Finding(
            f"They vanish: in {short.name} less than {LEFT:.0%} of a gradient is left {_counted(back, 'step')} back, of"
            f" {steps}. What lies further back can't be learnt. If it matters: {advice}",
            False,
        )
    if back >= steps:
        return Finding(
            f"Healthy: they reach the first step; {short.reach[-1]:.2g} of a gradient is left there, and none grows"
            f"{f' more than {most:.3g} times' if most > 1.05 else ''}.",
            True,
        )
    further = f" If it matters: {advice}" if back < LITTLE * steps else ""
    return Finding(
        f"Healthy: they neither explode nor vanish at once. In {short.name} {LEFT:.0%} of a gradient is left"
        f" {_counted(back, 'step')} back, of {steps}; what lies further back is hardly learnt.{further}",
        True,
    )


def _back(layer: LayerStates) -> int:
    """How many steps before the last a gradient has something left."""
    below = np.flatnonzero(layer.reach < LEFT)
    return int(below[0]) if len(below) else len(layer.reach)


def of_saturation(layers: Sequence[LayerStates]) -> Finding | None:
    """Whether gates are stuck at their bounds; None where there are none with bounds."""
    found = [(low + high, low, high, gate, layer) for layer in layers for gate, (low, high) in layer.saturation.items()]
    if not found:
        return None
    share, low, high, gate, layer = max(found, key=lambda each: each[0])
    if share <= SATURATED:
        return Finding(
            f"Healthy: gates move within their bounds. The one that is at them most, {gate} of {layer.name}, is so for"
            f" {share:.0%} of its values.",
            True,
        )
    where = "the upper bound" if high > 0.8 * share else "the lower bound" if low > 0.8 * share else "its bounds"
    inputs = "and the inputs' scale: they should be around 1"
    return Finding(
        f"{gate} of {layer.name} is stuck: {share:.0%} of its values are at {where}, where hardly any gradient gets"
        f" through. Look at the learning rate, which may be too large, {inputs}.",
        False,
    )


def of_units(layers: Sequence[LayerStates]) -> Finding:
    """Whether units are dead."""
    worst = max(layers, key=lambda layer: len(layer.dead) / len(layer.spread))
    dead, units = worst.dead, len(worst.spread)
    if len(dead) >= DEAD * units:
        shown = ", ".join(map(str, dead[:12])) + (", ..." if len(dead) > 12 else "")
        advice = (
            "Relu units that have died don't come back: a smaller learning rate, or tanh"
            if "relu" in worst.cell.name
            else f"{units - len(dead)} units would do the same, or a smaller learning rate would keep them alive"
        )
        return Finding(f"{len(dead)} of {units} units of {worst.name} hardly vary (units {shown}). {advice}.", False)
    count = sum(len(layer.dead) for layer in layers)
    total = sum(len(layer.spread) for layer in layers)
    return Finding(f"Healthy: of {total} units {count or 'none'} {'is' if count <= 1 else 'are'} dead.", True)


def of_states(layers: Sequence[LayerStates]) -> Finding:
    """Whether what is read makes a difference to the states."""
    told = [(share, layer) for layer in layers if (share := _difference(layer)) is not None]
    if not told:
        return Finding("Of one row it can't be told whether the states follow what is read: give several.", True)
    share, layer = min(told, key=lambda each: each[0])
    if share < ALIKE:
        return Finding(
            f"{layer.name} comes to the same state whatever it reads: the rows' last states differ by"
            f" {share:.1%} of what its units do. Look at the inputs' scale, and at what stands before the layer.",
            False,
        )
    return Finding(
        f"Healthy: the states follow what is read. In {layer.name}, where that shows least, the rows' last states"
        f" differ by {share:.0%} of what the units do.",
        True,
    )


def _difference(layer: LayerStates) -> float | None:
    """How far the last states of the rows lie apart, beside how far the units do."""
    rows = [n for n, length in enumerate(layer.lengths) if length]
    if len(rows) < 2:
        return None
    ends = np.stack([layer.h[0 if layer.backward else layer.lengths[n] - 1, n] for n in rows])  # (N, H)
    between, within = float(ends.std(0).mean()), float(ends.std(1).mean())
    return between / within if within > 0 else 0.0


def of_inputs(found: Attributions, names: Sequence[str]) -> Finding:
    """Which features and steps the result comes from."""
    if not np.nansum(np.abs(found.values)) > 0:
        return Finding("The result doesn't come from this input: it is the same for an input of zeros.", False)
    text = []
    if names:
        order = np.argsort(-found.features)
        first = ", ".join(f"{names[k]} ({found.features[k]:.0%})" for k in order[:3])
        text.append(f"Most of the result comes from {first}." if len(names) > 1 else "")
        least = [names[k] for k in order if found.features[k] < LEFT]
        if least:
            shown = ", ".join(least[:6]) + (", ..." if len(least) > 6 else "")
            text.append(
                f"{_counted(len(least), 'feature')} of {len(names)} count for less than {LEFT:.0%} each ({shown}):"
                " train without them, and keep them out if the score stays."
            )
    back = _steps_back(found)
    longest = len(found.steps)
    if longest >= FEWEST_STEPS and back <= longest // 2:
        text.append(
            f"{MOSTLY:.0%} comes from the last {_counted(back, 'step')} of {longest}. Either the rest doesn't matter,"
            " and rows that are cut to these take less time, or it couldn't be learnt: see how far gradients reach."
        )
    elif longest > 1:
        text.append(
            f"{MOSTLY:.0%} comes from the last {_counted(back, 'step')} of {longest}: the rows are not too long."
        )
    if found.error > 0.1:
        text.append(
            f"The attributions miss what they should add up to by {found.error:.0%}: take them for an order, not for"
            " shares, or ask for more points."
        )
    return Finding(" ".join(filter(None, text)), True)


def _steps_back(found: Attributions) -> int:
    """How many of the last steps have nearly all attributions, of rows together."""
    lengths = (~np.isnan(found.values[..., 0])).sum(0)
    by_distance = np.zeros(len(found.steps))
    for n, length in enumerate(lengths):
        by_distance[:length] += found.steps[:length, n][::-1]
    share = by_distance.cumsum() / max(by_distance.sum(), 1e-300)
    return int(np.flatnonzero(share >= MOSTLY - 1e-9)[0]) + 1


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
