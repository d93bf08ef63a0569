"""``statewise tag`` from the command line: what it prints and writes, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from statewise import cli
from statewise.jobs.tasks.tag.corpus import Corpus
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.tag.formats import read

FILES = [
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.conll",
    "report.html",
]
QUICK = ["--epochs", "1", "--units", "8", "--word-size", "8", "--character-units", "4"]
CONLLU = "1\t{}\t_\t{}\t_\t_\t0\troot\t_\t_\n2\t!\t_\tPUNCT\t_\t_\t1\tpunct\t_\t_\n\n"


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def toy(n=40, seed=0, name="toy.txt", tags=True):
    """Sentences of the example, as a file."""
    corpus = sentences(n, seed)
    if not tags:
        corpus = Corpus("bare", corpus.words, None)
    Path(name).write_text("\n".join(corpus.as_document().lines) + "\n", encoding="utf-8")
    return Path(name)


def tag(*words):
    return cli.main(["tag", *map(str, words)])


def refused(capsys, *words):
    """The one line that refuses ``words``; nothing is written."""
    before = sorted(os.listdir())
    assert tag(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return re.sub(r"^statewise tag( predict)?: ", "", err).rstrip("\n")


def test_without_an_argument_it_tags_its_own_sentences(capsys):
    assert tag("--epochs", "5", "--batch", "8", "--units", "50") == 0
    out, err = capsys.readouterr()
    assert "\r" not in err  # no progress bar where nobody looks; a line a minute at most
    assert "9 tags that mark spans of 4 types (AMOUNT, DATE, DURATION, MONEY)" in out
    folder = Path("runs/tag-built-in-sentences-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    assert sorted(os.listdir(folder)) == FILES
    rows = dict(re.findall(r"^(\S.*\S)  +[\d.]+ %  +[\d.]+ %  +[\d.]+ %  +([\d.]+) %$", out, re.MULTILINE))
    assert float(rows["LSTM"]) > 80 > 30 > float(rows["each word's most frequent tag"])
    assert re.search(r"^The LSTM beats the best baseline, each word's most frequent tag: F1", out, re.MULTILINE)

    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["f1"] * 100 == pytest.approx(float(rows["LSTM"]), abs=0.01)
    assert metrics["baselines"][0]["name"] == "each word's most frequent tag"
    assert metrics["f1"] == pytest.approx(
        2 * metrics["precision"] * metrics["recall"] / (metrics["precision"] + metrics["recall"])
    )
    rows = [line.split("\t") for line in (folder / "predictions.conll").read_text("utf-8").splitlines() if line]
    right = sum(real == told for _, real, told in rows) / len(rows)
    assert right == pytest.approx(metrics["accuracy"])
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert set(records[-1]["validation"]) == {"1 - F1", "loss", "accuracy"}

    report = (folder / "report.html").read_text("utf-8")
    assert "renews itself" not in report
    for word in ("Training", "Spans", "precision", "<svg"):
        assert word in report
    assert not re.search(r"(src|href)=\"https?:|<script|<link (?!rel=\"icon\" href=\"data:,)", report)


def test_parts_in_files_of_their_own(capsys):
    train, dev, test = toy(), toy(9, 1, "dev.txt"), toy(11, 2, "test.txt")
    assert tag(train, "--validation", dev, "--test", test, *QUICK, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "training    40 sentences" in out
    assert re.search(r"validation  9 sentences of \d+ words \(dev.txt\)", out)
    assert re.search(r"test        11 sentences of \d+ words \(test.txt\)", out)
    written = read(Path("run/predictions.conll"))[0]
    given = read(test)[0]
    assert written.words == given.words
    lines = [line.rsplit("\t", 1)[0] for line in Path("run/predictions.conll").read_text("utf-8").splitlines()]
    assert lines == test.read_text("utf-8").splitlines()[: len(lines)]  # only the last column is new


def test_fit_is_what_it_does_without_saying():
    file = toy()
    assert tag("fit", file, *QUICK, "--out", "one") == 0
    assert tag(file, *QUICK, "--out", "two") == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


@pytest.mark.slow
def test_predict_with_the_model_of_a_run(capsys):
    assert tag(toy(200), "--epochs", "8", "--batch", "4", "--out", "run") == 0
    bare, gold = toy(20, 3, "bare.txt", tags=False), toy(20, 3, "gold.txt")
    capsys.readouterr()
    assert tag("predict", "run/model.safetensors", bare) == 0
    assert re.fullmatch(r"bare-tagged.txt: 20 sentences of \d+ words\n", capsys.readouterr().out)
    told, given = read(Path("bare-tagged.txt"))[0], read(gold)[0]
    assert told.words == given.words
    assert tag("predict", "run/model.safetensors", gold, "--out", "-") == 0
    assert capsys.readouterr().out.splitlines() == [
        line.replace(" ", "\t") for line in Path("bare-tagged.txt").read_text("utf-8").splitlines()
    ]
    assert tag("predict", "run/model.safetensors", gold, "--out", "again.txt") == 0
    said = re.search(r"accuracy ([\d.]+) %, F1 ([\d.]+) %", capsys.readouterr().out)
    right = [a == b for s, t in zip(told.known_tags, given.known_tags, strict=True) for a, b in zip(s, t, strict=True)]
    assert float(said[1]) == pytest.approx(100 * sum(right) / len(right), abs=0.01)
    assert float(said[2]) > 50


def test_conllu_in_and_out(capsys):
    words = [f"{word}{k}" for k in range(30) for word in ("run", "cat")]
    text = "".join(f"# sent {w}\n" + CONLLU.format(w, "VERB" if w.startswith("run") else "NOUN") for w in words)
    Path("train.conllu").write_text(text)
    Path("test.conllu").write_text("# one\n" + CONLLU.format("run99", "VERB") + CONLLU.format("cat99", "NOUN"))
    options = ["--epochs", "12", "--batch", "4", "--units", "16", "--word-size", "8", "--out", "run"]
    assert tag("train.conllu", "--test", "test.conllu", *options) == 0
    out = capsys.readouterr().out
    assert "3 tags (NOUN, PUNCT, VERB)" in out
    assert "F1" not in out
    assert Path("run/predictions.conllu").read_text() == Path("test.conllu").read_text()  # all right
    assert "Every word of the test part has its tag." in Path("run/report.html").read_text()
    Path("bare.conllu").write_text("# x\n" + CONLLU.format("run7", "_").replace("PUNCT", "_"))
    assert tag("predict", "run/model.safetensors", "bare.conllu") == 0
    assert Path("bare-tagged.conllu").read_text() == "# x\n" + CONLLU.format("run7", "VERB")
    Path("words.txt").write_text("cat8\n!\n")
    assert tag("predict", "run/model.safetensors", "words.txt") == 0
    assert Path("words-tagged.txt").read_text() == "cat8 NOUN\n! PUNCT\n"


def test_features_and_a_crf():
    lines = [f"w{k} {'AB'[k % 2]} {'XY'[k % 2]}" + "\n" * (1 + (k % 5 == 4)) for k in range(300)]
    Path("f.txt").write_text("".join(lines))
    options = ["--crf", "--epochs", "8", "--batch", "4", "--character-units", "0", "--out", "run"]
    assert tag("f.txt", "--features", "2", *options) == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert [b["name"] for b in metrics["baselines"]][1] == "most frequent tag of column 2"
    assert metrics["baselines"][1]["accuracy"] == 1 == metrics["accuracy"]
    Path("g.txt").write_text("new B\n")
    assert tag("predict", "run/model.safetensors", "g.txt") == 0
    assert Path("g-tagged.txt").read_text() == "new B Y\n"


@pytest.mark.parametrize("both", [False, True])
def test_in_how_many_directions_it_reads(both, capsys):
    assert tag(toy(), *QUICK, "--bidirectional" if both else "--no-bidirectional", "--out", "run") == 0
    ways = "8 units in each direction over words" if both else "8 units over words"
    assert ways in capsys.readouterr().out


def test_a_model_that_loses_says_so(capsys):
    Path("f.txt").write_text("".join(f"{w} {t}\n\n" for w, t in [("a", "X"), ("b", "Y"), ("c", "Z")] * 20))
    assert tag("f.txt", "--epochs", "1", "--learning-rate", "1e-9", "--no-linear", "--out", "run") == 0
    text = "The LSTM loses in accuracy"
    assert text in capsys.readouterr().out
    report = Path("run/report.html").read_text()
    for word in (text, "Confusion", "Mistakes", 'class="wrong"'):
        assert word in report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.txt"], "nothing.txt: no such file"),
        (["--test", "toy.txt"], "--test: needs FILE, the training part, as well"),
        (["--validation", "toy.txt"], "--validation: needs FILE, the training part, as well"),
        (
            ["toy.txt", "--validation", "toy.txt", "--validation-share", "0.2"],
            "--validation-share: says how much of FILE to hold out, but --validation names a file",
        ),
        (["toy.txt", "--column", "7"], "toy.txt: no column 7 for --column; the file has 2 columns"),
        (["toy.txt", "--features", "1,1"], "--features 1,1: names a column twice"),
        (["one.txt"], "one.txt: every word has the tag 'X', there is nothing to learn"),
        (["short.txt"], "short.txt: 1 sentence of 2 words, too few to split; give a test part with --test"),
        (["toy.txt", "--test", "bad.txt"], "bad.txt: line 2: expected 2 columns as in line 1, got 3"),
        (["toy.txt", "--test", "short.txt", "--device", "tpu"], "device 'tpu' can't be used"),
        (["predict", "toy.txt", "toy.txt"], "toy.txt: not a whole .safetensors file"),
    ],
)
def test_what_is_refused(capsys, words, said):
    toy()
    Path("one.txt").write_text("a X\n\nb X\n\n" * 5)
    Path("short.txt").write_text("a X\nb Y\n")
    Path("bad.txt").write_text("a O\nb O O\n")
    options = [] if words[0] == "predict" else ["--epochs", "1"]
    assert refused(capsys, *words, *options).startswith(said)


def test_a_file_is_not_tagged_into_itself(capsys):
    assert tag(toy(), *QUICK, "--out", "run") == 0
    capsys.readouterr()
    before = Path("toy.txt").read_bytes()
    said = refused(capsys, "predict", "run/model.safetensors", "toy.txt", "--out", "toy.txt")
    assert said == "--out toy.txt: is the file to be tagged itself"
    assert Path("toy.txt").read_bytes() == before
