"""The cache beside a writer: when it is had, what it is worth, and that all that reads a text does so with it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from statewise import cli, runtime
from statewise.jobs import InputError, Writer
from statewise.jobs.tasks.write import likelihood as likelihoods
from statewise.jobs.tasks.write.caching import chosen
from statewise.jobs.tasks.write.config import Draw
from statewise.runtime.cache import Cache

QUICK = {"level": "word", "units": 8, "layers": 1, "epochs": 1, "validation_share": 0.3}


def prose(seed, *, topics):
    """Words at random: with ``topics`` of a few in each part of a text, which no network could know before."""
    random = np.random.default_rng(seed)
    parts = [random.integers(0, 100, 4) if topics else np.arange(100) for _ in range(30)]
    return " ".join(f"w{word}" for part in parts for word in random.choice(part, 200))


@pytest.fixture(scope="module")
def writer():
    return Writer(**QUICK).fit(prose(0, topics=True))


def test_it_is_had_where_words_come_again(writer):
    cache = writer.model_.cache
    assert cache.size in (500, 1000, 2000)
    assert cache.share == 0.3
    other = prose(1, topics=True)
    found = writer.model_.likelihood(other)
    assert found.score("").loss < found.alone.score("").loss - 0.3
    alone = replace(writer.model_, cache=None)
    assert alone.likelihood(other).alone is None
    np.testing.assert_allclose(found.alone.nats, alone.likelihood(other).nats, rtol=1e-4, atol=1e-4)
    assert writer.perplexity(other) == math.exp(found.score("").loss)


def test_it_is_not_had_where_nothing_comes_again():
    model, text = Writer(**QUICK).fit(prose(5, topics=False)).model_, prose(2, topics=False)
    assert model.cache is None
    assert chosen(model, model.encode(text)) is None
    assert chosen(model, model.encode(text[:200])) is None  # too short to tell
    assert chosen(model, model.encode(prose(3, topics=True)), 77).size == 77


def test_what_is_asked_for_is_had_or_refused():
    text = prose(0, topics=True)
    assert Writer(**QUICK, cache=0).fit(text).model_.cache is None
    assert Writer(**QUICK, cache=60).fit(text).model_.cache.size == 60
    assert Writer(**{**QUICK, "validation_share": 0}).fit(text).model_.cache is None
    with pytest.raises(InputError, match="--cache 9: needs a validation part"):
        Writer(**{**QUICK, "validation_share": 0}, cache=9).fit(text)
    with pytest.raises(InputError, match="--cache 9: expected running text"):
        Writer(**QUICK, cache=9).fit(text.split()[:50])
    characters = Writer(units=8, layers=1, epochs=1, validation_share=0.3)
    assert characters.fit("no cache is tried for characters " * 200).model_.cache is None


def test_all_that_reads_a_text_reads_it_with_the_cache(writer, tmp_path, monkeypatch):
    """A likelihood is that of a stream, over the borders of stretches too, and of what the file runs elsewhere."""
    monkeypatch.setattr(likelihoods, "STRETCH", 64)
    monkeypatch.setattr(likelihoods, "RUN_UP", 300)  # more than this network remembers by itself
    monkeypatch.setattr(likelihoods, "STATES_AT_ONCE", 1)
    model, words = replace(writer.model_, cache=Cache(50, 2.0, 0.4)), prose(4, topics=True).split()[:500]
    text = " ".join(words)
    nats = model.likelihood(text).nats
    state, said = model.start(1), []
    ids = model.encode(text).ids
    state = model.net.start(1)
    for symbol, after in pairwise(ids):
        logarithms, state = model.net.step(np.array([symbol]), state)
        said.append(-logarithms[0, after])
    np.testing.assert_allclose(nats[1:], said, rtol=1e-3, atol=1e-3)

    model.save(tmp_path / "model")
    again, net = Writer.load(tmp_path / "model"), runtime.load(tmp_path / "model")
    assert again.model_.cache == model.cache == net.cache
    begun = " ".join(words[:120])
    likely = again.predict_proba(begun)
    assert likely.sum() == pytest.approx(1, abs=1e-6)
    numbers = np.array(again.model_._begun(begun))[:, None]
    np.testing.assert_allclose(np.exp(net.run(numbers)[-1, 0]), likely, rtol=1e-4)
    assert np.abs(likely - replace(model, cache=None).probabilities(begun)).max() > 0.05
    stream = again.stream()
    for symbol in ["\n", *words[:120]]:
        last = stream.step(symbol)
    np.testing.assert_allclose(last, likely, rtol=1e-4)
    (best, *_) = again.predict_n_best(begun, 2, length=1)
    assert best[1] == pytest.approx(np.sort(likely)[-1], rel=1e-4)
    draw = Draw(seed=3)
    assert model.samples(1, begun, 30, draw) == model.samples(1, begun, 30, draw)
    assert model.samples(1, begun, 30, draw) != replace(model, cache=None).samples(1, begun, 30, draw)


@pytest.mark.slow
def test_the_command_says_what_it_is_worth(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("text").write_text(prose(0, topics=True))
    argv = ["write", "text", "--level", "word", "--units", "8", "--layers", "1", "--epochs", "1"]
    assert cli.main([*argv, "--validation-share", "0.3", "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert "GRU with its cache " in said
    assert "GRU without it " in said
    assert "came after states like the present one" in Path("run/report.html").read_text()
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["perplexity"] < metrics["cache"]["without"]["perplexity"]
    assert cli.main(["write", "score", "run/model.safetensors", "text"]) == 0
    assert "(the network without its cache " in capsys.readouterr().out
    assert cli.main(["convert", "run/model.safetensors", "net.safetensors"]) == 0
    assert "hasn't got the cache" in capsys.readouterr().err
    assert not hasattr(runtime.load("net.safetensors"), "cache")
