"""The jobs' model files as ONNX: what the runtime says of the same model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import onnx
import statewise
from onnx_engines import ENGINES, every_engine, run_onnxruntime
from statewise import runtime
from statewise.jobs import Classifier, Regressor, Tagger, Translator, Writer

CLOSE = {"rtol": 1e-5, "atol": 2e-6}
pytestmark = pytest.mark.slow


def exported(model, tmp_path, **options):
    """The runtime's network, and the ONNX file."""
    model.save(tmp_path / "model.safetensors")
    statewise.to_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx", **options)
    return runtime.load(tmp_path / "model.safetensors"), tmp_path / "model.onnx"


@every_engine
@pytest.mark.parametrize(
    "options",
    [
        {"head": "max", "bidirectional": True, "cell": "gru"},
        {"head": "mean", "bidirectional": False, "cell": "rnn", "segment": 3},
        {"head": "attention", "bidirectional": True, "cell": "gru", "segment": 2, "scaling": "none"},
    ],
)
def test_a_classifier(options, engine, tmp_path):
    X = [3 + 2 * np.random.default_rng(k).normal(size=(t, 2)) for k, t in enumerate((5, 7, 4, 9))]
    model = Classifier(units=5, epochs=2, minirocket=False, **options).fit(X * 3, np.array(["yes", "no"] * 6))
    net, path = exported(model, tmp_path, lengths=True, native=engine == "onnxruntime")
    x, lengths = np.full((9, 4, 2), 1e6), np.array([len(each) for each in X])
    for row, each in enumerate(X):
        x[: len(each), row] = each
    (found,) = ENGINES[engine](path, {"x": x, "lengths": lengths})
    np.testing.assert_allclose(found, model.predict_proba(X), **CLOSE)
    metadata = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(metadata["statewise.labels"]) == net.labels == ["no", "yes"]


def series(ragged, count=24, channels=2):
    random = np.random.default_rng(0)
    lengths = random.integers(14, 30, count) if ragged else [25] * count
    return [3 + 2 * np.cumsum(random.normal(size=(t, channels)), 0) for t in lengths]


def mixed(net, share=0.4):
    """With a share of the network, whichever it was given."""
    model = net._model
    return runtime.Classifier(replace(model, beside=replace(model.beside, share=share)))


@every_engine
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("target", ["classes", "labels", "numbers"])
def test_minirocket_beside_a_network(target, ragged, engine, tmp_path):
    X, n = series(ragged), np.arange(24)
    y = {"classes": n % 3, "labels": np.stack([n % 2, n % 3 == 0], 1).astype(int), "numbers": 3.0 * n}
    learner = (Regressor if target == "numbers" else Classifier)(units=4, epochs=1, segment=2)
    learner.fit(X, y[target]).save(tmp_path / "model.safetensors")
    net, path = mixed(runtime.load(tmp_path / "model.safetensors")), tmp_path / "model.onnx"
    assert net._model.beside.features.KIND == "MiniROCKET"
    statewise.to_onnx(net, path, lengths=ragged, native=engine == "onnxruntime")
    lengths = np.array([len(each) for each in X])
    x = np.full((lengths.max(), len(X), 2), 1e6)
    for row, each in enumerate(X):
        x[: len(each), row] = each
    (found,) = ENGINES[engine](path, {"x": x} | ({"lengths": lengths} if ragged else {}))
    expected = net.run(X)
    assert found.shape == expected.shape
    # A share of places is another one where a place lies on a height, as those do that heights were taken from.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    if not ragged:
        (found,) = ENGINES[engine](path, {"x": x[:9]})  # shorter than the widest kernels
        expected = net.run([each[:9] for each in X])
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


def test_lengths_of_a_minirocket_for_one_length_are_refused(tmp_path):
    Classifier(units=3, epochs=1).fit(series(False), np.arange(24) % 2).save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="to_onnx: ONNX can't be told of lengths of a MiniROCKET"):
        statewise.to_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx", lengths=True)
    with pytest.raises(ValueError, match="to_onnx: ONNX can't be told of states of a classifier of texts, or"):
        statewise.to_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx", states=True)


@pytest.mark.parametrize("ngrams", [0, 2])
def test_a_classifier_of_texts(ngrams, tmp_path):
    texts = ["so good it is", "bad it is", "very good", "so very bad"] * 8
    model = Classifier(units=4, embedding=3, epochs=1, level="word", ngrams=ngrams).fit(texts, ["yes", "no"] * 16)
    model.save(tmp_path / "model.safetensors")
    net, path = runtime.load(tmp_path / "model.safetensors"), tmp_path / "model.onnx"
    net = mixed(net) if ngrams else net
    statewise.to_onnx(net, path, lengths=True)
    some = ["good", "it is so bad", "what is"]
    x, lengths, scores = net.encode(some)
    feeds = {"x": x, "lengths": lengths} | ({} if scores is None else {"ngrams": scores})
    assert (scores is None) == (not ngrams)
    np.testing.assert_allclose(run_onnxruntime(path, feeds)[0], net.run(some), **CLOSE)


