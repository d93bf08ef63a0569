"""``save``: a model's description and weights as a file that ``statewise.runtime`` runs without torch.

What a module's ``forward`` does is the graph that torch.fx traces of it, whose nodes become ops one by one.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from . import narrowing
from .freezing import freeze
from .layers import RecurrentLayer, SingleStep
from .layers.checks import check_module
from .runtime import Network
from .runtime.file import write
from .runtime.network import FORMAT, KIND
from .stack import Stack

_MODULES: dict[type, str] = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SiLU: "silu"}
_SOFTMAX_MODULES: dict[type, str] = {nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax"}


def _ways(names: Iterable[str]) -> dict[Any, str]:
    """Of functions by their names: of torch, of torch.nn.functional, of a tensor."""
    found = {getattr(home, name, name): name for name in names for home in (torch, functional)}
    return found | {name: name for name in names}


_ACTIVATIONS = _MODULES | _ways(_MODULES.values())
_SOFTMAX = _SOFTMAX_MODULES | _ways(_SOFTMAX_MODULES.values())
_SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add")
_JOINS: tuple[Any, ...] = (torch.cat, torch.concat)
_OVER_TIME: dict[Any, str] = {torch.mean: "mean", "mean": "mean", torch.amax: "max", "amax": "max"}
_TURNS: tuple[Any, ...] = (torch.transpose, torch.swapaxes, torch.permute, "transpose", "swapaxes", "permute")
_PADS: dict[Any, str] = {nn.ZeroPad1d: "zeros", nn.ConstantPad1d: "zeros", nn.ReflectionPad1d: "reflect"}
_NOTHING: tuple[Any, ...] = (nn.Dropout, nn.Identity, functional.dropout, torch.dropout, "contiguous")


def save(model: nn.Module, path: str | PathLike[str], *, dtype: torch.dtype | str | None = None) -> None:
    """Write ``model`` as a file that ``statewise.runtime`` runs without torch, as it computes in eval mode.

    ``model`` is a recurrent layer or a cell, statewise's or torch.nn's; or a module with one input whose ``forward`` is
    made of such layers, ``Embedding``, ``Linear``, ``LayerNorm``, dropout, activations, softmax over the features,
    sums, ``cat`` of features, and the last step, the mean or ``amax`` over time; and, of what is transposed to (N, C,
    T), ``Conv1d`` and ``BatchNorm1d``, padded or shortened to be causal or not. Of a layer's results ``forward`` may
    use the output and what of ``h_n`` is a part of it: ``h_n[-1]``, or ``cat((h_n[-2], h_n[-1]), -1)`` of two
    directions. Of several results of ``forward`` the first counts.

    The runtime reads (T, N, I), or (N, T, I) where the layers are ``batch_first``; with a cell a step at a time.
    Parametrizations, weight norms and pruning are resolved. Dropout is left out.

    Args:
        model: stays as it is.
        path: of the file, which appears whole.
        dtype: what the matrices among the weights are written in: ``torch.int8`` (a quarter of the size) or
            ``torch.bfloat16`` (half), and the recurrent ones computed with; see ``freeze``. Default: float32, or
            float64 where they are.

    Raises:
        TypeError: ``model`` is no ``torch.nn.Module``.
        ValueError: there is something in it that the runtime can't run; the message says what. Or ``dtype`` is none of
            these, or is given for weights of float64.
        OSError: the file can't be written.

    Example:
        >>> statewise.save(statewise.LSTM(3, 64), "lstm.safetensors")
        >>> net = statewise.runtime.load("lstm.safetensors")
    """
    check_module("save", model)
    kept = narrowing.name_of(dtype, "save")
    content, arrays = program(model)
    if kept is not None:
        content["ops"] = [op | {"dtype": kept} if op["op"] == "recurrent" else op for op in content["ops"]]
        arrays = _narrowed(arrays, kept)
    Network(content, dict(arrays))  # a file that is written can be run
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(write(KIND, FORMAT, content, arrays))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def program(model: nn.Module, caller: str = "save") -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``save`` writes of ``model``: a program and its arrays. ValueError, beginning with ``caller``, likewise."""
    try:
        content, tensors = _Writer(model).program()
    except _RefusalError as error:
        raise ValueError(f"{caller}: the runtime can't run {error}") from error.__cause__
    return content, {name: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor if tensor.dtype is torch.float64 else tensor.float()).contiguous().numpy()


