"""What frozen layers and cells share: they keep their weights packed for the kernels, and can't be trained.

A plain call goes from ``__call__`` straight to ``cpu.PackedStack``, which looks at the tensors itself and returns None
for whatever isn't plain and right. Such a call goes the live layer's way, checks, messages and all, and meets the pack
again in ``_run``.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn.modules import module as torch_module
from torch.nn.utils.rnn import PackedSequence

from ..kernels import cpu
from ..narrowing import rounded
from ..ops import Form
from ..ops.fallback import reason
from ..stack import Stack
from .cells import SingleStep
from .recurrent import RecurrentLayer

_KEPT = {"bfloat16": cpu.Stored.BFLOAT16, "int8": cpu.Stored.INT8}
_HOOKS = ("forward", "forward_pre", "backward", "backward_pre")
# The attributes that decide what a call computes, or whether it passes through `forward` at all.
_DECISIVE = frozenset(
    {"mode", "nonlinearity", "cell", "input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size"}
    | {"num_heads", "batch_first", "forward", "_compiled_call_impl"}
)


class Frozen(nn.Module):
    """The base of both, which stands before ``RecurrentLayer`` or ``SingleStep``. The weights are buffers.

    Made by ``statewise.freeze``, and by copying or unpickling. Whatever replaces the weights or moves them makes a new
    pack (``.to()``, ``load_state_dict``), and so does the next call after one was written to in place: all of them lie
    in one tensor, which has one version for torch's changes in place. Only ``.data``, numpy and the like write past it.
    """

    # Of the layers and cells
    _stack: Stack
    _kernel: cpu.Stack | None
    _title: str
    _weight_shapes: list[torch.Size]

    _kept: str | None = None  # the dtype of narrowing.py that the weights are packed in; None: their own
    _packed: tuple[cpu.PackedStack | None, Sequence[Tensor]]  # and the weights that were packed
    _shortcut: Any  # called with input and hx; None is no result

    # Calls

    def _refuse_gradients(self, given: Sequence[Tensor]) -> None:
        if torch.is_grad_enabled() and any([t.requires_grad for t in given]):  # noqa: C419 (a list is faster)
            raise RuntimeError(
                f"{self._title}: Expected input and hx that require no gradient, since this is frozen and has none; "
                "call it under torch.no_grad(), or use the module that it was frozen from"
            )

    def _pack_of(self, weights: Sequence[Tensor]) -> cpu.PackedStack | None:
        """What is packed of ``weights``, the current ones; None if they came past ``_repack``, or can't be packed."""
        pack, packed = self._packed
        if pack is None or not pack.is_current:
            pack, packed = self._repack()
        same = len(packed) == len(weights) and all([a is b for a, b in zip(packed, weights, strict=True)])  # noqa: C419
        return pack if same else None

    def _pack_for(self, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> cpu.PackedStack | None:
        """The pack for a checked call that didn't take the short cut; None if the call isn't for it."""
        if is_compiling() or torch._C._is_any_autocast_enabled() or reason(x, state, weights, self._stack) is not None:
            return None
        return self._pack_of(weights)

    # The pack

    def _weight_names(self) -> list[str]:
        raise NotImplementedError

    def _buffered_weights(self) -> list[Tensor]:
        buffers: dict[str, Any] = self._buffers
        return [buffers[name] for name in self._weight_names()]

    def _repack(self) -> tuple[cpu.PackedStack | None, Sequence[Tensor]]:
        """Pack the weights as they are now. Two threads may do so at once: each result is good."""
        weights = self._buffered_weights()
        kept = cpu.Stored.NUMBERS
        if self._kept is not None and weights[0].dtype is torch.float32 and not weights[0].is_meta:
            kept = _KEPT[self._kept]
            weights = [rounded(w, self._kept) for w in weights]  # so that all ways to compute have the same weights
            self._buffers.update(zip(self._weight_names(), weights, strict=True))
        pack = None
        if self._can_be_packed(weights):
            weights, memory = self._joined(weights)
            assert self._kernel is not None
            form = self._form if isinstance(self, RecurrentLayer) else Form.STEP
            pack = cpu.PackedStack(self._kernel, form, weights, memory, kept)
            own, of_all = vars(self), vars(torch_module)
            hooks = [own[f"_{kind}_hooks"] for kind in _HOOKS] + [of_all[f"_global_{kind}_hooks"] for kind in _HOOKS]
            pack.watch(tuple(hooks), self._buffers)
        packed = self.__dict__["_packed"] = (pack, weights)
        self.__dict__["_shortcut"] = _no_shortcut if pack is None or self._is_patched() else pack
        return packed

    def _keep_in(self, dtype: str) -> None:
        """Keep the weights in fewer bits from now on."""
        self.__dict__["_kept"] = dtype
        self._repack()

    def _joined(self, weights: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The weights as views of one tensor, and that tensor; the buffers become those views if they aren't yet."""
        memory = weights[0]._base
        if memory is not None and all(w._base is memory and w.is_contiguous() for w in weights):
            return weights, memory
        with torch.no_grad(), torch.inference_mode(False):  # what is made in inference mode has no version
            memory = torch.cat([w.reshape(-1) for w in weights])
            parts = memory.split([w.numel() for w in weights])
            weights = [part.view(w.shape) for part, w in zip(parts, weights, strict=True)]
        self._buffers.update(zip(self._weight_names(), weights, strict=True))
        return weights, memory

    def _can_be_packed(self, weights: Sequence[Tensor]) -> bool:
        if (
            self._kernel is None
            or len(weights) != len(self._weight_shapes)
            or weights[0].dtype is torch.bfloat16
            or reason(weights[0], None, weights, self._stack) is not None
        ):
            return False
        alike = all(w.dtype == weights[0].dtype and w.device == weights[0].device for w in weights)
        return alike and [w.shape for w in weights] == self._weight_shapes

    def _is_patched(self) -> bool:
        known = getattr(self, "nonlinearity", "tanh") in ("tanh", "relu")  # a cell finds out when it is called
        return not known or "forward" in self.__dict__ or self._compiled_call_impl is not None

    # What may happen to a module

    def _get_name(self) -> str:
        return type(self).__name__.replace("Accelerated", "")

    def train(self, mode: bool = True) -> Any:
        """RuntimeError, unless ``mode`` is False."""
        if mode:
            raise RuntimeError(
                f"{self._get_name()}: Expected to stay in eval mode, since what is frozen can't be trained; "
                "train the model that it was frozen from, and freeze that again"
            )
        return super().train(False)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _DECISIVE and "_packed" in self.__dict__:
            self._repack()

    def __getstate__(self) -> dict[str, Any]:
        above = getattr(super(), "__getstate__", None)
        state = dict(self.__dict__ if above is None else above())
        for name in ("_packed", "_shortcut"):  # of use in this process and on this machine alone
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._repack()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._repack()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._repack()


def _no_shortcut(input: Any, hx: Any = None, rows: Any = None) -> None:
    return None


class FrozenLayer(Frozen, RecurrentLayer):
    """Stands before a subclass of ``RecurrentLayer``."""

    def __call__(self, input: Any, hx: Any = None, *, lengths: Any = None, **more: Any) -> Any:
        """See ``RecurrentLayer.forward``; and RuntimeError for an input or a state that needs a gradient."""
        if not more and not is_compiling():
            results = self._shortcut(input, hx, lengths)
            if results is not None:
                return results
        if lengths is None and not more:
            return super().__call__(input) if hx is None else super().__call__(input, hx)
        return super().__call__(input, hx, lengths=lengths, **more)

    def _forward_eager(self, input: Any, hx: Any, lengths: Any) -> Any:
        if not isinstance(input, PackedSequence) or lengths is not None:
            return None  # the pack has refused already
        data, *rows = input
        results = self._shortcut(data, hx, tuple(rows))
        return results if results is None else (PackedSequence(results[0], *rows), results[1])

    def _run(
        self, x: Tensor, state: Any, weights: Any, lengths: Any = None, batch_sizes: Any = None, **more: Any
    ) -> Any:
        self._refuse_gradients((x, *(state or ())))
        is_plain = more.get("reset") is None and not more.get("return_states") and not self._is_extended
        pack = self._pack_for(x, state, weights) if is_plain else None
        if pack is not None:
            rows = lengths if batch_sizes is None else (batch_sizes, None, None)
            results = pack.run(x, _as_given(state), rows)
            if results is not None:
                return results
        return super()._run(x, state, weights, lengths, batch_sizes, **more)

    def _current_weights(self) -> list[Tensor]:
        return self._buffered_weights()

    def _weight_names(self) -> list[str]:
        return self._flat_weights_names

    def _init_flat_weights(self) -> None:
        weights: list[Any] = self._buffered_weights()
        self._flat_weights, self._flat_weight_refs = weights, [weakref.ref(w) for w in weights]
        self.flatten_parameters()


class FrozenCell(Frozen, SingleStep):
    """Stands before a subclass of ``SingleStep``."""

    def __call__(self, input: Any, hx: Any = None) -> Any:
        """See ``SingleStep.forward``; and RuntimeError for an input or a state that needs a gradient."""
        if not is_compiling():
            results = self._shortcut(input, hx)
            if results is not None:
                return results
        return super().__call__(input) if hx is None else super().__call__(input, hx)

    def _forward_eager(self, input: Any, hx: Any) -> None:
        return None  # the pack has refused already

    def _run(self, x: Tensor, state: Any, weights: Any) -> Any:
        self._refuse_gradients((x, *(state or ())))
        pack = self._pack_for(x, state, weights)
        results = None if pack is None else pack.run(x, _as_given(state), None)
        return super()._run(x, state, weights) if results is None else results

    def _current_weights(self) -> list[Tensor]:
        return self._buffered_weights()

    def _weight_names(self) -> list[str]:
        return list(self._names)


def _as_given(state: Sequence[Tensor] | None) -> Any:
    """The states as a layer is given them."""
    return None if state is None else state[0] if len(state) == 1 else tuple(state)
