"""A forecaster as one ``.safetensors`` file: the weights, and everything else as JSON in its header. Never pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ..._version import __version__
from ..errors import InputError
from .forecaster import Forecaster
from .network import CELLS, Network
from .settings import Settings
from .transform import Transform

KEY = "statewise"
FORMAT = 1


def save(forecaster: Forecaster, path: Path) -> None:
    """Write ``forecaster``. The same forecaster gives the same bytes."""
    header = {
        "job": "forecast",
        "format": FORMAT,
        "version": __version__,
        "settings": asdict(forecaster.settings),
        "transform": asdict(forecaster.transform),
        "scale": forecaster.scale,
        "lags": forecaster.lags,
        "cycles": forecaster.cycles,
        "trained_rows": forecaster.trained_rows,
    }
    tensors = {f"{i}.{k}": t for i, n in enumerate(forecaster.networks) for k, t in n.state_dict().items()}
    path.write_bytes(to_bytes(tensors, metadata={KEY: json.dumps(header)}))


def load(path: Path) -> Forecaster:
    """Read what ``save`` wrote; refuses a file that is damaged, foreign or of a later format."""
    header, tensors = _read(path)
    try:
        settings = Settings(**header["settings"])
        lags, cycles = tuple(map(int, header["lags"])), tuple(map(int, header["cycles"]))
        return Forecaster(
            Transform(**header["transform"]),
            float(header["scale"]),
            lags,
            cycles,
            settings,
            int(header["trained_rows"]),
            tuple(_network(i, len(lags) + 2 * len(cycles), settings, tensors) for i in range(settings.seeds)),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: a damaged forecast model: {str(error).splitlines()[0]}") from None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it isn't a dict
    except (SafetensorError, json.JSONDecodeError, OSError):
        raise InputError(f"{path}: not a whole .safetensors file") from None
    if not isinstance(header, dict) or header.get("job") != "forecast":
        raise InputError(f"{path}: holds no statewise forecast model")
    if header.get("format") != FORMAT:
        raise InputError(
            f"{path}: has format {header.get('format')} of statewise {header.get('version')},"
            f" this is statewise {__version__}, which reads format {FORMAT}"
        )
    return header, tensors


def _network(index: int, features: int, settings: Settings, tensors: dict[str, Tensor]) -> Network:
    """One network; its sizes are checked against the weights before anything of that size is made."""
    prefix = f"{index}."
    weights = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    if settings.cell not in CELLS:
        raise ValueError(f"unknown cell {settings.cell!r}")
    if tuple(weights["head.weight"].shape) != (1, settings.hidden):
        raise ValueError(f"expected {settings.hidden} hidden units")
    network = Network(settings.cell, features, settings.hidden)
    network.load_state_dict(weights)
    return network.eval()
