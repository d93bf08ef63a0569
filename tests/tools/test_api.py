"""What is public is described: every argument by its name, every tensor and array with its shape."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import statewise
import statewise.jobs
from statewise import runtime

# Made by ``runtime.load`` and ``Network.pool``, not by programs: what they are made of is described in the file format.
MADE = {f"runtime.{name}" for name in runtime.__all__}
RAISE_NOTHING = {"GRUCell", "LSTMCell", "RNNCell", "Vector", "show_config", "warn_on_fallback"}
SHAPED = re.compile(r"Tensor|Array|NDArray")
SHAPE = re.compile(r"\((?:[\w.*+\[\]]+, ?)+(?:[\w.*+\[\]]+)?\)")  # (T, N, I), (n,)


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, classes and their own methods, by name."""
    for module in (statewise, statewise.jobs, runtime):
        for name in module.__all__:
            found = getattr(module, name)
            home = f"{module.__name__}.{name}".removeprefix("statewise.")
            if inspect.isfunction(found):
                yield home, found
            if inspect.isclass(found):
                yield home, found
                for attribute, member in vars(found).items():
                    function = getattr(member, "__func__", member)
                    if inspect.isfunction(function) and not attribute.startswith("_"):
                        yield f"{home}.{attribute}", function


PUBLIC = dict(public())


def arguments(name: str) -> list[str]:
    found = PUBLIC[name]
    if inspect.isclass(found) and (name in MADE or issubclass(found, Exception)):
        return []
    return [each for each in inspect.signature(found).parameters if each not in ("self", "cls")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_is_described(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert text, "no docstring"
    assert not [each for each in arguments(name) if not re.search(rf"\b{each}\b", text)]


@pytest.mark.parametrize("name", [name for name, found in PUBLIC.items() if not inspect.isclass(found)])
def test_every_tensor_has_its_shape(name):
    told = inspect.signature(PUBLIC[name])
    annotations = [told.return_annotation, *(each.annotation for each in told.parameters.values())]
    if any(isinstance(a, str) and SHAPED.search(a) for a in annotations):
        assert SHAPE.search(inspect.getdoc(PUBLIC[name]) or ""), "no shape"


@pytest.mark.parametrize("name", [name for name in PUBLIC if "." not in name])
def test_what_is_raised_is_said(name):
    """Of layers, and of the functions of ``statewise``; as torch.nn's, cells refuse nothing before they are called."""
    assert "Raises" in (inspect.getdoc(PUBLIC[name]) or "") or name in RAISE_NOTHING