def _narrowed(arrays: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Each matrix in ``dtype``, in eight bits with a scale of each row beside it."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.dtype == "float64":
            raise ValueError(f"save: Expected weights of float32 for dtype={dtype}, got float64")
        weight = torch.from_numpy(array)
        if weight.dim() < 2:
            found[name] = array
        elif dtype == "bfloat16":
            found[name] = weight.bfloat16().view(torch.uint16).numpy()
        else:
            whole, unit = narrowing.in_units(weight)
            found |= {name: whole.numpy(), f"{name}.scale": unit.numpy()}
    return found


@dataclass(frozen=True)
class _Value:
    """What an op gives, by its name."""

    name: str
    axes: str
    """In their order: of T, N and F, without T of what has no time."""
    around: tuple[int, int, str] = (0, 0, "zeros")
    """What it has been padded by, along time, and how."""

    @property
    def rank(self) -> int:
        return len(self.axes)

    def letter(self, axis: Any) -> str:
        """The axis of this number."""
        return self.axes[axis] if isinstance(axis, int) and -self.rank <= axis < self.rank else ""


@dataclass(frozen=True)
class _Results:
    """What a recurrent layer gives: the output, and the final states."""

    output: _Value
    layer: RecurrentLayer


@dataclass(frozen=True)
class _State:
    """The final states of a layer, or one of them, (L*D, N, .)."""

    of: _Results
    letter: int | None


@dataclass(frozen=True)
class _End:
    """What the direction that is so many from the last ends with."""

    of: _Results
    back: int


class _Tracer(fx.Tracer):
    """Goes into no layer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (RecurrentLayer, SingleStep)) or super().is_leaf_module(m, module_qualified_name)


class _Writer:
    """The program of a model, as far as it is written."""

    def __init__(self, model: nn.Module) -> None:
        if not any(isinstance(module, (nn.RNNBase, nn.RNNCellBase)) for module in model.modules()):
            raise _refusal(f"a model without an RNN, LSTM, GRU or cell in it, a {type(model).__name__}")
        self.model: nn.Module = freeze(model)
        self.ops: list[dict[str, Any]] = []
        self.tensors: dict[str, Tensor] = {}
        self.forms: set[bool] = set()  # whether the layers are batch_first
        self.input: dict[str, Any] = {"name": "x"}

    def program(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Its content, and its tensors."""
        batch_first = {m.batch_first for m in self.model.modules() if isinstance(m, RecurrentLayer)} == {True}
        self.axes = "NTF" if batch_first else "TNF"
        x, model = _Value("x", self.axes), self.model
        if isinstance(model, (RecurrentLayer, SingleStep)):
            self._layer(model, "layer", x)
        else:
            self._walk(x)
        if "width" not in self.input:
            raise _refusal("a model whose input's width nothing tells")
        if len(self.forms) > 1:
            raise _refusal("layers that are batch_first beside layers that are not")
        return {"inputs": [self.input], "ops": self.ops, "batch_first": self.forms == {True}}, self.tensors

    def _walk(self, x: _Value) -> None:
        try:
            graph = _Tracer().trace(self.model)
        except Exception as error:  # what forward does with something that is no tensor may raise anything
            raise _refusal(f"what torch.fx can't trace: {' '.join(str(error).split())[:200]}") from error
        self.forms = {m.batch_first for m in self.model.modules() if isinstance(m, RecurrentLayer)}
        found: dict[fx.Node, Any] = {}
        for node in graph.nodes:
            args = fx.node.map_arg(node.args, found.get)
            kwargs = fx.node.map_arg(node.kwargs, found.get)
            if node.op == "placeholder":
                if found and not node.args:
                    raise _refusal(f"a second input, {node.name}")
                found[node] = None if found else x
            elif node.op == "output":
                result = args[0][0] if isinstance(args[0], (tuple, list)) else args[0]
                result = result.output if isinstance(result, _Results) else result
                if result not in [_Value(self.ops[-1]["name"], axes) for axes in (self.axes, "NF") if self.ops]:
                    raise _refusal("a result that isn't what was computed last")
            else:
                found[node] = self._node(node, args, kwargs)

    def _node(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        name, what = node.name, node.target
        if node.op == "call_module":
            module, name = self.model.get_submodule(str(what)), str(what)
            if isinstance(module, (RecurrentLayer, SingleStep)):
                given = [*args[1:], *kwargs.values()]
                if isinstance(module, SingleStep) or any(value is not None for value in given):
                    raise _refusal(f"a layer that is given more than its input, {name}")
                return self._layer(module, name, args[0])
            what = type(module)
            if what in _SOFTMAX_MODULES:
                args = (*args, module.dim)
            elif what in _PADS:
                return self._padded(name, args[0], module.padding, _PADS[what], getattr(module, "value", 0))
            elif what not in _ACTIVATIONS and what not in _NOTHING:
                return self._module(module, name, args[0])
        if what in _NOTHING:
            return args[0]
        if what in _ACTIVATIONS:
            return self._op("activation", name, args[:1], function=_ACTIVATIONS[what])
        x = args[0] if args and isinstance(args[0], _Value) else _Value("", "")
        if what in _SOFTMAX and x.letter(_axis(args, kwargs)) == "F":
            return self._op("activation", name, args[:1], function=_SOFTMAX[what])
        if what in _SUMS and not kwargs:
            return self._op("add", name, args)
        if what in _JOINS:
            return self._join(name, args[0], _axis(args, kwargs, 0))
        if what in _OVER_TIME and x.letter(_axis(args, kwargs)) == "T":
            return self._op(_OVER_TIME[what], name, args[:1], axes="NF")
        if what in _TURNS and x.rank == 3 and not kwargs:
            return self._turned(name, x, args[1:])
        if what is functional.pad and x.rank == 3:
            given = dict(zip(("pad", "mode", "value"), args[1:], strict=False)) | kwargs
            how = {"constant": "zeros", "reflect": "reflect"}.get(given.get("mode", "constant"), "")
            return self._padded(name, x, given["pad"], how, given.get("value"))
        if what is operator.getitem:
            return self._item(name, args[0], args[1], len(node.all_input_nodes[0].users) == 1)
        raise _refusal(f"{node.op.removeprefix('call_')} {getattr(what, '__name__', what)}")

    def _op(self, op: str, name: str, given: Any, axes: str | None = None, **options: Any) -> _Value:
        """The value of a new op; its tensors lie under the name that it gets."""
        values = [each.output if isinstance(each, _Results) else each for each in given]
        if not values or not all(isinstance(value, _Value) for value in values):
            raise _refusal(f"what {name} is given: {', '.join(type(each).__name__ for each in given)}")
        of = values[0].axes
        if any(value.axes != of for value in values):
            raise _refusal(f"what {name} is given: values whose axes are in another order")
        if op != "convolution" and any(value.around != _Value.around for value in values):
            raise _refusal(f"what {name} is given: padding, which only a convolution reads")
        if op in ("embedding", "linear", "norm", "recurrent") and of not in (self.axes, "NF"):
            raise _refusal(f"what {name} is given: features that aren't on the last axis")
        taken = {each["name"] for each in self.ops} | {"x"}
        name = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 1000))) if n not in taken)
        self.ops.append({"op": op, "name": name, "of": [value.name for value in values], **options})
        return _Value(name, axes or of)

    def _read(self, value: Any, width: int, kind: str = "values") -> None:
        """Note what the input is, where this is the input."""
        if isinstance(value, _Value) and value.name == "x":
            told = {"name": "x", "kind": kind, "width": width}
            if "width" in self.input and told != self.input:
                raise _refusal("an input that is read in two ways")
            self.input = told

    def _module(self, module: nn.Module, name: str, x: Any) -> _Value:
        """An op that has tensors."""
        options: dict[str, Any] = {}
        match module:
            case nn.Embedding() if module.max_norm is None:
                op, names = "embedding", ["weight"]
                self._read(x, module.num_embeddings, "symbols")
            case nn.Linear():
                op, names = "linear", ["weight", "bias"]
                self._read(x, module.in_features)
            case nn.LayerNorm() if len(module.normalized_shape) == 1:
                op, names, options = "norm", ["weight", "bias"], {"epsilon": module.eps}
                self._read(x, module.normalized_shape[0])
            case nn.Conv1d():
                return self._convolution(module, name, x)
            case nn.BatchNorm1d():
                return self._normalised(module, name, x)
            case _:
                raise _refusal(f"a {type(module).__name__}, {name}")
        value = self._op(op, name, [x], **options)
        self._keep(value.name, {each: getattr(module, each) for each in names})
        return value

    def _turned(self, name: str, x: _Value, by: Any) -> _Value:
        """With its axes in another order."""
        axes = by[0] if len(by) == 1 else by
        order = list(x.axes)
        if not all(isinstance(axis, int) and -3 <= axis < 3 for axis in axes):
            raise _refusal(f"what {name} does")
        if len(axes) == 2:
            first, second = axes
            order[first], order[second] = order[second], order[first]
        else:
            order = [x.axes[axis] for axis in axes]
        return replace(x, axes="".join(order))

    def _padded(self, name: str, x: Any, by: Any, how: str, value: Any) -> _Value:
        """With so many steps before the first and after the last, which a convolution will read."""
        by = (by, by) if isinstance(by, int) else tuple(by)
        if not isinstance(x, _Value) or x.axes != "NFT" or x.around != _Value.around or not how or value:
            raise _refusal(f"what {name} does: padding by zeros or reflection, along the last axis, which is time")
        if len(by) != 2 or min(by) < 0:
            raise _refusal(f"what {name} does: padding by {by}")
        return replace(x, around=(*by, how))

    def _convolution(self, module: nn.Conv1d, name: str, x: Any) -> _Value:
        if not isinstance(x, _Value) or x.axes != "NFT":
            raise _refusal(f"a Conv1d, {name}, of what isn't transposed to (N, C, T)")
        left, right, how = *module._reversed_padding_repeated_twice, str(module.padding_mode)
        if x.around != _Value.around:
            if left or right:
                raise _refusal(f"a Conv1d, {name}, that pads what is padded")
            left, right, how = x.around
        if how not in ("zeros", "reflect"):
            raise _refusal(f"a Conv1d, {name}, that pads by {how}")
        self._read(x, module.in_channels)
        told = {"stride": module.stride[0], "dilation": module.dilation[0], "groups": module.groups}
        options: dict[str, Any] = {option: number for option, number in told.items() if number != 1}
        options |= {option: number for option, number in (("left", left), ("right", right)) if number}
        options |= {"reflect": True} if how == "reflect" else {}
        value = self._op("convolution", name, [x], **options)
        self._keep(value.name, {"weight": module.weight, "bias": module.bias})
        return value

    def _normalised(self, module: nn.BatchNorm1d, name: str, x: Any) -> _Value:
        """By what it learnt of each channel: a convolution that reads one position and one channel."""
        if not isinstance(x, _Value) or x.axes not in ("NFT", "NF") or module.running_mean is None:
            raise _refusal(f"a BatchNorm1d, {name}, of what isn't (N, C, T), or by the batch's own figures")
        scale = (module.running_var.double() + module.eps).rsqrt()  # type: ignore[union-attr]  # it has both or none
        scale = scale if module.weight is None else scale * module.weight.double()
        shift = -module.running_mean.double() * scale
        shift = shift if module.bias is None else shift + module.bias.double()
        value = self._op("convolution", name, [x], positions=1, groups=module.num_features)
        dtype = module.running_mean.dtype
        self._read(x, module.num_features)
        self._keep(value.name, {"weight": scale.to(dtype)[:, None, None], "bias": shift.to(dtype)})
        return value

    def _shortened(self, value: _Value, stop: Any) -> _Value:
        """Without the last steps of a convolution that is padded on both sides so as to lose them: a causal one."""
        op = self.ops[-1]
        if value.name != op["name"] or op["op"] != "convolution" or op.get("stride") or op.get("reflect"):
            raise _refusal(f"steps of {value.name} without the last ones")
        if type(stop) is not int or not -op.get("right", 0) <= stop < 0:
            raise _refusal(f"steps of {value.name} to {stop}")
        op["right"] += stop
        if not op["right"]:
            del op["right"]
        return value

    def _layer(self, layer: RecurrentLayer | SingleStep, name: str, x: Any) -> _Results:
        """A stack is one op; a layer of several stacks has norms and sums between them."""
        self._read(x, layer.input_size)
        if isinstance(layer, SingleStep):
            value = self._op("recurrent", name, [x], **_options(layer._stack, False))
            weights = zip(layer._names, layer._current_weights(), strict=True)
            self._keep(value.name, {f"{each}_l0": weight for each, weight in weights})
            return _Results(value, layer)  # type: ignore[arg-type]  # nobody looks at a cell's states
        self.forms.add(layer.batch_first)
        own = dict(zip(layer._flat_weights_names, layer._current_weights(), strict=True))
        own |= {each: getattr(layer, each) for each in layer._extra_shapes()}
        first = 0
        for k, stack in enumerate(layer._stacks):
            part = name if len(layer._stacks) == 1 else f"{name}.{k}"
            read = x
            if k and layer.norm:
                read = self._op("norm", f"{part}.norm", [x])
                self._keep(read.name, {each: own[f"{each}_norm_l{k}"] for each in ("weight", "bias")})
            value = self._op("recurrent", part, [read], **_options(stack, layer.learn_initial_state))
            last = range(first, first := first + stack.num_layers)
            names = [w.name for w in stack.weights]
            names += [f"initial_{letter}" for letter in stack.cell.states] if layer.learn_initial_state else []
            for j, place in enumerate(last):
                for way in ("", "_reverse")[: stack.directions]:
                    self._keep(value.name, {f"{each}_l{j}{way}": own[f"{each}_l{place}{way}"] for each in names})
            x = self._op("add", f"{part}.sum", [value, x]) if k and layer.residual else value
        return _Results(x, layer)

    def _keep(self, name: str, tensors: dict[str, Tensor | None]) -> None:
        self.tensors |= {f"{name}.{each}": tensor for each, tensor in tensors.items() if tensor is not None}

    def _join(self, name: str, given: Any, axis: Any) -> _Value:
        ends = [each for each in given if isinstance(each, _End)]
        if len(ends) == len(given) == 2 and ends[0].of == ends[1].of and axis in (1, -1):
            if [end.back for end in ends] == [2, 1] and ends[0].of.layer.bidirectional:
                return self._op("last", name, [ends[0].of.output], axes="NF", bidirectional=True)
        elif not ends and all(isinstance(v, _Value) and v.letter(axis) == "F" for v in given):
            return self._op("concat", name, given)
        raise _refusal(f"what {name} joins")

    def _item(self, name: str, value: Any, at: Any, alone: bool) -> Any:
        """A part of a layer's results, or the last step, or but the last steps of what nothing else reads."""
        if isinstance(value, _Results) and at in (0, 1):
            one = len(value.layer._stack.cell.states) == 1
            return value.output if at == 0 else _State(value, 0 if one else None)
        if isinstance(value, _State) and value.letter is None:
            return _State(value.of, at)
        if isinstance(value, _State) and value.letter == 0 and at in (-1, -2) and _is_output(value.of.layer):
            end = _End(value.of, -at)
            both = value.of.layer.bidirectional
            return end if both else self._op("last", name, [value.of.output], axes="NF") if at == -1 else end
        if isinstance(value, _Value) and value.rank == 3:
            steps = at if isinstance(at, tuple) else (at,)
            steps = (*[slice(None)] * (4 - len(steps)), *steps[1:]) if steps[0] is ... else steps
            time, whole = value.axes.index("T"), [slice(None)] * len(steps)
            if steps == (*whole[:time], -1, *whole[time + 1 :]):
                return self._op("last", name, [value], axes="NF")
            if isinstance(cut := steps[time] if time < len(steps) else None, slice):
                others = [*steps[:time], *steps[time + 1 :]]
                if alone and others == whole[1:] and not cut.start and not cut.step:
                    return self._shortened(value, cut.stop)
        raise _refusal(f"what {name} takes of something: [{at}]")


