"""A program made ready to run: what a file says of a network, given to the kernels, which have every op.

docs/runtime.md has the ops; ``kernels/cpu/network/`` computes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import cells
from ..kernels import cpu
from ..kernels.cpu._kernels import MOST_AROUND, NEVER, Program, activation_names
from ..kernels.served import number_or_reason
from .file import Arrays, LoadError, name_of

__all__ = ["ACTIVATIONS", "KEPT", "MOST_AROUND", "NEVER", "Form", "Part", "Program", "inputs_of", "made", "parts_of"]

ACTIVATIONS = tuple(activation_names())
KEPT = ("float32", "bfloat16", "int8")
"""How the weights of recurrent layers may be packed."""


class Form(NamedTuple):
    """What is known of a value before there is one."""

    width: int
    """F; of symbols how many there are."""
    kind: str = "values"
    """Or ``symbols``; or ``summary``, (N, F)."""


class Part(NamedTuple):
    """An op of a program."""

    name: str
    op: str
    form: Form
    """Of its result."""
    keeps_steps: bool
    """Whether that has as many steps as it reads."""
    entry: Mapping[str, Any]
    """What the program says of it."""


def inputs_of(content: Mapping[str, Any]) -> list[tuple[str, Form]]:
    """The inputs of a program that can be run."""
    return [
        (told["name"], Form(told["width"], "symbols" if told["kind"] == "symbols" else "values"))
        for told in content["inputs"]
    ]


def parts_of(content: Mapping[str, Any], program: Program) -> list[Part]:
    """The ops of a program that can be run."""
    return [
        Part(name, op, Form(width, kind), keeps_steps, entry)
        for (name, op, kind, width, keeps_steps), entry in zip(program.parts, content["ops"], strict=True)
    ]


def made(content: Mapping[str, Any], arrays: Arrays, threads: int) -> Program:
    """For the instruction set in use. Raises ``LoadError`` for what can't be run."""
    told = {name: content[name] for name in ("inputs", "ops", "results") if name in content}
    if odd := [name for name in arrays if any("\ud800" <= letter <= "\udfff" for letter in name)]:
        raise LoadError(
            f"expected names of tensors, got {odd[0]!r:.80}, which is no text"
        )  # half of a character's pair
    tensors = {
        name: (name_of(array), np.ascontiguousarray(array).reshape(array.shape)) for name, array in arrays.items()
    }
    try:
        return Program(json.dumps(told), tensors, dict(_cells(content.get("ops"))), threads)
    except ValueError as error:
        raise LoadError(str(error)) from None


def _lent(name: str, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """A tensor as the kernels read it, and what its numbers are."""
    try:
        dtype = name_of(array)
    except KeyError:
        raise LoadError(f"expected numbers in {name}, got {array.dtype}") from None
    return dtype, np.require(array, array.dtype.newbyteorder("="), ("C", "A"))


def _cells(ops: Any) -> Iterator[tuple[str, tuple[int, list[str], list[str]]]]:
    """Of each cell that ops name its number among the kernels', and what its states and weights are called."""
    for entry in ops if isinstance(ops, list) else []:
        name = entry.get("cell") if isinstance(entry, dict) and entry.get("op") == "recurrent" else None
        if not isinstance(name, str):
            continue
        try:
            cell = cells.by_name(name)
            number = number_or_reason(cell, cpu.instruction_set())
        except KeyError as error:
            number = str(error.args[0])
        if isinstance(number, str):
            raise LoadError(f"{entry.get('name', 'recurrent')}: {number}")
        yield name, (number, list(cell.states), [weight.name for weight in cell.weights(True, False)])
