"""What tools that know torch.nn's modules by their names are told by ours, which they don't know."""

from __future__ import annotations

import warnings
from typing import Any

from torch import fx, nn


def describe_arguments(cls: type, base: type) -> None:
    """Give the text of ``cls`` the arguments and errors that ``base`` has, where it doesn't name its own."""
    text, arguments = (cls.__doc__ or "").rstrip(), (base.__doc__ or "").partition("\n\n    Args:")[2]
    if text and arguments and "\n    Args:" not in text:
        before, mark, example = text.partition("\n\n    Example:")
        cls.__doc__ = f"{before}\n\n    Args:{arguments.rstrip()}{mark}{example}\n    "


def is_proxy(value: object) -> bool:
    """Whether torch.fx is tracing, and this stands for a tensor."""
    return isinstance(value, fx.Proxy)


class Guest(nn.Module):
    """A module that stands where one of torch.nn's stood, among tools that treat that one by its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "qconfig":  # torch.ao.quantization marks every module that it meets, and converts those it knows
            warnings.warn(
                f"{_name(self)} stays as it is: torch quantizes torch.nn's own layers alone. "
                "statewise.restore(model) gives them back",
                stacklevel=3,
            )
        elif name == "ft_compute_sample_grad":  # opacus would differentiate what it takes for one tensor
            raise NotImplementedError(
                f"{_name(self)}: opacus has no per-sample gradients for it, as for torch.nn's. Use its own DPRNN, "
                "DPLSTM or DPGRU, or torch.func"
            )
        super().__setattr__(name, value)

    def __prepare_scriptable__(self) -> nn.Module:
        """Called by torch.jit.script, whose language these modules are not written in."""
        raise RuntimeError(
            f"{_name(self)}: torch.jit.script can't compile statewise's modules. Use torch.compile, torch.export "
            "or torch.jit.trace; or statewise.restore(model), which gives torch.nn's back"
        )

    def _as_leaf(self, *args: Any, **kwargs: Any) -> Any:
        """This call as one node of the graph that torch.fx is tracing: ``args[0]`` is a Proxy."""
        if self._forward_pre_hooks or self._forward_hooks:
            raise RuntimeError(
                f"{_name(self)}: torch.fx would run the forward hooks of this module twice. Remove them, or trace "
                "with a Tracer whose is_leaf_module answers True for it"
            )
        tracer = args[0].tracer
        given = {name: value for name, value in kwargs.items() if value is not None}
        return tracer.create_proxy("call_module", tracer.path_of_module(self), args, given)


def _name(module: nn.Module) -> str:
    name: str = module._get_name()
    return name
