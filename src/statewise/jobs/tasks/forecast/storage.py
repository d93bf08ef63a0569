"""A model's file: weights, constants and the last rows as tensors, the rest in its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...config import from_json
from .bank import Array, Track
from .config import Columns, Plan
from .config import former as former_plan
from .covariates import Encoding
from .grid import Grid
from .learning import Learner
from .scaling import Scaling
from .stepwise import StepLearner
from .windowed import WindowLearner

if TYPE_CHECKING:
    from .model import Model

RANKS = 256  # of a model that has none
MOST_ROWS = 10_000_000  # that a forecast may look at, of all series together, unless the file has about as many
FURTHEST = {"month": 8000 * 12, "microsecond": 8000 * 366 * 86_400 * 10**6, "number": 1e100}  # from 1970, or from 0


def content_of(model: Model) -> dict[str, Any]:
    """What the header has beside the plan."""
    return {
        "columns": asdict(model.columns),
        "grid": asdict(model.grid),
        "dimensions": model.dimensions,
        "known": model.known.to_json(),
        "observed": model.observed.to_json(),
        "names": list(model.names),
        "learner": model.learner.to_json(),
        "first": [track.first for track in model.tails],
        "rows": [len(track.values) for track in model.tails],
        "known_rows": [len(track.known) for track in model.tails],
    }


def tensors_of(model: Model) -> dict[str, Tensor]:
    """All numbers."""
    tails = model.tails
    arrays = {f"scaling.{name}": getattr(model.scaling, name) for name in _CONSTANTS}
    arrays |= {name: getattr(model, name) for name in ("unit", "shifts", "ranks")}
    arrays |= {
        f"tail.{name}": np.concatenate([getattr(track, name) for track in tails])
        for name in ("values", "known", "observed")
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return tensors | model.learner.tensors()


def former(content: dict[str, Any]) -> dict[str, Any]:
    """A header of format 1 under today's names."""
    columns = {"target" if name == "targets" else name: value for name, value in content["columns"].items()}
    return content | {"config": former_plan(content["plan"], content["gaps"]), "columns": columns, "notes": {}}


