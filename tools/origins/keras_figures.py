"""Models of Keras 3 and what they give, for tests/weights: made once, in an environment that has Keras.

    python -m venv ENV && ENV/bin/pip install keras==3.15.1 h5py
    KERAS_BACKEND=numpy ENV/bin/python tools/origins/keras_figures.py tests/weights/figures

writes ``keras-NAME.keras`` and ``.weights.h5``, and ``keras.json``, which has the versions and of each model an input
and its output. All weights are random, biases too.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras
import numpy as np
from keras import layers as k


def sequential() -> keras.Model:
    """A layer of every class, in one direction and in two."""
    return keras.Sequential(
        [
            k.Input((None, 3)),
            k.LSTM(5, return_sequences=True, name="first"),
            k.Bidirectional(k.GRU(4, return_sequences=True), name="both"),
            k.Dropout(0.5),
            k.Bidirectional(k.SimpleRNN(3), name="last"),
            k.Dense(2, activation="softmax"),
        ]
    )


def functional() -> keras.Model:
    """Symbols; branches; a GRU that resets before the product; layers without biases."""
    x = k.Input((None,), dtype="int32")
    embedded = k.Embedding(7, 4)(x)
    left = k.GRU(4, reset_after=False, return_sequences=True, name="before")(embedded)
    right = k.LSTM(4, use_bias=False, return_sequences=True, name="plain")(embedded)
    both = k.Concatenate()([k.Add()([left, right]), embedded])
    both = k.LayerNormalization()(both)
    both = k.TimeDistributed(k.Dense(5, activation="silu"))(both)
    both = k.SimpleRNN(3, activation="relu", return_sequences=True, name="relu")(both)
    return keras.Model(x, k.Dense(2, use_bias=False)(k.Activation("tanh")(k.GlobalMaxPooling1D()(both))))


def stepwise() -> keras.Model:
    """What can run step by step: a GRU and an LSTM, sequences out."""
    return keras.Sequential(
        [k.Input((None, 2)), k.GRU(3, return_sequences=True), k.LSTM(4, return_sequences=True), k.Dense(1)]
    )


def convolutions() -> keras.Model:
    """Convolutions in front, of each padding, and a batch norm."""
    return keras.Sequential(
        [
            k.Input((None, 2)),
            k.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
            k.BatchNormalization(),
            k.Conv1D(4, 4, padding="same", groups=2),
            k.BatchNormalization(scale=False),
            k.Conv1D(3, 2, strides=2, use_bias=False),
            k.LSTM(4),
        ]
    )


def main(folder: Path) -> None:
    """Write the files."""
    random = np.random.default_rng(0)
    told: dict[str, object] = {
        "versions": {"keras": keras.version(), "numpy": np.__version__},
        "backend": keras.backend.backend(),
    }
    for make in (sequential, functional, stepwise, convolutions):
        model, name = make(), make.__name__
        for weight in model.weights:
            low = 0.1 if weight.name == "moving_variance" else -0.7
            weight.assign(random.uniform(low, 0.7, weight.shape).astype(np.float32))
        symbols = name == "functional"
        width = model.input_shape[-1]
        x = random.integers(0, 7, (2, 9)) if symbols else random.standard_normal((2, 9, width)).astype(np.float32)
        model.save(folder / f"keras-{name}.keras")
        told[name] = {"x": x.tolist(), "y": np.asarray(model(x, training=False)).tolist()}
        if name == "sequential":
            model.save_weights(folder / f"keras-{name}.weights.h5")
    (folder / "keras.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
