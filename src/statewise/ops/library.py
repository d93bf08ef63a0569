"""The door for compilers, transforms and modes: ``torch.ops.statewise.recurrent``, one operation with rules for all.

Its shapes are known without running it, its gradient is an operation of its own, and so is the forward that keeps what
the gradient needs: only what is to be differentiated writes a tape. torch.func's vmap folds its rows into N where the
weights are shared, and calls the kernels row by row where they, or their gradients, are not. A tangent and a gradient's
gradient go to the reference, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, library
from torch._C._functorch import TransformType, get_interpreter_stack
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.nn.functional import linear
from torch.utils.flop_counter import register_flop_formula

from .. import cells
from ..kernels import cpu
from ..kernels.cpu import Record
from ..stack import Stack
from .arguments import Arguments
from .eager import Form, kernel_of, saved
from .fallback import report
from .gradient import by_reference, differentiate, run_reference
from .torch_kernels import serves_stack

_CONFIG = "str cell, int[] config"
# No list is ever empty, which AOTInductor takes for None, nor optional, where the dispatcher doesn't look for tensors.
# The states from the third on come in the list, between weights and masks.
_TENSORS = "Tensor x, Tensor? h, Tensor? c, Tensor[] weights_and_masks, Tensor? lengths, Tensor? batch_sizes"
_GIVEN = "Tensor output, Tensor tape, Tensor?[] incoming, bool[] needs"
_library = library.Library("statewise", "DEF")
for _schema in (
    f"recurrent({_TENSORS}, {_CONFIG}) -> Tensor[]",  # output, final states
    f"recurrent_taped({_TENSORS}, {_CONFIG}, bool[] needs) -> Tensor[]",  # output, final states, tape
    f"recurrent_backward({_TENSORS}, {_CONFIG}, {_GIVEN}) -> Tensor[]",  # the gradients of x, states, weights needed
):
    _library.define(_schema, tags=torch.Tag.pt2_compliant_tag)
_ops = torch.ops.statewise
_TAPE = 2  # version of the tape's layout: a compiled graph in a cache, from an earlier version, knows another size
_HEAD = 8  # how many arguments tell the call: those of the first


def run_library(a: Arguments) -> tuple[Tensor, ...]:
    """``ops.recurrent`` as one operation: x (T, N, I), or (S, I) with ``batch_sizes``."""
    return tuple(_ops.recurrent(*_flat(a)))


def _flat(a: Arguments) -> tuple[Any, ...]:
    """``a`` as the operations take it."""
    s = a.stack
    # All numbers in one list: torch.jit.trace knows no lists of bools.
    sizes = (s.input_size, s.hidden_size, s.num_layers, s.bidirectional, s.bias, s.proj_size, s.checkpoint, s.num_heads)
    config = [_TAPE, *map(int, sizes)]
    state = list(a.state or ())
    h, c = (*state[:2], None, None)[:2]
    return a.x, h, c, [*a.weights, *state[2:], *a.masks], a.lengths, a.batch_sizes, s.cell.key, config


def _stack(cell: str, config: Sequence[int]) -> Stack:
    _, input_size, hidden_size, num_layers, bidirectional, bias, projected, checkpoint, heads = config
    directions, biases = bool(bidirectional), bool(bias)
    own = cells.by_key(cell)
    return Stack(own, input_size, hidden_size, num_layers, directions, biases, projected, checkpoint, heads)


def _arguments(
    x: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    weights_and_masks: Sequence[Tensor],
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
    cell: str,
    config: Sequence[int],
) -> Arguments:
    """The inverse of ``_flat``."""
    stack = _stack(cell, config)
    count = stack.weights_per_layer * stack.depth
    masks = count + (0 if h is None else max(0, len(stack.cell.states) - 2))
    state = [s for s in (h, c, *weights_and_masks[count:masks]) if s is not None] or None
    return Arguments(x, state, weights_and_masks[:count], stack, weights_and_masks[masks:], lengths, batch_sizes)


def _rows(a: Arguments) -> Any:
    """N: of packed rows, while nothing is computed, a number that nobody knows."""
    if a.batch_sizes is None:
        return a.x.size(1)
    if a.state is not None:
        return a.state[0].size(1)
    if isinstance(a.batch_sizes, torch._subclasses.FakeTensor):
        return library.get_ctx().new_dynamic_size()
    return int(a.batch_sizes[0]) if a.batch_sizes.numel() else 0


def empty_tape(a: Arguments) -> Tensor:
    """Memory for what backward needs of a forward over x. Bytes."""
    t, n = a.x.size(0) if a.batch_sizes is None else a.batch_sizes.numel(), _rows(a)
    a_step, a_row, a_kept, always = _tape_bytes(a.stack, a.x.dtype, bool(a.masks), cpu.instruction_set())
    if a.stack.checkpoint:
        a_row += -(-t // a.stack.checkpoint) * a_kept
    steps = t * n if a.batch_sizes is None else a.x.size(0)
    return a.x.new_empty(steps * a_step + n * a_row + always, dtype=torch.uint8)


@lru_cache(maxsize=1024)
def _tape_bytes(stack: Stack, dtype: torch.dtype, masked: bool, isa: str) -> tuple[int, int, int, int]:
    """What the tape takes: bytes a step of a row, bytes a row, bytes a checkpoint of a row, and bytes on top."""
    return _kernel_of(stack).tape_bytes(dtype is torch.float64, masked)


def _kernel_of(stack: Stack) -> cpu.Stack:
    kernel = kernel_of(stack)
    assert kernel is not None, f"no kernel computes the cell {stack.cell.name}"
    return kernel


# What they compute


def _hx(state: Sequence[Tensor] | None) -> Any:
    """The states as the kernels take them."""
    return None if not state else state[0] if len(state) == 1 else tuple(state)


def _forward_by_kernels(a: Arguments, tape: Tensor | None) -> list[Tensor] | None:
    rows = a.lengths if a.batch_sizes is None else (a.batch_sizes, None, None)
    results = _kernel_of(a.stack).forward_below(
        Form.TIME_FIRST, a.x, _hx(a.state), list(a.weights), list(a.masks) or None, rows, tape
    )
    return None if results is None else list(results)


def _backward_by_kernels(
    a: Arguments, output: Tensor, tape: Tensor, incoming: Sequence[Tensor | None], needs: Sequence[bool]
) -> Sequence[Tensor | None] | None:
    kernel = _kernel_of(a.stack)
    rows = [a.lengths] * (a.lengths is not None) if a.batch_sizes is None else [a.batch_sizes, None, None]
    extra = [*[output] * kernel.reads_output, tape, *a.masks, *rows]
    record = Record(kernel, Form.TIME_FIRST, len(a.state or ()), int(kernel.reads_output), len(a.masks), len(rows))
    found = record.backward((*a.inputs, *extra), tuple(incoming), (False, *needs), True)
    return None if found is None else found[1:]


def _forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    return _forward_by_kernels(a, None) or _owned(run_reference(a))


def _forward_taped(*args: Any) -> list[Tensor]:
    a = _arguments(*args[:_HEAD])
    tape = empty_tape(a)
    return [*(_forward_by_kernels(a, tape) or _owned(run_reference(a))), tape]


def _owned(results: Sequence[Tensor]) -> list[Tensor]:
    """An operation's results may share no memory with its arguments, nor with each other."""
    return [r.clone(memory_format=torch.contiguous_format) for r in results]


