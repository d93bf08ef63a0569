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
from .encoder import Encoder
from .network import Network, logits_of
from .scaler import Scaler

ENCODERS: tuple[type[Encoder], ...] = (Scaler,)

Label = str | int | float | bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Tells to which of ``classes`` sequences belong."""

    KIND: ClassVar[str] = "classification model"
    CONFIG: ClassVar[type[Any]] = ClassifyConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: ClassifyConfig
    network: Network
    encoder: Encoder
    classes: tuple[Label, ...]

    def probabilities(self, sequences: Any) -> NDArray[np.float64]:
        """The probability of each class: (n, classes). Raises ``InputError`` where they are of another kind."""
        self.encoder.check(sequences)
        return _probabilities(logits_of(self.frozen, self.encoder.batches(sequences, self.config.segment or 1)))

    def start(self, rows: int) -> Any:
        """The state of ``rows`` sequences that nothing has been read of: the steps of a segment, and the network's.

        Raises ``InputError`` for a network that reads in both directions.
        """
        if self.config.bidirectional:
            raise InputError("the network reads in both directions, so it needs whole sequences; bidirectional=False")
        before = self.encoder.blank(rows)
        return self._begun(before)[None][:0], before, None

    @torch.no_grad()
    def step(self, x: Any, state: Any) -> tuple[NDArray[np.float64], Any]:
        """Read a step of each sequence, ``x``; the probability of each class by now, and the state.

        They are those of the whole sequence up to here. Raises ``InputError`` where ``probabilities`` would.
        """
        begun, before, network = state
        read = self.encoder.read(x, before, self.config.gaps)  # (rows, K)
        begun = np.concatenate([begun, self._begun(read)[None]])  # (1 to segment, rows, K)
        segment = self.config.segment or 1
        padded = begun[np.minimum(np.arange(segment), len(begun) - 1)]  # as a sequence that ends here
        logits, after = self.frozen.step(torch.from_numpy(padded).transpose(0, 1).flatten(1), network)
        return _probabilities(logits), ((begun[:0], read, after) if len(begun) == segment else (begun, read, network))

    @staticmethod
    def _begun(read: NDArray[Any]) -> NDArray[Any]:
        """What the network takes: float32, or numbers of symbols as they are."""
        return read.astype(np.float32) if read.dtype.kind == "f" else read

    def content(self) -> dict[str, Any]:
        """The names of the classes, and what the encoder says."""
        return {"input": self.encoder.KIND, "classes": list(self.classes), **self.encoder.content()}

    def tensors(self) -> dict[str, Tensor]:
        """The weights, and those of the encoder."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return tensors | self.encoder.tensors()

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and what gaps are among the notes."""
        gaps = {"gaps": content["notes"]["gaps"]} if "gaps" in content["notes"] else {}
        return content | {"config": content["shape"] | gaps}

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        config, classes = shared["config"], _classes(content["classes"])
        known = {each.KIND: each for each in ENCODERS}
        encoder = known[content.get("input", Scaler.KIND)].built(content, tensors)
        if f"network.recurrent.weight_ih_l{config.layers - 1}" not in tensors:
            raise ValueError(f"expected {config.layers} layers")
        weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        network = model_file.filled(lambda: Network(*encoder.front(config), len(classes), config), weights)
        return cls(network=network.eval(), encoder=encoder, classes=classes, **shared)


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
