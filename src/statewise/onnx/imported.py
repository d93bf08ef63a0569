"""What ``from_onnx`` gives: a network of the runtime's that knows names and shapes of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime import Network
from ..runtime.file import Arrays
from ..runtime.network import State
from ..weights.part import Part
from .axes import Tensor
from .graph import Array

if TYPE_CHECKING:
    from .reading import Reader

Place = Array | list[Tensor]
"""What an output is: a constant, or tensors, one after the other on their first axis."""


class Imported(Network):
    """A ``runtime.Network``; ``run`` takes and gives (T, N, .), or (N, T, .) where the file has the rows first."""

    def __init__(
        self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1, *, reader: Reader, outputs: dict[str, Place]
    ) -> None:
        super().__init__(content, arrays, threads)
        self._order, self._given, self._lengths_of = reader.order, reader.given, reader.lengths
        self._states, self._outputs = reader.states, outputs
        self._places = {entry["name"]: k for k, entry in enumerate(content["ops"])}

    @property
    def input_names(self) -> list[str]:
        """What ``outputs`` takes."""
        return [*self._given, *([self._lengths_of] if isinstance(self._lengths_of, str) else []), *self._states]

    def outputs(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """All outputs of the file, of all its inputs (``feeds``), by their names and in their shapes there.

        ValueError: an input isn't there, or doesn't fit.
        """
        if set(feeds) != set(self.input_names):
            raise ValueError(f"expected {', '.join(self.input_names)}, got {', '.join(feeds)}")
        x = [self._brought(np.asarray(feeds[name])) for name in self._given]
        lengths = self._lengths_of
        lengths = np.asarray(feeds[lengths]) if isinstance(lengths, str) else lengths
        rows = x[0].shape[0 if self.batch_first else 1]
        state = self._begun(feeds, rows) if self._states else None
        found, after = self._feed(tuple(x) if len(x) > 1 else x[0], state, lengths)
        results = dict(
            zip(self.content.get("results", [""]), found if isinstance(found, tuple) else [found], strict=True)
        )
        return {name: self._output(place, results, after) for name, place in self._outputs.items()}

    def _brought(self, value: Array) -> Array:
        """An input as ``run`` takes it."""
        return value.transpose(0, 2, 1) if self._order == "NFT" and value.ndim == 3 else value

    def _begun(self, feeds: Mapping[str, Any], rows: int) -> State:
        state = [list(each) for each in self._program.start(rows)]
        for name, parts in self._states.items():
            array = np.asarray(feeds[name])
            for op, letter, turned, (begin, end) in parts:
                value = (array.transpose(1, 0, 2) if turned else array)[begin:end]
                own = state[self._places[op]]
                own[letter] = np.ascontiguousarray(_as_own(value, own[letter]), own[letter].dtype)
        return tuple(tuple(each) for each in state)

    def _output(self, place: Place, results: Mapping[str, Array], after: State) -> Array:
        if isinstance(place, np.ndarray):
            return place
        parts = [self._part(each, results, after) for each in place]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, tensor: Tensor, results: Mapping[str, Array], after: State) -> Array:
        """A tensor in the file's shape."""
        features, labels = tensor.features, "TN"
        if tensor.kind == "state":
            value = after[self._places[tensor.name]][tensor.letter]
            value = value[None] if value.ndim == 2 else value  # (D, N, H)
            begin, end = tensor.rows or (0, len(value))
            value = value[begin:end].transpose(1, 0, 2)
            labels, features = "N", (features[0]._replace(size=end - begin), *features[1:])
            axes = [
                [features[0] if each.number == features[0].number else each for each in axis] for axis in tensor.axes
            ]
        else:
            value = results.get(tensor.name, next(iter(results.values())))
            axes = [list(axis) for axis in tensor.axes]
            if tensor.kind == "summary":
                labels = "N"
            elif self.batch_first:
                value = value.swapaxes(0, 1)
        lead = dict(zip(labels, value.shape, strict=False))
        flat: list[Any] = [*labels, *[each.number for each in features if each.size != 1]]
        cut = value.reshape(*lead.values(), *[each.size or 0 for each in features if each.size != 1])
        order = [
            flat.index(each.label if each.label in lead else each.number)
            for axis in axes
            for each in axis
            if each.label in lead or each.size != 1
        ]
        shape = []
        for axis in axes:
            size = 1
            for each in axis:
                size *= lead.get(each.label, each.size or 0)
            shape.append(size)
        return cut.transpose(order).reshape(shape)

    def dropped(self) -> list[str]:
        """The outputs that a file of ``save`` hasn't got: states and constants."""
        return [
            name
            for name, place in self._outputs.items()
            if isinstance(place, np.ndarray) or any(each.kind == "state" for each in place)
        ]

    def parts(self) -> dict[str, Part]:
        """Its recurrent layers by the names of the file's nodes, as ``statewise.read_weights`` gives such: ``layer()``
        makes one to be trained on. A node that reads backwards alone is one that is given the last step first.
        """
        found = {}
        for entry in self.content["ops"]:
            if entry["op"] == "recurrent":
                name, both = entry["name"], entry.get("bidirectional", False)
                own = {key[len(name) + 1 :]: array for key, array in self._arrays.items() if key.startswith(f"{name}.")}
                width, initial = own["weight_ih_l0"].shape[1], entry.get("initial", False)
                more = {key: entry[key] for key in ("num_heads", "zoneout", "clip") if key in entry}
                sizes = width, entry["hidden_size"], 1, both, entry.get("bias", True), entry.get("proj_size", 0)
                found[name] = Part(name, entry["cell"], *sizes, initial, own, more=more)
        return found


def _as_own(value: Array, own: Array) -> Array:
    """A state of a file (D, N, H) as the runtime has it: without D of one."""
    return np.asarray(value[0] if own.ndim == 2 else value)