def _backward(*args: Any) -> list[Tensor]:
    a, (output, tape, incoming, needs) = _arguments(*args[:_HEAD]), args[_HEAD:]
    with torch.no_grad():
        found = _backward_by_kernels(a, output, tape, incoming, needs)
        if found is not None:
            return _present(found)
        # An operation runs below autograd, where nothing would be recorded for the reference to differentiate.
        with torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False):
            found = _backward_by_reference(*args)
    return [to.copy_(g) for to, g in zip(_fake_backward(*args), found, strict=True)]


def _forward_by_reference(*args: Any) -> list[Tensor]:
    return list(run_reference(_arguments(*args)))


def _taped_by_reference(*args: Any) -> list[Tensor]:
    a = _arguments(*args[:_HEAD])
    return [*run_reference(a), empty_tape(a)]


def _backward_by_reference(*args: Any) -> list[Tensor]:
    _output, _tape, incoming, needs = args[_HEAD:]
    return _present(by_reference(_arguments(*args[:_HEAD]), incoming, needs))


def _present(gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """Those of ``gradients`` that were asked for, as an operation returns them."""
    return [g for g in gradients if g is not None]


# What shapes they return


def _fake_forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    n = _rows(a)
    output = a.x.new_empty(*a.x.shape[:-1], a.stack.width)
    return [output, *(a.x.new_empty(a.stack.depth, n, size) for size in a.stack.state_sizes)]


def _fake_taped(*args: Any) -> list[Tensor]:
    return [*_fake_forward(*args[:_HEAD]), empty_tape(_arguments(*args[:_HEAD]))]


def _fake_backward(*args: Any) -> list[Tensor]:
    inputs, needs = _arguments(*args[:_HEAD]).inputs, args[-1]
    return _present([_empty_gradient(t) if needed else None for t, needed in zip(inputs, needs, strict=True)])


def _empty_gradient(t: Tensor) -> Tensor:
    like = torch.empty_like(t)
    return like if like.dim() == 0 or like.stride(-1) == 1 or like.size(-1) <= 1 else t.new_empty(t.shape)


# How they are differentiated


@contextmanager
def _below_this_level() -> Iterator[None]:
    """Below autograd, whose Function records nothing; but another level of torch.func, if there is one, shall."""
    with torch._C._AutoDispatchBelowAutograd(), torch.set_grad_enabled(torch._C._are_functorch_transforms_active()):
        yield


class LibraryFunction(torch.autograd.Function):
    """The forward that writes a tape, tied to the gradient."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, asked: Sequence[bool], *inputs: Tensor) -> Any:
        """``asked`` are the gradients that another level of torch.func will want beside this one's."""
        needs = [own or other for own, other in zip(ctx.needs_input_grad[2:], asked, strict=True)]
        with _below_this_level():
            output, *final, tape = _ops.recurrent_taped(*_flat(a), needs)
        ctx.save_for_backward(*inputs, output, tape, *a.masks, a.lengths, a.batch_sizes)
        ctx.call = len(a.state or ()), a.stack
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(tape)
        return output, *final, tape

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        needs = ctx.needs_input_grad[2:]
        if all(g is None for g in incoming):
            return (None,) * (2 + len(needs))
        a, output, tape = _saved(ctx, len(needs))
        found = iter(_ops.recurrent_backward(*_flat(a), output, tape, incoming[:-1], needs))
        return None, None, *[next(found) if needed else None for needed in needs]


class GradientFunction(torch.autograd.Function):
    """The gradient by the kernels, which the reference differentiates if it comes to that."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, kept: tuple[Tensor, Tensor], given: Any, needs: Any, *inputs: Tensor) -> Any:
        with _below_this_level():
            found = _ops.recurrent_backward(*_flat(a), *kept, given, needs)
        ctx.save_for_backward(*inputs, *a.masks, a.lengths, a.batch_sizes)
        ctx.call = len(a.state or ()), a.stack, [g is not None for g in given], needs
        ctx.set_materialize_grads(False)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        states, stack, given, needs = ctx.call
        *tensors, lengths, batch_sizes = ctx.saved_tensors
        count = len(needs)

        def run(leaves: list[Tensor]) -> tuple[Tensor, ...]:
            x, state, weights = leaves[0], leaves[1 : 1 + states], leaves[1 + states : count]
            a = Arguments(x, state or None, weights, stack, masks, lengths, batch_sizes)
            rest = iter(leaves[count:])
            return tuple(_present(by_reference(a, [next(rest) if g else None for g in given], needs)))

        report("a gradient is differentiated")
        leaves, masks = tensors[: count + sum(given)], tensors[count + sum(given) :]
        return (None,) * 4 + tuple(differentiate(run, leaves, incoming, ctx.needs_input_grad[4:]))


def _apply(function: type[torch.autograd.Function], *args: Any) -> list[Tensor]:
    """``function.apply``, past what it does first: it would ask for rules for transforms, which the operations have."""
    apply: Any = super(torch.autograd.Function, function).apply  # type: ignore[misc]
    if not torch._C._are_functorch_transforms_active():
        return list(apply(*args))
    with enable_single_level_autograd_function():
        return list(apply(*args))


def _saved(ctx: Any, inputs: int) -> tuple[Arguments, Tensor, Tensor]:
    """The call's arguments, output and tape."""
    states, stack = ctx.call
    *tensors, lengths, batch_sizes = saved(ctx)
    x, state, weights = tensors[0], tensors[1 : 1 + states] or None, tensors[1 + states : inputs]
    output, tape, *masks = tensors[inputs:]
    return Arguments(x, state, weights, stack, masks, lengths, batch_sizes), output, tape


def _differentiable(*args: Any) -> list[Tensor]:
    if _has_tangents():
        return _forward_by_reference(*args)
    a = _arguments(*args)
    if _needs_gradient(a.inputs):
        return _apply(LibraryFunction, a, [False] * len(a.inputs), *a.inputs)[:-1]
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = _ops.recurrent(*args)
    return results


def _differentiable_taped(*args: Any) -> list[Tensor]:
    a, needs = _arguments(*args[:_HEAD]), args[_HEAD]
    if _has_tangents():
        return _taped_by_reference(*args)
    if _needs_gradient(a.inputs):
        return _apply(LibraryFunction, a, needs, *a.inputs)
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = _ops.recurrent_taped(*args)
    return results


def _differentiable_backward(*args: Any) -> list[Tensor]:
    if _has_tangents():
        return _backward_by_reference(*args)
    a, (output, tape, incoming, needs) = _arguments(*args[:_HEAD]), args[_HEAD:]
    given = (*a.inputs, *_present(incoming))
    if _needs_gradient(given):
        return _apply(GradientFunction, a, (output, tape), incoming, needs, *given)
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = _ops.recurrent_backward(*args)
    return results


def _needs_gradient(tensors: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _has_tangents() -> bool:
    # A graph that is traced again opens its levels past forward_ad.
    levels = get_interpreter_stack() or ()
    if forward_ad._current_level < 0 and all(level.key() != TransformType.Jvp for level in levels):
        return False
    report("forward-mode differentiation is active")
    return True


# How torch.func's vmap goes over them

Vmapped = tuple[list[Tensor], list["int | None"]]  # the results, and where each has its axis of rows


def _vmap_forward(info: Any, in_dims: Any, *args: Any) -> Vmapped:
    return _vmapped(_ops.recurrent, info.batch_size, in_dims, args, fold=_shares_weights(in_dims, args))


def _vmap_taped(info: Any, in_dims: Any, *args: Any) -> Vmapped:
    """Where gradients of weights will be asked for, one for each call, most stacks run one after the other."""
    fold, each = _shares_weights(in_dims, args), any(args[_HEAD][-_weights(args) :])
    if fold and each and _serves_by_identity(args):
        a = _arguments(*_fold(in_dims, args, info.batch_size)[:_HEAD])
        results = _ops.recurrent_taped(*_flat(_by_identity(a)), _needs_by_identity(a, args[_HEAD]))
        return _unfold(results, info.batch_size)
    return _vmapped(_ops.recurrent_taped, info.batch_size, in_dims, args, fold=fold and not each)


def _vmap_backward(info: Any, in_dims: Any, *args: Any) -> Vmapped:
    """As forward went: what was folded has many outputs on one tape."""
    output, tape = in_dims[_HEAD : _HEAD + 2]
    return _vmapped(_ops.recurrent_backward, info.batch_size, in_dims, args, fold=output is not None and tape is None)


def _serves_by_identity(args: Any) -> bool:
    """Whether ``_by_identity`` does: a layer of torch.nn's in one direction that keeps all of its steps, not packed."""
    a = _arguments(*args[:_HEAD])
    simple = a.stack.depth == 1 and not a.stack.proj_size and not a.stack.checkpoint and a.batch_sizes is None
    return simple and serves_stack(a.stack)


def _by_identity(a: Arguments, share: Tensor | None = None) -> Arguments:
    """The same layer, but it reads the gates' share of x by an identity matrix: its gradient of that is the gates'.

    ``share`` is W_ih x + b_ih, computed unless given. It is finite, for 0 * inf is none.
    """
    w_ih, w_hh, *biases = a.weights
    if share is None:
        largest = torch.finfo(a.x.dtype).max
        share = linear(a.x, w_ih, *biases[:1]).clamp(-largest, largest)
    gates = w_ih.size(0)
    identity = torch.eye(gates, dtype=a.x.dtype, device=a.x.device)
    weights = [identity, w_hh, *([torch.zeros_like(biases[0]), biases[1]] if biases else [])]
    return a._replace(x=share, weights=weights, stack=replace(a.stack, input_size=gates))


def _needs_by_identity(a: Arguments, needs: Sequence[bool]) -> list[bool]:
    states = len(a.state or ())
    return [True, *needs[1 : 1 + states], *[False] * len(a.weights)]


def _backward_by_identity(args: Any, count: int) -> Vmapped:
    """All rows at once, but each call's gradients of weights: D, the gates' gradients, times what they multiplied."""
    a, (output, tape, incoming, needs) = _arguments(*args[:_HEAD]), args[_HEAD:]
    x, (w_ih, w_hh, *biases) = a.x, a.weights
    states = len(a.state or ())
    if a.lengths is not None:  # D is 0 past a row's end, but what stands in x there may be NaN
        x = torch.where((torch.arange(x.size(0)).unsqueeze(1) < a.lengths).unsqueeze(-1), x, 0)
    # Only a second derivative reads it.
    share = None if _needs_gradient(a.inputs) else x.new_empty(*x.shape[:-1], w_ih.size(0))
    same, asked = _by_identity(a, share), _needs_by_identity(a, needs)
    d, *d_states = _ops.recurrent_backward(*_flat(same), output, tape, incoming, asked)  # (T, N, G*H)
    first = output.new_zeros(1, *output.shape[1:]) if a.state is None else a.state[0]
    h = torch.cat([first, output[:-1]])
    d_h = d  # of the share of h, whose last gate the GRU multiplies with r
    if a.stack.cell.name == "gru":
        size = a.stack.hidden_size
        shares = linear(x, w_ih[:size], *(b[:size] for b in biases[:1])) + linear(
            h, w_hh[:size], *(b[:size] for b in biases[1:])
        )
        d_h = torch.cat([d[..., : 2 * size], d[..., 2 * size :] * torch.sigmoid(shares)], -1)

    def by_call(t: Tensor) -> Any:  # (T, count * N, .) -> (count, T * N, .)
        return t.unflatten(1, (count, -1)).transpose(0, 1).flatten(1, 2)

    of_x = d @ w_ih if needs[0] else None
    d, d_h = by_call(d), by_call(d_h)
    found = [d.mT @ by_call(x), d_h.mT @ by_call(h), *([d.sum(1), d_h.sum(1)] if biases else [])]
    wanted = [g for g, needed in zip(found, needs[1 + states :], strict=True) if needed]
    rows = [t.unflatten(1, (count, -1)) for t in _present([of_x, *d_states])]
    return [*rows, *wanted], [*[1] * len(rows), *[0] * len(wanted)]


def _shares_weights(in_dims: Any, args: Any) -> bool:
    return all(dim is None for dim in in_dims[3][: _weights(args)])


def _vmapped(op: Any, count: int, in_dims: Any, args: Any, *, fold: bool) -> Vmapped:
    """``op`` over ``count`` calls: folded into N if they can be and are not packed, else one after the other."""
    if not fold or args[5] is not None:
        each = [op(*_one(args, in_dims, k)) for k in range(count)]
        results = [torch.stack(tensors) for tensors in zip(*each, strict=True)]
        return results, [0] * len(results)
    folded = _fold(in_dims, args, count)
    if op is _ops.recurrent_backward and any(args[-1][-_weights(args) :]):
        return _backward_by_identity(folded, count)
    return _unfold(op(*folded), count)


def _fold(in_dims: Any, args: Any, count: int) -> list[Any]:
    """The arguments of one call of an operation that makes ``count`` of them."""
    folded, first_mask = list(args), _weights(args)
    for place in (0, 1, 2, *((_HEAD, _HEAD + 2) if len(args) > _HEAD + 1 else ())):  # backward: output, incoming
        folded[place] = _folded(args[place], in_dims[place], count)
    folded[3] = [*args[3][:first_mask], *_folded(args[3][first_mask:], in_dims[3][first_mask:], count)]
    folded[4] = _folded(args[4], in_dims[4], count, axis=0)
    return folded


def _unfold(results: Sequence[Tensor], count: int) -> Vmapped:
    """Its results with their axis of calls; a tape has none."""
    tapes = [r.dtype is torch.uint8 for r in results]
    unfolded = [r if tape else r.unflatten(1, (count, -1)) for r, tape in zip(results, tapes, strict=True)]
    return unfolded, [None if tape else 1 for tape in tapes]


def _weights(args: Any) -> int:
    """How many weights come before the masks."""
    return len(_arguments(*args[:_HEAD]).weights)


def _one(value: Any, dim: Any, k: int) -> Any:
    """What call ``k`` gets of arguments with their axes of calls."""
    if isinstance(value, (list, tuple)):
        return [_one(v, d, k) for v, d in zip(value, dim, strict=True)]
    return value if dim is None else value.select(dim, k)


def _folded(value: Any, dim: Any, count: int, axis: int = 1) -> Any:
    """Tensors with their axis of calls merged into that of rows, ``axis``; those without one for all calls alike."""
    if isinstance(value, (list, tuple)):
        return [_folded(v, d, count, axis) for v, d in zip(value, dim, strict=True)]
    if value is None:
        return None
    if dim is None:
        value = value.unsqueeze(axis).expand(*value.shape[:axis], count, *value.shape[axis:])
    else:
        value = value.movedim(dim, axis)
    return value.flatten(axis, axis + 1)


# How many operations they are


def _flops(*shapes: Any, **_: Any) -> int:
    """Of the products; arguments are given as their shapes. Steps past a row's end are counted: nothing tells them."""
    return sum(_products(shapes))


def _backward_flops(*shapes: Any, **_: Any) -> int:
    """A product for each gradient of a weight, and one for that of what it is multiplied with."""
    products, needs, stack = _products(shapes), shapes[-1], _stack(*shapes[6:8])
    # The W_ih of the lowest layer, which reads x.
    first = range(0, stack.weights_per_layer * stack.directions, stack.weights_per_layer)
    own = needs[len(needs) - len(products) :]
    return sum(flops * (own[i] + (i not in first or needs[0])) for i, flops in enumerate(products))


def _products(shapes: Any) -> list[int]:
    """Of each weight with what it is multiplied with; a bias has none."""
    x, _h, _c, weights, _lengths, batch_sizes, cell, config, *_ = shapes
    rows = x[0] * x[1] if batch_sizes is None else x[0]
    stack = _stack(cell, config)
    own = weights[: stack.depth * stack.weights_per_layer]
    return [2 * rows * w[0] * w[1] if len(w) == 2 else 0 for w in own]


for _name, _kernel, _fake in (
    ("recurrent", _forward, _fake_forward),
    ("recurrent_taped", _forward_taped, _fake_taped),
    ("recurrent_backward", _backward, _fake_backward),
):
    library.impl(_library, _name, "CompositeExplicitAutograd")(_kernel)
    library.register_fake(f"statewise::{_name}", _fake, lib=_library)
for _name, _rule, _over, _reference in (
    ("recurrent", _differentiable, _vmap_forward, _forward_by_reference),
    ("recurrent_taped", _differentiable_taped, _vmap_taped, _taped_by_reference),
    ("recurrent_backward", _differentiable_backward, _vmap_backward, _backward_by_reference),
):
    library.impl(_library, _name, "Autograd")(_rule)
    library.register_vmap(f"statewise::{_name}", _over, lib=_library)
    library.impl(_library, _name, "Batched")(_reference)  # autograd's own vmap, for batched gradients
register_flop_formula([_ops.recurrent, _ops.recurrent_taped])(_flops)
register_flop_formula(_ops.recurrent_backward)(_backward_flops)
