"""The contract of torch.nn's recurrent modules, mostly by asking torch.nn itself."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import statewise
from oracle import CELLS, LAYERS, flat, outcome, pair

Z = torch.zeros


def hx_of(kind: str, *shape: int, dtype: torch.dtype = torch.float32):
    """Zeros as a state for ``kind``: a pair for the LSTM."""
    h = Z(*shape, dtype=dtype)
    return (h, h.clone()) if kind.startswith("LSTM") else h


# Constructors


@pytest.mark.parametrize("kind", LAYERS)
def test_layer_signature(kind):
    first = ["input_size", "hidden_size", "num_layers"] + ["nonlinearity"] * (kind == "RNN")
    rest = ["bias", "batch_first", "dropout", "bidirectional", "proj_size", "device", "dtype", "checkpoint"]
    parameters = dict(inspect.signature(getattr(statewise, kind)).parameters)
    assert parameters.pop("options").kind is inspect.Parameter.VAR_KEYWORD  # ours, which come by name alone
    assert list(parameters) == first + rest
    assert parameters["checkpoint"].kind is inspect.Parameter.KEYWORD_ONLY  # torch.nn might add arguments of its own
    defaults = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    expected = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
    expected |= {"proj_size": 0, "device": None, "dtype": None, "checkpoint": 0} | (
        {"nonlinearity": "tanh"} if kind == "RNN" else {}
    )
    assert defaults == expected


@pytest.mark.parametrize("kind", CELLS)
def test_cell_signature_is_torchs(kind):
    ours = inspect.signature(getattr(statewise, kind)).parameters
    theirs = inspect.signature(getattr(nn, kind)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


BAD = [
    {"dropout": 2},
    {"dropout": -0.1},
    {"dropout": True},
    {"dropout": float("nan")},
    {"dropout": torch.tensor(0.5)},
    {"dropout": 0.5},  # warns, with one layer
    {"dropout": 0.5, "num_layers": 2},
    {"dropout": 1, "num_layers": 2},
    {"bias": 1},
    {"bias": None},
    {"bias": "True"},
    {"batch_first": 0},
    {"input_size": 3.0},
    {"input_size": "3"},
    {"input_size": 0},
    {"input_size": -1},
    {"hidden_size": 4.0},
    {"hidden_size": 0},
    {"num_layers": 0},
    {"num_layers": -1},
    {"num_layers": 0, "dropout": 0.5},
    # two at once: the first in torch's order is the one that's told
    {"dropout": 2, "bias": 1},
    {"bias": 1, "batch_first": 1},
    {"batch_first": 1, "input_size": 3.0},
    {"input_size": 0, "hidden_size": 4.0},
    {"hidden_size": 0, "num_layers": 0},
]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("change", BAD, ids=str)
def test_constructor_does_as_torchs(kind, change):
    arguments = {"input_size": 3, "hidden_size": 4} | change
    ours = outcome(lambda: getattr(statewise, kind)(**arguments))
    assert ours == outcome(lambda: getattr(nn, kind)(**arguments))


@pytest.mark.parametrize("proj_size", [-1, 4, 5, 2])
def test_projection_is_checked_as_torchs(proj_size):
    expected = outcome(lambda: nn.LSTM(3, 4, proj_size=proj_size))
    for kind in LAYERS:
        assert outcome(lambda kind=kind: getattr(statewise, kind)(3, 4, proj_size=proj_size)) == expected


@pytest.mark.parametrize("arguments", [(3, 4, 1, "sig"), (3, 4, 1, None), (3, 0, 1, "sig"), (3, 4, 2, "relu")])
def test_nonlinearity_is_the_fourth_argument_and_checked_first(arguments):
    assert outcome(lambda: statewise.RNN(*arguments)) == outcome(lambda: nn.RNN(*arguments))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_layers": True}, TypeError, "num_layers should be of type int, got: bool"),
        ({"num_layers": 2.0}, TypeError, "num_layers should be of type int, got: float"),
        ({"bidirectional": 1}, TypeError, "bidirectional should be of type bool, got: int"),
        ({"proj_size": 1.0}, TypeError, "proj_size should be of type int, got: float"),
        ({"hidden_size": True}, TypeError, "hidden_size should be of type int, got: bool"),
        ({"dropout": "x"}, ValueError, "dropout should be a number in range [0, 1] representing the probability"),
        ({"dropout": None}, ValueError, "dropout should be a number in range [0, 1] representing the probability"),
    ],
    ids=str,
)
def test_what_torch_lets_pass_is_refused(kind, change, error, message):
    with pytest.raises(error) as caught:
        getattr(statewise, kind)(**({"input_size": 3, "hidden_size": 4} | change))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", LAYERS)
def test_unknown_and_missing_arguments(kind):
    with pytest.raises(TypeError):
        getattr(statewise, kind)(3, 4, foo=1)
    with pytest.raises(TypeError):
        getattr(statewise, kind)(3)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("arguments", [(0, 4), (3, 0), (3, 4, 1), (3, 4, None), (3, 4, 0), (3, 4, "relu")], ids=str)
def test_cells_check_nothing_at_construction(kind, arguments):
    theirs, ours = pair(kind, *arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = torch.randn(2, arguments[0])
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        torch.testing.assert_close(a, b)


# Parameters

OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "num_layers": 3},
    {"proj_size": 2, "num_layers": 2, "bidirectional": True},
    {"proj_size": 2, "bias": False},
]


@pytest.mark.parametrize(
    ("kind", "options"), [(k, o) for k in LAYERS for o in OPTIONS if "proj_size" not in o or k == "LSTM"], ids=str
)
def test_parameters_names_shapes_order_and_start(kind, options):
    torch.manual_seed(5)
    theirs = getattr(nn, kind)(3, 4, **options)
    torch.manual_seed(5)
    ours = getattr(statewise, kind)(3, 4, **options)
    expected = list(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in expected]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(ours.named_parameters(), expected, strict=True))
    assert ours._flat_weights_names == theirs._flat_weights_names
    assert [len(group) for group in ours.all_weights] == [len(group) for group in theirs.all_weights]
    assert all(a is b for a, b in zip(ours._flat_weights, ours.parameters(), strict=True))
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_projection_parameters_of_the_layers_that_torch_has_none_for(kind):
    shapes = {name: tuple(p.shape) for name, p in getattr(statewise, kind)(3, 5, 2, proj_size=2).named_parameters()}
    rows = 15 if kind == "GRU" else 5
    assert shapes["weight_ih_l0"] == (rows, 3)
    assert shapes["weight_ih_l1"] == (rows, 2)
    assert shapes["weight_hh_l0"] == (rows, 2)
    assert shapes["weight_hr_l1"] == (2, 5)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_cell_parameters_and_start(kind, bias):
    torch.manual_seed(5)
    theirs = getattr(nn, kind)(3, 4, bias)
    torch.manual_seed(5)
    ours = getattr(statewise, kind)(3, 4, bias)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert (ours.bias_ih is None) == (theirs.bias_ih is None)


@pytest.mark.parametrize("kind", LAYERS)
def test_reset_parameters_draws_again_as_torch_does(kind):
    theirs, ours = pair(kind, 3, 4, 2)
    torch.manual_seed(7)
    theirs.reset_parameters()
    torch.manual_seed(7)
    ours.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_device_and_dtype_arguments(kind):
    module = getattr(statewise, kind)(3, 4, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.float64)}


# Attributes


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "dropout": 1, "bidirectional": True, "batch_first": True}])
def test_attributes_are_torchs(kind, options):
    theirs, ours = pair(kind, 3, 4, **options)
    sizes = ["input_size", "hidden_size", "num_layers", "proj_size"]
    names = [*sizes, "mode", "bias", "batch_first", "dropout", "bidirectional", "training"]
    for name in names + ["nonlinearity"] * (kind == "RNN"):
        assert getattr(ours, name) == getattr(theirs, name), name
        assert type(getattr(ours, name)) is type(getattr(theirs, name)), name
    assert ours.flatten_parameters() is None
    assert repr(ours) == repr(theirs)


def test_repr_shows_what_is_no_default():
    layer = statewise.LSTM(3, 4, 2, False, True, 0.5, True, 2)
    theirs = nn.LSTM(3, 4, 2, False, True, 0.5, True, 2)
    assert repr(layer) == repr(theirs)
    assert repr(statewise.RNN(3, 4, 2, "relu")) == "RNN(3, 4, num_layers=2, nonlinearity=relu)"
    assert repr(statewise.RNN(3, 4)) == "RNN(3, 4)"
    assert repr(statewise.RNNCell(3, 4, nonlinearity="relu")) == repr(nn.RNNCell(3, 4, nonlinearity="relu"))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_methods_that_libraries_call(kind, batch_first):
    theirs, ours = pair(kind, 3, 4, 2, batch_first=batch_first, bidirectional=True)
    x = Z(5, 2, 3)
    assert ours.get_expected_hidden_size(x, None) == theirs.get_expected_hidden_size(x, None)
    sizes = torch.tensor([3, 2])
    assert ours.get_expected_hidden_size(Z(5, 3), sizes) == theirs.get_expected_hidden_size(Z(5, 3), sizes)
    if kind == "LSTM":
        assert ours.get_expected_cell_size(x, None) == theirs.get_expected_cell_size(x, None)
    n = 5 if batch_first else 2
    for size in ((4, n, 4), (4, n + 1, 4)):
        call = [lambda m=m, size=size: m.check_forward_args(x, hx_of(kind, *size), None) for m in (ours, theirs)]
        assert outcome(call[0]) == outcome(call[1])
    h, order = torch.randn(4, 3, 4), torch.tensor([2, 0, 1])
    state = (h, h * 2) if kind == "LSTM" else h
    for a, b in zip(flat(ours.permute_hidden(state, order)), flat(theirs.permute_hidden(state, order)), strict=True):
        assert torch.equal(a, b)
    assert ours.permute_hidden(state, None) is state


@pytest.mark.parametrize("kind", LAYERS)
def test_changed_attributes_count(kind):
    """A layer whose sizes and weights are replaced (structured pruning does so) is a layer of the new sizes."""
    theirs, ours = pair(kind, 3, 4)
    small = getattr(nn, kind)(3, 2)
    for layer in (theirs, ours):
        layer.hidden_size = 2
        for name, parameter in small.named_parameters():
            setattr(layer, name, nn.Parameter(parameter.detach().clone()))
        layer.batch_first = True
    x = torch.randn(2, 5, 3)
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        torch.testing.assert_close(a, b)


# Forward: the messages


def messages(kind):
    """Calls that torch.nn refuses, each as a function of the module, of LSTM(3, 4) and the like."""
    double = torch.float64
    return {
        "1-D": lambda m: m(Z(3)),
        "0-D": lambda m: m(Z(())),
        "4-D": lambda m: m(Z(1, 1, 1, 3)),
        "dtype": lambda m: m(Z(2, 2, 3, dtype=double)),
        "integers": lambda m: m(Z(2, 2, 3, dtype=torch.int64)),
        "features": lambda m: m(Z(2, 2, 7)),
        "features, unbatched": lambda m: m(Z(2, 7)),
        "dtype and features": lambda m: m(Z(2, 2, 7, dtype=double)),
        "hx of 2-D": lambda m: m(Z(2, 2, 3), hx_of(kind, 1, 4)),
        "hx of 3-D, unbatched": lambda m: m(Z(2, 3), hx_of(kind, 1, 1, 4)),
        "hx of 4-D and dtype": lambda m: m(Z(2, 2, 3, dtype=double), hx_of(kind, 1, 1, 1, 4)),
        "hx rows": lambda m: m(Z(2, 2, 3), hx_of(kind, 1, 3, 4)),
        "hx layers": lambda m: m(Z(2, 2, 3), hx_of(kind, 2, 2, 4)),
        "hx width": lambda m: m(Z(2, 2, 3), hx_of(kind, 1, 2, 5)),
        "hx width, unbatched": lambda m: m(Z(2, 3), hx_of(kind, 1, 5)),
    }


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("case", list(messages("LSTM")))
def test_refusals_are_torchs(kind, case):
    theirs, ours = pair(kind, 3, 4)
    call = messages(kind)[case]
    expected = outcome(lambda: call(theirs))
    assert expected[0] in (ValueError, RuntimeError)
    assert outcome(lambda: call(ours)) == expected


@pytest.mark.parametrize("hx", [(Z(1, 2, 4), Z(1, 2, 5)), (Z(1, 2, 4), Z(2, 4)), (Z(1, 3, 4), Z(1, 2, 4))])
def test_refusals_for_one_of_the_lstms_states_are_torchs(hx):
    theirs, ours = pair("LSTM", 3, 4)
    expected = outcome(lambda: theirs(Z(2, 2, 3), hx))
    assert expected[0] is RuntimeError
    assert outcome(lambda: ours(Z(2, 2, 3), hx)) == expected


@pytest.mark.parametrize("kind", LAYERS)
def test_packed_input_is_checked_like_any_other(kind):
    """Where torch.nn truncates or passes the error on to a matrix product, the words of the dense case."""
    layer = getattr(statewise, kind)(3, 4)
    which = "hidden[0]" if kind == "LSTM" else "hidden"
    packed = pack_padded_sequence(Z(3, 2, 3), [3, 2])

    def refusal(call):
        with pytest.raises(RuntimeError) as caught:
            call()
        return str(caught.value).split("\n")[0]

    for shape in ((1, 3, 4), (1, 1, 4), (1, 2, 5), (2, 4)):
        expected = f"Expected {which} size (1, 2, 4), got {list(shape)}"
        assert refusal(lambda shape=shape: layer(packed, hx_of(kind, *shape))) == expected
    expected = "input.size(-1) must be equal to input_size. Expected 3, got 7"
    assert refusal(lambda: layer(pack_padded_sequence(Z(3, 2, 7), [3, 2]))) == expected
    assert refusal(lambda: layer(pack_padded_sequence(Z(3, 2), [3, 2]))) == "input must have 2 dimensions, got 1"
    with pytest.raises(ValueError, match=r"RNN input dtype \(torch.float64\) does not match weight dtype"):
        layer(pack_sequence([Z(2, 3, dtype=torch.float64)]))
    for rows in (4, 7):
        expected = f"Expected batch_sizes to add up to the {rows} rows of the packed data, got 5"
        assert refusal(lambda rows=rows: layer(PackedSequence(Z(rows, 3), torch.tensor([2, 2, 1])))) == expected
    expected = "Expected batch_sizes that never increase, got [1, 2, 2]"
    assert refusal(lambda: layer(PackedSequence(Z(5, 3), torch.tensor([1, 2, 2])))) == expected
    few = PackedSequence(Z(5, 3), torch.tensor([2, 2, 1]), torch.tensor([0]), torch.tensor([0]))
    assert refusal(lambda: layer(few)) == "Expected 2 sorted_indices, one a batch row, got 1"


@pytest.mark.parametrize("kind", LAYERS)
def test_hx_of_the_wrong_kind(kind):
    layer = getattr(statewise, kind)(3, 4)
    cell = getattr(statewise, kind + "Cell")(3, 4)
    if kind == "LSTM":
        wrong = {
            "Tensor": Z(1, 2, 4),
            "tuple of (Tensor)": (Z(1, 2, 4),),
            "list of (Tensor, Tensor, Tensor)": [Z(1, 2, 4)] * 3,
            "tuple of (NoneType, NoneType)": (None, None),
            "str": "hx",
        }
        expected = "a tuple of 2 tensors (h_0, c_0)"
    else:
        wrong = {"tuple of (Tensor, Tensor)": (Z(1, 2, 4),) * 2, "list of (Tensor)": [Z(1, 2, 4)], "int": 0}
        expected = "a Tensor"
    packed = pack_sequence([Z(2, 3), Z(1, 3)])
    calls = [(layer, Z(2, 2, 3), kind), (layer, Z(2, 3), kind), (layer, packed, kind), (cell, Z(2, 3), f"{kind}Cell")]
    for (got, hx), (module, x, name) in itertools.product(wrong.items(), calls):
        with pytest.raises(TypeError) as caught:
            module(x, hx)
        assert str(caught.value).split("\n")[0] == f"{name}: Expected hx to be {expected}, got {got}"


@pytest.mark.parametrize("kind", LAYERS)
def test_hx_and_weights_of_another_dtype_or_device(kind):
    layer = getattr(statewise, kind)(3, 4)
    with pytest.raises(RuntimeError, match=r"hx dtype \(torch.float64\) does not match weight dtype \(torch.float32\)"):
        layer(Z(2, 2, 3), hx_of(kind, 1, 2, 4, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="not at the same device, found input tensor at meta and parameter tensor"):
        layer(Z(2, 2, 3, device="meta"))
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().double())
    with pytest.raises(RuntimeError, match="weight_hh_l0 dtype"):
        layer(Z(2, 2, 3))
    layer.weight_hh_l0 = nn.Parameter(Z(1, 1))
    with pytest.raises(RuntimeError, match=r"Expected weight_hh_l0 of size \[\d+, 4\], got \[1, 1\]"):
        layer(Z(2, 2, 3))


def cell_messages(kind):
    return {
        "3-D": lambda m: m(Z(1, 1, 3)),
        "0-D": lambda m: m(Z(())),
        "hx of 3-D": lambda m: m(Z(2, 3), hx_of(kind, 1, 1, 4)),
        "features": lambda m: m(Z(2, 7)),
        "features, unbatched": lambda m: m(Z(7)),
        "hx width": lambda m: m(Z(2, 3), hx_of(kind, 2, 5)),
        "hx rows": lambda m: m(Z(2, 3), hx_of(kind, 3, 4)),
        "hx rows and width": lambda m: m(Z(2, 3), hx_of(kind, 3, 5)),
        "hx unbatched, input not": lambda m: m(Z(2, 3), hx_of(kind, 4)),
        "input unbatched, hx not": lambda m: m(Z(3), hx_of(kind, 1, 4)),
        "width, unbatched": lambda m: m(Z(3), hx_of(kind, 5)),
    }


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("case", list(cell_messages("LSTM")))
def test_cell_refusals_are_torchs(kind, case):
    theirs, ours = pair(kind, 3, 4)
    call = cell_messages(kind)[case]
    expected = outcome(lambda: call(theirs))
    assert expected[0] in (ValueError, RuntimeError)
    assert outcome(lambda: call(ours)) == expected


@pytest.mark.parametrize("hx", [(Z(2, 4), Z(2, 5)), (Z(2, 4), Z(3, 4)), (Z(2, 4), Z(1, 2, 4))])
def test_refusals_for_one_of_the_lstm_cells_states_are_torchs(hx):
    theirs, ours = pair("LSTMCell", 3, 4)
    expected = outcome(lambda: theirs(Z(2, 3), hx))
    assert expected[0] in (ValueError, RuntimeError)
    assert outcome(lambda: ours(Z(2, 3), hx)) == expected


@pytest.mark.parametrize("kind", CELLS)
def test_cell_dtypes_must_agree(kind):
    cell = getattr(statewise, kind)(3, 4)
    with pytest.raises(RuntimeError, match=rf"{kind} input dtype \(torch.float64\) does not match weight dtype"):
        cell(Z(2, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match=rf"{kind} hx dtype \(torch.float64\) does not match weight dtype"):
        cell(Z(2, 3), hx_of(kind, 2, 4, dtype=torch.float64))


def test_rnn_cell_refuses_its_nonlinearity_when_called():
    theirs, ours = nn.RNNCell(3, 4, nonlinearity="sig"), statewise.RNNCell(3, 4, nonlinearity="sig")
    assert outcome(lambda: ours(Z(2, 3))) == outcome(lambda: theirs(Z(2, 3)))
    ours.nonlinearity = theirs.nonlinearity = "relu"
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(torch.ones(2, 3)), theirs(torch.ones(2, 3)))


# Forward: the shapes and what they share


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(5, 2, 3), (1, 1, 3), (5, 3), (5, 0, 3)], ids=str)
def test_shapes_are_torchs(kind, batch_first, shape):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True, batch_first=batch_first)
    if batch_first and len(shape) == 3:
        shape = (shape[1], shape[0], 3)
    x = torch.randn(shape)
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        torch.testing.assert_close(a, b)
    assert type(ours(x)[1]) is type(theirs(x)[1])


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_no_time_steps_give_the_initial_state(kind, batch_first):
    """torch.nn refuses an input without time steps (pytorch #50192)."""
    layer = getattr(statewise, kind)(3, 4, batch_first=batch_first, bidirectional=True)
    shape = (2, 0, 3) if batch_first else (0, 2, 3)
    output, final = layer(Z(shape))
    assert output.shape == (*shape[:2], 8)
    assert all(torch.equal(s, Z(2, 2, 4)) for s in flat(final))
    h = torch.randn(2, 2, 4, requires_grad=True)
    hx = (h, h * 2) if kind == "LSTM" else h
    output, final = layer(Z(shape), hx)
    for s, start in zip(flat(final), flat(hx), strict=True):
        assert torch.equal(s, start)
        assert s.data_ptr() != start.data_ptr()
    (output.sum() + sum(s.sum() for s in flat(final))).backward()
    assert torch.equal(h.grad, torch.full((2, 2, 4), 3.0 if kind == "LSTM" else 1.0))
    assert layer(Z(0, 3))[0].shape == (0, 8)


@pytest.mark.parametrize("kind", LAYERS)
def test_batch_of_none_backward(kind):
    layer = getattr(statewise, kind)(3, 4)
    x = torch.zeros(5, 0, 3, requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad.shape == (5, 0, 3)
    assert all(not p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", [(5, 2, 3), (1, 2, 3), (5, 3), (1, 3)], ids=str)
def test_final_state_shares_no_storage(kind, shape):
    layer = getattr(statewise, kind)(3, 4)
    with torch.no_grad():
        hx = hx_of(kind, *((1, 2, 4) if len(shape) == 3 else (1, 4)))
        output, final = layer(torch.randn(shape), hx)
        tensors = [output, *flat(final), *flat(hx)]
    storages = {t.untyped_storage().data_ptr() for t in tensors}
    assert len(storages) == len(tensors)


def test_lstm_takes_its_state_as_a_list():
    layer, cell = statewise.LSTM(3, 4), statewise.LSTMCell(3, 4)
    x, h, c = torch.randn(2, 2, 3), torch.randn(1, 2, 4), torch.randn(1, 2, 4)
    assert torch.equal(layer(x, [h, c])[0], layer(x, (h, c))[0])
    assert torch.equal(cell(x[0], [h[0], c[0]])[0], cell(x[0], (h[0], c[0]))[0])


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_in_packed_out(kind, enforce_sorted):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True)
    lengths = [5, 3, 2] if enforce_sorted else [2, 5, 3]
    packed = pack_padded_sequence(torch.randn(5, 3, 3), lengths, enforce_sorted=enforce_sorted)
    h = torch.randn(4, 3, 4)
    hx = (h, h + 1) if kind == "LSTM" else h
    (a, a_n), (b, b_n) = ours(packed, hx), theirs(packed, hx)
    assert isinstance(a, PackedSequence)
    assert torch.equal(a.batch_sizes, b.batch_sizes)
    for name in ("sorted_indices", "unsorted_indices"):
        assert (getattr(a, name) is None) == enforce_sorted
        assert enforce_sorted or torch.equal(getattr(a, name), getattr(b, name))
    for u, v in zip([a.data, *flat(a_n)], [b.data, *flat(b_n)], strict=True):
        torch.testing.assert_close(u, v)


# Chance and precision


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("p", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("form", ["time first", "batch first", "unbatched", "packed", "eval"])
def test_dropout_drops_what_torch_drops(kind, p, form):
    """With the weights set so that a dropped unit shows: the same seed leaves the same pattern, and random state."""
    options = {"num_layers": 3, "dropout": p, "bidirectional": True, "batch_first": form == "batch first"}
    theirs, ours = pair(kind, 3, 4, **options)
    if form == "eval":
        theirs.eval()
        ours.eval()
    x = torch.randn(5, 3) if form == "unbatched" else torch.randn(5, 6, 3)
    if form == "packed":
        x = pack_padded_sequence(x, [2, 5, 4, 1, 3, 3], enforce_sorted=False)
    torch.manual_seed(11)
    expected = [*flat(theirs(x)), torch.rand(3)]
    torch.manual_seed(11)
    actual = [*flat(ours(x)), torch.rand(3)]
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert torch.equal(actual[-1], expected[-1])


def test_dropout_masks_are_torchs_to_the_bit():
    """An RNN of relu with the identity for its weights hands the masked values on unchanged."""
    theirs, ours = pair("RNN", 4, 4, 3, "relu", bias=False, dropout=0.4)
    with torch.no_grad():
        for k, layer in itertools.product(range(3), (theirs, ours)):
            getattr(layer, f"weight_ih_l{k}").copy_(torch.eye(4))
            getattr(layer, f"weight_hh_l{k}").zero_()
    x = torch.rand(7, 5, 4)
    torch.manual_seed(3)
    expected = theirs(x)[0]
    torch.manual_seed(3)
    actual = ours(x)[0]
    assert 0 < int((actual == 0).sum()) < actual.numel()
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16], ids=str)
def test_autocast_answers_as_torch_nn_does(kind, given):
    """In the same dtypes, and as near as its 16 bits allow."""
    dtype = torch.bfloat16
    theirs, ours = pair(kind, 3, 4)
    cell = kind.endswith("Cell")
    x = torch.randn(2, 3) if cell else torch.randn(5, 2, 3)
    hx = hx_of(kind, 2, 4) if cell else hx_of(kind, 1, 2, 4)
    x = x.to(dtype).to(given).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        actual, expected = flat(ours(x, hx)), flat(theirs(x, hx))
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)
    sum(a.float().sum() for a in actual).backward()
    assert x.grad.dtype == given
    assert all(p.grad.dtype == torch.float32 for p in ours.parameters())


