"""A forecaster as a graph: from the newest rows of series to the quantiles of the rows to come.

It is ``Model.forecast`` of the job's, for rows without gaps: scaling, linear part, networks, their mean, the inverse,
and the intervals as they were calibrated. What a model does beside that needs the model: docs/onnx.md lists it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Array
from .translation import Translation, UnsaidError, Value

if TYPE_CHECKING:
    from ..jobs.tasks.forecast.model import Model
    from ..runtime.network import Network

TINY = np.finfo(np.float64).tiny


def write_forecaster(model: Model, native: bool) -> Translation:
    """The graph. UnsaidError for what can't be said."""
    if model.statistical:
        raise UnsaidError(f"{', '.join(model.statistical)} in a forecast, which are fitted anew to every series")
    made = _Forecast(model, native)
    g, plan = made.g, model.plan
    quantiles = made.quantiles()
    g.output(quantiles, "y", np.float64, ["N", plan.horizon, len(plan.quantiles)])
    return made.whole


class _Forecast:
    """The graph as it grows. Values are float64 but inside the networks; R rows are given of each of N series."""

    def __init__(self, model: Model, native: bool) -> None:
        self.model, self.plan = model, model.plan
        self.whole = Translation(np.dtype(np.float32), False, native)
        self.g = g = self.whole.graph
        self.values = g.input("values", np.float64, ["N", "R"])
        known, observed = model.tails[0].known.shape[1], model.tails[0].observed.shape[1]
        self.series = g.input("series", np.int64, ["N"]) if len(model.names) > 1 else None
        self.place = g.input("place", np.int64, ["N"]) if self.plan.cycles and model.share else None
        self.known = g.input("known", np.float64, ["N", "R+H", known]) if known else None
        self.observed = g.input("observed", np.float64, ["N", "R", observed]) if observed else None
        self.count = g.size(self.values, 1)  # (1,): R

    # Small things

    def f64(self, value: Any) -> str:
        """A constant."""
        return self.g.constant(np.array(value, np.float64))

    def op(self, kind: str, *given: str, **attributes: Any) -> str:
        """A node."""
        return self.g.node(kind, *given, **attributes)

    def own(self, array: Array, axes: int) -> str:
        """What each series has of ``array`` (S, ...): (N, ...), or (1, ...), with axes of one up to so many."""
        array = array.reshape(*array.shape, *[1] * (axes - array.ndim))
        table = self.g.constant(np.ascontiguousarray(array))
        return table if self.series is None else self.op("Gather", table, self.series, axis=0)

    def cut(self, value: str, begin: str | int, end: str | int, axis: int) -> str:
        """From a number on to another one, each known or (1,)."""
        ends = [self.g.whole(each) if isinstance(each, int) else each for each in (begin, end)]
        return self.op("Slice", value, *ends, self.g.whole(axis))

    def last(self, rows: int, value: str | None = None) -> str:
        """The last ``rows`` of ``value`` (N, R), by default the values; the first one in the place of those before."""
        behind = self.op("Add", self.g.constant(np.arange(-rows, 0)), self.count)
        return self.op("Gather", value or self.values, self.op("Max", behind, self.g.whole(0)), axis=1)

    def single(self, value: str) -> str:
        """As float32."""
        return self.op("Cast", value, to=1)

    def wide(self, value: str) -> str:
        """As float64."""
        return self.op("Cast", value, to=11)

    def joined(self, parts: Sequence[str], axis: int = -1) -> str:
        """One after the other."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def expanded(self, array: Array) -> str:
        """(1, ...) for all N."""
        rows = self.op("Concat", self.g.size(self.values, 0), self.g.whole(*array.shape[1:]), axis=0)
        return self.op("Expand", self.g.constant(np.ascontiguousarray(array)), rows)

    # The forecast

    def quantiles(self) -> str:
        """(N, H, Q)."""
        model, plan = self.model, self.plan
        base = None if model.linear is None else self.forward(self._linear())  # (N, H)
        if base is not None and not model.share:
            found = self._repeated(base)
        else:
            found = self._recursive() if plan.recursive else self._direct(base)
            if base is not None:
                wide = self.op("Unsqueeze", base, self.g.whole(2))
                found = self.op("Mul", self.f64(model.share), self.op("Sub", found, wide))
                found = self.op("Add", wide, found)
        return self._finished(self._shifted(self.backward(found)))

    def _repeated(self, points: str) -> str:
        ones = self.f64(np.ones(len(self.plan.quantiles)))
        return self.op("Mul", self.op("Unsqueeze", points, self.g.whole(2)), ones)

    def forward(self, values: str) -> str:
        """(N, .) scaled."""
        told = self.model.scaling
        if told.log:
            values = self.op("Log", self.op("Max", values, self.own(told.floor, 2)))
        return self.op("Div", self.op("Sub", values, self.own(told.centre, 2)), self.own(told.spread, 2))

    def backward(self, scaled: str) -> str:
        """Its inverse, of (N, H, Q)."""
        told = self.model.scaling
        found = self.op("Add", self.op("Mul", scaled, self.own(told.spread, 3)), self.own(told.centre, 3))
        return self.op("Exp", found) if told.log else found

    def transformed(self, values: str) -> str:
        """The scale on which errors are compared."""
        return self.op("Log", self.op("Max", values, self.f64(TINY))) if self.plan.log else values

    def _linear(self) -> str:
        """(N, H)."""
        linear = self.model.linear
        assert linear is not None
        past, unit = self.last(linear.lookback), linear.unit

        def product(rows: str, space: int) -> str:
            found = self.op("MatMul", rows, self.g.constant(linear.matrices[space, :-1], "matrix"))
            more = self.op("Mul", self.own(unit[:, space], 2), self.f64(linear.matrices[space, -1:]))
            return self.op("Add", found, more)

        if not linear.logs:
            return product(past, 0)
        logs = self.op("Log", self.op("Max", past, self.f64(TINY)))
        low, high = (self.op(f"Reduce{side}", logs, self.g.whole(1), keepdims=1) for side in ("Min", "Max"))
        room = self.op("Mul", self.own(unit[:, 1], 2), self.f64(np.sqrt(linear.matrices.shape[2])))
        room = self.op("Add", self.op("Sub", high, low), room)
        ahead = self.op("Max", self.op("Min", product(logs, 1), self.op("Add", high, room)), self.op("Sub", low, room))
        found = self.op("Mul", self.f64(linear.logs), self.op("Exp", ahead))
        if linear.logs < 1:
            found = self.op("Add", self.op("Mul", self.f64(1 - linear.logs), product(past, 0)), found)
        return found

    def _shifted(self, values: str) -> str:
        """Moved by what was missed in the validation part."""
        from ..jobs.tasks.forecast.intervals import LEAST_LATELY, MOST_LATELY, recent_rows

        model, plan, g = self.model, self.plan, self.g
        unit = self.own(model.unit, 2)  # (N, 1)
        own, season = unit, max(1, plan.season)
        if model.lately:
            past = self.transformed(self.cut(self.values, -recent_rows(plan), 2**62, 1))
            moved = self.op("Sub", self.cut(past, season, 2**62, 1), self.cut(past, 0, -season, 1))
            total = self.op("ReduceSum", self.op("Abs", moved), g.whole(1), keepdims=1)  # (N, 1)
            count = self.wide(self.op("Max", self.op("Sub", g.size(past, 1), g.whole(season)), g.whole(1)))
            ratio = self.op("Div", self.op("Div", total, count), unit)
            tells = self.op("GreaterOrEqual", count, self.f64([LEAST_LATELY]))
            tells = self.op("And", tells, self.op("Greater", total, self.f64(0.0)))
            ratio = self.op("Where", tells, ratio, self.f64(1.0))
            ratio = self.op("Max", self.op("Min", ratio, self.f64(MOST_LATELY)), self.f64(1 / MOST_LATELY))
            own = self.op("Mul", unit, self.op("Pow", ratio, self.f64(model.lately)))
        by = self.op("Mul", self.op("Unsqueeze", own, g.whole(2)), g.constant(model.shifts[None], "shifts"))
        moved = self.op("Add", self.transformed(values), by)
        return self._rising(self.op("Exp", moved) if plan.log else moved)

    def _rising(self, quantiles: str) -> str:
        """Put into order, the median kept."""
        median, count = self.plan.median, len(self.plan.quantiles)
        sizes = [median, 1, count - median - 1]
        parts = self.g.several("Split", [quantiles, self.g.whole(*sizes)], ["below", "median", "above"], axis=-1)
        for side, limit in ((0, "Min"), (2, "Max")):
            if sizes[side]:
                parts[side] = self.op(limit, self._sorted(parts[side], sizes[side]), parts[1])
        return self.joined([part for part, size in zip(parts, sizes, strict=True) if size])

    def _sorted(self, value: str, count: int) -> str:
        if count == 1:
            return value
        return self.g.several("TopK", [value, self.g.whole(count)], ["sorted", "places"], largest=0)[0]

    def _finished(self, quantiles: str) -> str:
        """As far out as what has come since training has them, and not below 0 where nothing was."""
        model, plan, g = self.model, self.plan, self.g
        if model.stretch is not None and model.stretch.any():
            count, median = len(plan.quantiles), plan.median
            known = g.split(self.transformed(quantiles), [1] * count)
            found = g.split(quantiles, [1] * count)
            factors = self.own(np.exp(model.stretch)[:, None], 3)  # (N, 1, Q)
            for q, factor in enumerate(g.split(factors, [1] * count)):
                if q != median:
                    moved = self.op(
                        "Add", known[median], self.op("Mul", self.op("Sub", known[q], known[median]), factor)
                    )
                    found[q] = self.op("Exp", moved) if plan.log else moved
            for q in [*range(median + 1, count), *range(median - 1, -1, -1)]:
                inner = q + (1 if q < median else -1)
                found[q] = self.op("Min" if q < median else "Max", found[q], found[inner])
            quantiles = self.joined(found)
        if not model.positive:
            return quantiles
        least = self.op("ReduceMin", self.values, g.whole(1), keepdims=1)
        floor = self.op("Where", self.op("Less", least, self.f64(0.0)), self.f64(-np.inf), self.f64(0.0))
        return self.op("Max", quantiles, self.op("Unsqueeze", floor, g.whole(2)))

    # Networks

    def run(
        self, network: Network, x: str, width: int, begun: dict[str, str] | None = None
    ) -> tuple[str, dict[str, str]]:
        """What a network of one input x (T, N, F) gives, and its states by the ops' names, which begin as ``begun``."""
        from .exporting import program_of

        part = Translation(np.dtype(np.float32), False, self.whole.native, begun=begun or {}, ended={})
        part.graph = self.g
        ((name, _),) = network.inputs
        content, arrays = program_of(network)
        (found,) = part.run(content, arrays, {name: Value(x, width)})
        assert part.ended is not None
        return found.name, part.ended

    def calendar(self, columns: Sequence[int]) -> list[str]:
        """Of each of R + H rows those ``columns`` of the cycles' sines and cosines: (N, R + H, .), or nothing."""
        if not columns:
            return []
        assert self.place is not None
        g, found = self.g, list[str]()
        ahead = g.whole(self.plan.horizon)
        count = self.op("Squeeze", self.op("Add", self.count, ahead))
        rows = self.op("Range", g.constant(np.array(0)), count, g.constant(np.array(1)))
        rows = self.op(
            "Sub", self.op("Add", rows, self.op("Unsqueeze", self.place, g.whole(1))), self.count
        )  # (N, R+H)
        for c, cycle in enumerate(self.plan.cycles):
            mine = [column - 2 * c for column in columns if column // 2 == c]
            if mine:
                angle = 2 * np.pi * np.arange(cycle) / cycle
                table = np.stack([np.sin(angle), np.cos(angle)], 1)[:, mine]
                found.append(self.op("Gather", g.constant(table), self.op("Mod", rows, g.whole(cycle)), axis=0))
        return found

    def _direct(self, base: str | None) -> str:
        """(N, H, Q)."""
        learner, plan, g = self.model.learner, self.plan, self.g
        inputs, output = learner.inputs, learner.output  # type: ignore[attr-defined]
        if output.kind not in ("quantiles", "gaussian"):
            raise UnsaidError(f"the quantiles of a {output.kind} distribution")
        scaled = self.forward(self.values)
        filled = self.last(plan.lookback, scaled)  # (N, L)
        if base is None or inputs.season:
            at = self.op(
                "Add", g.constant(np.arange(plan.horizon) % max(inputs.season, 1) - max(inputs.season, 1)), self.count
            )
            base = self.op("Gather", scaled, self.op("Max", at, g.whole(0)), axis=1)
        first = self.op("Sub", self.single(filled), self.single(self.cut(filled, -1, 2**62, 1)))
        columns = [self.op("Unsqueeze", first, g.whole(2))]
        behind = self.op("Add", g.constant(np.arange(-plan.lookback, 0)), self.count)  # below 0: there is no such row
        if inputs.flags:
            there = self.single(self.op("GreaterOrEqual", behind, g.whole(0)))
            there = self.op("Add", self.op("Mul", first, g.constant(np.zeros(1, np.float32))), there)
            columns.append(self.op("Unsqueeze", there, g.whole(2)))
        if self.observed:
            columns.append(self.single(self._window(self.observed, behind)))
        told, future = self.calendar(range(2 * len(plan.cycles))) + ([self.known] if self.known else []), None
        if told:
            every = self.joined(told)  # (N, R + H, K)
            columns.append(self.single(self._window(every, behind)))
            future = self.single(self.cut(every, self.count, 2**62, 1))
        past, write = self.joined(columns), self._segments if plan.model == "segrnn" else self._sequences
        base = self.op("Unsqueeze", self.single(base), g.whole(2))
        written = [write(runner, past, future) for runner in learner.runners]
        return self._mean([self.wide(self._read(output, raw, base)) for raw in written])

    def _window(self, rows: str, behind: str) -> str:
        """The rows of these numbers; zeros for those before the first."""
        g = self.g
        found = self.op("Gather", rows, self.op("Max", behind, g.whole(0)), axis=1)
        there = self.op("Unsqueeze", self.op("GreaterOrEqual", behind, g.whole(0)), g.whole(1))  # (L, 1)
        return self.op("Where", there, found, self.f64(0.0))

    def _mean(self, found: Sequence[str]) -> str:
        total = found[0]
        for each in found[1:]:
            total = self.op("Add", total, each)
        return total if len(found) == 1 else self.op("Div", total, self.f64(float(len(found))))

    def _read(self, output: Any, raw: str, base: str) -> str:
        """The quantiles of what a network writes relative to ``base`` (N, H, 1)."""
        from ..jobs.tasks.forecast.distributions import LEAST_SCALE, ONE
        from ..jobs.tasks.forecast.normal import normal_quantiles

        g = self.g
        if output.kind == "quantiles":
            return self._sorted(self.op("Add", raw, base), output.size)
        mean, spread = g.split(raw, [1, 1])
        scale = self.op("Add", self.op("Softplus", self.op("Add", spread, g.constant(ONE))), g.constant(LEAST_SCALE))
        steps = g.constant(normal_quantiles(np.array(self.plan.quantiles)).astype(np.float32))
        return self.op("Add", self.op("Add", mean, base), self.op("Mul", scale, steps))

    def _sequences(self, runner: Any, past: str, future: str | None) -> str:
        """What a Seq2Seq writes: (N, H, size)."""
        g, horizon = self.g, self.plan.horizon
        _, state = self.run(runner.reader, self.op("Transpose", past, perm=[1, 0, 2]), runner.reader.inputs[0][1].width)
        told = [*([future] if future else []), self.expanded(runner.position[None])]
        if runner.channel is not None:
            own = self.op("Unsqueeze", self.own(runner.channel, 2), g.whole(1))  # (N, 1, STEP)
            shape = self.op("Concat", g.size(self.values, 0), g.whole(horizon, runner.channel.shape[1]), axis=0)
            told.append(self.op("Expand", own, shape))
        x = self.op("Transpose", self.joined(told), perm=[1, 0, 2])
        begun = {name.replace("reader.", "writer."): value for name, value in state.items()}
        said, _ = self.run(runner.writer, x, runner.writer.inputs[0][1].width, begun)
        return self.op("Add", self.op("Transpose", said, perm=[1, 0, 2]), g.constant(runner.offsets, "offsets"))

    def _segments(self, runner: Any, past: str, future: str | None) -> str:
        """What a SegRNN writes: (N, H, size)."""
        g, count, units = self.g, len(runner.position), runner.writer.inputs[0][1].width
        wide = runner.reader.inputs[0][1].width
        pieces = self.op("Transpose", g.reshape(past, 0, -1, wide), perm=[1, 0, 2])
        _, state = self.run(runner.reader, pieces, wide)
        questions = self.expanded(runner.position[None])  # (N, M, .)
        if runner.channel is not None:
            own = self.op("Unsqueeze", self.own(runner.channel, 2), g.whole(1))
            shape = self.op("Concat", g.size(self.values, 0), g.whole(count, runner.channel.shape[1]), axis=0)
            questions = self.joined([questions, self.op("Expand", own, shape)])
        if runner.ahead is not None:
            more = count * runner.segment - runner.horizon
            padded = self.op("Pad", str(future), g.whole(0, 0, 0, 0, more, 0)) if more else str(future)
            ahead = self.op("MatMul", g.reshape(padded, 0, count, len(runner.ahead)), g.constant(runner.ahead, "ahead"))
            questions = self.op("Add", questions, ahead)
        begun = {}
        for name, each in state.items():  # (L, N, H), once for each segment
            size = self.op("Unsqueeze", each, g.whole(2))
            ones = g.constant(np.ones((count, 1), np.float32))
            begun[name] = g.reshape(self.op("Mul", size, ones), 0, -1, self.plan.units)
        said, _ = self.run(runner.writer, g.reshape(questions, 1, -1, units), units, begun)  # (1, N * M, .)
        steps = g.reshape(said, -1, count * runner.segment, runner.size)
        return self.op("Add", self.cut(steps, 0, runner.horizon, 1), g.constant(runner.offsets, "offsets"))

    def _recursive(self) -> str:
        """The points of networks that read their own forecasts, as every quantile: (N, H, Q)."""
        from ..jobs.tasks.forecast.recursive import CALENDAR_AMPLITUDE, FAR

        learner, plan, g = self.model.learner, self.plan, self.g
        inputs = learner.inputs
        naive, lags, start, reach = inputs.differences, inputs.lags, inputs.differences.start, max(inputs.lags)
        scaled = self.forward(self.values)  # (N, R)
        missed = self.cut(scaled, start, 2**62, 1)
        for sign, back in _terms(naive):
            before = self.cut(scaled, start - back, -back, 1)
            missed = self.op("Sub" if sign > 0 else "Add", missed, before)
        missed = self.op("Max", self.op("Min", missed, self.f64(FAR)), self.f64(-FAR))
        missed = self.op("Pad", missed, g.whole(0, start + reach, 0, 0))  # (N, reach + R)
        # The row to forecast is read as well: its inputs are all known.
        first = self.op("Max", self.op("Sub", self.count, g.whole(plan.lookback)), g.whole(start))
        end = self.op("Add", self.count, g.whole(1))
        columns = []
        for lag in lags:
            begin = self.op("Add", first, g.whole(reach - lag))
            column = self.cut(missed, begin, self.op("Add", end, g.whole(reach - lag)), 1)
            columns.append(self.op("Unsqueeze", column, g.whole(2)))
        if inputs.flags:
            rows = self.op("Range", self.op("Squeeze", first), self.op("Squeeze", end), g.constant(np.array(1)))
            seen = self.wide(self.op("Greater", rows, g.whole(start)))  # whether the row before is one of the series
            seen = self.op("Add", self.op("Mul", columns[0], self.f64(0.0)), self.op("Unsqueeze", seen, g.whole(1)))
            columns.append(seen)
        told = self.calendar(naive.told(plan.cycles))
        told = [self.op("Mul", each, self.f64(CALENDAR_AMPLITUDE)) for each in told] + (
            [self.known] if self.known else []
        )
        every = self.joined(told) if told else None  # (N, R + H, K)
        if every:
            columns.append(self.cut(every, first, end, 1))
        x = self.op("Transpose", self.single(self.joined(columns)), perm=[1, 0, 2])  # (T, N, F)
        windows = [self.cut(scaled, -start, 2**62, 1)] if start else []
        windows.append(self.cut(missed, -reach, 2**62, 1))
        ahead = None
        if every:
            ahead = self.single(self.cut(every, end, 2**62, 1))  # (N, H - 1, K)
            ahead = self.op("Transpose", ahead, perm=[1, 0, 2])
        points = self._mean([self._fed_back(runner.network, x, windows, ahead) for runner in learner.runners])
        return self._repeated(points)

    def _fed_back(self, network: Network, x: str, windows: Sequence[str], ahead: str | None) -> str:
        """What one network says of all steps, (N, H): the first after x (T, N, F), the others each by a Scan's step.

        ``windows`` are the last rows that are read, scaled ones and what is missed; ``ahead`` (H - 1, N, K).
        """
        width, horizon = network.inputs[0][1].width, self.plan.horizon
        said, state = self.run(network, x, width)
        said = self.op("Gather", said, self.g.constant(np.array(-1)), axis=0)  # (N, 1)
        point, *windows = self._moved(self.wide(said), windows)
        if horizon == 1:
            return point
        outer, names, first = self.g, list(state), list(state.values())
        steps = ahead or outer.constant(np.zeros((horizon - 1, 1, 1), np.float32))
        self.g = inner = outer.inner(f"step_{len(outer.nodes)}")
        try:
            before = [inner.input(f"window_{k}", np.float64, ["N", None]) for k in range(len(windows))]
            begun = {name: inner.input(name, np.float32, [None, "N", self.plan.units]) for name in names}
            given = inner.input("ahead", np.float32, ["N", None])
            row = self._row(before, given if ahead else None)  # (N, F)
            said, state = self.run(network, self.op("Unsqueeze", row, inner.whole(0)), width, begun)
            found, *after = self._moved(self.wide(self.op("Squeeze", said, inner.whole(0))), before)
            for k, each in enumerate(after):
                inner.output(each, f"window_{k}_after", np.float64, ["N", None])
            for name in names:
                inner.output(state[name], f"{name}_after", np.float32, [None, "N", self.plan.units])
            inner.output(found, "point", np.float64, ["N", 1])
        finally:
            self.g = outer
        states = [*windows, *first]
        points, _ = outer.scan(inner, states, [steps], [*(f"end_{k}" for k in range(len(states))), "points"])
        later = self.op("Transpose", self.op("Squeeze", points, outer.whole(2)), perm=[1, 0])  # (N, H - 1)
        return self.joined([point, later])

    def _row(self, windows: Sequence[str], ahead: str | None) -> str:
        """What is read of the next row: (N, F)."""
        inputs = self.model.learner.inputs
        reach = max(inputs.lags)
        columns = [self.single(self.cut(windows[-1], reach - lag, reach - lag + 1, 1)) for lag in inputs.lags]
        if inputs.flags:
            zero, one = (self.g.constant(np.array([value], np.float32)) for value in (0.0, 1.0))
            columns.append(self.op("Add", self.op("Mul", columns[0], zero), one))
        return self.joined([*columns, *([ahead] if ahead else [])])

    def _moved(self, correction: str, windows: Sequence[str]) -> list[str]:
        """The point (N, 1) that a network's correction makes of the naive forecast, and the windows a row later."""
        from ..jobs.tasks.forecast.recursive import FAR

        differences, point = self.model.learner.inputs.differences, correction
        after = []
        if differences.start:
            for sign, back in _terms(differences):
                begin = differences.start - back
                row = self.cut(windows[0], begin, begin + 1, 1)
                point = self.op("Add" if sign > 0 else "Sub", point, row)
            after.append(self.joined([self.cut(windows[0], 1, 2**62, 1), point]))
        known = self.op("Max", self.op("Min", correction, self.f64(FAR)), self.f64(-FAR))
        return [point, *after, self.joined([self.cut(windows[-1], 1, 2**62, 1), known])]


def _terms(differences: Any) -> list[tuple[int, int]]:
    """The naive forecast of ``differences``: a sum of rows so far back, with signs."""
    found = [(1, 1)] * differences.first + [(1, differences.season)] * differences.seasonal
    return found + [(-1, differences.season + 1)] * (differences.first and differences.seasonal)
