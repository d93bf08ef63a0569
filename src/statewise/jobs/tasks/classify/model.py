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
from .sequences import Sequences, as_sequences

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

    def check(self, sequences: Sequences) -> None:
        """Raises ``InputError`` where there are other channels than the model reads."""
        if sequences.channels != self.channels:
            raise InputError(f"the model reads {_counted(self.channels)}, the sequences have {sequences.channels}")

    def probabilities(self, sequences: Sequences) -> NDArray[np.float64]:
        """The probability of each class: (n, classes). Raises ``InputError`` where there are other channels."""
        self.check(sequences)
        return _probabilities(logits_of(self.frozen, self.scaler.batches(sequences, self.config.segment or 1)))

    def start(self, rows: int) -> Any:
        """The state of ``rows`` sequences that nothing has been read of: the steps of a segment, and the network's.

        Raises ``InputError`` for a network that reads in both directions.
        """
        if self.config.bidirectional:
            raise InputError("the network reads in both directions, so it needs whole sequences; bidirectional=False")
        return np.zeros((0, rows, self.channels), np.float32), np.zeros((rows, self.channels)), None

    @torch.no_grad()
    def step(self, x: Any, state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a step of each sequence, ``x`` (rows, I); the probability of each class by now, and the state.

        They are those of the whole sequence up to here. Raises ``InputError`` where ``probabilities`` would.
        """
        begun, before, network = state
        read = as_sequences(np.asarray(x)[:, None], gaps=self.config.gaps).steps  # (rows, I)
        if read.shape != before.shape:
            raise InputError(f"expected a step of each sequence, (rows, channels) {before.shape}, got {read.shape}")
        read = (read - self.scaler.mean) / self.scaler.scale
        read = np.where(np.isnan(read), before, read)  # 0, the mean, where there is none before
        begun = np.concatenate([begun, read[None].astype(np.float32)])  # (1 to segment, rows, I)
        segment = self.config.segment or 1
        padded = begun[np.minimum(np.arange(segment), len(begun) - 1)]  # as a sequence that ends here
        logits, after = self.frozen.step(torch.from_numpy(padded).transpose(0, 1).flatten(1), network)
        return _probabilities(logits), ((begun[:0], read, after) if len(begun) == segment else (begun, read, network))

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


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    """Those of ``logits`` (n, classes). Raises ``InputError`` where they are no numbers."""
    if not bool(logits.isfinite().all()):
        raise InputError("the model's output is not finite: its file is damaged, or the values are far too large")
    probabilities: NDArray[np.float64] = logits.double().softmax(-1).numpy()
    return probabilities


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