def test_a_regressor(tmp_path):
    X = [3 + 2 * np.random.default_rng(k).normal(size=(6, 2)) for k in range(4)]
    model = Regressor(units=5, epochs=2, minirocket=False, head="last").fit(X * 3, [1007.5, 1003.0, 990.0, 1001.0] * 3)
    _, path = exported(model, tmp_path)
    (found,) = run_onnxruntime(path, {"x": np.stack(X, 1)})
    np.testing.assert_allclose(found[:, 0], model.predict(X), rtol=1e-6)


def test_a_writer_by_steps(tmp_path):
    model = Writer(units=8, epochs=1, cell="lstm", layers=2, tie=True).fit("the cat sat on the mat\n" * 40)
    net, path = exported(model, tmp_path, states=True)
    x = np.random.default_rng(0).integers(len(net.labels), size=(6, 3))
    state = {f"recurrent.{k}.{letter}_0": np.zeros((1, 3, 8), np.float32) for k in range(2) for letter in "hc"}
    names = [f"{name.removesuffix('_0')}_n" for name in state]
    for t, expected in enumerate(net.run(x)):
        y, *after = run_onnxruntime(path, {"x": x[t : t + 1]} | state)
        state = {f"{name.removesuffix('_n')}_0": each for name, each in zip(names, after, strict=True)}
        np.testing.assert_allclose(y[0], expected, **CLOSE)


@pytest.mark.parametrize("crf", [True, False])
def test_a_tagger(crf, tmp_path):
    words = [["The", "cat", "sat"], ["Joan", "lives", "in", "Rome", "2"], ["Go"], ["it" * 30, "-"]]
    tags = [["O", "O", "O"], ["B-PER", "O", "O", "B-LOC", "I-LOC"], ["O"], ["B-LOC", "I-LOC"]]
    model = Tagger(epochs=3, units=6, batch=2, validation_share=0.0, crf=crf).fit(words * 4, tags * 4)
    net, path = exported(model, tmp_path, lengths=True)
    given, lengths = net.encode(words)  # the linear tagger's scores among them
    forms = list(dict.fromkeys(word for sentence in words for word in sentence))
    letters, spelt = net.letters(forms)
    at = np.zeros(given[0].shape, np.int64)
    for n, sentence in enumerate(words):
        at[: len(sentence), n] = [forms.index(word) for word in sentence]
    feeds = dict(zip([name for name, _ in net.scores.inputs], given, strict=True)) | {"spelt": at, "lengths": lengths}
    (found,) = run_onnxruntime(path, feeds | {"letters": letters, "letters.lengths": spelt})
    assert [[net.labels[k] for k in row[:t]] for row, t in zip(found.T, lengths, strict=True)] == model.predict(words)


@pytest.mark.parametrize("attention", ["multiplicative", "additive"])
def test_a_translator(attention, tmp_path):
    days = [(f"{day} of month {month}", f"{month}-{day}") for day in (1, 7, 12) for month in (3, 5)]
    X, y = map(list, zip(*days, strict=True))
    told = {"units": 12, "embedding": 8, "epochs": 60, "learning_rate": 0.03, "validation_share": 0.0}
    model = Translator(**told, cell="lstm", layers=2, attention=attention).fit(X, y)
    net, path = exported(model, tmp_path)
    assert not path.exists()
    sources = [net.source.encode(text, []) for text in X]
    lengths = np.array([len(each) for each in sources])
    x = np.zeros((lengths.max(), len(X)), np.int64)
    for n, each in enumerate(sources):
        x[: len(each), n] = each
    values, keys, begun = run_onnxruntime(tmp_path / "model.encoder.onnx", {"x": x, "lengths": lengths})
    there = (np.arange(len(x))[:, None] < lengths)[..., None].astype(np.float32)
    memory = {"attention.values": values, "attention.keys": keys, "attention.there": there}
    state = {}
    for k, h in enumerate(np.split(begun, 2, axis=1)):
        state |= {f"decoder.{k}.h_0": h[None], f"decoder.{k}.c_0": np.zeros_like(h[None])}
    said = net._begun(sources, 1)
    symbols = np.zeros(len(X), np.int64)
    for _ in range(5):
        y, *after = run_onnxruntime(tmp_path / "model.decoder.onnx", {"x": symbols[None]} | state | memory)
        state = dict(zip(state, after, strict=True))
        expected, said = net.decoder.step(symbols, said)
        np.testing.assert_allclose(y[0], expected, **CLOSE)
        symbols = expected.argmax(-1)
