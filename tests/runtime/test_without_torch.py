"""The runtime needs numpy and the kernels, and nothing else that is installed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import statewise
from statewise import jobs

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


SAID = """
import json

found = {}
for path in sys.argv[1:]:
    net = runtime.load(path)
    kind = type(net).__name__
    if kind == "Tagger":
        said = net.tag([["Joan", "sat"], ["Rome"]])
    elif kind == "Translator":
        said = [best[0].text for best in net.translate(["one", "two"])]
    elif kind == "Forecaster":
        said = [net.run().tolist(), net.run(9, level=80).tolist(), net.after([[0.5]]).run().tolist()]
    elif kind == "Classifier":
        said = net.run(["a cat", "two dogs"]).tolist()
    elif kind == "Writer":
        said = np.exp(net.run(net.encode("one"))).tolist()
    else:
        said = net.run(np.linspace(0, 1, 8).reshape(8, 1, 1)).tolist()
    found[path] = said
print(json.dumps(found))
assert "torch" not in sys.modules
"""
# torch alone can't be imported; what looks whether it is there may.
NO_TORCH = """
import importlib.abc, importlib.machinery, json, sys

class NoTorch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.partition(".")[0] == "torch" else None

    def create_module(self, spec):
        raise ModuleNotFoundError(f"{spec.name} isn't there", name=spec.name)

sys.meta_path.insert(0, NoTorch())
"""
COMMANDS = """
from statewise import cli

for command in json.loads(sys.argv[1]):
    assert cli.main(command) == 0, command
    if command[0] in ("forecast", "write", "tag"):
        assert not {"torch", "polars", "narwhals", "scipy", "sklearn", "matplotlib"} & set(sys.modules), command
"""
CLASSES = """
from statewise import jobs

folder, values = sys.argv[1], [0.1 * n for n in range(8)]
forecaster = jobs.Forecaster.load(f"{folder}/forecast")
said = {
    "forecast": [forecaster.predict_quantiles().tolist(), forecaster.predict(h=9).tolist()],
    "series": forecaster.stream().step(0.5).tolist(),
    "classify": jobs.Classifier.load(f"{folder}/classify").predict_proba([values]).tolist(),
    "texts": jobs.Classifier.load(f"{folder}/texts").predict_proba(["a cat", "two dogs"]).tolist(),
    "write": [jobs.Writer.load(f"{folder}/write").sample(2), jobs.Writer.load(f"{folder}/write").score("one two")],
    "tag": jobs.Tagger.load(f"{folder}/tag").predict_n_best([["Joan", "sat"], ["Rome"]], 2),
    "translate": jobs.Translator.load(f"{folder}/translate").predict(["one", "two"]),
}
print(json.dumps(said))
"""


def alone(code, *arguments, begin=ALONE, cwd=None):
    """What a process of its own prints."""
    command = [sys.executable, "-c", begin + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A trained model of every job, and the folder of their files."""
    folder = tmp_path_factory.mktemp("models")
    waves = np.sin(np.arange(80) / 3)
    quick = {"units": 3, "epochs": 1, "validation_share": 0.0}
    short = {"horizon": 4, "season": 6, "units": 3, "epochs": 1}
    trained = {
        "forecast": jobs.Forecaster(model="lstm", ensemble=2, **short).fit(waves),
        "windows": jobs.Forecaster(model="segrnn", combine=False, **short).fit(waves),
        "classify": jobs.Classifier(minirocket=False, **quick).fit([waves[:8], waves[8:17]] * 4, ["a", "b"] * 4),
        "texts": jobs.Classifier(**quick).fit(["a small cat", "the large dog"] * 8, ["cat", "dog"] * 8),
        "write": jobs.Writer(layers=1, **quick).fit("one two three\none two\n" * 20),
        "tag": jobs.Tagger(crf=True, **quick).fit([["Joan", "sat"], ["in", "Rome"]], [["B-PER", "O"], ["O", "B-LOC"]]),
        "translate": jobs.Translator(embedding=3, **quick).fit(["one", "two"], ["1", "2"]),
    }
    for name, model in trained.items():
        model.save(folder / name)
    return trained, folder


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


def test_every_jobs_model_where_there_is_numpy_alone(models):
    trained, folder = models
    paths = {name: str(folder / name) for name in trained}
    said = json.loads(alone(SAID, *paths.values()))
    said = {name: said[path] for name, path in paths.items()}
    for name in ("forecast", "windows"):
        model = trained[name]
        stream = model.stream()
        stream.step(0.5)
        expected = [model.predict_quantiles(), model.predict_quantiles(h=9, level=80)]
        expected.append(stream.forecaster.predict_quantiles())
        for found, quantiles in zip(said[name], expected, strict=True):
            np.testing.assert_allclose(found[0], quantiles, rtol=1e-12)
    np.testing.assert_allclose(said["classify"], trained["classify"].predict_proba([np.linspace(0, 1, 8)]), rtol=1e-5)
    np.testing.assert_allclose(said["texts"], trained["texts"].predict_proba(["a cat", "two dogs"]), rtol=1e-12)
    assert np.shape(said["write"]) == (3, 1, len(trained["write"].symbols_))
    assert said["tag"] == trained["tag"].predict([["Joan", "sat"], ["Rome"]])
    assert said["translate"] == trained["translate"].predict(["one", "two"])


@pytest.mark.slow
def test_the_classes_predict_without_torch(models):
    trained, folder = models
    said = json.loads(alone(CLASSES, str(folder), begin=NO_TORCH))
    values = [0.1 * n for n in range(8)]
    forecaster = trained["forecast"]
    np.testing.assert_allclose(said["forecast"][0], forecaster.predict_quantiles(), rtol=1e-12)
    np.testing.assert_allclose(said["forecast"][1], forecaster.predict(h=9), rtol=1e-12)
    np.testing.assert_allclose(said["series"], forecaster.stream().step(0.5), rtol=1e-12)
    np.testing.assert_allclose(said["classify"], trained["classify"].predict_proba([values]), rtol=1e-12)
    np.testing.assert_allclose(said["texts"], trained["texts"].predict_proba(["a cat", "two dogs"]), rtol=1e-12)
    assert said["write"] == [trained["write"].sample(2), trained["write"].score("one two")]
    assert said["tag"] == json.loads(json.dumps(trained["tag"].predict_n_best([["Joan", "sat"], ["Rome"]], 2)))
    assert said["translate"] == trained["translate"].predict(["one", "two"])


def test_the_commands_predict_without_torch(models, tmp_path):
    _, folder = models
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    (tmp_path / "words.txt").write_text("Joan\nsat\n")
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    commands = [
        ["forecast", "predict", str(folder / "forecast")],
        ["write", "sample", str(folder / "write"), "--count", "2"],
        ["write", "complete", str(folder / "write"), "on"],
        ["write", "score", str(folder / "write"), "texts.txt"],
        ["tag", "predict", str(folder / "tag"), "words.txt"],
        ["translate", "predict", str(folder / "translate"), "texts.txt", "--no-header"],
        ["classify", "predict", str(folder / "classify"), "rows.csv"],
    ]
    alone(COMMANDS, json.dumps(commands), begin=NO_TORCH, cwd=tmp_path)
    made = {path.name for path in tmp_path.iterdir()} - {"rows.csv", "words.txt", "texts.txt"}
    assert made == {"forecast-forecast.csv", "words-tagged.txt", "texts-predicted.csv", "rows-predicted.csv"}
