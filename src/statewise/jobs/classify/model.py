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
        if not bool(logits.isfinite().all()):
            raise InputError("the model's output is not finite: its file is damaged, or the values are far too large")
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
        with model_file.checked(path, KIND):
            shape, classes = model_file.typed(Shape, content["shape"]), _classes(content["classes"])
            scaler = Scaler(*(tensors.pop(f"scaler.{name}").numpy() for name in ("mean", "scale")))
            channels, notes = len(scaler.mean), dict(content["notes"])
            _check(shape, channels, content["channels"], scaler, tensors)
            weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
            network = model_file.filled(lambda: Network(channels, len(classes), shape), weights)
        return cls(network.eval(), scaler, classes, shape, notes)


def _classes(content: Any) -> tuple[Label, ...]:
    if not isinstance(content, list) or not all(isinstance(c, (str, int, float)) and c == c for c in content):
        raise ValueError("expected the names of the classes")
    if len(set(content)) != len(content):
        raise ValueError("two classes have one name")
    return tuple(content)


def _check(shape: Shape, channels: int, said: object, scaler: Scaler, tensors: Mapping[str, torch.Tensor]) -> None:
    """ValueError where the scaler is none, or the header speaks of more layers than there are."""
    sizes = {(array.shape, array.dtype.name) for array in (scaler.mean, scaler.scale)}
    if said != channels or sizes != {((channels,), "float64")} or not (scaler.scale > 0).all():
        raise ValueError(f"expected {_counted(channels)}")
    if f"network.recurrent.weight_ih_l{shape.layers - 1}" not in tensors:
        raise ValueError(f"expected {shape.layers} layers")


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''}"
