"""The file of a model: weights, constants and the last rows as tensors, the rest in its header, looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...artifacts import model_file
from ...config import from_json
from . import statistical
from .config import Columns, Plan, former
from .dataset import EncodedSeries, Encoding, Scaling
from .direct import Direct
from .following import MOST_STRETCH
from .grid import Grid, grid_of
from .intervals import FAR
from .learner import Learner
from .linear.forecast import Linear
from .recursive import Recursive
from .series import Head
from .split import Array

if TYPE_CHECKING:
    from .model import Model

CONSTANTS = ("floor", "centre", "spread")
RANKS = 256  # of a model that has none
MOST_ROWS = 10_000_000  # that a forecast may look at, of all series together, unless the file has about as many
FURTHEST = {"month": 8000 * 12, "microsecond": 8000 * 366 * 86_400 * 10**6, "number": 1e100}  # from 1970, or from 0


def content(model: Model) -> dict[str, Any]:
    """Everything but the numbers."""
    return {
        "columns": asdict(model.columns),
        "grid": asdict(model.grid),
        "dimensions": model.dimensions,
        "known": model.known.to_json(),
        "observed": model.observed.to_json(),
        "names": list(model.names),
        "heads": [[list(head.key), head.target] for head in model.heads],
        "learner": model.learner.to_json(),
        "linear": model.linear.to_json() if model.linear else None,
        "share": model.share,
        "lately": model.lately,
        "statistical": dict(model.statistical),
        "positive": model.positive,
        "first": [tail.first for tail in model.tails],
        "rows": [len(tail.values) for tail in model.tails],
        "known_rows": [len(tail.known) for tail in model.tails],
    }


def tensors(model: Model) -> model_file.Arrays:
    """Weights, constants and the last rows."""
    arrays = {f"scaling.{name}": getattr(model.scaling, name) for name in CONSTANTS}
    kept = ("unit", "shifts", "ranks", "reach", "stretch")
    arrays |= {name: array for name in kept if (array := getattr(model, name)) is not None}
    arrays |= model.linear.tensors() if model.linear else {}
    arrays |= {
        f"tail.{name}": np.concatenate([getattr(tail, name) for tail in model.tails])
        for name in ("values", "known", "observed")
    }
    return arrays | model.learner.tensors()


def renamed(content: dict[str, Any]) -> dict[str, Any]:
    """Former formats had other names."""
    if "plan" in content:  # format 1
        columns = {"target" if name == "targets" else name: value for name, value in content["columns"].items()}
        content = content | {"config": content["plan"], "columns": columns, "notes": {}}
    named = content["columns"].get("id")
    columns = content["columns"] | {"id": [] if named is None else [named]}
    return content | {"config": former(content["config"], content.get("gaps")), "columns": columns}


def parts(
    content: Mapping[str, Any], arrays: model_file.Arrays, plan: Plan, kernels: model_file.Kernels
) -> dict[str, Any]:
    """What the model of ``content`` and ``arrays`` has beside its configuration; ValueError where they don't fit."""
    columns = from_json(Columns, content["columns"])
    known, observed = Encoding.from_json(content["known"]), Encoding.from_json(content["observed"])
    names = tuple(map(str, content["names"]))
    if not names or len(set(names)) != len(names):
        raise ValueError("expected the names of the series")
    scaling = Scaling(plan.log, *(_array(arrays, f"scaling.{name}", len(names)) for name in CONSTANTS))
    unit = _array(arrays, "unit", len(names))
    if not (scaling.spread > 0).all() or not (unit > 0).all() or (plan.log and not (scaling.floor > 0).all()):
        raise ValueError("expected a spread and a unit above 0 for every series")
    tails = _tails(content, arrays, names, known.width, observed.width)
    linear = content.get("linear")
    linear = None if linear is None else Linear.build(linear, arrays, len(names), plan.horizon)
    told = content.get("statistical", {})
    return {
        "columns": columns,
        "grid": _grid(content["grid"], tails, plan.horizon),
        "known": known,
        "observed": observed,
        "names": names,
        "scaling": scaling,
        "unit": unit,
        "shifts": _array(arrays, "shifts", plan.horizon, len(plan.quantiles)),
        "learner": _learner(plan, content["learner"], arrays, tails, linear, kernels),
        "tails": tails,
        "heads": _heads(content, columns, names),
        "ranks": _ranks(arrays, plan.horizon),
        "dimensions": _dimensions(content, columns),
        "linear": linear,
        "share": _share(content, "share", 1.0),
        "lately": _share(content, "lately", 0.0),
        "positive": content.get("positive", False) is True,
        "statistical": {name: _share(told, name, 0.0) for name in statistical.METHODS if name in told},
        "reach": _reach(arrays),
        "stretch": _stretch(arrays, len(names), len(plan.quantiles)),
    }


