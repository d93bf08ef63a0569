"""The recursive way: a recurrent net forecasts one row, reads its own forecast, and goes on, over any horizon.

It isn't asked for the series itself: its target is what the best naive forecast misses (``Differences``), scaled to 1,
so an untrained one gives that naive forecast. Three things keep it from learning the noise of a short series: few
updates, noise on the inputs, and turning every other window upside down, since a differenced series may as well go
down as up (not where the calendar or covariates are told: they don't turn along). Long series train until the
validation part says stop, without the mirror.

The defaults come from the first 101 months of the airline series alone; docs/jobs/forecast-method.md tells how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .dataset import PanelDataset
from .learner import Learner
from .running import StepRunner, merged, side_by_side
from .season import Differences
from .split import Array, Rows

if TYPE_CHECKING:
    from .networks import StepNetwork

CALENDAR_AMPLITUDE = 0.3
FAR = 8.0  # scales that an outlier counts at most
CHUNK = 1024  # origins that are forecast at once
FEW = 4  # forecasts that are made as fast as one is


@dataclass(frozen=True)
class StepInputs:
    """What a recursive network reads of a row."""

    differences: Differences
    lags: tuple[int, ...]
    flags: bool
    features: int = 1

    def __post_init__(self) -> None:
        if not self.lags or min(self.lags) < 1 or self.features < 1:
            raise ValueError(f"expected rows to look back at, got {self.lags}")


class Steps:
    """The rows of a dataset as a recursive network reads them, and what it is to say.

    Row t of ``inputs`` holds nothing of row t or later but the calendar and the covariates known ahead.
    """

    def __init__(self, dataset: PanelDataset, told: StepInputs, cycles: Sequence[int]) -> None:
        total, differences = len(dataset.scaled), told.differences
        self.missed, self.filled = np.zeros(total), np.zeros(total)  # (R,) each
        self.seen = np.zeros(total)  # 1 where the target is known
        self.first = dataset.begin + differences.start  # (S,), the first row with a naive forecast
        self.gaps = False  # whether a value is missing inside a series
        for begin, end, first in zip(dataset.begin, dataset.end, self.first, strict=True):
            self.gaps |= bool(np.isnan(dataset.scaled[begin:end]).any())
            missed, self.filled[begin:end] = differences.missed(dataset.scaled[begin:end])
            self.missed[first:end] = missed[first - begin :]
            self.seen[first:end] = dataset.real[first:end]
        calendar = CALENDAR_AMPLITUDE * dataset.calendar[:, differences.told(cycles)]
        self.constant = np.concatenate([calendar, dataset.known], axis=1)  # (R, K)
        self.lags = told.lags
        known = np.clip(self.missed, -FAR, FAR)
        columns = [np.concatenate([np.zeros(lag), known[:-lag]]) for lag in told.lags]
        if told.flags:
            columns.append(np.concatenate([[0.0], self.seen[:-1]]))
        self.inputs = np.concatenate([np.stack(columns, axis=1), self.constant], axis=1)  # (R, F)

    @property
    def signs(self) -> Array:
        """-1 for the inputs that change sign when the series is turned upside down, else 1: (F,)."""
        return np.array([-1.0] * len(self.lags) + [1.0] * (self.inputs.shape[1] - len(self.lags)))


@dataclass(frozen=True, eq=False)
class Recursive(Learner):
    """Trained recursive networks, and the differences and lags that the training part called for."""

    INPUTS = StepInputs

    inputs: StepInputs

    def network(self) -> StepNetwork:
        from .networks import StepNetwork

        return StepNetwork(self.plan, self.inputs.features)

    def runner(self, weights: Mapping[str, Any]) -> StepRunner:
        return StepRunner(self.plan, self.inputs.features, weights, self.kernels)

    @property
    def before(self) -> int:
        return max(self.inputs.lags)

    @property
    def memory(self) -> int:
        return self.plan.lookback + max(self.inputs.lags) + self.inputs.differences.start

    def relative_spread(self, scaled: Array) -> float:
        missed = self.inputs.differences.missed(scaled)[0][self.inputs.differences.start :]
        return root_mean_square(missed)

    def expected_inputs(self, known: int, observed: int, series: int) -> dict[str, int]:
        told = self.inputs
        calendar = len(told.differences.told(self.plan.cycles))
        return {"features": len(told.lags) + told.flags + calendar + known}

    def steps(self, dataset: PanelDataset) -> Steps:
        """The rows of ``dataset`` as the networks read them."""
        return Steps(dataset, self.inputs, self.plan.cycles)

    def forecast(self, dataset: PanelDataset, origins: Rows, series: Rows, base: Array | None = None) -> Array:
        """The point forecast, as every quantile."""
        steps = self.steps(dataset)
        if (origins < steps.first[series]).any():
            start = self.inputs.differences.start
            raise InputError(f"a forecast looks back {start} rows; a series is shorter than that")
        if steps.gaps and not self.inputs.flags:
            raise InputError(
                f"{self.plan.label} has learnt without missing values, and some are (--gaps carry repeats the last one)"
            )
        count = -(-len(origins) // CHUNK) or 1
        parts = [
            self._roll(steps, rows, of).mean(0)
            for rows, of in zip(np.array_split(origins, count), np.array_split(series, count), strict=True)
        ]
        points = np.concatenate(parts)  # (n, H)
        return np.repeat(points[:, :, None], len(self.plan.quantiles), axis=2)

    @cached_property
    def whole(self) -> StepRunner:
        """All networks as one, see ``side_by_side``."""
        return side_by_side(self.weights, self.plan, self.inputs.features, self.kernels)

    def _roll(self, steps: Steps, origins: Rows, series: Rows) -> Array:
        """The forecasts of K networks, each step fed back: (K, n, H)."""
        few = len(origins) <= FEW
        first = np.maximum(steps.first[series], origins - self.plan.lookback)
        lengths = origins - first + 1  # the row to forecast is read as well: its inputs are all known
        at = np.minimum(first + np.arange(int(lengths.max(initial=1)))[:, None], len(steps.inputs) - 1)  # (T, n)
        x = _single(steps.inputs[at])
        begun = [runner.begin(x, lengths) for runner in self.runners]
        if not few or len(begun) == 1:
            found = [self._fed_back(steps, origins, 1, run, *b) for run, b in zip(self.runners, begun, strict=True)]
            return np.concatenate(found)
        said, states = zip(*begun, strict=True)
        return self._fed_back(steps, origins, len(begun), self.whole, np.concatenate(said, -1), merged(states))

    def _fed_back(self, steps: Steps, origins: Rows, count: int, runner: StepRunner, said: Any, state: Any) -> Array:
        """What K networks side by side say of all steps, ``said`` of the first one (n, K): (K, n, H)."""
        told, horizon, n = self.inputs, self.plan.horizon, len(origins)
        start, reach = told.differences.start, max(told.lags)
        scaled = _before(steps.filled, origins, start, horizon).repeat(count, axis=0)  # (n * K, start + H)
        missed = np.clip(_before(steps.missed, origins, reach, horizon), -FAR, FAR).repeat(count, axis=0)
        lags = reach - np.array(told.lags)
        x = np.ones((n * count, self.inputs.features), np.float32)
        constant = slice(len(lags) + told.flags, None)
        for h in range(horizon):
            if h:
                x[:, : len(lags)] = missed[:, lags + h]
                x[:, constant] = steps.constant[origins + h].repeat(count, axis=0)
                said, state = runner.step(x.reshape(n, -1), state)
            correction = said.astype(np.float64).reshape(-1)
            scaled[:, start + h] = told.differences.naive(scaled[:, : start + h]) + correction
            missed[:, reach + h] = np.clip(correction, -FAR, FAR)
        return scaled[:, start:].reshape(n, count, horizon).swapaxes(0, 1)


def root_mean_square(missed: Array) -> float:
    """Of what is missed (T,); 1 where nothing is, as in a series that repeats exactly."""
    return float(np.sqrt(np.mean(missed**2))) or 1.0 if len(missed) else 1.0


def _before(values: Array, origins: Rows, back: int, on: int) -> Array:
    """The ``back`` values before each origin and room for ``on`` more: (n, back + on)."""
    result = np.zeros((len(origins), back + on))
    result[:, :back] = values[origins[:, None] + np.arange(-back, 0)]
    return result


def _single(values: Array) -> Any:
    with np.errstate(over="ignore"):  # what comes of such values is refused
        return values.astype(np.float32)
