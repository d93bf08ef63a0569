"""Models that former versions wrote are read, and say what they said then.

``former/`` has files of version 0.1.0, of format 1 or with what stood beside a classifier's network in format 2, and
``said.json`` what they said. None of them is ever written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from statewise import cli
from statewise.jobs import Classifier, Forecaster, InputError, Tagger, Writer

FORMER = Path(__file__).parent / "former"
SAID = json.loads((FORMER / "said.json").read_text())
WAVES = np.sin(np.arange(60.0))


def former(name):
    return FORMER / f"{name}.safetensors"


def saved_again(model, folder):
    """``model``, written in today's format and read again."""
    model.save(folder / "model")
    return type(model).load(folder / "model")


@pytest.mark.parametrize("name", ["forecast-steps", "forecast-windows"])
def test_forecasters(name, tmp_path):
    model = Forecaster.load(former(name))
    for either in (model, saved_again(model, tmp_path)):
        np.testing.assert_allclose(either.predict_quantiles(), SAID[name], rtol=1e-5)
    assert model.get_params()["cell"] == {"forecast-steps": "lstm", "forecast-windows": "lstm"}[name]


def test_a_classifier(tmp_path):
    model = Classifier.load(former("classify"))
    for either in (model, saved_again(model, tmp_path)):
        np.testing.assert_allclose(either.predict_proba([WAVES[:5], WAVES[10:17]]), SAID["classify"], rtol=1e-5)
        assert either.classes_.tolist() == ["a", "b"]
    arguments = model.get_params()
    assert (arguments["head"], arguments["units"], arguments["gaps"]) == ("attention", 2, "carry")


@pytest.mark.parametrize(
    ("name", "sequences"),
    [
        ("classify-ngrams", ["rossini", "ivanov", ""]),
        ("classify-minirocket", [WAVES[:20], WAVES[10:30] / 2, WAVES[:9]]),
    ],
)
def test_classifiers_with_a_linear_model_beside_the_network(name, sequences, tmp_path):
    model = Classifier.load(former(name))
    for either in (model, saved_again(model, tmp_path)):
        np.testing.assert_allclose(either.predict_proba(sequences), SAID[name], rtol=1e-4)
        assert 0 < either.model_.beside.share < 1


def test_writers(tmp_path):
    model = Writer.load(former("write-lines"))
    for either in (model, saved_again(model, tmp_path)):
        assert either.score("it was\nit is\n") == pytest.approx(SAID["write-lines"][0], rel=1e-5)
        np.testing.assert_allclose(either.predict_proba("it w"), SAID["write-lines"][1], rtol=1e-5)
        assert len(either.sample(3)) == 3
    model = Writer.load(former("write-words"))
    for either in (model, saved_again(model, tmp_path)):
        assert either.score("it was and it is") == pytest.approx(SAID["write-words"][0], rel=1e-5)
        assert either.complete("it", 3) == SAID["write-words"][1]


def test_a_tagger(tmp_path):
    model = Tagger.load(former("tag"))
    sentences = [[("it", "P"), ("was", "V"), ("Oslo", "N")], [("Anna", "N"), ("is", "V")]]
    for either in (model, saved_again(model, tmp_path)):
        assert either.predict(sentences) == SAID["tag"]
    assert model.get_params()["crf"] is True


def test_the_commands_read_them_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("it P O\nwas V O\n")
    Path("rows.csv").write_text("a,b,c\n1,2,3\n")
    assert cli.main(["forecast", "predict", str(former("forecast-steps"))]) == 0
    assert cli.main(["classify", "predict", str(former("classify")), "rows.csv"]) == 0
    assert cli.main(["write", "sample", str(former("write-lines"))]) == 0
    assert cli.main(["tag", "predict", str(former("tag")), "words.txt", "--features", "2"]) == 0
    assert "words-tagged.txt: 1 sentence" in capsys.readouterr().out


CLASSES = {"forecast": Forecaster, "classify": Classifier, "write": Writer, "tag": Tagger}


@pytest.mark.parametrize("path", sorted(FORMER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_one_that_is_damaged_is_refused_in_one_line(path, tmp_path):
    with safe_open(path, "pt") as opened:
        header = json.loads(opened.metadata()["statewise"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    assert header["format"] == 1 or header["content"].get("highway") or "network.beside.keys" in tensors
    refused = list[str]()
    for name in header["content"]:
        for other in (3, None, {}, []):
            damaged = {**header, "content": {**header["content"], name: other}}
            save_file(tensors, tmp_path / "model", metadata={"statewise": json.dumps(damaged)})
            try:
                CLASSES[path.stem.split("-")[0]].load(tmp_path / "model")
            except InputError as error:  # what is not refused is read
                refused.append(str(error))
    assert len(refused) > len(header["content"])
    assert all("a damaged" in said and "\n" not in said for said in refused)