def _options(stack: Stack, initial: bool) -> dict[str, Any]:
    """What of a stack isn't a tensor, nor the default of the op."""
    told = {
        "cell": stack.cell.name,
        "hidden_size": stack.hidden_size,
        "num_layers": stack.num_layers,
        "bidirectional": stack.bidirectional,
        "bias": stack.bias,
        "proj_size": stack.proj_size,
        "num_heads": stack.num_heads,
        "zoneout": list(stack.zoneout),
        "clip": stack.clip,
        "initial": initial,
    }
    default = {"num_layers": 1, "bidirectional": False, "bias": True, "proj_size": 0, "num_heads": 1, "zoneout": []}
    default |= {"clip": 0.0, "initial": False}
    return {name: value for name, value in told.items() if name not in default or value != default[name]}


def _is_output(layer: RecurrentLayer) -> bool:
    """Whether h is what the layer puts out: not where it is wider than that, or something is added."""
    return not layer.residual and not layer._is_list and layer._stack.state_sizes[0] == layer._stack.output_size


def _axis(args: Any, kwargs: Any, default: int | None = None) -> Any:
    return kwargs.get("dim", args[1] if len(args) > 1 else default)


class _RefusalError(ValueError):
    """What the runtime can't run."""


def _refusal(what: str) -> ValueError:
    return _RefusalError(what)
