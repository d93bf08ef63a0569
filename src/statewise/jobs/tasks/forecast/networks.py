"""The networks, what they write for each step, and what all ensembles of trained ones have in common.

``StepNetwork`` says one row and reads it back. ``Seq2Seq`` and ``SegRNN`` write the whole horizon: quantiles, or the
parameters of a distribution (``Output``). All of them are untrained a zero, so that they give the naive forecast that
they correct.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ....layers import GRU, LSTM, RNN
from ...config import from_json
from .config import Plan
from .dataset import PanelDataset
from .split import Array, Rows

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
STEP = 16  # numbers that tell a step of the horizon from the others
LEAST_SCALE = 1e-3  # of a distribution, in scaled values
ONE = math.log(math.e - 1)  # softplus of it is 1
LEAST_FREEDOM = 2.1  # so that the variance exists

Own = TypeVar("Own", bound="Learner")


def recurrent(plan: Plan, features: int) -> nn.Module:
    """The recurrent layers of ``plan``, on ``features`` inputs."""
    between = plan.dropout if plan.layers > 1 else 0.0
    layers: nn.Module = CELLS[plan.cell](features, plan.units, plan.layers, dropout=between)
    return layers


def silent(head: nn.Linear) -> nn.Linear:
    """``head`` with weights of 0."""
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class StepNetwork(nn.Module):
    """Reads rows one by one and gives, for each, the correction to the naive forecast."""

    def __init__(self, plan: Plan, features: int) -> None:
        super().__init__()
        self.recurrent = recurrent(plan, features)
        self.head = silent(nn.Linear(plan.units, 1))

    def forward(self, x: Tensor) -> Tensor:
        """From (T, N, features) to (T, N)."""
        output, _ = self.recurrent(x)  # (T, N, units)
        result: Tensor = self.head(output).squeeze(-1)
        return result

    def begin(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        """The correction after the last of ``lengths`` (N,) rows of ``x`` (T, N, features), (N,), and the state."""
        output, state = self.recurrent(x, lengths=lengths)
        last = output[lengths - 1, torch.arange(len(lengths))]  # (N, units)
        return self.head(last).squeeze(-1), state

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The correction after one more row (N, features), (N,), and the state."""
        output, state = self.recurrent(x[None], state)
        return self.head(output[0]).squeeze(-1), state


