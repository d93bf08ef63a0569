"""A classifier of texts, or one that has a linear model of fixed features beside its network."""

from __future__ import annotations

from typing import Any

import numpy as np

from .network import Array


class Classifier:
    """Says what texts, lists of symbols or sequences of numbers are. Calls change nothing in it."""

    def __init__(self, model: Any) -> None:
        """Of a model of the job's. Where that reads a step at a time, so does this."""
        self._model = model
        self.channels: int = model.encoder.channels
        """How many numbers a step has; 1 of symbols."""
        content = model.target.content()
        self.labels: list[Any] = list(content.get("classes", content.get("labels", [])))
        """The names of the classes or labels; none where it says a number."""

    def run(self, sequences: Any) -> Array:
        """The probability of each class or label of each, (n, C), or its number (n, 1).

        Args:
            sequences: n texts, or lists of symbols, or arrays (T, I), whichever it has learnt.

        Raises:
            ValueError: they are of another kind, or can't be used.
        """
        said = self._model.predict(self._read(sequences))
        return np.asarray(said.reshape(len(said), -1))

    def encode(self, texts: Any) -> tuple[Array, Array, Array | None]:
        """What an ONNX file of it reads of n texts, or lists of symbols: their numbers (T, n) and lengths (n,).

        The third is what the linear model says of their n-grams, (n, W); None where there is none. ValueError where
        it has learnt from numbers, which such a file reads as they are.
        """
        encoder, beside = self._model.encoder, self._model.beside
        if not encoder.symbols:
            raise ValueError("the model reads numbers, which are encoded by the file itself")
        encoded = encoder.encoded(self._read(texts))
        x, _ = encoded.block(np.arange(len(encoded)))
        scores = None if beside is None else np.asarray(beside.scores(encoded))
        return x[..., 0], np.asarray(encoded.lengths), scores

    def start(self, batch: int = 1) -> Any:
        """The state of ``batch`` sequences of which nothing has been read. ValueError where it needs whole ones."""
        return self._model.start(batch)

    def step(self, x: Any, state: Any) -> tuple[Array, Any]:
        """What is said of each sequence after one more step x: n symbols, or (n, I); and the state after it."""
        said, state = self._model.step(x, state)
        return np.asarray(said.reshape(len(said), -1)), state

    def _read(self, sequences: Any) -> Any:
        from ..jobs.tasks.classify.sequences import as_sequences
        from ..jobs.tasks.classify.texts import as_texts

        if self._model.encoder.symbols:
            return as_texts(sequences)
        return as_sequences(sequences, gaps=self._model.config.gaps)
