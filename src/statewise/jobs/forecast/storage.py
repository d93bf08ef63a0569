"""A model as one ``.safetensors`` file: weights, constants and the last rows as tensors, the rest in its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import model_file
from ..errors import InputError
from .bank import Array, Track
from .covariates import Encoding
from .grid import Grid
from .learning import Learner
from .model import Model
from .panel import Columns
from .scaling import Scaling
from .settings import Plan
from .stepwise import StepLearner
from .windowed import WindowLearner

KIND = "forecast model"
FORMAT = 1


def save(model: Model, path: Path) -> None:
    """Write ``model``; the same one gives the same bytes. Raises ``InputError`` where that can't be done."""
    content = {
        "plan": asdict(model.plan),
        "columns": asdict(model.columns),
        "grid": asdict(model.grid),
        "gaps": model.gaps,
        "known": model.known.to_json(),
        "observed": model.observed.to_json(),
        "names": list(model.names),
        "learner": model.learner.to_json(),
        "first": [track.first for track in model.tails],
        "rows": [len(track.values) for track in model.tails],
        "known_rows": [len(track.known) for track in model.tails],
    }
    scaling, tails = model.scaling, model.tails
    arrays = {
        "scaling.floor": scaling.floor,
        "scaling.centre": scaling.centre,
        "scaling.spread": scaling.spread,
        "unit": model.unit,
        "shifts": model.shifts,
        "tail.values": np.concatenate([track.values for track in tails]),
        "tail.known": np.concatenate([track.known for track in tails]),
        "tail.observed": np.concatenate([track.observed for track in tails]),
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    model_file.save(path, KIND, FORMAT, content, tensors | model.learner.tensors())


def load(path: Path) -> Model:
    """Read what ``save`` wrote. Raises ``InputError`` for a file that is damaged, foreign or of a later format."""
    content, tensors = model_file.load(path, KIND, FORMAT)
    try:
        return _model(content, tensors)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: a damaged {KIND}: {reason}") from None


def _model(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    plan, columns = Plan(**_tuples(content["plan"])), Columns(**_tuples(content["columns"]))
    names = tuple(map(str, content["names"]))
    scaling = Scaling(plan.log, *(_array(tensors, f"scaling.{name}", len(names)) for name in _CONSTANTS))
    return Model(
        plan=plan,
        columns=columns,
        grid=Grid(**content["grid"]),
        gaps=str(content["gaps"]),
        known=Encoding.from_json(content["known"]),
        observed=Encoding.from_json(content["observed"]),
        names=names,
        scaling=scaling,
        unit=_array(tensors, "unit", len(names)),
        shifts=_array(tensors, "shifts", plan.horizon, len(plan.levels)),
        learner=_learner(plan, content["learner"], tensors),
        tails=_tails(content, tensors, names),
    )


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with the tuples that JSON has made lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}


_CONSTANTS = ("floor", "centre", "spread")


def _array(tensors: Mapping[str, Tensor], name: str, *shape: int) -> Array:
    array: Array = tensors[name].numpy()
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")
    return array


def _learner(plan: Plan, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Learner:
    weights = {name.removeprefix("network."): w for name, w in tensors.items() if name.startswith("network.")}
    if sum(w.numel() for w in weights.values()) < plan.seeds * plan.hidden**2:  # before anything of that size is made
        raise ValueError(f"expected the weights of {plan.seeds} networks of {plan.hidden} units")
    learner = StepLearner.build(plan, content) if plan.stepwise else WindowLearner.build(plan, content)
    networks: tuple[nn.Module, ...] = learner.networks
    for index, network in enumerate(networks):
        own = f"{index}."
        network.load_state_dict({k.removeprefix(own): w for k, w in weights.items() if k.startswith(own)})
    return learner


def _tails(content: Mapping[str, Any], tensors: Mapping[str, Tensor], names: tuple[str, ...]) -> tuple[Track, ...]:
    for rows, name in (("rows", "tail.values"), ("rows", "tail.observed"), ("known_rows", "tail.known")):
        if sum(content[rows]) != len(tensors[name]):
            raise ValueError(f"{name} has {len(tensors[name])} rows, expected {sum(content[rows])}")
    ends, known_ends = np.cumsum(content["rows"])[:-1], np.cumsum(content["known_rows"])[:-1]
    parts = zip(
        names,
        content["first"],
        np.split(tensors["tail.values"].numpy(), ends),
        np.split(tensors["tail.known"].numpy(), known_ends),
        np.split(tensors["tail.observed"].numpy(), ends),
        strict=True,
    )
    return tuple(Track(name, int(first), *arrays) for name, first, *arrays in parts)
