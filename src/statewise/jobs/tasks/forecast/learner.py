"""What all ensembles of trained networks have in common: they are averaged, and say quantiles. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ...artifacts.model_file import Arrays, Kept, Kernels
from ...config import from_json
from .config import Plan
from .dataset import PanelDataset
from .split import Array, Rows

if TYPE_CHECKING:
    from torch import nn

Own = TypeVar("Own", bound="Learner")


@dataclass(frozen=True, eq=False)
class Learner(Kept, ABC):
    """Trained networks of a plan, whose forecasts are averaged."""

    INPUTS: ClassVar[type[Any]]

    plan: Plan
    inputs: Any
    """What the training part called for beside the plan, a dataclass ``INPUTS``; what a model's file keeps."""
    weights: tuple[Arrays, ...] = ()
    """Of each network, by the names of networks.py."""
    kernels: Kernels = Kernels()

    @abstractmethod
    def network(self) -> nn.Module:
        """A new network, as torch trains it."""

    @abstractmethod
    def runner(self, weights: Mapping[str, Any]) -> Any:
        """What runs a network of these ``weights``. ValueError where they aren't those of one."""

    @cached_property
    def networks(self) -> tuple[nn.Module, ...]:
        """The trained networks, as torch trains them further."""
        from ...training.weights import filled

        return tuple(filled(self.network, weights) for weights in self.weights)

    @cached_property
    def runners(self) -> tuple[Any, ...]:
        """What runs them."""
        return tuple(self.runner(weights) for weights in self.weights)

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

    def tensors(self) -> Arrays:
        """The weights, as a model file keeps them."""
        return {f"network.{i}.{name}": w for i, weights in enumerate(self.weights) for name, w in weights.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything else, beside the plan."""
        return asdict(self.inputs)

    @classmethod
    def build(cls: type[Own], plan: Plan, content: Any, arrays: Mapping[str, Any], kernels: Kernels) -> Own:
        """What the other two gave. ValueError for what they can't have given."""
        if plan.ensemble > len(arrays):
            raise ValueError(f"expected the weights of {plan.ensemble} networks")
        parts: tuple[Arrays, ...] = tuple({} for _ in range(plan.ensemble))
        for name, array in arrays.items():
            _, number, own = name.split(".", 2)
            if str(array.dtype) != "float32" or not number.isdecimal() or int(number) >= len(parts):
                raise ValueError(f"expected the weights of {plan.ensemble} networks as float32, got {name}")
            parts[int(number)][own] = array
        learner = cls(plan, from_json(cls.INPUTS, content), parts, kernels)
        assert len(learner.runners) == len(parts)  # which look at the weights
        return learner