def _ranks(arrays: Mapping[str, Array], horizon: int) -> NDArray[np.float32]:
    if "ranks" not in arrays:  # as in files of before there were any
        rank = (np.arange(RANKS, dtype=np.float32)[:, None] + 0.5) / RANKS
        return np.repeat(rank, horizon, axis=1)  # all steps of a path as far off as each other
    ranks: NDArray[Any] = arrays["ranks"]
    if ranks.ndim != 2 or ranks.shape[1] != horizon or not len(ranks) or ranks.dtype != np.float32:
        raise ValueError(f"expected ranks over {horizon} steps, got {ranks.dtype} of the shape {ranks.shape}")
    if not ((ranks > 0) & (ranks < 1)).all():
        raise ValueError("expected ranks between 0 and 1")
    return ranks


def _heads(content: Mapping[str, Any], columns: Columns, names: Sequence[str]) -> tuple[Head, ...]:
    """Which series is which; a file of before that was noted says it by their names."""
    if "heads" not in content:
        return tuple(_head(name, columns) for name in names)
    heads = tuple(from_json(Head, {"key": key, "target": target}) for key, target in content["heads"])
    if len(heads) != len(names) or {len(head.key) for head in heads} != {len(heads[0].key)}:
        raise ValueError("expected the ids of every series")
    return heads


def _head(name: str, columns: Columns) -> Head:
    if not columns.id:
        return Head((name,)) if columns.layout == "rows" else Head(target=name)
    if len(columns.target) < 2:
        return Head((name,), *columns.target)
    target = next((each for each in columns.target if name.endswith(f"/{each}")), columns.target[0])
    return Head((name.removesuffix(f"/{target}"),), target)


def _reach(arrays: Mapping[str, Array]) -> Array | None:
    if "reach" not in arrays:
        return None
    reach = _array(arrays, "reach", len(FAR))
    if not ((reach >= 1) & (np.diff(reach, prepend=1.0) >= 0)).all():
        raise ValueError("expected rising numbers from 1 on")
    return reach


def _stretch(arrays: Mapping[str, Array], series: int, quantiles: int) -> Array | None:
    if "stretch" not in arrays:
        return None
    stretch = _array(arrays, "stretch", series, quantiles)
    if not (np.abs(stretch) <= np.log(MOST_STRETCH)).all():
        raise ValueError(f"expected intervals stretched {MOST_STRETCH:g} times at most")
    return stretch


def _dimensions(content: Mapping[str, Any], columns: Columns) -> int:
    """What a file of before this was noted says of it by the names that ``Forecaster`` gives the columns of arrays."""
    named = columns.time is None and not columns.id and columns.target[:1] in (("y",), ("y0",))
    found = content.get("dimensions", (1 if columns.target == ("y",) else 2) if named else 0)
    if found not in (0, 1, 2) or (found == 1 and len(columns.target) != 1):
        raise ValueError(f"expected a table or an array of 1 or 2 dimensions, got {found!r}")
    return int(found)


