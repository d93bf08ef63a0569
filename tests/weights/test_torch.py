"""torch's checkpoints, in every file that they come in."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import statewise
from statewise import runtime
from statewise.layers import RecurrentLayer
from statewise.weights import torch_names

I, H = 3, 5  # noqa: E741


def _layers() -> dict[str, nn.RNNBase]:
    return {
        "rnn": nn.RNN(I, H),
        "relu": nn.RNN(I, H, nonlinearity="relu"),
        "lstm": nn.LSTM(I, H, num_layers=2, bidirectional=True, proj_size=2),
        "gru": nn.GRU(I, H, bias=False, bidirectional=True),
        "deep": nn.LSTM(I, H, num_layers=12),
    }


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(_layers())
        self.output = nn.Linear(H, 2)
        self.cell = nn.GRUCell(I, H)


def _file(model: nn.Module, tmp_path: Path, kind: str) -> Any:
    """The state_dict, as ``kind``."""
    state = model.state_dict()
    path = tmp_path / f"weights.{kind}"
    if kind == "mapping":
        return {"model": state, "step": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}}
    if kind == "pt":
        torch.save({"model": state, "step": 3}, path)
    elif kind == "pth":
        torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
    elif kind == "safetensors":
        safetensors.torch.save_file({f"model.{name}": tensor for name, tensor in state.items()}, path)
    elif kind == "npz":
        np.savez(path, **{f"model.{name}": tensor.numpy() for name, tensor in state.items()})
    else:
        path.write_text(json.dumps({"model": {name: tensor.tolist() for name, tensor in state.items()}}))
    return path


@pytest.mark.parametrize("kind", ["mapping", "pt", "pth", "safetensors", "npz", "json"])
def test_every_layer_is_found_and_computes_the_same(tmp_path: Path, kind: str) -> None:
    model, x = Model(), torch.randn(7, 2, I)
    parts = statewise.read_weights(_file(model, tmp_path, kind))
    assert set(parts) == {f"model.encoder.{name}" for name in model.encoder} | {"model.cell"}
    for name, layer in model.encoder.items():
        part = parts[f"model.encoder.{name}"]
        if name == "relu":
            assert part.others == ("rnn_relu",)
            continue
        ours = part.layer()
        assert type(ours).__name__ == type(layer).__name__
        torch.testing.assert_close(ours(x)[0], layer(x)[0])
        torch.testing.assert_close(torch.from_numpy(part.network().run(x.numpy())), layer(x)[0].detach())


def test_weights_are_loaded_into_a_layer_of_that_form(tmp_path: Path) -> None:
    model, x = Model(), torch.randn(7, 2, I)
    path = _file(model, tmp_path, "safetensors")
    layer = statewise.RNN(I, H, nonlinearity="relu")
    statewise.load_weights(layer, path, "model.encoder.relu")
    torch.testing.assert_close(layer(x)[0], model.encoder["relu"](x)[0])
    alone = statewise.GRU(I, H, bias=False, bidirectional=True)
    statewise.load_weights(alone, model.encoder["gru"].state_dict())
    torch.testing.assert_close(alone(x)[0], model.encoder["gru"](x)[0])


def test_half_precision_is_widened(tmp_path: Path) -> None:
    layer = nn.LSTM(I, H).bfloat16()
    safetensors.torch.save_file(layer.state_dict(), tmp_path / "half.safetensors")
    for source in (layer.state_dict(), tmp_path / "half.safetensors"):
        (part,) = statewise.read_weights(source).values()
        assert np.array_equal(part.arrays["weight_hh_l0"], layer.weight_hh_l0.detach().float().numpy())


def test_float64_stays_float64() -> None:
    layer = nn.GRU(I, H).double()
    (part,) = statewise.read_weights(layer.state_dict()).values()
    x = torch.randn(4, 2, I, dtype=torch.float64)
    torch.testing.assert_close(part.layer()(x)[0], layer(x)[0])
    np.testing.assert_allclose(part.network().run(x.numpy()), layer(x)[0].detach().numpy(), atol=1e-12)


def test_short_names_are_known_too() -> None:
    state = {
        f"enc_{name.replace('weight', 'w').replace('bias', 'b')}": w
        for name, w in nn.GRUCell(I, H).state_dict().items()
    }
    assert set(state) == {"enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"}
    assert statewise.read_weights(state)["enc"].cell == "gru"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (statewise.GRU(I, H), r"^lstm: expected weights of the cell gru, got lstm$"),
        (statewise.LSTM(I, H), r"^lstm: expected weights of a layer with num_layers=1, got num_layers=2$"),
        (
            statewise.LSTM(I + 1, H, 2, bidirectional=True),
            r"^lstm: expected weights of a layer with input_size=4, got input_size=3$",
        ),
        (
            statewise.LSTM(I, H, 2, bidirectional=True),
            r"^lstm: expected weights of a layer with proj_size=0, got proj_size=2$",
        ),
    ],
)
def test_a_layer_of_another_form_is_left_as_it_was(layer: RecurrentLayer, message: str) -> None:
    before = layer.weight_hh_l0.clone()
    source = {f"lstm.{name}": w for name, w in _layers()["lstm"].state_dict().items()}
    with pytest.raises(ValueError, match=message):
        statewise.load_weights(layer, source)
    assert torch.equal(layer.weight_hh_l0, before)


def test_a_name_is_asked_for_where_there_are_several() -> None:
    source = {f"{k}.{name}": w for k in "ab" for name, w in nn.GRU(I, H).state_dict().items()}
    with pytest.raises(ValueError, match=r"^the mapping: expected a name, one of a, b, got none$"):
        statewise.load_weights(statewise.GRU(I, H), source)
    with pytest.raises(ValueError, match=r"^the mapping: expected one of a, b, got c$"):
        statewise.load_weights(statewise.GRU(I, H), source, "c")


def _state(**changed: tuple[int, ...] | None) -> dict[str, np.ndarray[Any, Any]]:
    shapes: dict[str, tuple[int, ...] | None] = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5)}
    shapes |= {"bias_ih_l0": (20,), "bias_hh_l0": (20,)}
    return {f"a.{name}": np.zeros(shape, np.float32) for name, shape in (shapes | changed).items() if shape is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (_state(weight_hh_l0=(20, 6)), r"^a\.weight_hh_l0: expected rows for 1, 3 or 4 gates, got \(20, 6\)$"),
        (_state(weight_hh_l0=(20,)), r"^a\.weight_hh_l0: expected numbers of shape \(any, any\), got \(20,\)$"),
        (_state(weight_hh_l0=(0, 0)), r"^a\.weight_hh_l0: expected rows for 1, 3 or 4 gates, got \(0, 0\)$"),
        (_state(bias_ih_l0=(19,)), r"^a\.bias_ih_l0: expected numbers of shape \(20\), got \(19,\)$"),
        (_state(weight_ih_l0=None), r"^a: expected weight_ih and weight_hh of the lowest layer, got bias_hh_l0"),
        (_state(weight_hh_l2=(20, 5)), r"^a: expected weight_ih_l1, got "),
        (_state(weight_hh_l999=(20, 5)), r"^a: expected weight_ih_l1, got "),
        (_state(weight_ch_l0=(15,)), r"^a: expected torch\.nn's tensors alone, got weight_ch_l0$"),
        (_state(weight_hh=(20, 5)), r"^a: expected each tensor once, got weight_hh$"),
        (_state(weight_ih_l0_reverse=(20, 3)), r"^a: expected weight_hh_l0_reverse, got "),
        ({"x": np.zeros(2)}, r"^expected names such as weight_hh_l0 .*, got x$"),
        ({}, r"^expected names such as weight_hh_l0 .*, got no arrays$"),
        (
            {"a.weight_hh_l0": np.zeros((20, 5), int), "a.weight_ih_l0": np.zeros((20, 3))},
            r"floating-point numbers, got int64",
        ),
    ],
)
def test_what_does_not_fit_is_refused(state: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        statewise.read_weights(state)


def test_a_reference_to_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(Model(), path)
    with pytest.raises(runtime.LoadError, match=r"whole\.pt: torch\.load can't read it with weights_only: ") as caught:
        statewise.read_weights(path)
    assert len(str(caught.value).splitlines()) == 1
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", "")
        archive.writestr("model/code/__torch__.py", "")
    with pytest.raises(runtime.LoadError, match=r"expected weights, got a TorchScript program: give torch\.jit\.load"):
        statewise.read_weights(path)


def test_the_runtime_says_what_weights_alone_are() -> None:
    with pytest.raises(runtime.LoadError, match=r"it describes no network; statewise\.read_weights may find layers"):
        runtime.load(Path(__file__).parent / "figures/flax.npz")


def test_the_words_of_the_table_are_those_of_torch() -> None:
    assert set(torch_names.parts(_state())) == {"a"}