def parts_of(plan: Plan, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What ``content_of`` and ``tensors_of`` were given, by name. ValueError where they don't fit together."""
    columns = from_json(Columns, content["columns"])
    known, observed = Encoding.from_json(content["known"]), Encoding.from_json(content["observed"])
    names = tuple(map(str, content["names"]))
    if not names or len(set(names)) != len(names):
        raise ValueError("expected the names of the series")
    scaling = Scaling(plan.log, *(_array(tensors, f"scaling.{name}", len(names)) for name in _CONSTANTS))
    unit = _array(tensors, "unit", len(names))
    if not (scaling.spread > 0).all() or not (unit > 0).all() or (plan.log and not (scaling.floor > 0).all()):
        raise ValueError("expected a spread and a unit above 0 for every series")
    tails = _tails(content, tensors, names, known.width, observed.width)
    return {
        "columns": columns,
        "grid": _grid(content["grid"], tails, plan.horizon),
        "known": known,
        "observed": observed,
        "names": names,
        "scaling": scaling,
        "unit": unit,
        "shifts": _array(tensors, "shifts", plan.horizon, len(plan.quantiles)),
        "learner": _learner(plan, content["learner"], tensors, tails),
        "tails": tails,
        "ranks": _ranks(tensors, plan.horizon),
        "dimensions": _dimensions(content, columns),
    }


def _ranks(tensors: Mapping[str, Tensor], horizon: int) -> NDArray[np.float32]:
    if "ranks" not in tensors:  # as in files of before there were any
        level = (np.arange(RANKS, dtype=np.float32)[:, None] + 0.5) / RANKS
        return np.repeat(level, horizon, axis=1)  # all steps of a path as far off as each other
    ranks: NDArray[np.float32] = tensors["ranks"].numpy()
    if ranks.ndim != 2 or ranks.shape[1] != horizon or not len(ranks) or ranks.dtype != np.float32:
        raise ValueError(f"expected ranks over {horizon} steps, got {ranks.dtype} of the shape {ranks.shape}")
    if not ((ranks > 0) & (ranks < 1)).all():
        raise ValueError("expected ranks between 0 and 1")
    return ranks


def _dimensions(content: Mapping[str, Any], columns: Columns) -> int:
    """What a file of before this was noted says of it by the names that ``Forecaster`` gives the columns of arrays."""
    named = columns.time is None and columns.id is None and columns.target[:1] in (("y",), ("y0",))
    found = content.get("dimensions", (1 if columns.target == ("y",) else 2) if named else 0)
    if found not in (0, 1, 2) or (found == 1 and len(columns.target) != 1):
        raise ValueError(f"expected a table or an array of 1 or 2 dimensions, got {found!r}")
    return int(found)


_CONSTANTS = ("floor", "centre", "spread")


def _array(tensors: Mapping[str, Tensor], name: str, *shape: int) -> Array:
    array: Array = tensors[name].numpy()
    if array.shape != shape or array.dtype != np.float64:
        raise ValueError(f"{name} is {array.dtype} of the shape {array.shape}, expected float64 {shape}")
    return array


def _grid(content: Any, tails: Sequence[Track], horizon: int) -> Grid:
    """The grid; ValueError where the rows and the horizon are not on its calendar."""
    grid = from_json(Grid, content)
    ends = np.array([(track.first, track.first + len(track.values) + horizon) for track in tails], dtype=np.int64)
    when = grid.size * ends.astype(np.float64) + grid.offset
    if not (np.abs(when) <= FURTHEST.get(grid.unit, model_file.LARGEST)).all():
        raise ValueError("its rows are in no year that a calendar has")
    return grid


def _learner(plan: Plan, content: Any, tensors: Mapping[str, Tensor], tails: Sequence[Track]) -> Learner:
    if plan.ensemble > len(tensors) or plan.layers > len(tensors):
        raise ValueError(f"expected the weights of {plan.ensemble} networks of {plan.layers} layers")
    weights = {name: w for name, w in tensors.items() if name.startswith("network.")}
    kind = StepLearner if plan.stepwise else WindowLearner
    with (
        model_file.without_memory()
    ):  # nothing of the sizes that the header names is made before they are known to be right
        expected = kind.build(plan, content)
    model_file.check_sizes(expected.tensors(), weights)
    _check_inputs(expected, tails)
    learner = kind.build(plan, content)
    for index, network in enumerate(learner.networks):
        own = f"network.{index}."
        network.load_state_dict({k.removeprefix(own): w for k, w in weights.items() if k.startswith(own)})
    return learner


def _check_inputs(learner: Learner, tails: Sequence[Track]) -> None:
    """ValueError where the networks read something else than the series have, or more rows than there can be."""
    plan, known, observed = learner.plan, tails[0].known.shape[1], tails[0].observed.shape[1]
    told = 2 * len(plan.cycles) + known
    if isinstance(learner, StepLearner):
        features = len(learner.lags) + learner.flags + len(learner.differences.told(plan.cycles)) + known
    else:
        features = 1 + learner.flags + observed + told
        if (learner.known, learner.channels) != (told, len(tails) if plan.channels else 0) or learner.season < 1:
            raise ValueError(f"expected {told} numbers known ahead, got {learner.known}")
    if features != learner.features:
        raise ValueError(f"expected {features} inputs, got {learner.features}")
    rows = sum(len(track.values) for track in tails)
    needed = len(tails) * (learner.before + learner.memory + plan.horizon)
    if needed > max(MOST_ROWS, 10 * rows):
        raise ValueError(f"a forecast of it would look at {needed} rows, the file has {rows}")


def _tails(
    content: Mapping[str, Any], tensors: Mapping[str, Tensor], names: tuple[str, ...], known: int, observed: int
) -> tuple[Track, ...]:
    counts = {name: [_row_count(count) for count in content[name]] for name in ("rows", "known_rows")}
    total, ahead = (sum(counts[name]) for name in ("rows", "known_rows"))
    arrays = (
        np.split(_array(tensors, "tail.values", total), np.cumsum(counts["rows"])[:-1]),
        np.split(_array(tensors, "tail.known", ahead, known), np.cumsum(counts["known_rows"])[:-1]),
        np.split(_array(tensors, "tail.observed", total, observed), np.cumsum(counts["rows"])[:-1]),
    )
    firsts = [_row_count(abs(first)) and int(first) for first in content["first"]]
    tails = tuple(Track(*parts) for parts in zip(names, firsts, *arrays, strict=True))
    for track in tails:
        if len(track.known) < len(track.values) or np.isinf(track.values).any():
            raise ValueError(f"the last rows of {track.name!r} are not whole")
    return tails


def _row_count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= model_file.LARGEST:
        raise ValueError(f"expected a number of rows, got {count!r}")
    return count
