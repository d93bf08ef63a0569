"""Every input and every expected error that torch's own test suite has for the six modules, against torch.nn.

Two deviations are meant: an input without time steps works here, and so does ``proj_size`` for GRU and RNN.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

import statewise
from oracle import CELLS, LAYERS, flat

INFOS = {info.module_cls.__name__: info for info in module_db if info.module_cls.__name__ in LAYERS + CELLS}
REFUSED_BY_TORCH = "Expected sequence length to be larger than 0 in RNN"


def inputs(kind, training, packed, dtype):
    more = {"with_packed_sequence": True} if packed else {}
    info = INFOS[kind]
    return list(info.module_inputs_func(info, "cpu", dtype, True, training, **more))


def leaf_tensors(values):
    return [t for v in values for t in flat(v) if t.requires_grad]


def test_all_six_are_there():
    assert sorted(INFOS) == sorted(LAYERS + CELLS)
    assert {kind: len(inputs(kind, True, False, torch.float32)) for kind in LAYERS} == {
        "RNN": 32,
        "LSTM": 32,
        "GRU": 16,
    }
    with_packed = inputs("GRU", True, True, torch.float32)
    assert sum(isinstance(i.forward_input.args[0], PackedSequence) for i in with_packed) == 16


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_inputs(kind, training, packed, dtype):
    for sample in inputs(kind, training, packed, dtype):
        made, called = sample.constructor_input, sample.forward_input
        theirs = getattr(nn, kind)(*made.args, **made.kwargs).to(dtype).train(training)
        ours = getattr(statewise, kind)(*made.args, **made.kwargs).to(dtype).train(training)
        ours.load_state_dict(theirs.state_dict())
        leaves = leaf_tensors(called.args)
        results = []
        for module in (ours, theirs):
            outputs = flat(module(*called.args, **called.kwargs))
            loss = sum((o * torch.linspace(-1, 2, o.numel(), dtype=dtype).view_as(o)).sum() for o in outputs)
            results.append([*outputs, *torch.autograd.grad(loss, [*leaves, *module.parameters()])])
        assert leaves
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_errors(kind, dtype):
    info = INFOS[kind]
    samples = list(info.module_error_inputs_func(info, "cpu", dtype, False, True))
    assert len(samples) == {"RNN": 14, "LSTM": 14, "GRU": 14, "RNNCell": 6, "GRUCell": 6, "LSTMCell": 4}[kind]
    for sample in samples:
        made, called = sample.module_error_input.constructor_input, sample.module_error_input.forward_input
        error = pytest.raises(sample.error_type, match=sample.error_regex)
        if sample.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with error:
                getattr(statewise, kind)(*made.args, **made.kwargs)
        else:
            module = getattr(statewise, kind)(*made.args, **made.kwargs)
            if "dtype" not in made.kwargs:
                module = module.to(dtype)
            with error:
                module(*called.args, **called.kwargs)


@pytest.mark.parametrize("kind", LAYERS)
def test_deviation_no_time_steps(kind):
    """torch's test_error_RNN_seq_len_zero asserts the error; we return an empty output and the initial state."""
    with pytest.raises(RuntimeError, match=re.escape(REFUSED_BY_TORCH)):
        getattr(nn, kind)(10, 20)(torch.ones(0, 10, 10))
    output, final = getattr(statewise, kind)(10, 20)(torch.ones(0, 10, 10))
    assert output.shape == (0, 10, 20)
    assert all(torch.equal(s, torch.zeros(1, 10, 20)) for s in flat(final))


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_deviation_projection(kind):
    """torch refuses the argument for these two; we compute it."""
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM, not RNN or GRU"):
        getattr(nn, kind)(3, 4, proj_size=2)
    assert getattr(statewise, kind)(3, 4, proj_size=2)(torch.ones(5, 2, 3))[0].shape == (5, 2, 2)