@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_autocast_of_a_float64_input_computes_in_the_weights_dtype(kind):
    """Which torch.nn refuses."""
    module = getattr(statewise, kind)(3, 4)
    x = torch.randn(2, 3) if kind.endswith("Cell") else torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = flat(module(x.double()))
    for a, b in zip(actual, flat(module(x)), strict=True):
        assert torch.equal(a, b.bfloat16())


@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_autocast_leaves_float64_and_integers_alone(kind):
    module = getattr(statewise, kind)(3, 4)
    shape = (2, 3) if kind.endswith("Cell") else (5, 2, 3)
    with torch.autocast("cpu"):
        assert flat(module.double()(Z(shape, dtype=torch.float64)))[0].dtype == torch.float64
        with pytest.raises((ValueError, RuntimeError), match="dtype"):
            module(Z(shape, dtype=torch.int64))


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64], ids=str)
def test_other_dtypes(kind, dtype):
    module = getattr(statewise, kind)(3, 4, dtype=dtype)
    x = torch.randn((2, 3) if kind.endswith("Cell") else (5, 2, 3)).to(dtype)
    result = flat(module(x))
    assert all(r.dtype == dtype for r in result)
    wide = getattr(statewise, kind)(3, 4, dtype=torch.complex128 if dtype.is_complex else torch.float64)
    wide.load_state_dict(module.state_dict())
    expected = flat(wide(x.to(next(wide.parameters()).dtype)))
    tolerance = 1e-5 if dtype.is_complex else 0.05
    for a, b in zip(result, expected, strict=True):
        assert (a.to(b.dtype) - b).abs().max() < tolerance


