"""Trained weights with what the network reads (an encoder) and says (a target), and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....runtime import Network as Net
from ....runtime.classifier import Classifier
from ....runtime.jobs import classifier, classify, kept_in
from ...artifacts import model_file
from ...errors import InputError
from .beside import Beside, as_today
from .config import ClassifyConfig, Layout
from .encoder import Encoder
from .features import Scores
from .scaler import Scaler
from .sequences import Sequences
from .spelling import Spelling
from .targets import TARGETS, Classes, Said, Target

if TYPE_CHECKING:
    from .network import Network

STEPS_AT_ONCE = 1 << 17  # in a batch
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
    weights: model_file.Arrays
    """Those of ``network.Network``."""
    encoder: Encoder
    target: Target
    beside: Beside | None = None
    """What stands beside the network."""

    @cached_property
    def net(self) -> Net:
        """What runs the network on what the encoder gives: before anything is decoded."""
        width = self.encoder.width(self.config)
        told, arrays = classifier(vars(self.config), self._network(), width, self.encoder.symbols, self.target.width)
        return Net(kept_in(self.kernels.dtype, told), arrays, self.kernels.number)

    def running(self) -> Any:
        """A network that takes values as they are, where that is all there is; else a ``Classifier``."""
        if self.encoder.symbols or self.beside is not None:
            return Classifier(self)
        content = json.loads(json.dumps(self.content())) | {"config": vars(self.config)}
        told, arrays = classify(content, self.tensors())
        return Net(kept_in(self.kernels.dtype, told), arrays, self.kernels.number)

    @cached_property
    def network(self) -> Network:
        from ...training.weights import filled
        from .network import made

        return filled(lambda: made(self.encoder, self.target.width, self.config), self.weights)

    @np.errstate(over="ignore", invalid="ignore")
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
        return outputs_of(self.net, self.encoder.encoded(sequences, self.config.segment or 1))

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
        return self._begun(before)[None][:0], before, (self.net.start(rows), None)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, x: Any, state: Any) -> tuple[Said, Any]:
        """Read a step of each sequence, ``x``; what the target says by now, and the state.

        It is what is said of the whole sequence up to here. Raises ``InputError`` where ``predict`` would.
        """
        begun, before, (network, beside) = state
        read = self.encoder.read(x, before, self.config.gaps)  # (rows, K)
        begun = np.concatenate([begun, self._begun(read)[None]])  # (1 to segment, rows, K)
        segment = self.config.segment or 1
        padded = begun[np.minimum(np.arange(segment), len(begun) - 1)]  # as a sequence that ends here
        given = padded.swapaxes(0, 1).reshape(len(read), -1)
        said, after = self.net.step(given[:, 0] if self.encoder.symbols else given, network)
        outputs = said.astype(np.float64)
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

    def tensors(self) -> model_file.Arrays:
        """The weights, and those of the encoder."""
        beside = {} if self.beside is None else self.beside.arrays()
        return self._network() | self.encoder.tensors() | beside

    def _network(self) -> model_file.Arrays:
        return {f"network.{name}": array for name, array in self.weights.items()}

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had the network's part of the configuration alone, and what gaps are among the notes."""
        gaps = {"gaps": content["notes"]["gaps"]} if "gaps" in content["notes"] else {}
        return content | {"config": content["shape"] | gaps}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any], **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        config, arrays = shared["config"], dict(arrays)
        target = TARGETS[content.get("task", Classes.TASK)].built(content)
        known = {each.KIND: each for each in ENCODERS}
        encoder = known[content.get("input", Scaler.KIND)].built(content, arrays)
        fixed = {name: arrays.pop(name) for name in list(arrays) if name.startswith(FIXED)}
        told = as_today(content, fixed, config.ngrams or 1)
        beside = None if told is None else Beside.built(told, fixed, encoder.channels, target.width)
        if fixed:
            raise ValueError(f"weights that belong to nothing: {min(fixed)!r}")
        weights = {name.removeprefix("network."): array for name, array in arrays.items()}
        return cls(weights=weights, encoder=encoder, target=target, beside=beside, **shared).checked(weights)

    def _said(self, outputs: Scores) -> Said:
        """What the target says of ``outputs`` (n, W). Raises ``InputError`` where they are no numbers."""
        if not np.isfinite(outputs).all():
            raise InputError("the model's output is not finite: its file is damaged, or the values are far too large")
        return self.target.decode(outputs)


def outputs_of(net: Net, sequences: Sequences) -> Scores:
    """What ``net`` says of all sequences: (n, W).

    Sequences of like length go together, so that a long one takes its memory once.
    """
    found = np.empty((len(sequences), net.width))
    rest = np.argsort(sequences.lengths, kind="stable")
    symbols = net.inputs[0][1].kind == "symbols"
    while len(rest):
        # In rising order the longest of a batch is its last: take as many as fit.
        fits = sequences.lengths[rest] * np.arange(1, len(rest) + 1) <= STEPS_AT_ONCE
        rows, rest = np.split(rest, [max(1, int(fits.sum()))])
        x, lengths = sequences.block(rows)
        found[rows] = net.run(x[..., 0] if symbols else x, lengths)
    return found
