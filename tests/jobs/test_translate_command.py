"""``statewise translate`` from the command line: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import polars as pl
import pytest

from statewise import cli
from statewise.jobs.tasks.translate.pairs import dates

FILES = ["config.json", "metrics.json", "metrics.jsonl", "model.safetensors", "predictions.csv", "report.html"]
QUICK = ["--epochs", "1", "--units", "8", "--embedding", "8"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def toy(n=60, seed=0, name="toy.tsv", header="source\ttarget\n"):
    made = dates(n, seed)
    rows = "".join(f"{a}\t{b}\n" for a, b in zip(made.sources, made.known_targets, strict=True))
    Path(name).write_text(header + rows, encoding="utf-8")
    return Path(name)


def translate(*words):
    return cli.main(["translate", *map(str, words)])


def refused(capsys, *words):
    """The one line that refuses ``words``; nothing is written."""
    before = sorted(os.listdir())
    assert translate(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return re.sub(r"^statewise translate( predict)?: ", "", err).rstrip("\n")


def test_without_an_argument_it_translates_its_own_dates(capsys):
    assert translate("--units", "16", "--layers", "1", "--epochs", "2", "--beam", "2") == 0
    out, err = capsys.readouterr()
    assert "\r" not in err  # no progress bar where nobody looks; a line a minute at most
    assert out.startswith("built-in dates: as 2026-11-27, such as 'the fifteenth of feb nineteen sixty-nine' to '1969")
    folder = Path("runs/translate-built-in-dates-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    assert sorted(os.listdir(folder)) == FILES
    rows = dict(re.findall(r"^(\S.*?\S)  +[\d.]+ %  +([\d.]+) %  +[\d.]+ %$", out, re.MULTILINE))
    assert [*rows][:3] == ["GRU", "the source as it is", "the most frequent target"]
    assert float(rows["GRU"]) < float(rows["the most frequent target"]) < float(rows["the source as it is"])
    assert re.search(r"^The GRU .*wrong characters", out, re.MULTILINE)

    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["characters"] * 100 == pytest.approx(float(rows["GRU"]), abs=0.01)
    assert metrics["bleu"] is None
    frame = pl.read_csv(folder / "predictions.csv", infer_schema=False)
    assert frame.columns == ["source", "target", "predicted", "probability"]
    assert (frame["target"] == frame["predicted"]).mean() == pytest.approx(metrics["exact"])
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert list(records[-1]["validation"]) == ["error rate", "loss", "exact"]

    report = (folder / "report.html").read_text("utf-8")
    assert "renews itself" not in report
    for word in ("Training", "Attention", "Mistakes", "probability", "<svg", "fill: var(--model); fill-opacity"):
        assert word in report
    assert not re.search(r"(src|href)=\"https?:|<script|<link (?!rel=\"icon\" href=\"data:,)", report)


def test_parts_in_files_of_their_own(capsys):
    train, dev, test = toy(), toy(9, 1, "dev.tsv"), toy(11, 2, "test.tsv")
    with test.open("a") as file:
        file.write("".join(train.read_text().splitlines(keepends=True)[1:3]))
    assert translate(train, "--validation", dev, "--test", test, *QUICK, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "toy: column source to column target, such as" in out
    assert "training    60 pairs\n" in out
    assert "validation  9 pairs (dev.tsv)" in out
    assert "test        13 pairs (test.tsv), 2 of its sources are in the training part too" in out


def test_words_are_judged_by_bleu_and_chrf_too(capsys):
    toy(header="")
    assert translate("toy.tsv", "--no-header", "--level", "subword", "--max-words", "300", *QUICK) == 0
    out = capsys.readouterr().out
    assert "column 1 to column 2" in out
    assert re.search(r"on the test part +exact  wrong characters  wrong words +BLEU +chrF\n", out)
    assert re.search(r"symbols +300 pieces of words read, \d+ pieces of words written", out)
    assert "wrong words" in out.splitlines()[-3]
    report = Path("runs/translate-toy-1/report.html").read_text("utf-8")
    assert "Attention" in report
    assert "Ġ" not in report  # pieces of words as they read, not as bytes


@pytest.mark.parametrize(
    ("package", "options"), [("tokenizers", ["--level", "subword"]), ("sacrebleu", ["--level", "word"])]
)
def test_a_package_that_is_missing_is_said_before_training(package, options, monkeypatch, capsys):
    toy()
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(capsys, "toy.tsv", *options) == f"needs {package}: pip install 'statewise[translate]'"


def test_predict_with_the_model_of_a_run(capsys):
    toy()
    assert translate("toy.tsv", *QUICK, "--out", "run") == 0
    capsys.readouterr()
    assert translate("predict", "run/model.safetensors", "toy.tsv") == 0
    assert re.fullmatch(
        r"toy-predicted.csv: 60 pairs, [\d.]+ % exactly as there, [\d.]+ % of the characters wrong\n",
        capsys.readouterr().out,
    )
    frame = pl.read_csv("toy-predicted.csv")
    assert frame.columns == ["source", "target", "predicted", "probability"]
    assert frame["probability"].is_between(0, 1).all()

    Path("lines.txt").write_text("3 May 1984\n1.1.2000\n")
    assert translate("predict", "run/model.safetensors", "lines.txt", "--no-header", "--best", "6") == 0
    frame = pl.read_csv("lines-predicted.csv")
    assert frame.columns == ["source", "predicted", "probability", "rank"]
    assert frame["source"].to_list() == ["3 May 1984"] * 6 + ["1.1.2000"] * 6
    assert frame["rank"].to_list() == [1, 2, 3, 4, 5, 6] * 2


def test_features_are_remembered(capsys):
    Path("t.tsv").write_text(
        "lemma\ttags\tform\n" + "".join(f"{w}\tV;X{n}\t{w}{n}\n" for w in "abcdefgh" for n in (1, 2))
    )
    assert translate("t.tsv", "--features", "tags", *QUICK, "--out", "run") == 0
    assert "column lemma to column form" in capsys.readouterr().out
    Path("new.csv").write_text("tags,lemma\nV;X1,a\n")
    assert translate("predict", "run/model.safetensors", "new.csv") == 0
    Path("bare.csv").write_text("lemma,form\na,a1\n")
    said = refused(capsys, "predict", "run/model.safetensors", "bare.csv", "--out", "x") if capsys.readouterr() else ""
    assert said == "bare.csv: no column 'tags' for --features; there are: lemma, form"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.tsv"], "none.tsv: no such file"),
        (["one.csv"], "one.csv: expected a column of sources and one of targets, got only"),
        (["gap.csv"], "gap.csv: column 'b', row 2: expected a text, got nothing"),
        (["toy.tsv", "--target", "c"], "toy.tsv: no column 'c' for --target; there are: source, target"),
        (["toy.tsv", "--test", "gap.csv"], "gap.csv: no column 'source' for --source; there are: a, b"),
        (["single.csv"], "single.csv: 1 pairs, too few to split; give a test part with --test"),
        (["--test", "toy.tsv"], "--test: needs FILE, the training part, as well"),
        (["toy.tsv", "--beam", "0"], "argument --beam: expected a whole number of at least 1, got '0'"),
        (["toy.tsv", "--forcing", "2"], "argument --forcing: expected a number from 0 to 1, got '2'"),
        (["toy.tsv", "--level", "subword", "--max-words", "9"], "--max-words 9: pieces of words need 256 or more"),
        (["toy.tsv", "--device", "tpu"], None),
        (["predict", "toy.tsv", "toy.tsv"], "toy.tsv: not a whole .safetensors file"),
    ],
)
def test_what_can_not_be_used_is_refused(words, said, capsys):
    toy()
    Path("one.csv").write_text("only\nx\n")
    Path("gap.csv").write_text("a,b\nx,y\nz,\n")
    Path("single.csv").write_text("a,b\nx,y\n")
    if words[0] == "toy.tsv" and "argument" in (said or ""):
        with pytest.raises(SystemExit) as ended:
            translate(*words)
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"statewise translate: {said}\n"
        return
    found = refused(capsys, *words)
    assert found == said if said else "tpu" in found
