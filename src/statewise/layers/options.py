"""The layers' constructor arguments: torch.nn's checked in its order and words, and those that it has not."""

from __future__ import annotations

import math
import numbers
import operator
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, SupportsIndex, TypedDict

from .. import cells
from ..cells import Cell
from ..cells.variants import variant
from .parameters import keeping_gate

if TYPE_CHECKING:
    from .recurrent import RecurrentLayer


class Options(TypedDict, total=False):
    """What every layer takes by name beside torch.nn's arguments.

    What is noise is drawn from torch's generator, so that ``torch.manual_seed`` repeats it, and is off in eval mode.
    What is drawn for a row doesn't depend on whether the rows come padded, with ``lengths`` or packed.

    Attributes:
        residual: every layer but the first adds to its output what it was given: y_k = layer_k(y_(k-1)) + y_(k-1),
            where y_(k-1) is taken before ``norm`` and ``dropout``. All layers have to be of one width. Default: False.
        norm: every layer but the first reads a layer norm of what the layer below put out (Ba et al., 2016; over the
            features, epsilon 1e-5), with the parameters ``weight_norm_l{k}`` and ``bias_norm_l{k}`` (D*P,); ``dropout``
            comes after it. Default: False.
        zoneout: the probability, of all states or one for each in the order of ``cell.states``, with which a unit keeps
            the value that it had before the step (Krueger et al., 2017); in eval mode it takes what that is on average,
            p * old + (1 - p) * new. Default: 0.
        recurrent_dropout: the probability of dropping a unit of what ``weight_hh`` reads, the same units at all steps
            of a row (Gal & Ghahramani, 2016), in training. Default: 0.
        weight_dropout: the probability of dropping a number of ``weight_hh``, in all layers, drawn for each call (the
            weight-dropped LSTM of Merity et al., 2018), in training. Default: 0.
        input_dropout: the probability of dropping a feature of the input, the same ones at all steps of a row, in
            training. Default: 0.
        forget_bias: what the biases of the forget gate f add up to at the beginning; ``bias_ih`` has it all (Gers et
            al., 2000; Jozefowicz et al., 2015, take 1). Default: None, drawn like the others.
        chrono_init: the longest time span T_max that the layer should bridge, at least 2: at the beginning the forget
            gate's biases are log(u), u drawn from 1 to T_max - 1, those of an input gate i the opposite, and
            ``bias_hh`` has none of it (Tallec & Ollivier, 2018). For a GRU it is the update gate z, which keeps the
            state. Default: None.
        learn_initial_state: the state that a sequence begins with where no ``hx`` is given, and goes back to at a
            ``reset``, is a parameter of each layer and direction, ``initial_{letter}_l{k}`` (P or H,), at first zeros.
            Default: False.
        activation: what the cell computes in the place of tanh, by the name of a function of torch.nn.functional: elu,
            hardsigmoid, hardtanh, leaky_relu, relu, sigmoid, silu, softplus, softsign, tanh, or linear; or a dictionary
            with what is in the place of tanh and of sigmoid, ``{"tanh": "relu", "sigmoid": "hardsigmoid"}``. It makes a
            cell of its own, called ``lstm(tanh=relu)``. Default: None, the cell's own.
        clip: every state is held in [-clip, clip] after each step, the first's ``hx`` excepted. Default: 0, no bound.
        gradient_clip: on its way back the gradient of every state after each step, which comes from the output and from
            the step after, is held in [-gradient_clip, gradient_clip] (Graves, 2013). Default: 0, no bound.
    """

    residual: bool
    norm: bool
    zoneout: float | Sequence[float]
    recurrent_dropout: float
    weight_dropout: float
    input_dropout: float
    forget_bias: float | None
    chrono_init: float | None
    learn_initial_state: bool
    activation: str | Mapping[str, str] | None
    clip: float
    gradient_clip: float


DEFAULTS: dict[str, Any] = {
    "residual": False,
    "norm": False,
    "zoneout": 0.0,
    "recurrent_dropout": 0.0,
    "weight_dropout": 0.0,
    "input_dropout": 0.0,
    "forget_bias": None,
    "chrono_init": None,
    "learn_initial_state": False,
    "activation": None,
    "clip": 0.0,
    "gradient_clip": 0.0,
}


