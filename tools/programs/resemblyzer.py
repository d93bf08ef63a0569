"""Resemblyzer's voice encoder, with the weights that its wheel carries."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from . import dtype_of, normal

# webrtcvad, which it needs, imports pkg_resources.
REQUIREMENTS = ("Resemblyzer==0.1.4", "setuptools<81")
WORK = "voice encoder, LSTM 3 x 256: 16 utterances of 160 frames of 40 mels"


def build() -> nn.Module:
    """The trained encoder."""
    from resemblyzer import VoiceEncoder

    model: nn.Module = VoiceEncoder("cpu", verbose=False)
    return model


def run(model: nn.Module) -> tuple[Tensor]:
    """The embeddings (16, 256)."""
    return (model(_mels(dtype_of(model))),)


@cache
def _mels(dtype: torch.dtype) -> Tensor:
    """Noise as mel spectrograms have it: no value is below zero, most are small."""
    return normal(16, 160, 40).square().mul(0.1).to(dtype)
