"""The runtime needs numpy and the kernels, and nothing else that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import statewise
from statewise.jobs import Tagger, Translator

# Whatever isn't numpy's, Python's or statewise's can't be imported.
ALONE = """
import importlib.abc, sys

class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"numpy", "statewise"} and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} isn't there")

sys.meta_path.insert(0, Only())
import numpy as np
from statewise import runtime
"""
STREAMS = """
net = runtime.load(sys.argv[1])
data = np.load(sys.argv[2])
found = {"y": net.run(data["x"], data["lengths"])}
pool = net.pool()
streams = [pool.add() for _ in range(data["x"].shape[1])]
for x in data["x"]:
    last = pool.step(streams, x)
streams = [pool.add(net.from_bytes(net.to_bytes(pool.state(stream)))) for stream in streams]
np.savez(sys.argv[3], last=last, more=pool.step(streams, data["x"][0]), **found)
assert "torch" not in sys.modules
"""


TEXTS = """
net = runtime.load(sys.argv[1])
if isinstance(net, runtime.Tagger):
    print(net.tag([["Joan", "sat"], ["Rome"]]))
else:
    print([best[0].text for best in net.translate(["one", "two"])])
assert "torch" not in sys.modules
"""


def alone(code, *arguments):
    """What a process of its own prints."""
    command = [sys.executable, "-c", ALONE + code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@torch.no_grad()
def test_where_torch_can_not_be_imported(tmp_path):
    model = statewise.LSTM(3, 17, 2, residual=True, norm=True).eval()
    x, lengths = torch.randn(8, 4, 3), torch.tensor([8, 1, 3, 8])
    statewise.save(model, tmp_path / "net.safetensors")
    np.savez(tmp_path / "in.npz", x=x.numpy(), lengths=lengths.numpy())
    paths = [str(tmp_path / name) for name in ("net.safetensors", "in.npz", "out.npz")]
    alone(STREAMS, *paths)
    found = np.load(tmp_path / "out.npz")
    expected = model(x, lengths=lengths)[0].numpy()
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found["y"][:length, row], expected[:length, row], atol=2e-6)
    np.testing.assert_allclose(found["last"], model(x)[0][-1].numpy(), atol=2e-6)
    np.testing.assert_allclose(found["more"], model(torch.cat([x, x[:1]]))[0][-1].numpy(), atol=2e-6)


@pytest.mark.parametrize("job", ["tag", "translate"])
def test_texts_where_torch_can_not_be_imported(job, tmp_path):
    path = tmp_path / "model.safetensors"
    if job == "tag":
        words, tags = [["Joan", "sat"], ["in", "Rome"]], [["B-PER", "O"], ["O", "B-LOC"]]
        model = Tagger(units=3, epochs=1, crf=True, validation_share=0.0).fit(words, tags)
        expected = model.predict([["Joan", "sat"], ["Rome"]])
    else:
        model = Translator(units=3, embedding=3, epochs=1, validation_share=0.0).fit(["one", "two"], ["1", "2"])
        expected = model.predict(["one", "two"])
    model.save(path)
    assert alone(TEXTS, str(path)) == str(expected)


def test_weights_from_elsewhere_where_torch_can_not_be_imported(tmp_path):
    figures = Path(__file__).parents[1] / "weights" / "figures"
    told = json.loads((figures / "rtneural.json").read_text(encoding="utf-8"))["lstm_1d"]
    (tmp_path / "model.json").write_text(json.dumps(told["model"]))
    code = """
import statewise
print(runtime.load(sys.argv[1]).run([[[value]] for value in map(float, sys.argv[2].split())])[-1, 0, 0])
part = statewise.read_weights(sys.argv[3])["nnx.gru"]
print(part.network().run(np.ones((1, 1, 3))).shape)
assert "torch" not in sys.modules
"""
    said = alone(code, str(tmp_path / "model.json"), " ".join(map(str, told["x"])), str(figures / "flax.npz"))
    last, shape = said.split("\n")
    assert abs(float(last) - told["y"][-1]) < 2e-6
    assert shape == "(1, 1, 4)"
