"""Pairs, symbols, edit distances and baselines of ``statewise translate``, and its file of a model."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from statewise.jobs import InputError, Translator
from statewise.jobs.data.vocabulary import END, UNKNOWN, Vocabulary
from statewise.jobs.tasks.translate.config import Layout, TranslateConfig
from statewise.jobs.tasks.translate.model import Model
from statewise.jobs.tasks.translate.pairs import Pairs, dates, read
from statewise.jobs.tasks.translate.ragged import Ragged
from statewise.jobs.tasks.translate.result import baselines, distances, score
from statewise.jobs.tasks.translate.training import TranslateProblem


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pairs(sources, targets=None, features=None):
    return Pairs("here", sources, targets, features or [()] * len(sources))


def of(texts, level, most=100, at_least=1):
    return Vocabulary.of(texts, level, most=most, at_least=at_least)


def refused(file, content, layout=None, **told):
    Path(file).write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read(Path(file), layout or Layout(**told))
    assert "\n" not in str(error.value)
    return str(error.value)


# Files


def test_a_table_becomes_pairs():
    Path("t.csv").write_text("source,x,target\n go ,1,went\nsee,2,saw\n")
    found, layout = read(Path("t.csv"), Layout())
    assert (found.sources, found.targets) == (["go", "see"], ["went", "saw"])
    assert (layout.source, layout.target) == ("source", "target")
    Path("t.tsv").write_text("lemma\ttags\tform\ngo\tV;PST\twent\nsee\tV;V.PTCP;PST\tseen\n")
    found, layout = read(Path("t.tsv"), Layout(features=("tags",)))
    assert found.features == [["V", "PST"], ["V", "V.PTCP", "PST"]]
    assert (found.targets, layout.target) == (["went", "seen"], "form")


@pytest.mark.parametrize("library", [pd, pl])
def test_a_frame_and_parquet_are_read_alike(library):
    frame = library.DataFrame({"form": ["went", "saw"], "lemma": ["go", "see"]})
    found, _ = read(frame, Layout(source="lemma", target="form"))
    assert (found.sources, found.targets) == (["go", "see"], ["went", "saw"])
    pl.DataFrame({"a": ["x"], "b": ["y"]}).write_parquet("t.parquet")
    assert read(Path("t.parquet"), Layout())[0].targets == ["y"]


def test_lines_without_a_header_may_have_quotes():
    Path("t.txt").write_text('"Go," he said.\t"Va", dit-il.\tCC\nGo.\tVa !\tCC\n')
    found, layout = read(Path("t.txt"), Layout(header=False))
    assert (found.sources, found.targets) == (['"Go," he said.', "Go."], ['"Va", dit-il.', "Va !"])
    assert (layout.source, layout.target) == ("1", "2")
    found, _ = read(Path("t.txt"), Layout(header=False, source="2", target="1"))
    assert found.targets[1] == "Go."


def test_what_can_not_be_used_is_refused_in_one_line():
    assert refused("t", "a\nx\n") == "t: expected a column of sources and one of targets, got a"
    assert refused("t", "a,b\nx,\n") == "t: column 'b', row 1: expected a text, got nothing"
    assert refused("t", "a,b\nx,y\n ,y\n") == "t: column 'a', row 2: expected a text, got nothing"
    assert refused("t", "a,b\nx,y\n", target="c") == "t: no column 'c' for --target; there are: a, b"
    assert refused("t", "a,b,c\nx,y,z\n", features=("d",)) == "t: no column 'd' for --features; there are: a, b, c"
    assert "one column can't be two of" in refused("t", "a,b\nx,y\n", source="a", target="a")
    assert "one column can't be two of" in refused("t", "a,b,c\nx,y,z\n", target="b", features=("b",))
    assert refused("t", "a,b\n") == "t: there are no pairs in it"
    assert refused("t", "x\ty\nx\n", header=False) == "t: expected 2 fields between tabs, got 1 in line 2"
    assert refused("t", "  \n\n", header=False) == "t: the file is empty"


def test_names_of_columns_are_shown_in_one_line():
    said = refused("t", "a\u2028b" + "c" * 100 + "\nx\n")
    assert said == f"t: expected a column of sources and one of targets, got a b{'c' * 57}…"
    assert len(said.splitlines()) == 1


def test_pairs_of_a_source_stay_together():
    many = pairs([f"s{i % 10}" for i in range(30)], [str(i) for i in range(30)])
    kept, held = many.split(0.3, seed=1)
    assert len(held.groups()) == 3
    assert not {*kept.sources} & {*held.sources}
    assert sorted([*kept.known_targets, *held.known_targets], key=int) == list(many.known_targets)
    assert kept.sources == many.split(0.3, seed=1)[0].sources
    assert many.described() == "30 pairs of 10 sources"
    assert many.split(0.0, seed=1)[0].sources == many.sources
    assert pairs(["a"], ["b"]).split(0.9, seed=0)[1] is None
    features = [("x",), ("y",)]
    assert len(pairs(["a", "a"], ["b", "c"], features).groups()) == 2


def test_the_built_in_dates_say_the_days_they_stand_for():
    made = dates(400)
    assert made.sources == dates(400).sources != dates(400, seed=1).sources
    assert len({*made.sources}) == 400
    for source, target in zip(made.sources, made.known_targets, strict=True):
        day = date.fromisoformat(target)
        numbers = [n for n in "".join(c if c.isdigit() else " " for c in source).split() if len(n) < 3]
        assert not numbers or int(numbers[0]) == day.day
        assert str(day.year) in source or not any(len(n) == 4 and n.isdigit() for n in source.split())


def test_ragged_rows_are_drawn_as_they_are():
    rows = [np.arange(n) + 10 * n for n in (3, 1, 5)]
    numbers, lengths = Ragged(rows).take(torch.tensor([2, 0, 1]))
    assert lengths.tolist() == [5, 3, 1]
    for place, row in enumerate((2, 0, 1)):
        assert numbers[: lengths[place], place].tolist() == rows[row].tolist()


# Symbols


@pytest.mark.parametrize("level", ["char", "word", "subword"])
def test_a_text_comes_back_from_its_symbols(level):
    texts = ["the old man and the sea", "Ça va, l'été ? Oui !", "日本 and 𝄞"]
    vocabulary = of(texts, level, most=400)
    for text in texts:
        numbers = vocabulary.encode(text)
        assert numbers[-1] == END
        assert UNKNOWN not in numbers
        assert vocabulary.decode(numbers[:-1]) == text


def test_what_is_rare_or_new_is_unknown_and_the_end_can_not_be_written():
    vocabulary = of(["a b a", "a c b <end>"], "word", at_least=2)
    assert vocabulary.symbols[2:] == ("a", "b")
    assert vocabulary.encode("a c <end> b").tolist() == [2, UNKNOWN, UNKNOWN, 3, END]
    assert of(["abcab"], "char", most=2).symbols[2:] == ("a", "b")


def test_features_are_symbols_of_their_own():
    vocabulary = of(["abV"], "char").with_features([("V", "PST"), ("V",)])
    a, b, v = (vocabulary.symbols.numbers[s] for s in ("a", "<V>", "<PST>"))
    assert vocabulary.encode("a", ("V", "PST")).tolist() == [b, v, a, END]
    assert vocabulary.encode("V")[0] != b


def test_pieces_of_words_are_merged_as_they_were_learnt():
    vocabulary = of(["low lower lowest newer newest"] * 5, "subword", most=280)
    assert len(vocabulary.symbols) <= 282
    assert len(vocabulary.cut("lowest")) < len("lowest")
    again = Vocabulary.of_merges(vocabulary.merges)
    assert again.symbols == vocabulary.symbols
    assert again.cut("slower news") == vocabulary.cut("slower news")
    with pytest.raises(InputError, match="--max-words 100: pieces of words need 256 or more"):
        of(["a"], "subword", most=100)


# Scores


def slow_distance(a, b):
    table = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left, table[0] = table[0], i
        for j, y in enumerate(b, 1):
            left, table[j] = table[j], min(table[j] + 1, table[j - 1] + 1, left + (x != y))
    return table[-1]


def test_edit_distances_are_those_of_the_textbook():
    draw = random.Random(0)
    a, b = ([draw.choices("abc", k=draw.choice((0, 1, 2, 5, 17))) for _ in range(300)] for _ in range(2))
    assert distances(a, b).tolist() == [slow_distance(x, y) for x, y in zip(a, b, strict=True)]
    assert distances([], []).tolist() == []
    assert distances([list("kitten")], [list("sitting")]).tolist() == [3]


def test_each_source_is_judged_by_the_nearest_of_its_targets():
    test = pairs(["x", "x", "y"], ["a b c", "d e", "f g h i"])
    found = score("", test, ["d e", "d e", "f g h"])
    assert (found.exact, found.words, found.characters) == (0.5, 1 / 6, 2 / 10)
    assert found.bleu is None


def test_bleu_and_chrf_are_sacrebleus():
    from sacrebleu import corpus_bleu, corpus_chrf

    test = pairs(["x", "x", "y"], ["the cat sat on the mat", "a cat sat on the mat .", "it was the best of times"])
    written = ["the cat sat on a mat", "the cat sat on a mat", "it was the worst of times"]
    found = score("", test, written, sentences=True)
    references = [["the cat sat on the mat", "it was the best of times"], ["a cat sat on the mat .", None]]
    assert found.bleu == corpus_bleu([written[0], written[2]], references).score
    assert found.chrf == corpus_chrf([written[0], written[2]], references).score
    assert 20 < found.bleu < 100


def test_baselines_copy_repeat_and_look_up():
    train = pairs(["walk", "talk", "go"], ["walked", "talked", "walked"])
    test = pairs(["walks", "gone", "ta"])
    found = {name: list(written) for name, written in baselines(train, test)}
    assert found["the source as it is"] == ["walks", "gone", "ta"]
    assert found["the most frequent target"] == ["walked"] * 3
    assert found["target of the nearest source by n-grams"] == ["walked", "walked", "talked"]


# Training and the model's file


def test_how_much_is_forced_falls_from_epoch_to_epoch():
    def forced(**told):
        config = TranslateConfig(units=2, embedding=2, epochs=5, **told)
        problem = TranslateProblem.of(config, pairs(["a", "b"], ["c", "d"]))
        task, found = problem.task(problem.network()), []
        for epoch in range(5):
            task.order(epoch, torch.Generator())
            found.append(task.forced)
        return found

    assert forced() == [1.0] * 5
    assert forced(forcing=0.2) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    sigmoid = forced(forcing=0.0, forcing_schedule="sigmoid")
    assert sigmoid[0] == pytest.approx(1)
    assert sigmoid[2] == pytest.approx(0.5)
    assert sigmoid[4] == pytest.approx(0, abs=1e-12)
    assert sigmoid[1] > 0.75


def fitted(**told):
    made = dates(60)
    arguments = {"units": 6, "embedding": 5, "epochs": 2, "validation_share": 0.2, **told}
    return Translator(**arguments).fit(made.sources, made.known_targets), made


@pytest.mark.parametrize("told", [{}, {"level": "word"}, {"level": "subword", "max_words": 300, "layers": 1}])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_model_that_was_saved_writes_the_same(cell, told):
    translator, made = fitted(cell=cell, attention="additive" if cell == "lstm" else "multiplicative", **told)
    translator.save("model")
    loaded = Translator.load("model")
    assert loaded.predict_n_best(made.sources, 3) == translator.predict_n_best(made.sources, 3)
    loaded.save("again")
    assert Path("again").read_bytes() == Path("model").read_bytes()
    assert Model.load(Path("model")).config == translator.model_.config


def test_targets_are_written_together_as_one_by_one():
    translator, made = fitted()
    together = translator.predict_n_best(made.sources, 4)
    for source, best in zip(made.sources, together, strict=True):
        ((alone,),) = [translator.predict_n_best([source], 4)]
        assert [text for text, _ in alone] == [text for text, _ in best]
        assert [p for _, p in alone] == pytest.approx([p for _, p in best], rel=1e-4)


def test_too_long_a_target_is_refused():
    with pytest.raises(InputError, match="expected targets of 9,995 symbols at most, got 12,001"):
        TranslateProblem.of(TranslateConfig(), pairs(["a"], ["b" * 12_000]))
