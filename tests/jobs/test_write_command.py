"""``statewise write`` from the command line: what it prints and writes, how it goes on, and what it refuses."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

from statewise import cli
from statewise.jobs import Writer
from statewise.jobs.tasks.write import job as job_module
from statewise.jobs.tasks.write.job import NAMES
from statewise.jobs.tasks.write.text import lines_of

FILES = [
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.csv",
    "report.html",
    "samples.txt",
]
QUICK = ["--epochs", "2", "--units", "8"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_module, "JUDGED", 100)


def prose(words=1400, name="prose.txt", seed=0):
    """A file of short sentences."""
    draw = random.Random(seed)
    known = ["the", "a", "old", "man", "sea", "went", "to", "and", "saw", "fish"]
    text = " ".join(draw.choice(known) for _ in range(words))
    Path(name).write_text(re.sub(r"(\S+ \S+ \S+ \S+) ", "\\1.\n", text))
    return Path(name)


def names(count=300, name="some.txt"):
    Path(name).write_text("".join(f"{line}\n" for line in lines_of(NAMES.read_text())[:count]))
    return Path(name)


def write(*words):
    return cli.main(["write", *map(str, words)])


def refused(capsys, *words):
    """The one line that refuses ``words``; nothing is written."""
    capsys.readouterr()
    before = sorted(os.listdir())
    assert write(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return err.removeprefix("statewise write: ").rstrip("\n")


@pytest.mark.slow
def test_without_an_argument_it_writes_names(capsys):
    assert write("--epochs", "2") == 0
    out, err = capsys.readouterr()
    assert "\r" not in err  # no progress bar where nobody looks; a line a minute at most
    assert "names: 27 different characters" in out
    folder = Path("runs/write-names-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["loss"] < 2.15
    assert metrics["baselines"][2]["loss"] == pytest.approx(2.2136, abs=1e-3)  # trigrams
    assert 0.03 < metrics["copies"] < 0.3
    assert sum(b["terms"] == metrics["terms"] for b in metrics["baselines"]) == 4
    known = set(lines_of(NAMES.read_text()))
    written = re.findall(r"^[a-z]+$", (folder / "samples.txt").read_text(), re.MULTILINE)
    assert len(written) == 60
    assert not known & set(written)
    report = (folder / "report.html").read_text()
    assert "Those below are not." in report
    assert "frequencies alone" in report


def test_a_refusal_without_a_file_says_what_was_read(capsys):
    assert write("--cache", "10") == 2
    assert capsys.readouterr().err.startswith("statewise write: the built-in names: --cache 10: expected running text")


def test_a_running_text(capsys):
    assert write(prose(), *QUICK, "--steps", "16", "--batch", "4", "--out", "run") == 0
    out = capsys.readouterr().out
    assert "validation" in out
    assert "(the end of the text)" in out
    assert "read        in 4 streams, 16 steps at a time" in out
    assert "GRU, 2 layers of 8 units, embedding of 8" in out
    assert re.search(r"^The GRU (beats|loses)", out, re.MULTILINE)
    assert sorted(os.listdir("run")) == FILES
    text = Path("prose.txt").read_text()
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["terms"] == len(text) - int(len(text) * 0.9) - 1
    assert metrics["bits_per_character"] == pytest.approx(metrics["loss"] / np.log(2), rel=2e-3)
    lines = pl.read_csv("run/predictions.csv")
    assert "\n".join(lines["text"]) == text[int(len(text) * 0.9) :].removesuffix("\n")
    assert lines["symbols"].sum() == metrics["terms"]
    nats = (lines["nats_per_symbol"] * lines["symbols"]).sum()
    assert nats / metrics["terms"] == pytest.approx(metrics["loss"])
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    best = min(r["validation"]["loss"] for r in records if "validation" in r)
    assert metrics["loss"] == pytest.approx(best, rel=1e-5)
    report = Path("run/report.html").read_text()
    assert "renews itself" not in report
    for word in ("Training", "What it writes", "At temperature 0.5", "What it did not expect", "5-grams", "<svg"):
        assert word in report
    assert not re.search(r"(src|href)=\"https?:|<script", report)


def test_words_and_a_validation_part_in_a_file_of_its_own(capsys):
    other = prose(200, "other.txt", seed=1)
    options = ["--level", "word", "--steps", "8", "--tie", "--cell", "lstm", "--layers", "1", "--batch", "4"]
    Path("prose.txt.gz").write_bytes(gzip.compress(prose().read_bytes()))
    assert write("prose.txt.gz", "--validation", other, *options, *QUICK, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "(other.txt)" in out
    assert "nats per word" in out
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["terms"] == len(other.read_text().split()) + len(other.read_text().splitlines()) - 1
    network = {"cell": "lstm", "units": 8, "layers": 1, "embedding": 8, "dropout": 0.2, "tie": True}
    assert {name: metrics["config"][name] for name in network} == network
    assert "embedding.weight" not in load_file("run/model.safetensors")
    assert write("score", "run/model.safetensors", other) == 0
    score = capsys.readouterr().out
    assert f"perplexity          {metrics['perplexity']:.3f}" in score
    assert f"bits per character  {metrics['bits_per_character']:.4f}" in score


def test_pieces_of_words_compare_with_words_and_characters(capsys):
    other = prose(200, "other.txt", seed=1)
    options = ["--level", "subword", "--max-words", "300", "--steps", "8", "--layers", "1"]
    assert write(prose(), "--validation", other, *options, *QUICK, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "nats per piece" in out
    assert "perplexity per word" in out
    metrics = json.loads(Path("run/metrics.json").read_text())
    text = other.read_text()
    assert metrics["bits_per_character"] == pytest.approx(
        metrics["loss"] * metrics["terms"] / math.log(2) / len(text), rel=1e-9
    )
    words = len(text.split()) + len(text.splitlines())
    assert metrics["perplexity_per_word"] == pytest.approx(
        math.exp(metrics["loss"] * metrics["terms"] / words), rel=1e-9
    )
    assert write("score", "run/model.safetensors", other) == 0
    assert f"perplexity per word {metrics['perplexity_per_word']:.2f}" in capsys.readouterr().out
    assert write("sample", "run/model.safetensors", "--prompt", "The", "--length", "5") == 0
    assert capsys.readouterr().out.startswith("The")
    assert write("complete", "run/model.safetensors", "The", "--length", "5") == 0
    assert capsys.readouterr().out.startswith("The")


def test_lines_and_what_else_a_model_is_good_for(capsys):
    assert write("fit", names(), "--lines", *QUICK, "--units", "32", "--out", "run") == 0
    out = capsys.readouterr().out
    assert "validation  30 lines" in out
    assert "(drawn with seed 0)" in out
    assert re.search(r"^Of 100 lines written at temperature 1, [\d.]+ % are in the file\.$", out, re.MULTILINE)
    model = "run/model.safetensors"
    assert write("sample", model, "--count", "4", "--prompt", "jo") == 0
    four = capsys.readouterr().out
    assert four.count("\n") == 4
    assert all(line.startswith("jo") for line in four.split())
    assert write("sample", model, "--count", "4", "--prompt", "jo", "--seed", "1") == 0
    assert capsys.readouterr().out != four
    assert write("sample", model, "--temperature", "0", "--length", "3") == 0
    likeliest = capsys.readouterr().out
    assert len(likeliest) <= 4
    assert write("complete", model, "mar", "jo") == 0
    for begin, line in zip(("mar", "jo"), capsys.readouterr().out.splitlines(), strict=True):
        assert re.match(rf"{begin}.? +next: \S+ [\d.]+ %, \S+ [\d.]+ %, \S+ [\d.]+ %$", line)
    assert write("score", model, "some.txt", "--out", "lines.csv") == 0
    assert "some.txt: 300 lines" in capsys.readouterr().out
    assert pl.read_csv("lines.csv")["text"].to_list() == lines_of(Path("some.txt").read_text())
    assert Writer.load(model).sample(4, prompt="jo") == four.split()


def test_a_sample_of_running_text(capsys):
    assert write(prose(), *QUICK, "--out", "run") == 0
    capsys.readouterr()
    assert write("sample", "run/model.safetensors", "--prompt", "the old", "--length", "50") == 0
    one = capsys.readouterr().out
    assert one.startswith("the old")
    assert len(one) == 7 + 50 + 1
    assert write("sample", "run/model.safetensors", "--count", "2", "--length", "50") == 0
    assert len(capsys.readouterr().out.split("\n\n---\n\n")) == 2


def test_only_new_lines(capsys):
    Path("words.txt").write_text("make need coal word love hate live home hash star".replace(" ", "\n"))
    assert write("words.txt", "--lines", "--epochs", "120", "--dropout", "0", "--out", "run") == 0
    out = capsys.readouterr().out
    assert "validation  none" in out
    assert "but nothing was held out" in out
    words = Path("words.txt").read_text().split()
    assert not set(words) & set(re.findall(r"^\w+$", Path("run/samples.txt").read_text(), re.MULTILINE))
    assert write("complete", "run/model.safetensors", *(word[:3] for word in words)) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == words
    assert write("sample", "run/model.safetensors", "--new", "words.txt", "--temperature", "0.1") == 2
    assert "lines that are not in it, not 10" in capsys.readouterr().err


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.txt"], "none.txt: no such file"),
        (["empty.txt"], "empty.txt: expected text, got nothing"),
        (["latin.txt"], "latin.txt: expected text in UTF-8, got the byte 0xfc in line 2; to convert a file: iconv"),
        (["same.txt"], "same.txt: the training part is 1000 times 'a'; expected at least two different symbols"),
        (["prose.txt", "--validation", "none.txt"], "none.txt: no such file"),
        (["--validation", "prose.txt"], "--validation: needs FILE, the training part, as well"),
        (["prose.txt", "--validation", "prose.txt", "--validation-share", "0.1"], "--validation-share: says how much"),
        (["prose.txt", "--validation", "greek.txt"], "the validation part has no two characters that the training"),
        (["once.txt", "--level", "word"], "no word that occurs 2 times; --min-count 1 takes all"),
        (["prose.txt", "--out", "prose.txt"], "--out prose.txt: is a file, expected a folder"),
        (["sample", "prose.txt"], "statewise write sample: prose.txt: not a whole .safetensors file"),
        (["score", "none", "prose.txt"], "statewise write score: none: no such file"),
        (["complete", "none", "a"], "statewise write complete: none: no such file"),
        (["--resume", "runs"], "runs: not a run folder"),
    ],
)
def test_input_that_cannot_be_used(words, said, capsys):
    prose()
    Path("empty.txt").touch()
    Path("latin.txt").write_bytes("gr\u00fcn\n".encode() + "gr\u00fcn\n".encode("latin-1"))
    Path("same.txt").write_text("a" * 1000)
    Path("greek.txt").write_text("\u03b1\u03b2\u03b3\u03b4")
    Path("once.txt").write_text("each word is here but one time")
    assert said in refused(capsys, *words)


def test_what_shows_when_training_begins_is_one_line_too(capsys):
    assert write(prose(), "--device", "abacus") == 2
    assert "device 'abacus' can't be used" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_what_a_model_cannot_do(capsys):
    assert write(prose(), *QUICK, "--out", "run") == 0
    model = "run/model.safetensors"
    assert "has never seen the character 'X'" in refused(capsys, "sample", model, "--prompt", "X")
    assert "never seen" in refused(capsys, "complete", model, "the", "X")
    assert "is for models of lines" in refused(capsys, "sample", model, "--new", "prose.txt")
    Path("greek.txt").write_text("\u03b1\u03b2\u03b3\u03b4")
    assert "greek.txt: expected text of characters that the model" in refused(capsys, "score", model, "greek.txt")
    assert "is a folder, expected a file" in refused(capsys, "score", model, "prose.txt", "--out", "run")
