"""Some windows of series as ``statewise inspect`` looks at them: the first network of those that are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....inspecting.sample import ROWS, STEPS, Sample
from ...errors import InputError
from .dataset import EncodedSeries, Encoding, PanelDataset, make_dataset
from .direct import Direct
from .model import Model
from .panel import read_panel
from .recursive import Recursive
from .split import Rows


def read(model: Model, path: Path) -> Sequence[EncodedSeries]:
    """The series in ``path``."""
    return model.encode(read_panel(path, model.columns, gaps=model.plan.gaps, grid=model.grid))


def sample(model: Model, series: Sequence[EncodedSeries]) -> Sample:
    """The last windows of the first series, a few of each where there are few. The result is what the network says.

    Raises ``InputError`` where they are too short.
    """
    series = series[:ROWS]
    scaling, _, _ = model.constants(series)
    dataset = make_dataset(series, scaling, model.plan.cycles, model.learner.before, model.plan.horizon)
    each = -(-ROWS // len(series))  # windows of a series, a horizon apart
    apart = model.plan.horizon
    of = np.repeat(np.arange(len(series)), each)
    ends = np.array([len(one.values) - apart * k for one in series for k in range(each)])
    network = model.learner.networks[0]
    if isinstance(model.learner, Recursive):
        x, names = _steps(model, model.learner, dataset, ends, of)
        return Sample(network, (x,), lambda said: said[-1], "recurrent", names)
    assert isinstance(model.learner, Direct)
    fit = ends >= min(model.learner.before, int(ends.max()))
    ends, of = ends[fit], of[fit]
    places = [model.names.index(one.name) if model.plan.channels else 0 for one in series]
    whose = np.array(places, np.int64)[of]
    window = model.learner.windows(dataset).take(dataset.begin[of] + ends, whose)
    given = tuple([torch.as_tensor(part) for part in (window.past, window.future, window.channel)])
    calendar = [f"{wave} of {cycle:g}" for cycle in model.plan.cycles for wave in ("sine", "cosine")]
    covariates = [_columns(model.observed), calendar + _columns(model.known)]
    features = ["value", *["missing"] * model.learner.inputs.flags, *covariates[0], *covariates[1]]

    def said(raw: Tensor) -> Tensor:
        return raw.mean((1, 2))  # of all steps ahead

    layer = "recurrent" if model.plan.model == "segrnn" else "reader"
    return Sample(network, given, said, layer, features if layer == "reader" else [])


def _columns(encoding: Encoding) -> list[str]:
    """What the numbers of covariates are called."""
    return [
        column.name if column.width == 1 else f"{column.name} {k + 1}"
        for column in encoding.columns
        for k in range(column.width)
    ]


def _steps(model: Model, learner: Recursive, dataset: PanelDataset, ends: Rows, of: Rows) -> tuple[Tensor, list[str]]:
    """What a recursive network reads up to the row that it forecasts, (T, N, F), and what that is called."""
    steps = learner.steps(dataset)
    origins = dataset.begin[of] + ends
    lengths = np.minimum(origins - steps.first[of] + 1, STEPS)
    enough = lengths >= max(2, int(lengths.max()) // 2)
    if not enough.any():
        raise InputError("the series are too short to be read: expected more rows than a naive forecast looks back")
    origins, count = origins[enough], int(lengths[enough].min())
    at = np.minimum(origins - count + 1 + np.arange(count)[:, None], len(steps.inputs) - 1)  # (T, N)
    told = learner.inputs
    names = [f"missed {lag} row{'s' * (lag != 1)} ago" for lag in told.lags] + ["missing"] * told.flags
    covariates = _columns(model.known)
    calendar = steps.inputs.shape[1] - len(names) - len(covariates)
    names += [f"calendar {k + 1}" for k in range(calendar)] + covariates
    return torch.from_numpy(steps.inputs[at].astype(np.float32)), names
