"""A trained classifier: network, scaler and the names of the classes, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...artifacts import model_file
from ...errors import InputError
from .config import ClassifyConfig, Layout
from .network import Network, logits_of
from .scaler import Scaler
from .sequences import Sequences

Label = str | int | float | bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Tells to which of ``classes`` sequences belong."""

    KIND: ClassVar[str] = "classification model"
    CONFIG: ClassVar[type[Any]] = ClassifyConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: ClassifyConfig
    network: Network
    scaler: Scaler
    classes: tuple[Label, ...]

    @property
    def channels(self) -> int:
        """I, of the sequences that the model reads."""
        return len(self.scaler.mean)

    def probabilities(self, sequences: Sequences) -> NDArray[np.float64]:
        """The probability of each class: (n, classes). Raises ``InputError`` where there are other channels."""
        if sequences.channels != self.channels:
            raise InputError(f"the model reads {_counted(self.channels)}, the sequences have {sequences.channels}")
        logits = logits_of(self.frozen, self.scaler.batches(sequences, self.config.segment or 1))
        if not bool(logits.isfinite().all()):
            raise InputError("the model's output is not finite: its file is damaged, or the values are far too large")
        probabilities: NDArray[np.float64] = logits.softmax(-1).numpy()
        return probabilities

    def content(self) -> dict[str, Any]:
        """The names of the classes, and how many channels there are."""
        return {"channels": self.channels, "classes": list(self.classes)}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and scaler."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        scaler = {f"scaler.{name}": torch.from_numpy(array) for name, array in vars(self.scaler).items()}
        return tensors | scaler

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and what gaps are among the notes."""
        gaps = {"gaps": content["notes"]["gaps"]} if "gaps" in content["notes"] else {}
        return content | {"config": content["shape"] | gaps}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        config, classes = shared["config"], _classes(content["classes"])
        scaler = Scaler(*(tensors.pop(f"scaler.{name}").numpy() for name in ("mean", "scale")))
        channels = len(scaler.mean)
        _check(config, channels, content["channels"], scaler, tensors)
        weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        network = model_file.filled(lambda: Network(channels, len(classes), config), weights)
        return cls(network=network.eval(), scaler=scaler, classes=classes, **shared)


def _classes(content: Any) -> tuple[Label, ...]:
    if not isinstance(content, list) or not all(isinstance(c, (str, int, float)) and c == c for c in content):
        raise ValueError("expected the names of the classes")
    if len(set(content)) != len(content):
        raise ValueError("two classes have one name")
    return tuple(content)


def _check(config: ClassifyConfig, channels: int, said: object, scaler: Scaler, tensors: Mapping[str, Tensor]) -> None:
    """ValueError where the scaler is none, or the header speaks of more layers than there are."""
    sizes = {(array.shape, array.dtype.name) for array in (scaler.mean, scaler.scale)}
    if said != channels or sizes != {((channels,), "float64")} or not (scaler.scale > 0).all():
        raise ValueError(f"expected {_counted(channels)}")
    if f"network.recurrent.weight_ih_l{config.layers - 1}" not in tensors:
        raise ValueError(f"expected {config.layers} layers")


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''}"
