"""The checks of the layers' constructor arguments, in torch.nn's order and words."""

from __future__ import annotations

import numbers
import operator
import warnings
from collections.abc import Sequence
from typing import Any, SupportsIndex

from .. import cells
from ..cells import Cell


def check_nonlinearity(nonlinearity: Any) -> None:
    """ValueError unless ``nonlinearity`` is ``'tanh'`` or ``'relu'``."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")


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
