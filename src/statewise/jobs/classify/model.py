"""A trained classifier: network, scaler and the names of the classes, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...freezing import freeze
from .. import model_file
from ..errors import InputError
from .network import Network, logits_of
from .scaler import Scaler
from .sequences import Sequences
from .settings import Shape

KIND, FORMAT = "classification model", 1

Label = str | int | float | bool


@dataclass(frozen=True, eq=False)
class Model:
    """Tells to which of ``classes`` sequences belong."""

    network: Network
    scaler: Scaler
    classes: tuple[Label, ...]
    shape: Shape
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file is to hold, as JSON, such as the columns that the sequences were read from."""

    @property
    def channels(self) -> int:
        """I, of the sequences that the model reads."""
        return len(self.scaler.mean)

    @cached_property
    def _frozen(self) -> nn.Module:
        frozen: nn.Module = freeze(self.network)
        return frozen

    def probabilities(self, sequences: Sequences) -> NDArray[np.float64]:
        """The probability of each class: (n, classes). Raises ``InputError`` where there are other channels."""
        if sequences.channels != self.channels:
            raise InputError(f"the model reads {_counted(self.channels)}, the sequences have {sequences.channels}")
        logits = logits_of(self._frozen, self.scaler.batches(sequences, self.shape.segment))
        probabilities: NDArray[np.float64] = logits.softmax(-1).numpy()
        return probabilities

    def save(self, path: Path) -> None:
        """Write the model as one ``.safetensors`` file. The same model gives the same bytes."""
        content = {
            "shape": asdict(self.shape),
            "channels": self.channels,
            "classes": list(self.classes),
            "notes": dict(self.notes),
        }
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors["scaler.mean"] = torch.from_numpy(self.scaler.mean)
        tensors["scaler.scale"] = torch.from_numpy(self.scaler.scale)
        model_file.save(path, KIND, FORMAT, content, tensors)

    @classmethod
    def load(cls, path: Path) -> Model:
        """What ``save`` wrote, on the CPU; refuses a file that is damaged, foreign or of a later format."""
        content, tensors = model_file.load(path, KIND, FORMAT)
        try:
            shape, classes = Shape(**content["shape"]), tuple(content["classes"])
            scaler = Scaler(*(tensors[f"scaler.{name}"].numpy() for name in ("mean", "scale")))
            channels = int(content["channels"])
            _check(shape, channels, classes, scaler, tensors)
            network = Network(channels, len(classes), shape)
            network.load_state_dict(
                {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
            )
            notes = dict(content["notes"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: a damaged {KIND}: {str(error).splitlines()[0]}") from None
        return cls(network.eval(), scaler, classes, shape, notes)


def _check(
    shape: Shape, channels: int, classes: tuple[Label, ...], scaler: Scaler, tensors: Mapping[str, torch.Tensor]
) -> None:
    """ValueError where the header doesn't fit the weights, before anything of the sizes it names is made."""
    width = shape.units * (2 if shape.bidirectional else 1)
    found = {name: tuple(tensors[f"network.{name}"].shape) for name in ("output.weight", "recurrent.weight_ih_l0")}
    if found["output.weight"] != (len(classes), width):
        raise ValueError(f"expected {len(classes)} classes and {width} units, the output is {found['output.weight']}")
    scales = {tuple(scaler.mean.shape), tuple(scaler.scale.shape)}
    if found["recurrent.weight_ih_l0"][1] != channels * shape.segment or scales != {(channels,)}:
        raise ValueError(f"expected {_counted(channels)}")
    if f"network.recurrent.weight_ih_l{shape.layers - 1}" not in tensors:
        raise ValueError(f"expected {shape.layers} layers")


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''}"