ARGUMENTS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
# As other libraries call them.
_ELSEWHERE = {
    "units": "hidden_size",
    "layers": "num_layers",
    "use_bias": "bias",
    "time_major": "batch_first",
}


def check_nonlinearity(nonlinearity: Any) -> None:
    """ValueError unless ``nonlinearity`` is ``'tanh'`` or ``'relu'``."""
    if nonlinearity not in ("tanh", "relu"):
        told = f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
        if isinstance(nonlinearity, (bool, float)):
            told += (
                "\nOf an RNN the argument after num_layers is nonlinearity: give bias, batch_first and dropout by name."
            )
        raise ValueError(told)


def check_options(
    input_size: Any,
    hidden_size: Any,
    num_layers: Any,
    bias: Any,
    batch_first: Any,
    dropout: Any,
    bidirectional: Any,
    proj_size: Any,
) -> None:
    """ValueError or TypeError for the first argument that makes no sense; warns of a dropout that will do nothing."""
    _check_dropout(dropout, num_layers)
    if isinstance(bias, float):  # by its place where the dropout was meant
        raise TypeError(
            "bias should be of type bool, got: float\n"
            f"The argument after num_layers is bias: dropout is given by its name, dropout={bias}."
        )
    _check_bool("bias", bias)
    _check_bool("batch_first", batch_first)
    _check_size("input_size", input_size)
    _check_size("hidden_size", hidden_size)
    _check_bool("bidirectional", bidirectional)
    # These two may be any integer, numpy's too, as in torch.nn; a layer count of True is a slipped argument.
    if isinstance(num_layers, bool) or not isinstance(num_layers, SupportsIndex):
        raise TypeError(f"num_layers should be of type int, got: {type(num_layers).__name__}")
    if not isinstance(proj_size, SupportsIndex):
        raise TypeError(f"proj_size should be of type int, got: {type(proj_size).__name__}")
    if num_layers <= 0:  # type: ignore[operator]
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:  # type: ignore[operator]
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def as_cell(owner: str, cell: Any) -> Cell:
    """``cell``, or the one of that name.

    Raises:
        TypeError: it is neither a ``Cell`` nor a name.
        ValueError: no cell has that name.
    """
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        raise TypeError(f"{owner}: Expected cell to be a statewise.Cell or the name of one, got {type(cell).__name__}")
    try:
        return cells.by_name(cell)
    except KeyError as error:
        raise ValueError(f"{owner}: {error.args[0]}") from None


def check_step(input_size: Any, hidden_size: Any, bias: Any) -> None:
    """TypeError or ValueError unless a single step can be so wide."""
    _check_bool("bias", bias)
    _check_size("input_size", input_size)
    _check_size("hidden_size", hidden_size)


def check_heads(
    cell: Cell, num_heads: Any, input_sizes: Sequence[int], hidden_sizes: Sequence[int], proj_size: int
) -> None:
    """TypeError or ValueError unless the weights of layers so wide can be cut into blocks and projected so."""
    if not isinstance(num_heads, int) or isinstance(num_heads, bool):
        raise TypeError(f"num_heads should be of type int, got: {type(num_heads).__name__}")
    if num_heads < 1:
        raise ValueError(f"num_heads must be greater than zero, got {num_heads}")
    if num_heads > 1 and not cell.heads:
        raise ValueError(f"num_heads should be 1 for the cell {cell.name}, which has no heads, got {num_heads}")
    cut = [*hidden_sizes, *(input_sizes if "x" in cell.heads else ())]
    if any(size % num_heads for size in cut):
        raise ValueError(f"num_heads has to divide every width that is cut into heads, {cut}, got {num_heads}")
    if proj_size and (cell.heads or cell.late):
        what = "heads" if cell.heads else "a product of what its step computes, which is not projected"
        raise ValueError(f"proj_size should be zero for the cell {cell.name}, which has {what}, got {proj_size}")


def as_widths(hidden_size: Sequence[int], num_layers: Any) -> tuple[tuple[int, ...], int]:
    """H of each layer, and how many layers that are.

    Raises:
        TypeError, ValueError: these are no widths, or not as many as ``num_layers``, if that is given.
    """
    if not hidden_size:
        raise ValueError("hidden_size has to name one layer at least, got an empty list")
    for width in hidden_size:
        _check_size("hidden_size", width)
    count = len(hidden_size)
    if num_layers not in (1, count):
        raise ValueError(f"num_layers should be left out, or be the {count} that hidden_size names, got {num_layers}")
    return tuple(hidden_size), count


