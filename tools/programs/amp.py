"""Neural Amp Modeler: an LSTM that turns each sample of a guitar into what an amplifier makes of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise import runtime

from . import Case

REQUIREMENTS = ("neural-amp-modeler==0.13.0",)
WORK = "amplifiers as .nam files: half a second of sound at 48 kHz, sample after sample in one call"
_SAMPLES = 24_000
_FIGURES = Path(__file__).parents[2] / "tests/weights/figures/nam.json"  # has the example of NeuralAmpModelerCore
Array = NDArray[Any]


def cases() -> dict[str, Case]:
    """The public example, of three units; and networks of a size that people train, with random weights."""
    from nam.models import LSTM, init_from_nam

    torch.manual_seed(0)
    example = json.loads(_FIGURES.read_text(encoding="utf-8"))["lstm"]["model"]
    found = {"1 x 3, its example": _case(init_from_nam(example), example)}
    for layers, units in ((1, 16), (2, 24)):
        model = LSTM(hidden_size=units, num_layers=layers)
        model.eval()
        weights = model._export_weights().tolist()
        told = {"architecture": "LSTM", "config": model._export_config(), "weights": weights}
        found[f"{layers} x {units}"] = _case(init_from_nam(told | {"version": example["version"]}), told)
    return found


def _case(model: Any, told: Mapping[str, Any]) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "amp.nam")
        path.write_text(json.dumps(told), encoding="utf-8")
        net = runtime.load(path)
    model.eval()
    t = np.arange(_SAMPLES) / 48_000
    sound = (0.5 * np.sin(2 * np.pi * 110 * t) * np.exp(-3 * t)).astype(np.float32)
    given, x = torch.from_numpy(sound)[None], sound[:, None, None]

    def theirs() -> list[Array]:
        with torch.no_grad():
            return [model(given, pad_start=False)[0].numpy()]

    return Case(theirs, lambda: [net.run(x)[:, 0, 0]], 1e-5)
