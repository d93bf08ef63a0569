"""A trained network with what it reads (an encoder) and says (a target), and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ....freezing import freeze
from ...artifacts import model_file
from ...errors import InputError
from ...training.weights import as_arrays, as_tensors, filled
from .beside import Beside, as_today
from .config import ClassifyConfig, Layout
from .encoder import Encoder
from .features import Scores
from .network import Network, outputs_of
from .scaler import Scaler
from .spelling import Spelling
from .targets import TARGETS, Classes, Said, Target

FIXED = ("beside.", "network.beside.", "rocket.", "ridge.")
"""How names of tensors begin that are no network's; all but the first are those of former versions."""
ENCODERS: tuple[type[Encoder], ...] = (Scaler, Spelling)


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Tells what sequences are: of which class, of which labels, or a number."""

    KIND: ClassVar[str] = "classification model"
    CONFIG: ClassVar[type[Any]] = ClassifyConfig
    LAYOUT: ClassVar[type[Any] | None] = Layout

    config: ClassifyConfig
    network: Network
    encoder: Encoder
    target: Target
    beside: Beside | None = None
    """What stands beside the network."""

    @cached_property
    def frozen(self) -> Any:
        """Its network, packed for many calls."""
        return freeze(self.network)

    def predict(self, sequences: Any, scores: Scores | None = None) -> Said:
        """What the target says: (n, ...); ``scores`` are what stands beside the network says, where that is known.

        Raises ``InputError`` where ``sequences`` are of another kind.
        """
        self.encoder.check(sequences)
        beside = self.beside
        if beside is None:
            return self._said(self._outputs(sequences))
        if scores is None:
            scores = beside.scores(self.encoder.encoded(sequences))
        return self._said(beside.mixed(scores, self._outputs(sequences) if beside.share else None))

    def _outputs(self, sequences: Any) -> Scores:
        """What the network says: (n, W)."""
        found: Scores = outputs_of(self.frozen, self.encoder.encoded(sequences, self.config.segment or 1)).numpy()
        return found

    def start(self, rows: int) -> Any:
        """The state of ``rows`` sequences that nothing has been read of: the steps of a segment, and the network's.

        Raises ``InputError`` for a model that needs whole sequences.
        """
        if self.config.bidirectional:
            raise InputError("the network reads in both directions, so it needs whole sequences; bidirectional=False")
        if self.beside is not None and not self.beside.features.STEPS:
            kind = self.beside.features.KIND
            raise InputError(f"{kind} beside the network needs whole sequences; {kind.lower()}=False")
        before = self.encoder.blank(rows)
        return self._begun(before)[None][:0], before, (None, None)

    @torch.no_grad()
    def step(self, x: Any, state: Any) -> tuple[Said, Any]:
        """Read a step of each sequence, ``x``; what the target says by now, and the state.

        It is what is said of the whole sequence up to here. Raises ``InputError`` where ``predict`` would.
        """
        begun, before, (network, beside) = state
        read = self.encoder.read(x, before, self.config.gaps)  # (rows, K)
        begun = np.concatenate([begun, self._begun(read)[None]])  # (1 to segment, rows, K)
        segment = self.config.segment or 1
        padded = begun[np.minimum(np.arange(segment), len(begun) - 1)]  # as a sequence that ends here
        said, after = self.frozen.step(torch.from_numpy(padded).transpose(0, 1).flatten(1), network)
        outputs = said.double().numpy()
        if self.beside is not None:
            scores, beside = self.beside.step(read, beside)
            outputs = self.beside.mixed(scores, outputs)
        if len(begun) == segment:
            begun, network = begun[:0], after
        return self._said(outputs), (begun, read, (network, beside))

    @staticmethod
    def _begun(read: NDArray[Any]) -> NDArray[Any]:
        """What the network takes: float32, or numbers of symbols as they are."""
        return read.astype(np.float32) if read.dtype.kind == "f" else read

    def content(self) -> dict[str, Any]:
        """What the encoder and the target say."""
        kinds = {"input": self.encoder.KIND, "task": self.target.TASK}
        beside = {} if self.beside is None else {"beside": self.beside.content()}
        return {**kinds, **self.encoder.content(), **self.target.content(), **beside}

    def tensors(self) -> dict[str, Any]:
        """The weights, and those of the encoder."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        beside = {} if self.beside is None else self.beside.arrays()
        return as_arrays(tensors | self.encoder.tensors()) | beside

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and what gaps are among the notes."""
        gaps = {"gaps": content["notes"]["gaps"]} if "gaps" in content["notes"] else {}
        return content | {"config": content["shape"] | gaps}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any], **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        config, tensors = shared["config"], as_tensors(arrays)
        target = TARGETS[content.get("task", Classes.TASK)].built(content)
        known = {each.KIND: each for each in ENCODERS}
        encoder = known[content.get("input", Scaler.KIND)].built(content, tensors)
        arrays = {name: tensors.pop(name).numpy() for name in list(tensors) if name.startswith(FIXED)}
        told = as_today(content, arrays, config.ngrams or 1)
        beside = None if told is None else Beside.built(told, arrays, encoder.channels, target.width)
        if arrays:
            raise ValueError(f"weights that belong to nothing: {min(arrays)!r}")
        if f"network.recurrent.weight_ih_l{config.layers - 1}" not in tensors:
            raise ValueError(f"expected {config.layers} layers")
        weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        network = filled(lambda: Network(*encoder.front(config), target.width, config), weights)
        return cls(network=network, encoder=encoder, target=target, beside=beside, **shared)

    def _said(self, outputs: Scores) -> Said:
        """What the target says of ``outputs`` (n, W). Raises ``InputError`` where they are no numbers."""
        if not np.isfinite(outputs).all():
            raise InputError("the model's output is not finite: its file is damaged, or the values are far too large")
        return self.target.decode(torch.from_numpy(outputs))