class Seq2Seq(nn.Module):
    """One recurrent net reads the past row by row, another writes the whole horizon from its state.

    No forecast is fed back: what the second net reads at a step is the step's number and the covariates known of it.
    ``features`` are those of a past row, ``known`` those of a future one; ``channels`` series have an embedding each, 0
    for none; ``size`` numbers are written for each step.
    """

    def __init__(self, plan: Plan, features: int, known: int, channels: int, size: int) -> None:
        super().__init__()
        self.reader = recurrent(plan, features)
        self.writer = recurrent(plan, known + 2 * STEP if channels else known + STEP)
        self.position = nn.Parameter(torch.randn(plan.horizon, STEP))
        self.channel = nn.Parameter(torch.randn(channels, STEP) * 0.1) if channels else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = silent(nn.Linear(plan.units, size))
        self.offsets = nn.Parameter(torch.zeros(plan.horizon, size))

    def forward(self, past: Tensor, future: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows, horizon = len(channel), len(self.position)
        _, state = self.reader(past.transpose(0, 1))
        told = [future, self.position.expand(rows, horizon, -1)]
        if self.channel is not None:
            told.append(self.channel[channel][:, None].expand(rows, horizon, -1))
        output, _ = self.writer(torch.cat(told, dim=-1).transpose(0, 1), state)  # (H, N, units)
        result: Tensor = self.head(self.dropout(output)).transpose(0, 1) + self.offsets
        return result


class SegRNN(nn.Module):
    """The past is read, and the future written, many rows at once. Sizes are those of ``Seq2Seq``.

    A recurrent net that reads 720 rows one by one forgets, and one that feeds its forecasts back adds up errors. Here
    the lookback is cut into segments, each projected to one vector, so that a GRU takes 15 steps where there were 720;
    every segment of the future is then written from the same state, told apart by an embedding of its position alone.

    Source: Lin et al., SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting, 2023 (the
    parallel decoding variant). Covariates, known and observed, are an addition.
    """

    def __init__(self, plan: Plan, features: int, known: int, channels: int, size: int) -> None:
        super().__init__()
        self.horizon, self.segment, self.size = plan.horizon, plan.segment, size
        pieces, units = -(-plan.horizon // plan.segment), plan.units
        own = units // 2 if channels else 0
        self.project = nn.Linear(plan.segment * features, units)
        self.recurrent = recurrent(plan, units)
        self.position = nn.Parameter(torch.randn(pieces, units - own) * 0.1)
        self.channel = nn.Parameter(torch.randn(channels, own) * 0.1) if channels else None
        self.ahead = nn.Linear(plan.segment * known, units, bias=False) if known else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = silent(nn.Linear(units, plan.segment * size))
        self.offsets = nn.Parameter(torch.zeros(plan.horizon, size))

    def forward(self, past: Tensor, future: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows = past.shape[0]
        pieces = past.reshape(rows, -1, self.segment * past.shape[2]).transpose(0, 1)  # (L / segment, N, ...)
        _, state = self.recurrent(torch.relu(self.project(pieces)))
        questions = self._questions(future, channel)  # (N, M, units)
        count = questions.shape[1]
        output, _ = self.recurrent(questions.reshape(1, rows * count, -1), _repeated(state, count))
        written = self.head(self.dropout(output[0]))  # (N * M, segment * size)
        steps: Tensor = written.reshape(rows, count * self.segment, self.size)
        return steps[:, : self.horizon] + self.offsets

    def _questions(self, future: Tensor, channel: Tensor) -> Tensor:
        """What tells the segments of the future apart, (N, M, units): where, whose, and what is known of them."""
        rows, count = len(channel), len(self.position)
        questions = self.position.expand(rows, count, -1)
        if self.channel is not None:
            own = self.channel[channel][:, None].expand(rows, count, -1)
            questions = torch.cat([questions, own], dim=-1)
        if self.ahead is not None:
            short = count * self.segment - self.horizon
            padded = nn.functional.pad(future, (0, 0, 0, short))
            questions = questions + self.ahead(padded.reshape(rows, count, -1))
        return questions


def _repeated(state: Tensor | tuple[Tensor, Tensor], count: int) -> Tensor | tuple[Tensor, Tensor]:
    """The state (layers, N, units), or a pair of them, once for each of M segments: (layers, N * M, units)."""
    if isinstance(state, tuple):
        return state[0].repeat_interleave(count, dim=1), state[1].repeat_interleave(count, dim=1)
    return state.repeat_interleave(count, dim=1)


class Output:
    """What is written for a step: ``size`` numbers, the first one, or all of them, on the scale of the values."""

    def __init__(self, kind: str, quantiles: Sequence[float]) -> None:
        self.kind, self.quantiles = kind, tuple(quantiles)
        self.size = {"quantiles": len(self.quantiles), "gaussian": 2, "student-t": 3}[kind]

    def place(self, raw: Tensor, base: Tensor) -> Tensor:
        """``raw`` (N, H, size), written relative to ``base`` (N, H), on the scale of the values."""
        if self.kind == "quantiles":
            return raw + base[..., None]
        return torch.cat([raw[..., :1] + base[..., None], raw[..., 1:]], dim=-1)

    def loss(self, placed: Tensor, target: Tensor, seen: Tensor) -> tuple[Tensor, float]:
        """The sum of the losses of the steps that are ``seen``, and their number. ``target``, ``seen``: (N, H).

        For quantiles twice the pinball loss, averaged over them: that of the median alone is the absolute error. For a
        distribution the negative log-likelihood.
        """
        return (self._losses(placed, target) * seen).sum(), float(seen.sum())

    def offsets(self, missed: Array) -> Tensor:
        """What to write, (H, size), where a base misses the target by ``missed`` (n, H): its median stays."""
        horizon = missed.shape[1]
        if self.kind == "quantiles":
            found = np.nanquantile(missed, self.quantiles, axis=0).T  # (H, Q)
            found[:, self.quantiles.index(0.5)] = 0.0
        else:
            found = np.zeros((horizon, self.size))
            spread = np.maximum(np.sqrt(np.nanmean(missed**2, axis=0)) - LEAST_SCALE, LEAST_SCALE)
            found[:, 1] = spread + np.log(-np.expm1(-spread)) - ONE  # the inverse of softplus
        return torch.from_numpy(found.astype(np.float32))

    def read(self, placed: Tensor) -> Tensor:
        """The quantiles of every step, rising: (N, H, Q)."""
        if self.kind == "quantiles":
            return placed.sort(dim=-1).values
        location, scale = placed[..., :1], _scale(placed)[..., None]  # (N, H, 1)
        if self.kind == "gaussian":
            steps: Tensor = torch.special.ndtri(torch.tensor(self.quantiles).to(placed))
            return location + scale * steps
        return location + scale * _student_steps(_freedom(placed), self.quantiles)

    def _losses(self, placed: Tensor, target: Tensor) -> Tensor:
        if self.kind == "quantiles":
            quantiles = torch.tensor(self.quantiles, dtype=placed.dtype, device=placed.device)
            error = target[..., None] - placed  # (N, H, Q)
            return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(-1)
        scale = _scale(placed)
        error = (target - placed[..., 0]) / scale
        if self.kind == "gaussian":
            return error.square() / 2 + scale.log() + math.log(2 * math.pi) / 2
        freedom = _freedom(placed)
        normaliser = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - torch.log(math.pi * freedom) / 2
        return (freedom + 1) / 2 * torch.log1p(error.square() / freedom) + scale.log() - normaliser


def _scale(placed: Tensor) -> Tensor:
    return softplus(placed[..., 1] + ONE) + LEAST_SCALE


def _freedom(placed: Tensor) -> Tensor:
    return LEAST_FREEDOM + softplus(placed[..., 2] + 3.0)


def _student_steps(freedom: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Quantiles of Student's t: (..., Q)."""
    from scipy.special import stdtrit

    at = freedom.detach().cpu().double().numpy()
    steps = [torch.from_numpy(stdtrit(at, quantile)) for quantile in quantiles]
    return torch.stack(steps, dim=-1).to(freedom)


@dataclass(frozen=True)
class Learner(ABC):
    """Trained networks of a plan, whose forecasts are averaged."""

    INPUTS: ClassVar[type[Any]]

    plan: Plan
    inputs: Any
    """What the training part called for beside the plan, a dataclass ``INPUTS``; what a model's file keeps."""
    networks: tuple[nn.Module, ...] = ()

    @abstractmethod
    def network(self) -> nn.Module:
        """A new network."""

    @property
    @abstractmethod
    def before(self) -> int:
        """Rows that a dataset must have ahead of each series."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Rows of a series that decide its next forecast."""

    @abstractmethod
    def relative_spread(self, scaled: Array) -> float:
        """The spread of a new series whose standardised values (T,) are these."""

    @abstractmethod
    def expected_inputs(self, known: int, observed: int, series: int) -> dict[str, int]:
        """What ``inputs`` must say of a dataset of so many columns and series."""

    @abstractmethod
    def forecast(self, dataset: PanelDataset, origins: Rows, series: Rows, base: Array | None = None) -> Array:
        """The quantiles of ``horizon`` rows from each of ``origins`` (n,) on, scaled: (n, H, Q).

        ``base`` (n, H) is the linear forecast, where there is one. Raises ``InputError`` where values are missing and
        none was where the networks learnt, or there are too few.
        """

    def tensors(self) -> dict[str, Tensor]:
        """The weights, as a model file keeps them."""
        return {f"network.{i}.{name}": w for i, n in enumerate(self.networks) for name, w in n.state_dict().items()}

    def to_json(self) -> dict[str, Any]:
        """Everything else, beside the plan."""
        return asdict(self.inputs)

    @classmethod
    def build(cls: type[Own], plan: Plan, content: Any) -> Own:
        """The learner that ``to_json`` describes, its networks new."""
        empty = cls(plan, from_json(cls.INPUTS, content))
        return cls(plan, empty.inputs, tuple(empty.network().eval() for _ in range(plan.ensemble)))


def move(owner: object, device: torch.device) -> None:
    """Move every tensor that ``owner`` has to ``device``."""
    for name, value in vars(owner).items():
        if isinstance(value, Tensor):
            setattr(owner, name, value.to(device))
