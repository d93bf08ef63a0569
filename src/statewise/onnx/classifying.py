"""A classifier of texts, or one with fixed features beside its network, as a graph.

Scaling, the network, the features, what the linear model makes of them, the sum of both, what the target says of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.jobs import classifier
from .translation import Part, Translation, UnsaidError, Value

if TYPE_CHECKING:
    from ..jobs.tasks.classify.model import Model
    from ..jobs.tasks.classify.rocket import Rocket


def write_classifier(model: Model, lengths: bool, native: bool) -> Translation:
    """The graph; it has no states. UnsaidError for what can't be said."""
    made = Translation(np.dtype(np.float32), False, native)
    g, config, encoder = made.graph, model.config, model.encoder
    kind = "symbols" if encoder.symbols else "exact"
    entry = {"name": "x", "kind": kind, "width": encoder.symbols or encoder.channels}
    x = made.input(entry, "lengths" if lengths else None)
    if lengths:
        g.input("lengths", np.int64, ["N"])
    if not encoder.symbols:
        scale = {"op": "scale", "name": "scaler", "carry": config.gaps == "carry"}
        (x,) = made.run({"ops": [scale]}, model.tensors(), {"x": x})
    beside, found = model.beside, None
    if beside is None or beside.share:
        segment = config.segment or 1
        front = [{"op": "segment", "size": segment}] if segment > 1 else []
        weights = {f"network.{name}": array for name, array in model.weights.items()}
        told, arrays = classifier(
            vars(config), weights, encoder.width(config), encoder.symbols, model.target.width, front
        )
        (value,) = made.run(told, arrays, {"x": x})
        found = g.node("Cast", value.name, to=11)
    if beside is not None:
        scores = _scores(made, beside, x)
        found = _sum(made, (scores, beside.linear), (found, beside.share))
    said = g.node("Cast", _decoded(made, model.target, str(found)), to=1)
    g.output(said, "y", np.float32, ["N", model.target.width])
    return made


def _sum(made: Translation, *parts: tuple[str | None, float]) -> str:
    g = made.graph
    terms = [g.node("Mul", value, g.constant(np.array(factor))) for value, factor in parts if value is not None]
    return terms[0] if len(terms) == 1 else g.node("Add", *terms)


def _scores(made: Translation, beside: Any, x: Value) -> str:
    """What the linear model says: (N, W). Of n-grams, which a graph has no way to look up, it is an input."""
    g = made.graph
    if beside.features.KIND != "MiniROCKET":
        return g.input("ngrams", np.float64, ["N", len(beside.bias)])
    features = g.node("Cast", _rocket(Part(made, "minirocket", {}, {}, ""), beside.features, x), to=11)
    weights, bias = (array.astype(np.float64) for array in (beside.weights, beside.bias))
    found = g.node("MatMul", features, g.constant(weights, "minirocket.weights"))
    return g.node("Add", found, g.constant(bias, "minirocket.bias"))


def _rocket(op: Part, rocket: Rocket, x: Value) -> str:
    """MiniROCKET's features (N, F) of x (T, N, I)."""
    g, length = op.g, 9
    if x.lengths is not None and not rocket.padded:
        raise UnsaidError("lengths of a MiniROCKET that has learnt from sequences of one length")
    rows, there = x.name, None
    steps = g.node("Cast", g.size(x.name, 0), to=1)  # (1,)
    if x.lengths is not None:
        counts = op.there(x)  # (T, N, 1)
        rows = g.node("Where", counts, rows, g.constant(0))
        there = g.node("Unsqueeze", g.node("Transpose", counts, perm=[1, 2, 0]), g.whole(3))  # (N, 1, T, 1)
        steps = g.node("Unsqueeze", g.node("Cast", x.lengths, to=1), g.whole(1, 2))  # (N, 1, 1)
    rows = g.node("Transpose", rows, perm=[1, 2, 0])  # (N, I, T)
    shares, column = [], 0
    for place, (dilation, count) in enumerate(zip(rocket.dilations.tolist(), rocket.counts.tolist(), strict=True)):
        heights = rocket.heights[:, column : column + count]
        column += count
        if not count:
            continue
        reach = dilation * (length // 2)
        kernels = g.constant(rocket.kernels[place].reshape(len(heights), -1, length), "minirocket.kernels")
        said = g.node("Conv", rows, kernels, dilations=[dilation], pads=[reach, reach])  # (N, 84, T)
        over = g.node(
            "Greater", g.node("Unsqueeze", said, g.whole(3)), g.constant(heights[:, None], "minirocket.heights")
        )
        over = g.node("And", over, there) if there else over
        over = g.node("Cast", over, to=1)  # (N, 84, T, c)
        share = g.node("Div", g.node("ReduceSum", over, g.whole(2), keepdims=0), steps)
        if not rocket.padded:  # every other kernel keeps to the places where it needs no zeros, where there are such
            size = g.size(x.name, 0)
            fits = g.node("Greater", size, g.whole(2 * reach))
            begin = g.node("Where", fits, g.whole(reach), g.whole(0))
            inner = g.node("Slice", over, begin, g.node("Sub", size, begin), g.whole(2))
            inner = g.node("ReduceMean", inner, g.whole(2), keepdims=0)
            alone = np.arange(len(heights))[:, None] % 2 != place % 2
            share = g.node("Where", g.constant(alone), inner, share)
        shares.append(share)
    whole = shares[0] if len(shares) == 1 else g.node("Concat", *shares, axis=2)  # (N, 84, F / 84)
    return g.reshape(whole, 0, rocket.count)


def _decoded(made: Translation, target: Any, outputs: str) -> str:
    """What the target says of ``outputs`` (N, W)."""
    g = made.graph
    match target.TASK:
        case "classification":
            return g.node("Softmax", outputs, axis=-1)
        case "multilabel":
            return g.node("Sigmoid", outputs)
    return g.node("Add", g.node("Mul", outputs, g.constant(np.array(target.scale))), g.constant(np.array(target.mean)))