def per_state(zoneout: float | Sequence[float], cell: Cell) -> tuple[float, ...]:
    """``zoneout`` for each of the cell's states; none if it is 0 for all."""
    each = tuple(zoneout) if isinstance(zoneout, (tuple, list)) else (zoneout,) * len(cell.states)
    return tuple([float(p) for p in each]) if any(each) else ()  # type: ignore[arg-type]


def check_names(owner: str, options: Options) -> None:
    """TypeError for an argument that is no option; with the one whose name is like it."""
    for name in options:
        if name not in DEFAULTS:
            near = _ELSEWHERE.get(name) or next(iter(get_close_matches(name, [*ARGUMENTS, *DEFAULTS], 1)), "")
            meant = f". Did you mean {near!r}?" if near else ""
            raise TypeError(f"{owner}.__init__() got an unexpected keyword argument {name!r}{meant}")


def check_extras(layer: RecurrentLayer, cell: Cell, options: Options) -> None:
    """TypeError or ValueError for the first of the options that makes no sense, alone or for this layer."""
    given: dict[str, Any] = {**DEFAULTS, **options}
    variant(cell, given["activation"])
    for name in ("residual", "norm", "learn_initial_state"):
        _check_bool(name, given[name])
    zoneout = given["zoneout"]
    for p in zoneout if isinstance(zoneout, (tuple, list)) else [zoneout]:
        _check_number("zoneout", p, 0, 1)
    if isinstance(zoneout, (tuple, list)) and len(zoneout) != len(cell.states):
        states = ", ".join(cell.states)
        raise ValueError(f"zoneout has to be a number, or one for each state ({states}), got {len(zoneout)} of them")
    for name in ("recurrent_dropout", "weight_dropout", "input_dropout"):
        _check_number(name, given[name], 0, 1)
        if given[name] and name != "input_dropout" and not cell.recurrent:
            raise ValueError(f"{name} should be 0 for the cell {cell.name}, which has no weight_hh, got {given[name]}")
    for name in ("clip", "gradient_clip"):
        _check_number(name, given[name], 0)
    for name in ("residual", "norm"):
        if given[name] and layer.num_layers == 1:
            raise ValueError(f"{name} is between layers: it has no meaning where num_layers is 1")
    widths = layer._widths()[1]
    if given["residual"] and len({layer.proj_size or h for h in widths}) > 1:
        raise ValueError(f"residual adds what a layer reads to its output: all have to be of one width, got {widths}")
    for name in ("forget_bias", "chrono_init"):
        if given[name] is None:
            continue
        _check_number(name, given[name], *([2] if name == "chrono_init" else []))
        gate = keeping_gate(cell) if name == "chrono_init" else "f"
        if gate is None or gate not in tuple(cell.gates):
            raise ValueError(f"{name} is the forget gate's: the cell {cell.name} has no gate f, but {cell.gates!r}")
        if not layer.bias:
            raise ValueError(f"{name} is a bias: it has no meaning where bias is False")
    if given["forget_bias"] is not None and given["chrono_init"] is not None:
        raise ValueError("forget_bias and chrono_init both say what the forget gate begins with: give one of them")


def _check_number(name: str, value: Any, low: float | None = None, high: float | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, numbers.Real)):
        raise TypeError(f"{name} should be a number, got: {type(value).__name__}")
    allowed = "a finite number" if low is None else f"{low} or more" if high is None else f"from {low} to {high}"
    number = float(value)
    if not math.isfinite(number) or (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} should be {allowed}, got {value}")


def check_checkpoint(checkpoint: Any) -> None:
    """TypeError or ValueError unless ``checkpoint`` is a number of steps."""
    if isinstance(checkpoint, bool) or not isinstance(checkpoint, SupportsIndex):
        raise TypeError(f"checkpoint should be of type int, got: {type(checkpoint).__name__}")
    if operator.index(checkpoint) < 0:
        raise ValueError(f"checkpoint should be a positive number of steps, or zero to keep all, got {checkpoint}")


def _check_dropout(dropout: Any, num_layers: Any) -> None:
    number = isinstance(dropout, numbers.Number) and not isinstance(dropout, (bool, complex))
    if not number or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,  # past check_options and __init__, to who made the layer
        )


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def _check_size(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{name} must be greater than zero")
