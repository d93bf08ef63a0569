"""The jobs' model files, run without torch: what the job itself says."""

from __future__ import annotations

import numpy as np
import pytest

from statewise import runtime
from statewise.jobs import Classifier, Writer
from statewise.runtime import file

CLOSE = {"rtol": 1e-5, "atol": 2e-6}


def loaded(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return runtime.load(tmp_path / "model.safetensors")


def padded(sequences):
    """(T, N, I), and the lengths."""
    lengths = [len(each) for each in sequences]
    x = np.full((max(lengths), len(sequences), sequences[0].shape[1]), 1e6)
    for row, each in enumerate(sequences):
        x[: len(each), row] = each
    return x, lengths


def sequences(lengths=(5, 7, 4, 9), channels=2):
    random = np.random.default_rng(0)
    return [3 + 2 * random.normal(size=(t, channels)) for t in lengths]


@pytest.mark.parametrize(
    "options",
    [
        {"head": "max", "bidirectional": True, "cell": "gru"},
        {"head": "last", "bidirectional": True, "cell": "lstm", "layers": 2},
        {"head": "mean", "bidirectional": False, "cell": "rnn", "segment": 3},
        {"head": "attention", "bidirectional": True, "cell": "gru", "segment": 2, "scaling": "none"},
    ],
)
def test_a_classifier(options, tmp_path):
    X = sequences()
    model = Classifier(units=5, epochs=2, **options).fit(X * 3, np.array(["yes", "no"] * 6))
    net = loaded(model, tmp_path)
    assert net.labels == ["no", "yes"]
    np.testing.assert_allclose(net.run(*padded(X)), model.predict_proba(X), **CLOSE)
    np.testing.assert_allclose(net.run(X[1][:, None])[0], model.predict_proba([X[1]])[0], **CLOSE)


@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
def test_a_classifier_by_steps_with_gaps(head, tmp_path):
    X = sequences()
    model = Classifier(units=5, epochs=2, head=head, bidirectional=False, gaps="carry").fit(X * 3, [0, 1] * 6)
    net = loaded(model, tmp_path)
    X[3][[0, 4, 5], [1, 0, 0]] = np.nan
    X[1][[2, 6], [1, 0]] = np.nan
    np.testing.assert_allclose(net.run(*padded(X)), model.predict_proba(X), **CLOSE)
    stream, state = model.stream(2), net.start(2)
    for x in zip(X[1], X[3], strict=False):
        y, state = net.step(x, state)
        np.testing.assert_allclose(y, stream.step(x), **CLOSE)
    state = net.from_bytes(net.to_bytes(state))
    y, _ = net.feed(X[3][7:9, None].repeat(2, 1), state, [0, 2])
    np.testing.assert_allclose(y, model.predict_proba([X[1], X[3]]), **CLOSE)


def test_missing_values_are_refused_where_none_were_learnt(tmp_path):
    X = sequences()
    net = loaded(Classifier(units=2, epochs=1, bidirectional=False).fit(X, [0, 1, 0, 1]), tmp_path)
    X[0][2, 1] = np.nan
    with pytest.raises(ValueError, match=r"scaler: values are missing \(NaN\)"):
        net.run(X[0][:, None])


@pytest.mark.parametrize("options", [{"cell": "gru"}, {"cell": "lstm", "layers": 2, "tie": True, "level": "word"}])
def test_a_writer(options, tmp_path):
    text = "the cat sat on the mat\nthe dog sat on the log\n" * 20
    model = Writer(units=8, epochs=1, **options).fit(text)
    net = loaded(model, tmp_path)
    vocabulary = model.model_.vocabulary
    assert net.labels == list(vocabulary.symbols)
    prompt = "the cat"
    ids = [vocabulary.end, *vocabulary.numbers(prompt).tolist()]
    ids = ids[:-1] if options.get("level") == "word" else ids  # the end of a line that isn't there
    said = np.exp(net.run(np.array(ids)[:, None])[-1, 0])
    np.testing.assert_allclose(said, model.model_.probabilities(prompt), **CLOSE)
    y, state = net.feed(np.array(ids)[:, None], net.start())
    written = []
    for _ in range(12):
        symbol = runtime.draw(y[-1] if y.ndim == 3 else y, np.random.default_rng(0), temperature=0)
        written.append(net.labels[symbol[0]])
        y, state = net.step(symbol, state)
    text = "".join(written) if options["cell"] == "gru" else vocabulary.decode(map(net.labels.index, written))
    assert model.model_.complete(prompt, 12).removeprefix(prompt).strip() == text.strip()


def test_drawn_symbols_come_as_often_as_they_are_likely():
    random = np.random.default_rng(0)
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    drawn = runtime.draw(np.tile(scores, (20_000, 1)), random)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, np.exp(scores), atol=0.015)
    drawn = runtime.draw(np.tile(scores, (20_000, 1)), random, temperature=0.5, top_k=2)
    likely = np.array([0.25, 0.09, 0, 0]) / 0.34
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, likely, atol=0.015)
    assert runtime.draw(scores[None], random, temperature=0)[0] == 0


def test_a_network_with_a_new_part_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    X = sequences()
    Classifier(units=2, epochs=1).fit(X, [0, 1, 0, 1]).save(path)
    told, arrays = file.read(path.read_bytes(), "")
    path.write_bytes(
        file.write(told["kind"], 2, told["content"], arrays | {"network.front.weight": np.ones(3, np.float32)})
    )
    with pytest.raises(runtime.LoadError, match="the runtime can't run what network.front.weight belongs to"):
        runtime.load(path)
    path.write_bytes(file.write(told["kind"], 1, told["content"], arrays))
    with pytest.raises(runtime.LoadError, match="a classification model of format 1, .*; the runtime reads format 2"):
        runtime.load(path)
