"""What the kernels know of torch, so that they can read and make tensors themselves: see its dlpack.hpp."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.parameter import Parameter

from ..kernels import cpu
from .fallback import functions_are_intercepted

# What calls for a closer look than C++ takes: these answer 0, None or False as long as tensors are their memory and no
# more (see fallback.py).
_MODES = (
    torch._C._are_functorch_transforms_active,
    torch._C._len_torch_dispatch_stack,
    functions_are_intercepted,
    torch._C._get_tracing_state,
)


def connect(
    empty_like: Callable[..., Tensor] = torch.empty_like, new_empty: Callable[..., Tensor] = Tensor.new_empty
) -> None:
    """Let the kernels read and make torch's tensors; results are made by the functions given.

    Raises:
        ImportError: torch is older than its exchange between C libraries.
    """
    exchange = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    known = exchange is not None and cpu.connect(
        Tensor,
        Parameter,
        exchange,
        empty_like,
        new_empty,
        torch.uint8,
        Tensor.is_neg,
        torch.get_num_threads,
        torch._C._get_float32_matmul_precision,
        torch.is_grad_enabled,
        torch._C._is_any_autocast_enabled,
        _MODES,
        vars(forward_ad),
    )
    if not known:
        raise ImportError(
            f"statewise needs torch 2.13 or newer, found {torch.__version__}, whose tensors C++ can't read: "
            "torch.Tensor.__dlpack_c_exchange_api__ is missing or of another version"
        )


connect()
