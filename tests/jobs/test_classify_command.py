"""``statewise classify`` from the command line: what it prints and writes, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

from statewise import cli
from statewise.jobs import Classifier

FILES = [
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.csv",
    "report.html",
]
QUICK = ["--epochs", "2", "--units", "8"]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def toy(n=24, seed=0, classes="ab", name="toy.csv", label=True):
    """A table in long form: each sequence hovers around the number of its class."""
    random = np.random.default_rng(seed)
    rows = [
        (f"s{i}", step, classes[i % len(classes)], *(i % len(classes) + random.normal(0, 0.3, 2)))
        for i in range(n)
        for step in range(random.integers(3, 7))
    ]
    frame = pl.DataFrame(rows, schema=["id", "step", "label", "x", "y"], orient="row")
    (frame if label else frame.drop("label")).write_csv(name)
    return Path(name)


def classify(*words):
    return cli.main(["classify", *map(str, words)])


def refused(capsys, *words):
    """The one line that refuses ``words``; nothing is written."""
    before = sorted(os.listdir())
    assert classify(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return err.removeprefix("statewise classify: ").rstrip("\n")


def test_without_an_argument_it_classifies_digits(capsys):
    assert classify("--epochs", "6", "--learning-rate", "0.01") == 0
    out, err = capsys.readouterr()
    assert "\r" not in err  # no progress bar where nobody looks; a line a minute at most
    assert "digits: 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)" in out
    assert "images of 8 x 8, read row by row (20 % of each class, split off with seed 0)" in out
    folder = Path("runs/classify-digits-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    assert sorted(os.listdir(folder)) == FILES
    accuracy = {name: float(v) for name, v in re.findall(r"^(.*\S)  +([\d.]+) %  +[\d.]+$", out, re.MULTILINE)}
    assert accuracy["GRU"] > 90
    assert accuracy["most frequent class"] < 11
    assert accuracy["logistic regression on pixels"] > 90
    assert accuracy["nearest neighbour"] > 95
    assert re.search(r"^The GRU (beats|loses|is no better)", out, re.MULTILINE)

    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["accuracy"] * 100 == pytest.approx(accuracy["GRU"], abs=0.01)
    assert np.sum(metrics["confusion"]) == metrics["data"]["test"]
    predictions = pl.read_csv(folder / "predictions.csv", schema_overrides={"label": pl.String, "predicted": pl.String})
    assert (predictions["label"] == predictions["predicted"]).mean() == pytest.approx(metrics["accuracy"])
    assert predictions.select(pl.sum_horizontal("^p\\(.*\\)$")).to_series().to_list() == pytest.approx([1.0] * 359)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["epoch"] == 6
    assert records[-1]["validation"]["accuracy"] > 0.85

    report = (folder / "report.html").read_text()
    assert "renews itself" not in report
    for word in ("Training", "Classes", "Mistakes", "precision", "most frequent class", "<svg"):
        assert word in report
    assert not re.search(r"(src|href)=\"(?!data:|#)|<script", report)


def test_a_test_part_in_a_file_of_its_own(capsys):
    assert classify(toy(), "--test", toy(10, 1, name="test.csv"), *QUICK, "--out", "run") == 0
    assert "test      10 sequences of 3 to 6 steps, 2 channels (test.csv)" in capsys.readouterr().out
    assert len(pl.read_csv("run/predictions.csv")) == 10
    assert pl.read_csv("run/predictions.csv")["id"].to_list() == [f"s{i}" for i in range(10)]


def test_fit_is_what_it_does_without_saying(capsys):
    file = toy()
    assert classify("fit", file, *QUICK, "--out", "one") == 0
    assert classify(file, *QUICK, "--out", "two") == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


def test_predict_with_the_model_of_a_run(capsys):
    assert classify(toy(), "--epochs", "60", "--out", "run", "--channels", "y,x") == 0
    unlabelled = toy(9, 2, name="new.csv", label=False)
    capsys.readouterr()
    assert classify("predict", "run/model.safetensors", unlabelled) == 0
    assert capsys.readouterr().out == "new-predicted.csv: 9 sequences of 3 to 6 steps, 2 channels\n"
    predicted = pl.read_csv("new-predicted.csv")
    assert predicted.columns == ["id", "predicted", "p(a)", "p(b)"]
    assert predicted["predicted"].to_list() == ["a", "b"] * 4 + ["a"]
    assert classify("predict", "run/model.safetensors", toy(9, 2, name="known.csv"), "--out", "p.csv") == 0
    assert (
        capsys.readouterr().out == "p.csv: 9 sequences of 3 to 6 steps, 2 channels, 9 (100.00 %) as they are labelled\n"
    )
    np.testing.assert_array_equal(pl.read_csv("p.csv")["p(a)"], predicted["p(a)"])


def test_files_to_predict_are_read_as_the_training_part_was(capsys):
    frame = pl.read_csv(toy()).rename({"id": "who", "label": "what", "step": "when"})
    frame.write_csv("toy.csv")
    names = ["--id", "who", "--label", "what", "--time", "when"]
    assert classify("toy.csv", *names, *QUICK, "--out", "run") == 0
    alone = frame.head(1).drop("what").select("y", "when", "x", "who").with_columns(other=pl.lit("text"))
    alone.write_csv("alone.csv")  # ids don't repeat, columns come in another order, and there is one more
    assert classify("predict", "run/model.safetensors", "alone.csv") == 0
    from statewise.jobs.tasks.classify.model import Model
    from statewise.jobs.tasks.classify.sequences import Sequences

    expected = Model.load(Path("run/model.safetensors")).predict(
        Sequences.of([frame.head(1).select("x", "y").to_numpy()])
    )
    np.testing.assert_allclose(pl.read_csv("alone-predicted.csv").select("p(a)", "p(b)").to_numpy(), expected)


def test_a_program_reads_the_model_of_a_run():
    assert classify(toy(), *QUICK, "--out", "run", "--test", toy(6, 3, name="test.csv")) == 0
    from statewise.jobs.tasks.classify.formats import read

    examples = read(Path("test.csv"))
    classifier = Classifier.load("run/model.safetensors")
    written = pl.read_csv("run/predictions.csv").select("p(a)", "p(b)").to_numpy()
    np.testing.assert_allclose(classifier.predict_proba(list(examples.sequences)), written, rtol=1e-12)
    assert classifier.classes_.tolist() == ["a", "b"]


def test_the_options_reach_the_network():
    options = ["--cell", "lstm", "--layers", "2", "--no-bidirectional", "--head", "last", "--dropout", "0.5"]
    options += ["--segment", "2", "--balance", "--smoothing", "0", "--scaling", "none"]
    assert (
        classify(
            toy(),
            *QUICK,
            *options,
            "--segment",
            "2",
            "--balance",
            "--smoothing",
            "0",
            "--scaling",
            "none",
            "--out",
            "run",
        )
        == 0
    )
    metrics = json.loads(Path("run/metrics.json").read_text())
    network = {"cell": "lstm", "units": 8, "layers": 2, "bidirectional": False, "head": "last", "dropout": 0.5}
    others = {"segment": 2, "epochs": 2, "balance": True, "smoothing": 0.0, "scaling": "none"}
    assert {name: metrics["config"][name] for name in network | others} == network | others
    assert metrics["config"]["validation_share"] == 0.0  # what was left open is decided
    weights = load_file("run/model.safetensors")
    assert weights["network.recurrent.weight_hh_l1"].shape == (32, 8)
    assert weights["scaler.mean"].tolist() == [0, 0]


def test_pixel_by_pixel():
    np.savez("images.npz", X=np.random.default_rng(0).integers(0, 255, (20, 3, 4), np.uint8), y=np.arange(20) % 2)
    assert classify("images.npz", "--pixels", *QUICK, "--out", "run") == 0
    assert load_file("run/model.safetensors")["network.recurrent.weight_ih_l0"].shape[1] == 1
    assert classify("predict", "run/model.safetensors", "images.npz", "--out", "p.csv") == 0


def test_while_it_trains_the_report_shows_the_curve():
    from statewise.jobs.experiment import page_of
    from statewise.jobs.tasks.classify.config import Options
    from statewise.jobs.tasks.classify.job import Classify

    history = [
        {"epoch": n, "update": 9 * n, "seconds": 1.0, "loss": 1 / n, "learning_rate": 0.1}
        | {"validation": {"loss": 2 / n, "accuracy": 1 - 0.5 / n}}
        for n in (1, 2, 3)
    ]
    job = Classify(Options())
    html = page_of(job, job.facts(), history).html()
    assert "renews itself" in html
    assert "On the validation part in the end: accuracy 83.33 %." in html
    assert html.count("<svg") == 1
    assert "<h2>Classes" not in html


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine")
def test_a_browser_opens_the_report(tmp_path):
    assert classify("--epochs", "2", "--out", "run") == 0
    switches = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    own = f"--user-data-dir={tmp_path / 'browser'}"
    shown = subprocess.run(
        [BROWSER, *switches.split(), own, "--dump-dom", Path("run/report.html").absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert "<h1>digits</h1>" in shown
    assert shown.count("</svg>") == shown.count("<svg") == 4  # curve, confusion matrix, mistakes, one of each class
    assert shown.count("<tr") == 1 + 4 + 1 + 10


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["toy.csv", "--test", "none.csv"], "none.csv: no such file"),
        (["--test", "toy.csv"], "--test: needs FILE, the training part, as well"),
        (["toy.csv", "--id", "who"], "toy.csv: no column 'who' for --id; there are: id, step, label, x, y"),
        (
            ["toy.csv", "--label", "step", "--channels", "x,y"],
            "column 'step', row 2: sequence 's0' is labelled '1' here and '0' in row 1",
        ),
        (
            ["toy.csv", "--test", "third.csv"],
            "third.csv: sequence 's2' has the label 'c', which the training part hasn't",
        ),
        (["toy.csv", "--test", "unlabelled.csv"], "unlabelled.csv: has no labels to test with"),
        (["unlabelled.csv"], "unlabelled.csv: has no labels"),
        (["one.csv"], "one.csv: expected sequences of at least two classes, all are labelled 'a'"),
        (["two.csv"], "two.csv: no class has two sequences; give a test part with --test"),
        (["toy.csv", "--out", "toy.csv"], "--out toy.csv: is a file, expected a folder"),
        (["toy.csv", "--labels", "y.npy"], "--labels y.npy: toy.csv is a file that has its labels in it"),
        (["predict", "toy.csv", "toy.csv"], "statewise classify predict: toy.csv: not a whole .safetensors file"),
        (["predict", "none", "toy.csv"], "statewise classify predict: none: no such file"),
        (["--resume", "runs"], "runs: not a run folder"),
    ],
)
def test_input_that_cannot_be_used(words, said, capsys):
    toy()
    toy(classes="abc", name="third.csv")
    toy(classes="a", name="one.csv")
    toy(2, name="two.csv")
    toy(label=False, name="unlabelled.csv")
    assert said in refused(capsys, *words)


def test_predict_refuses_other_channels(capsys):
    assert classify(toy(), *QUICK, "--out", "run") == 0
    np.savez("other.npz", X=np.ones((2, 3, 5)))
    capsys.readouterr()
    assert "other.npz: the model reads 2 channels, the sequences have 5" in refused(
        capsys, "predict", "run/model.safetensors", "other.npz"
    )
    assert "column 'x'" in refused(capsys, "predict", "run/model.safetensors", _without_x())


def _without_x():
    pl.read_csv("toy.csv").with_columns(x=pl.lit("north")).write_csv("text.csv")
    return "text.csv"


def test_what_shows_when_training_begins_is_one_line_too(capsys):
    toy()
    said = refused_after_start(capsys, "toy.csv", "--learning-rate", "1e20", "--clip", "0", "--optimizer", "sgd")
    assert "the loss is no longer finite" in said
    assert "device 'abacus' can't be used" in refused_after_start(capsys, "toy.csv", "--device", "abacus")


def refused_after_start(capsys, *words):
    assert classify(*words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not Path("runs").exists()
    return err


def test_a_group_is_tested_with_as_a_whole(capsys):
    frame = pl.read_csv(toy(40)).with_columns(speaker=pl.col("id").str.slice(1).cast(pl.Int64) // 4)
    frame.write_csv("speakers.csv")
    assert classify("speakers.csv", "--group", "speaker", *QUICK, "--out", "out") == 0
    said = capsys.readouterr().out
    assert "2 channels (20 % of each class, in whole groups by 'speaker', split off with seed 0)" in said
    tested = pl.read_csv("out/predictions.csv")["id"].str.slice(1).cast(pl.Int64)
    assert len(tested) % 4 == 0
    assert len(set(tested // 4)) == len(tested) / 4
    # The model's file remembers that the column says nothing, and doesn't need it.
    assert cli.main(["classify", "predict", "out/model.safetensors", "speakers.csv", "--out", "p.csv"]) == 0
    assert cli.main(["classify", "predict", "out/model.safetensors", "toy.csv", "--out", "q.csv"]) == 0
    assert Path("p.csv").read_text() == Path("q.csv").read_text()
    capsys.readouterr()
    assert "toy.csv: no column 'speaker' for --group" in refused(capsys, "toy.csv", "--group", "speaker")
    frame.with_columns(speaker=pl.col("label")).write_csv("speakers.csv")
    assert "no group of 'speaker' can be spared" in refused(capsys, "speakers.csv", "--group", "speaker")


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_what_stands_in_both_parts_is_remarked(kind, capsys):
    if kind == "numbers":
        rows = [(i % 7, 2.0, "ab"[i % 2]) for i in range(28)]
        frame = pl.DataFrame(rows, ["x", "y", "label"], orient="row")
        others = frame[:6].with_columns(y=pl.lit(3.5))
    else:
        rows = [(f"some words and {i % 7} more", "ab"[i % 2]) for i in range(28)]
        frame = pl.DataFrame(rows, ["text", "label"], orient="row")
        others = frame[:6].with_columns(text=pl.lit("new"))
    frame.write_csv("train.csv")
    pl.concat([frame[:5], others]).write_csv("test.csv")
    assert classify("train.csv", "--test", "test.csv", *QUICK) == 0
    remark = "remark: test.csv: 5 of 11 sequences of the test part are in the training part too, value for value\n"
    assert remark in capsys.readouterr().err
    others.write_csv("test.csv")
    assert classify("train.csv", "--test", "test.csv", *QUICK) == 0
    assert "remark" not in capsys.readouterr().err
