"""Darts' RNNModel, a GRU, on monthly series."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from . import dtype_of, normal

REQUIREMENTS = ("darts[torch]==0.48.1",)
WORK = "RNNModel, GRU 2 x 25 with dropout: 32 windows of 36 months, 2 covariates"
_T, _N = 36, 32


def build() -> nn.Module:
    """The network of an RNNModel that was fitted for one epoch."""
    import logging

    import numpy as np
    from darts import TimeSeries
    from darts.models import RNNModel

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    forecaster = RNNModel(
        input_chunk_length=24,
        training_length=_T,
        model="GRU",
        hidden_dim=25,
        n_rnn_layers=2,
        dropout=0.1,
        batch_size=_N,
        n_epochs=1,
        random_state=0,
        pl_trainer_kwargs=quiet,
    )
    values = np.random.default_rng(0).standard_normal((3, 80)).cumsum(1).astype(np.float32)
    series, *covariates = (TimeSeries.from_values(row) for row in values)
    forecaster.fit(series, future_covariates=covariates[0].stack(covariates[1]))
    model: nn.Module = forecaster.model
    return model


def run(model: nn.Module) -> tuple[Tensor]:
    """The forecasts at every step (N, T, 1, 1)."""
    from darts.utils.data.torch_datasets.utils import ModuleStage, PLModuleInput

    target, covariates = _windows(dtype_of(model))
    stage = ModuleStage.TRAIN
    return (model(PLModuleInput(past_target=target, future_covariates=covariates, stage=stage)).prediction,)


@cache
def _windows(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return normal(_N, _T, 1).to(dtype), normal(_N, _T, 2).to(dtype)