def _array(arrays: Mapping[str, Array], name: str, *shape: int) -> Array:
    array: Array = arrays[name]
    if array.shape != shape or array.dtype != np.float64:
        raise ValueError(f"{name} is {array.dtype} of the shape {array.shape}, expected float64 {shape}")
    return array


def _grid(content: Any, tails: Sequence[EncodedSeries], horizon: int) -> Grid:
    """The grid; ValueError where the rows and the horizon are not on its calendar."""
    grid = grid_of(content)
    ends = np.array([(tail.first, tail.first + len(tail.values) + horizon) for tail in tails], dtype=np.int64)
    when = grid.size * ends.astype(np.float64) + grid.offset
    if not (np.abs(when) <= FURTHEST.get(grid.unit, model_file.LARGEST)).all():
        raise ValueError("its rows are in no year that a calendar has")
    return grid


def _share(content: Mapping[str, Any], name: str, default: float) -> float:
    share = content.get(name, default)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise ValueError(f"expected a share, got {share!r}")
    return float(share)


def _learner(
    plan: Plan,
    content: Any,
    arrays: Mapping[str, Any],
    tails: Sequence[EncodedSeries],
    linear: Linear | None,
    kernels: model_file.Kernels,
) -> Learner:
    weights = {name: w for name, w in arrays.items() if name.startswith("network.")}
    kind: type[Learner] = Recursive if plan.recursive else Direct
    if linear is None and not plan.recursive:  # in files of before there were any offsets
        for number in range(plan.ensemble if plan.ensemble <= len(arrays) else 0):
            bias = weights.get(f"network.{number}.head.bias", np.zeros(0))
            size = len(bias) // (plan.segment if plan.model == "segrnn" else 1)
            weights.setdefault(f"network.{number}.offsets", np.zeros((plan.horizon, size), np.float32))
    _check_inputs(kind(plan, from_json(kind.INPUTS, content)), tails)
    learner = kind.build(plan, content, weights, kernels)
    if linear is None and getattr(learner.inputs, "season", 1) == 0:
        raise ValueError("there is no linear forecast that the networks could correct")
    return learner


def _check_inputs(learner: Learner, tails: Sequence[EncodedSeries]) -> None:
    """ValueError where the networks read something else than the series have, or more rows than there can be."""
    wanted = learner.expected_inputs(tails[0].known.shape[1], tails[0].observed.shape[1], len(tails))
    for name, count in wanted.items():
        if (found := getattr(learner.inputs, name)) != count:
            raise ValueError(f"expected {count} {name}, got {found}")
    rows = sum(len(tail.values) for tail in tails)
    needed = len(tails) * (learner.before + learner.memory + learner.plan.horizon)
    if needed > max(MOST_ROWS, 10 * rows):
        raise ValueError(f"a forecast of it would look at {needed} rows, the file has {rows}")


def _tails(
    content: Mapping[str, Any], arrays: Mapping[str, Array], names: tuple[str, ...], known: int, observed: int
) -> tuple[EncodedSeries, ...]:
    counts = {name: [_row_count(count) for count in content[name]] for name in ("rows", "known_rows")}
    total, ahead = (sum(counts[name]) for name in ("rows", "known_rows"))
    parts = (
        np.split(_array(arrays, "tail.values", total), np.cumsum(counts["rows"])[:-1]),
        np.split(_array(arrays, "tail.known", ahead, known), np.cumsum(counts["known_rows"])[:-1]),
        np.split(_array(arrays, "tail.observed", total, observed), np.cumsum(counts["rows"])[:-1]),
    )
    firsts = [_row_count(abs(first)) and int(first) for first in content["first"]]
    tails = tuple(EncodedSeries(*each) for each in zip(names, firsts, *parts, strict=True))
    for tail in tails:
        if len(tail.known) < len(tail.values) or np.isinf(tail.values).any():
            raise ValueError(f"the last rows of {tail.name!r} are not whole")
    return tails


def _row_count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= model_file.LARGEST:
        raise ValueError(f"expected a number of rows, got {count!r}")
    return count