def test_users_may_derive():
    class Mine(statewise.LSTM):
        def __init__(self, size):
            super().__init__(size, size, batch_first=True)

    assert isinstance(Mine(3), nn.RNNBase)
    assert Mine(3)(Z(2, 5, 3))[0].shape == (2, 5, 3)
    with pytest.raises(ValueError, match=r"^LSTM: Expected input"):
        Mine(3)(Z(3))


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_put_into_flat_weights_is_computed_with(kind):
    """As torch.nn does, until a parameter is replaced."""
    theirs, ours = pair(kind, 3, 4)
    x = torch.randn(5, 2, 3)
    for module in (theirs, ours):
        module._flat_weights = [w.detach() * 2 for w in module._flat_weights]
    torch.testing.assert_close(ours(x), theirs(x))
    assert not torch.equal(ours(x)[0], pair(kind, 3, 4)[1](x)[0])
    for module in (theirs, ours):
        module.weight_hh_l0 = torch.nn.Parameter(torch.ones_like(module.weight_hh_l0))
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_names_a_wrong_size_before_a_wrong_dtype(kind):
    theirs, ours = pair(kind, 3, 4)
    for x, hx in ((torch.randn(2, 3).double(), Z((2, 5))), (Z((2, 3)), Z((3, 4)).double()), (Z((2, 5)).double(), None)):
        hx = (hx, hx) if kind == "LSTMCell" and hx is not None else hx
        messages = []
        for module in (theirs, ours):
            with pytest.raises(RuntimeError) as told:
                module(x, hx)
            messages.append(str(told.value).split("\n")[0])
        assert messages[0] == messages[1]
