"""What a command has written is not written over without a word, and a forecast is called after its model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from statewise import cli
from statewise.jobs import Classifier, Forecaster, Tagger, Translator, Writer


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A trained model of every job in a folder of its own."""
    folder = tmp_path_factory.mktemp("runs")
    values = np.sin(np.arange(60.0))
    models = {
        "first": Forecaster(horizon=3, ensemble=1, epochs=1).fit(values),
        "second": Forecaster(horizon=2, ensemble=1, epochs=1).fit(values),
        "classes": Classifier(units=2, epochs=1).fit([values[:5], values[:6]] * 3, ["a", "b"] * 3),
        "words": Writer(units=4, layers=1, epochs=1).fit("it was, it is\n" * 20),
        "tags": Tagger(units=2, word_size=2, character_units=0, epochs=1).fit([["it", "was"]] * 4, [["A", "B"]] * 4),
        "texts": Translator(units=2, embedding=2, epochs=1).fit(["it", "was"], ["a", "b"]),
    }
    for name, model in models.items():
        (folder / name).mkdir()
        model.save(folder / name / "model.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_forecasts_of_two_models_go_into_two_files(runs, monkeypatch):
    for name, rows in (("first", 3), ("second", 2)):
        assert cli.main(["forecast", "predict", str(runs / name / "model.safetensors")]) == 0
        assert len(Path(f"{name}-forecast.csv").read_text().splitlines()) == 1 + rows
    monkeypatch.chdir(runs / "first")
    assert cli.main(["forecast", "predict", "model.safetensors", "--out", "here.csv"]) == 0


@pytest.mark.parametrize(
    ("job", "words", "file"),
    [
        ("forecast predict", ["first"], "first-forecast.csv"),
        ("forecast predict", ["first", "--out", "x.csv"], "x.csv"),
        ("classify predict", ["classes", "data.csv"], "data-predicted.csv"),
        ("tag predict", ["tags", "words.txt"], "words-tagged.txt"),
        ("tag predict", ["tags", "words.txt", "--text"], "words-tagged.conll"),
        ("translate predict", ["texts", "data.csv"], "data-predicted.csv"),
        ("write score", ["words", "words.txt", "--out", "lines.csv"], "lines.csv"),
    ],
)
def test_a_file_that_is_there_is_kept_unless_it_is_said_otherwise(job, words, file, runs, capsys):
    Path("words.txt").write_text("it\nwas\n")
    Path("data.csv").write_text("a,b,c\n1,2,3\n")
    Path(file).write_text("mine")
    command = [*job.split(), str(runs / words[0] / "model.safetensors"), *words[1:]]
    assert cli.main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{file}: is there already" in err
    assert err.count("\n") == 1
    assert Path(file).read_text() == "mine"
    assert cli.main([*command, "--overwrite"]) == 0
    assert Path(file).read_text() != "mine"
