"""The optimizers: the fused kernels of ``torch.optim``, called directly, and the clipping before them.

Around these kernels ``torch.optim`` does what many callers need and this loop doesn't: it sorts parameters by device
and type in every step, and imports torch's compiler, which takes a second, when the first optimizer is made. With six
small parameters a step takes 18 us in the place of 50. Every bit is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from .config import TrainingConfig

BETAS, EPS = (0.9, 0.999), 1e-8  # torch.optim's defaults


class Optimizer:
    """Changes ``parameters``, which are on one device, by their gradients as ``torch.optim`` does.

    What it remembers of each lies in ``memory``, by torch's name for it.
    """

    def __init__(self, config: TrainingConfig, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters, self.config = list(parameters), config
        names = ["exp_avg", "exp_avg_sq"] if config.optimizer != "sgd" else ["momentum_buffer"] * (config.momentum > 0)
        with torch.no_grad():
            self.memory = {name: [torch.zeros_like(p) for p in self.parameters] for name in names}
            if config.optimizer != "sgd":
                self.memory["step"] = [torch.zeros((), device=p.device) for p in self.parameters]

    def step(self, rate: float) -> None:
        """Change those that have a gradient, at the learning ``rate``."""
        given, gradients = with_gradients(self.parameters)
        parameters: list[Tensor] = [self.parameters[number] for number in given]
        memory = {name: [tensors[number] for number in given] for name, tensors in self.memory.items()}
        with torch.no_grad():
            if self.config.optimizer == "sgd":
                self._sgd(parameters, gradients, memory, rate)
            else:
                self._adam(parameters, gradients, memory, rate)

    def _sgd(
        self, parameters: list[Tensor], gradients: list[Tensor], memory: Mapping[str, list[Tensor]], rate: float
    ) -> None:
        torch._fused_sgd_(
            parameters,
            gradients,
            memory.get("momentum_buffer", []),
            weight_decay=self.config.weight_decay,
            momentum=self.config.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self.config.momentum > 0,
            maximize=False,
            is_first_step=False,  # the momentum before it is 0
        )

    def _adam(
        self, parameters: list[Tensor], gradients: list[Tensor], memory: Mapping[str, list[Tensor]], rate: float
    ) -> None:
        torch._foreach_add_(memory["step"], 1)
        step = torch._fused_adamw_ if self.config.optimizer == "adamw" else torch._fused_adam_
        step(
            parameters,
            gradients,
            memory["exp_avg"],
            memory["exp_avg_sq"],
            [],
            memory["step"],
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.config.weight_decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """What is remembered, by the parameter's number and the name."""
        return {f"{n}.{name}": tensor for name, tensors in self.memory.items() for n, tensor in enumerate(tensors)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


def clip(parameters: Sequence[nn.Parameter], largest: float) -> None:
    """Scale the gradients down where the norm of all of them together is over ``largest``.

    What ``torch.nn.utils.clip_grad_norm_`` does, without its sorting of gradients by device and type.
    """
    _, gradients = with_gradients(parameters)
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if norm.is_cpu:  # a look at the norm of a GPU has to wait for it
        if not norm <= largest:  # what is no number makes the loss none, which is told
            torch._foreach_mul_(gradients, largest / norm)
    else:
        torch._foreach_mul_(gradients, (largest / norm).clamp(max=1.0))


def with_gradients(parameters: Sequence[nn.Parameter]) -> tuple[list[int], list[Tensor]]:
    """The numbers of the parameters that have a gradient, and these."""
    found = [(number, p.grad) for number, p in enumerate(parameters) if p.grad is not None]
    return [number for number, _ in found], [gradient for _, gradient in found]
