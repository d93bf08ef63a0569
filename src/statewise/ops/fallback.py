"""Which calls the kernels serve, and why not the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.parameter import Parameter
from torch.utils._device import DeviceContext

from ..kernels import cpu
from ..kernels.served import FallbackWarning as FallbackWarning
from ..kernels.served import cell_reason
from ..stack import Stack
from .arguments import Arguments

# A graph keeps what was found when it was traced: torch.compile doesn't look into the kernels. This is what
# torch.compiler.assume_constant_result does, which first imports the compiler: a second of every program's start.
cell_reason._dynamo_marked_constant = True  # type: ignore[attr-defined]

_DTYPES = frozenset({torch.float32, torch.float64})
_TYPES = frozenset({Tensor, Parameter})
_STRIDED = torch.strided

_warn = False


def warn_on_fallback(enabled: bool = True) -> None:
    """Make every call that the kernels don't serve warn with a ``FallbackWarning`` that says why, or stop that.

    Such calls (another dtype or device, a forward-mode derivative, a derivative of a derivative) are right but
    slow: the reference computes them step by step. Off at first.

    Args:
        enabled: whether they warn. Default: True.
    """
    global _warn
    _warn = enabled


def report(reason: str) -> None:
    """Warn that the reference is taken, if asked for."""
    if _warn:
        warnings.warn(f"statewise's slow reference is taken: {reason}", FallbackWarning, stacklevel=2)


def functions_are_intercepted() -> bool:
    """Whether a torch mode sees every call of torch's, but for that of ``torch.set_default_device("cpu")``.

    That one changes on which device tensors are made that name none, and here they are on the CPU in any case.
    """
    modes: int = torch._C._len_torch_function_stack()
    if modes != 1:
        return modes > 1
    mode = torch._C._get_function_stack_at(0)
    return type(mode) is not DeviceContext or mode.device.type != "cpu"


def served_dtypes() -> str:
    """The dtypes that the kernels compute in on this machine, in words."""
    return "float32, float64 and bfloat16" if cpu.computes_bfloat16() else "float32 and float64"


def transform_reason() -> str | None:
    """Why the kernels, which see only addresses, may not be called at this moment; None if they may."""
    if torch._C._are_functorch_transforms_active():
        return "a transform of torch.func is active"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    if torch._C._len_torch_dispatch_stack() or functions_are_intercepted():
        return "a torch mode that intercepts operations is active"
    if torch._C._get_tracing_state() is not None:
        return "torch.jit is tracing"
    return None


# What of a layer and of a call torch's own kernels and the library's operation don't know.
_OF_A_STACK = ("zoneout", "clip", "gradient_clip")
_OF_A_CALL = ("reset", "initial", "recurrent_masks", "return_states")


def stack_reason(stack: Stack) -> str | None:
    """Why no call of this stack is for the kernels; None if they may serve."""
    if stack.proj_size:
        after_step = _first(stack, _OF_A_STACK)
        if after_step is not None:
            return f"{after_step} with a projection"
        if stack.cell.late or stack.cell.heads:
            return f"cell {stack.cell.name} has no kernel with a projection"
    return cell_reason(stack.cell)


def option_reason(a: Arguments) -> str | None:
    """Which option of the layer or the call only the kernels and the reference know; None if there is none."""
    return _first(a.stack, _OF_A_STACK) or _first(a, _OF_A_CALL)


def _first(owner: Stack | Arguments, options: Sequence[str]) -> str | None:
    """What is said of the first of ``options`` that ``owner`` has."""
    for option in options:
        value = getattr(owner, option)
        if isinstance(value, Tensor) or value not in (None, (), [], 0):
            return f"{option} has no kernel"
    return None


def reason(x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor], stack: Stack) -> str | None:
    """Why the kernels don't serve this call; None if they do."""
    if x.dtype not in _DTYPES and not (x.dtype is torch.bfloat16 and cpu.computes_bfloat16()):
        return f"the dtype is {x.dtype}, the kernels compute in {served_dtypes()}"
    if not x.is_cpu:
        return f"the device is {x.device}, the kernels run on the CPU"
    why = stack_reason(stack)
    if why is not None:
        return why
    if stack.hidden_size == 0 or stack.input_size == 0:
        return "a width is 0"
    for tensor in (x, *weights, *(state or ())):
        if type(tensor) not in _TYPES or tensor.layout is not _STRIDED or tensor._is_zerotensor():
            return _tensor_reason(tensor)
    return transform_reason()


def _tensor_reason(tensor: Tensor) -> str:
    if type(tensor) not in _TYPES:
        return f"a tensor is a {type(tensor).__name__}"
    if tensor.layout is not _STRIDED:
        return f"a tensor's layout is {tensor.layout}"
    return "a tensor is zeros without memory"
