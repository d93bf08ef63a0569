"""Silero's voice activity detector: a spectrum, four convolutions and an LSTM for each frame of 32 ms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise import read_weights
from statewise.runtime import Network
from statewise.weights.program import Program

from . import Case

REQUIREMENTS = ("silero-vad==6.2.3", "onnxruntime==1.32.0")
WORK = "voice activity, LSTM 1 x 128 behind convolutions, weights from the wheel: 1.024 s of sound in 32 frames"
_RATE, _FRAME, _CONTEXT, _FRAMES = 16_000, 512, 64, 32
Array = NDArray[Any]


def network(weights: Mapping[str, torch.Tensor]) -> Network:
    """The whole frame, (N, 576) with what is repeated of the one before, to a probability (N, 1)."""
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    made = Program(_CONTEXT + _FRAME)
    given = {"weight": arrays["stft.forward_basis_buffer"]}
    made.add("convolution", "stft", given, positions=_CONTEXT + _FRAME, right=64, reflect=True, stride=128)
    made.add("magnitude", "magnitude", positions=4)
    for k, (positions, stride) in enumerate(((4, 1), (4, 2), (2, 2), (1, 1))):
        given = {name: arrays[f"encoder.{k}.reparam_conv.{name}"] for name in ("weight", "bias")}
        made.add("convolution", f"encoder.{k}", given, positions=positions, left=1, right=1, stride=stride)
        made.activation(f"encoder.{k}", "relu")
    made.recurrent(read_weights(weights)["decoder.rnn"])
    made.activation("decoder.rnn", "relu")
    weight, bias = (arrays[f"decoder.decoder.2.{name}"] for name in ("weight", "bias"))
    made.add("linear", "decoder", {"weight": weight[..., 0], "bias": bias})
    made.activation("decoder", "sigmoid")
    return made.network()


def cases() -> dict[str, Case]:
    """One stream, beside its TorchScript and its ONNX file; and 32 of them as one batch."""
    from silero_vad import load_silero_vad

    script, onnx = load_silero_vad(), load_silero_vad(onnx=True)
    net = network(script._model.state_dict())
    return {
        "1 stream, beside TorchScript": Case(_theirs(script, 1), _ours(net, 1), 1e-4),
        "1 stream, beside onnxruntime": Case(_theirs(onnx, 1), _ours(net, 1), 1e-4),
        "32 streams, beside TorchScript": Case(_theirs(script, 32), _ours(net, 32), 1e-4),
        "32 streams, beside onnxruntime": Case(_theirs(onnx, 32), _ours(net, 32), 1e-4),
    }


def _sound(streams: int) -> Array:
    """Frames (32, N, 512): a voiced sound that comes and goes, in noise."""
    random, t = np.random.default_rng(0), np.arange(_FRAMES * _FRAME) / _RATE
    pitch = np.cumsum(120 + 20 * np.sin(6 * t)) / _RATE
    voice = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 20)) * (np.sin(4 * t) > 0)
    sound = 0.1 * voice + 0.01 * random.standard_normal((streams, len(t)))
    return np.ascontiguousarray(sound.reshape(streams, _FRAMES, _FRAME).swapaxes(0, 1), np.float32)


def _theirs(model: Any, streams: int) -> Callable[[], list[Array]]:
    frames = torch.from_numpy(_sound(streams)).unbind()

    def run() -> list[Array]:
        model.reset_states()
        with torch.no_grad():
            return [np.stack([model(frame, _RATE).numpy() for frame in frames])]

    return run


def _ours(net: Network, streams: int) -> Callable[[], list[Array]]:
    frames = _sound(streams)

    def run() -> list[Array]:
        state, found = net.start(streams), []
        x = np.zeros((streams, _CONTEXT + _FRAME), np.float32)
        for frame in frames:
            x[:, :_CONTEXT] = x[:, -_CONTEXT:]
            x[:, _CONTEXT:] = frame
            y, state = net.step(x, state)
            found.append(y)
        return [np.stack(found)]

    return run
