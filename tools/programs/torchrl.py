"""TorchRL's LSTMModule and an MLP on rollouts in which episodes end, so that the state is reset on the way."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from . import dtype_of, normal

REQUIREMENTS = ("torchrl==0.14.1",)
WORK = "policy, LSTMModule 1 x 128 with resets, and an MLP: 16 rollouts of 100 steps, episodes of about 25"
_T, _N, _I, _H = 100, 16, 17, 128


def build() -> nn.Module:
    """The policy in recurrent mode, as losses call it."""
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl.modules import MLP, LSTMModule

    keys = ["observation", "h", "c"], ["features", ("next", "h"), ("next", "c")]
    memory = LSTMModule(_I, _H, in_keys=keys[0], out_keys=keys[1], default_recurrent_mode=True)
    head = MLP(in_features=_H, out_features=6, num_cells=[128])
    model: nn.Module = TensorDictSequential(memory, TensorDictModule(head, ["features"], ["action"]))
    return model


def run(model: Any) -> tuple[Tensor, Tensor]:
    """Actions (N, T, 6) and what the LSTM gave (N, T, H)."""
    result = model(_rollouts(dtype_of(model)).clone(recurse=False))
    return result["action"], result["features"]


@cache
def _rollouts(dtype: torch.dtype) -> Any:
    from tensordict import TensorDict

    begins = torch.rand(_N, _T, 1, generator=torch.Generator().manual_seed(0)) < 1 / 25
    begins[:, 0] = True
    observations = normal(_N, _T, _I).to(dtype)
    return TensorDict({"observation": observations, "is_init": begins}, batch_size=[_N, _T])
