"""Files: what is written is safetensors; what isn't ours, or is damaged, is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import statewise
from statewise import runtime
from statewise.runtime import LoadError, file


@pytest.fixture(params=[None, "int8"])
def path(request, tmp_path):
    torch.manual_seed(0)
    statewise.save(statewise.LSTM(3, [4, 2], norm=True), tmp_path / "net.safetensors", dtype=request.param)
    return tmp_path / "net.safetensors"


def test_others_read_what_is_written(path):
    told, arrays = file.read(path.read_bytes(), "")
    found = safetensors.numpy.load_file(path)
    assert found.keys() == arrays.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])
    with safetensors.safe_open(path, "np") as opened:
        assert json.loads(opened.metadata()["statewise"]) == told


@pytest.mark.parametrize("dtype", [None, "int8", "bfloat16"])
def test_the_same_is_written_for_the_same(dtype, tmp_path):
    for name in ("one", "other"):
        torch.manual_seed(0)
        statewise.save(statewise.LSTM(3, [4, 2], norm=True), tmp_path / name, dtype=dtype)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_every_dtype_is_read():
    kinds = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")
    arrays = {kind: np.arange(6).astype(kind).reshape(2, 3) for kind in kinds}
    arrays |= {"empty": np.zeros((0, 5), np.float32), "none": np.array(3.0)}
    data = safetensors.numpy.save(arrays, metadata={"statewise": json.dumps({"content": {}})})
    _, found = file.read(data, "")
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    half = torch.randn(4, 5).bfloat16()
    data = safetensors.torch.save({"x": half}, metadata={"statewise": json.dumps({"content": {}})})
    np.testing.assert_array_equal(file.read(data, "")[1]["x"], half.float().numpy())


def test_a_damaged_file_is_refused_or_says_what_it_says(path):
    """Every byte of the header and some of the others, each made another one."""
    data, x = path.read_bytes(), np.ones((2, 1, 3), np.float32)
    begin = 8 + int.from_bytes(data[:8], "little")
    random, said = np.random.default_rng(0), []
    for at in [*range(begin), *random.integers(begin, len(data), 50).tolist()]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            net = runtime.load(path)
        except LoadError as error:
            said.append(str(error))
        else:
            assert net.run(x).shape == (2, 1, net.width)
    assert all(line.startswith(str(path)) and "\n" not in line for line in said)
    assert len(said) > begin / 4
    for end in (0, 5, 8, begin - 1, begin, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(LoadError, match=r"not a whole .safetensors file"):
            runtime.load(path)


def changed(path, change):
    told, arrays = file.read(path.read_bytes(), "")
    arrays = dict(arrays)
    change(told["content"], arrays)
    path.write_bytes(file.write("network", 1, told["content"], arrays))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: c["ops"].append({"op": "attend"}), "the runtime has no op 'attend'; it has embedding, linear"),
        (lambda c, a: c["ops"].append({"op": "add", "of": ["y"]}), "add: expected of to be among x, layer.0"),
        (lambda c, a: c["ops"].append(dict(c["ops"][0])), "layer.0: expected a name of its own, got 'layer.0'"),
        (lambda c, a: c["ops"][0].update(hidden_size=2**40), "expected layer.0.weight_ih_l0 of size"),
        (lambda c, a: c["ops"][0].update(num_layers=10**9), "layer.0: expected as many layers as there are weights"),
        (lambda c, a: c["ops"][0].update(proj_size=-1), "expected proj_size to be a whole number from 0 on, got -1"),
        (lambda c, a: c["ops"][0].update(zoneout=[2, 0]), "expected zoneout of each state"),
        (lambda c, a: c["ops"][0].update(bias=1), "expected bias to be true or false, got 1"),
        (lambda c, a: a.pop("layer.0.bias_hh_l0"), "there is no tensor layer.0.bias_hh_l0"),
        (lambda c, a: a.update(more=np.ones(3)), "the runtime can't run what more belongs to"),
        (lambda c, a: c.update(inputs=[]), "expected the inputs of a program"),
        (lambda c, a: c["inputs"][0].update(width=4), "expected layer.0.weight_ih_l0 of size"),
        (lambda c, a: c.update(ops=[]), "expected the ops of a program"),
    ],
)
def test_a_program_that_makes_no_sense(change, message, path):
    changed(path, change)
    with pytest.raises(LoadError, match=message):
        runtime.load(path)


def test_what_the_runtime_does_not_read(path, tmp_path):
    told, arrays = file.read(path.read_bytes(), "")
    path.write_bytes(file.write("network", 2, told["content"], arrays))
    with pytest.raises(LoadError, match=r"a network of format 2, written by statewise .*; the runtime reads format 1"):
        runtime.load(path)
    path.write_bytes(file.write("checkpoint", 1, told["content"], arrays))
    with pytest.raises(LoadError, match="the runtime runs no checkpoint"):
        runtime.load(path)
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(LoadError, match="expected a file of statewise's, the header says nothing of it"):
        runtime.load(path)
    with pytest.raises(FileNotFoundError):
        runtime.load(tmp_path / "nothing")


def test_a_header_that_says_it_is_huge_takes_no_memory(path):
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(LoadError, match=r"not a whole .safetensors file"):
        runtime.load(path)


def test_names_that_a_stranger_chose_stay_in_one_line(path):
    def renamed(content, _):
        content["ops"][1].update(name="a\nb" * 500, of=["nowhere"])

    changed(path, renamed)
    with pytest.raises(LoadError, match="a ba b") as caught:
        runtime.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    told, arrays = file.read(path.read_bytes(), "")
    path.write_bytes(file.write("network", "a\nb", told["content"], arrays))
    with pytest.raises(LoadError, match="a network of format a b, written by statewise"):
        runtime.load(path)


def test_a_name_that_is_no_text(path):
    told, arrays = file.read(path.read_bytes(), "")
    arrays["half of a pair \ud800"] = arrays.pop(next(iter(arrays)))
    path.write_bytes(file.write("network", 1, told["content"], arrays))
    with pytest.raises(LoadError, match=r"expected names of tensors, got 'half of a pair \\ud800', which is no text"):
        runtime.load(path)


def test_scales_that_are_huge_are_no_warning(path):
    def scaled(_, arrays):
        for name in arrays:
            if name.endswith(".scale"):
                arrays[name] = np.full_like(arrays[name], 3e38)

    changed(path, scaled)
    runtime.load(path)
