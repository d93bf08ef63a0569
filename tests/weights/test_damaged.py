"""Files that are cut, bent or made to take memory: one line says so, and nothing else comes of them."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import statewise
from statewise import runtime

FIGURES = Path(__file__).parent / "figures"


def _originals(tmp_path: Path) -> dict[str, bytes]:
    state = nn.GRU(2, 3).state_dict()
    safetensors.torch.save_file(state, tmp_path / "file")
    found = {"safetensors": (tmp_path / "file").read_bytes()}
    torch.save({"model": state}, tmp_path / "file")
    found["pt"] = (tmp_path / "file").read_bytes()
    found["npz"] = (FIGURES / "flax.npz").read_bytes()
    for name in ("keras-stepwise.keras", "keras-sequential.weights.h5"):
        found[name.partition(".")[2]] = (FIGURES / name).read_bytes()
    return found


@pytest.mark.parametrize("kind", ["safetensors", "pt", "npz", "keras", "weights.h5"])
def test_every_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    original, path, draw = _originals(tmp_path)[kind], tmp_path / "damaged", random.Random(0)
    refusals = []
    for number in range(30):
        data = bytearray(original)
        if number % 3 == 0:
            del data[draw.randrange(len(data)) :]
        else:
            for _ in range(draw.choice((1, 3, 30))):
                data[draw.randrange(min(len(data), 3000) if number % 2 else len(data))] = draw.choice((0, 0x7F, 0xFF))
        path.write_bytes(data)
        refusals += [said for read in (statewise.read_weights, runtime.load) if (said := _refusal(read, path))]
    assert len(refusals) > 30
    assert all(said.startswith(f"{path}: ") and len(said.splitlines()) == 1 and len(said) < 500 for said in refusals)


def _refusal(read: Callable[[Path], object], path: Path) -> str | None:
    """What it says, if it says anything; whatever else is raised comes out."""
    try:
        read(path)
    except runtime.LoadError as error:
        return str(error)
    return None


def _npy(shape: str, data: bytes = bytes(8), descr: str = "<f4", version: int = 1) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_npy("(1000000, 1000000)"), r"a\.npy: expected 4000000000000 bytes of shape \(1000000, 1000000\), got 8$"),
        (_npy("(-2,)"), r"a\.npy: expected numbers, got float32$"),
        (_npy("(2,)", descr="|O"), r"a\.npy: expected numbers, got object$"),
        (_npy("(2,)", version=9), r"a\.npy: not a header of numpy's: "),
        (b"", r"a\.npy: not a header of numpy's: "),
    ],
)
def test_an_array_has_the_bytes_that_it_says(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(runtime.LoadError, match=message):
        statewise.read_weights(path)


def test_a_member_that_says_less_than_it_has_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(10**6))
    data = bytearray(file.getvalue())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # the size in the directory
    path = tmp_path / "weights.npz"
    path.write_bytes(data)
    with pytest.raises(runtime.LoadError, match=r"a\.npy: "):
        statewise.read_weights(path)


def test_arrays_by_columns_and_of_other_kinds_are_read(tmp_path: Path) -> None:
    state = {name: tensor.numpy() for name, tensor in nn.GRU(2, 3).state_dict().items()}
    turned = {name: np.asfortranarray(array).astype(">f4") for name, array in state.items()}
    np.savez(tmp_path / "weights.npz", **turned)
    (part,) = statewise.read_weights(tmp_path / "weights.npz").values()
    assert all(np.array_equal(part.arrays[name], array) for name, array in state.items())
    assert all(array.dtype == np.float32 for array in part.arrays.values())


def test_mappings_in_themselves_end(tmp_path: Path) -> None:
    tree: dict[str, object] = {}
    tree["x"] = tree
    with pytest.raises(ValueError, match=r"expected mappings in no more than 64 others, got more$"):
        statewise.read_weights(tree)


def test_numbers_in_the_other_byte_order(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "other.weights.h5"
    path.write_bytes((FIGURES / "keras-sequential.weights.h5").read_bytes())
    expected = statewise.read_weights(path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            array = np.array(file[name])
            del file[name]
            file[name] = array.astype(array.dtype.newbyteorder(">"))
    for name, part in statewise.read_weights(path).items():
        for key, tensor in part.layer().state_dict().items():
            torch.testing.assert_close(tensor, expected[name].layer().state_dict()[key])
