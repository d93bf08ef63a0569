"""Resemblyzer's voice encoder without torch, with the weights that its wheel carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise import read_weights
from statewise.runtime import Network
from statewise.weights.program import Program

from . import Case, resemblyzer

REQUIREMENTS = resemblyzer.REQUIREMENTS
WORK = f"{resemblyzer.WORK}; and 1 utterance"
Array = NDArray[Any]


def network(weights: Path) -> Network:
    """Mels (N, T, 40) to embeddings (N, 256), but for their length."""
    checkpoint = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    part = read_weights(weights)["model_state.lstm"]
    made = Program(part.input_size, batch_first=True)
    made.recurrent(part)
    made.add("last", "last")
    made.add("linear", "linear", {name: checkpoint[f"linear.{name}"].numpy() for name in ("weight", "bias")})
    made.activation("linear", "relu")
    return made.network()


def cases() -> dict[str, Case]:
    """16 utterances, and one."""
    import resemblyzer as package

    model: Any = resemblyzer.build()
    model.eval()
    net = network(Path(package.__file__).with_name("pretrained.pt"))
    mels = resemblyzer._mels(torch.float32)

    def case(count: int) -> Case:
        given = mels[:count].contiguous()
        x = given.numpy()

        def theirs() -> list[Array]:
            with torch.no_grad():
                return [model(given).numpy()]

        def ours() -> list[Array]:
            y = net.run(x)
            return [y / np.linalg.norm(y, axis=1, keepdims=True)]

        return Case(theirs, ours, 2e-6)

    return {"16 utterances": case(16), "1 utterance": case(1)}
