"""The jobs' model files, run without torch: what the job itself says."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

from statewise import runtime
from statewise.jobs import Classifier, Forecaster, Regressor, Tagger, Translator, Writer
from statewise.jobs.tasks.classify.network import outputs_of
from statewise.jobs.tasks.classify.sequences import as_sequences
from statewise.jobs.tasks.classify.texts import as_texts, is_texts
from statewise.jobs.tasks.tag.corpus import as_corpus
from statewise.jobs.tasks.tag.decoding import in_words
from statewise.jobs.tasks.tag.packed import Packed
from statewise.jobs.tasks.tag.training import predict
from statewise.jobs.tasks.write.training import TorchReader
from statewise.runtime import Network, file

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


def by_torch(classifier, X):
    """What torch's modules say: probabilities, or numbers."""
    model = classifier.model_
    read = model.encoder.encoded(
        as_texts(X) if is_texts(X) else as_sequences(X, gaps="carry"), model.config.segment or 1
    )
    return model.target.decode(outputs_of(model.network, read).numpy())


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
    np.testing.assert_allclose(model.predict_proba(X), by_torch(model, X), **CLOSE)
    np.testing.assert_allclose(net.run(X[1][:, None])[0], model.predict_proba([X[1]])[0], **CLOSE)


def test_several_labels_and_numbers(tmp_path):
    X = sequences()
    model = Classifier(units=5, epochs=2, minirocket=False).fit(X * 3, np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 3))
    net = loaded(model, tmp_path)
    assert len(net.labels) == 2
    np.testing.assert_allclose(net.run(*padded(X)), model.predict_proba(X), **CLOSE)
    np.testing.assert_allclose(model.predict_proba(X), by_torch(model, X), **CLOSE)
    numbers = Regressor(units=5, epochs=2, minirocket=False).fit(X * 3, [1007.5, 1003.0, 990.0, 1001.0] * 3)
    net = loaded(numbers, tmp_path)
    np.testing.assert_allclose(net.run(*padded(X))[:, 0], numbers.predict(X), rtol=1e-6)
    np.testing.assert_allclose(numbers.predict(X), by_torch(numbers, X), rtol=1e-6)


@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
def test_a_classifier_by_steps_with_gaps(head, tmp_path):
    X = sequences()
    model = Classifier(units=5, epochs=2, head=head, bidirectional=False, gaps="carry").fit(X * 3, [0, 1] * 6)
    net = loaded(model, tmp_path)
    np.testing.assert_allclose(model.predict_proba(X), by_torch(model, X), **CLOSE)
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
    by_torch = TorchReader(model.model_.network)(np.array(ids)[:, None], None)[0][-1]
    np.testing.assert_allclose(said, np.exp(by_torch), **CLOSE)
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
    with pytest.raises(runtime.LoadError, match=r"the runtime can't run what network.front.weight belongs to"):
        runtime.load(path)
    path.write_bytes(file.write(told["kind"], 99, told["content"], arrays))
    with pytest.raises(runtime.LoadError, match=r"a classification model of format 99, .* which reads format 1 and 2"):
        runtime.load(path)


CORPUS = [["The", "cat", "sat"], ["Joan", "lives", "in", "Rome", "2"], ["Go"], ["it" * 30, "-"]]
TAGS = [["O", "O", "O"], ["B-PER", "O", "O", "B-LOC", "I-LOC"], ["O"], ["B-LOC", "I-LOC"]]
KINDS = [[[word[:1].upper() for word in words] for words in CORPUS]]


@pytest.mark.parametrize(
    "options",
    [
        {"crf": True},
        {"crf": False, "layers": 1, "cell": "gru"},
        {"crf": True, "character_units": 0, "bidirectional": False},
        {"crf": False, "features": True},
        {"crf": False, "vectors": True},
        {"crf": True, "linear": False},
    ],
)
def test_a_tagger(options, tmp_path):
    if options.get("vectors"):
        (tmp_path / "vectors.txt").write_text("cat 1 2 3\nrome 0.5 0 -1\nnever 1 1 1\n")
        options = options | {"vectors": str(tmp_path / "vectors.txt")}
    features = KINDS if options.get("features") else []
    options = {name: value for name, value in options.items() if name != "features"}
    X = [list(zip(words, *(column[n] for column in features), strict=True)) for n, words in enumerate(CORPUS)]
    X = X if features else CORPUS
    model = Tagger(epochs=3, units=6, batch=2, validation_share=0.0, **options).fit(X * 4, TAGS * 4)
    net = loaded(model, tmp_path)
    unseen = [["Rome", "sat", "in", "Ωmega", "77"], ["xyz"], ["Joan", "Joan"]]
    columns = [[[word[:1].upper() for word in words] for words in unseen]] if features else []
    rows = [list(zip(words, *(c[n] for c in columns), strict=True)) for n, words in enumerate(unseen)]
    assert net.tag(CORPUS, features) == model.predict(X)
    packed = Packed(as_corpus(X), model.model_.vocabulary, model.model_.linear)
    numbers, _ = predict(model.model_.network, packed)  # torch's
    assert model.predict(X) == list(map(list, in_words(numbers, packed.lengths, model.model_.vocabulary.tags)))
    assert net.tag(unseen, columns) == model.predict(rows if features else unseen)


def test_a_tagger_by_steps(tmp_path):
    X = [[word.lower() for word in words] for words in CORPUS]
    free = [[word[0] for word in words] for words in X]
    model = Tagger(epochs=3, units=6, batch=2, bidirectional=False, validation_share=0.0).fit(X * 4, free * 4)
    net = loaded(model, tmp_path)
    state, found = net.start(), []
    for word in X[1]:
        given, _ = net.encode([[word]])
        y, state = net.step([each[0] for each in given], state)
        found.append(net.labels[y[0]])
    assert found == model.predict([X[1]])[0]


def test_what_a_tagger_is_given(tmp_path):
    net = loaded(Tagger(epochs=1, units=3, validation_share=0.0).fit(CORPUS, TAGS), tmp_path)
    with pytest.raises(ValueError, match="expected 0 columns of features beside the words, got 1"):
        net.tag(CORPUS, KINDS)
    with pytest.raises(ValueError, match="expected sentences of one word or more"):
        net.tag([["a"], []])
    assert net.tag([]) == []


@pytest.mark.parametrize("ragged", [False, True])
def test_the_best_path_is_the_best_of_all(ragged):
    random = np.random.default_rng(0)
    arrays = {
        f"path.{name}": random.normal(size=shape) for name, shape in (("between", (3, 3)), ("first", 3), ("last", 3))
    }
    arrays["path.allowed"] = random.random((4, 4)) > 0.2
    content = {"inputs": [{"name": "x", "kind": "values", "width": 3}], "ops": [{"op": "path"}]}
    net = Network(content, arrays)
    scores, lengths = random.normal(size=(5, 4, 3)), [5, 1, 4, 2] if ragged else [5] * 4
    moves = np.where(arrays["path.allowed"][:3, :3], arrays["path.between"], -1e4)
    first = np.where(arrays["path.allowed"][3, :3], arrays["path.first"], -1e4)
    last = np.where(arrays["path.allowed"][:3, 3], arrays["path.last"], -1e4)
    found = net.run(scores, lengths if ragged else None)
    for n, length in enumerate(lengths):

        def score(tags, n=n):
            own = sum(scores[t, n, tag] for t, tag in enumerate(tags))
            return own + first[tags[0]] + last[tags[-1]] + sum(moves[a, b] for a, b in pairwise(tags))

        assert tuple(found[:length, n]) == max(product(range(3), repeat=length), key=score)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "layers": 2, "attention": "multiplicative"},
        {"cell": "lstm", "layers": 3, "attention": "additive", "length_penalty": 0.5},
        {"cell": "rnn", "layers": 1, "attention": "multiplicative", "level": "word"},
    ],
)
def test_a_translator(options, tmp_path):
    days = [(f"{day} of month {month}", f"{month}-{day}") for day in (1, 7, 12) for month in (3, 5)]
    X, y = map(list, zip(*days, strict=True))
    told = {"units": 12, "embedding": 8, "epochs": 60, "learning_rate": 0.03, "validation_share": 0.0}
    model = Translator(**told, **options).fit(X, y)
    net = loaded(model, tmp_path)
    unseen = ["7 of month 12", "x", "5 of month 5 of month 7"]
    found = net.translate(X + unseen, beam=3)
    for best, expected in zip(found, model.predict_n_best(X + unseen, 3), strict=True):
        assert [each.text for each in best] == [text for text, _ in expected]
        np.testing.assert_allclose(np.exp([each.probability for each in best]), [p for _, p in expected], rtol=1e-4)
    assert [best[0].text for best in net.translate(X)] == model.predict(X)


def test_a_translator_with_features(tmp_path):
    X = [("go", "past"), ("see", "past"), ("go", "now")]
    model = Translator(units=4, embedding=4, epochs=2, validation_share=0.0).fit(X, ["went", "saw", "go"])
    net = loaded(model, tmp_path)
    texts, features = [text for text, _ in X], [[feature] for _, feature in X]
    assert [best[0].text for best in net.translate(texts, features)] == model.predict(X)


def both(model, tmp_path, X, **how):
    """What the job says of ``X`` and what the runtime does, and the runtime's classifier."""
    found = loaded(model, tmp_path)
    assert isinstance(found, runtime.Classifier)
    np.testing.assert_array_equal(found.run(X), model.predict_proba(X))
    return found


def test_minirocket_beside_a_classifier(tmp_path):
    X = np.random.default_rng(0).normal(size=(24, 12))
    found = both(Classifier(units=3, epochs=1).fit(X, np.arange(24) % 2), tmp_path, X)
    assert found.labels == [0, 1]
    with pytest.raises(ValueError, match="needs whole sequences"):
        found.start()


@pytest.mark.parametrize("options", [{"level": "char"}, {"level": "word", "ngrams": 0}, {"level": "subword"}])
def test_a_classifier_of_texts(options, tmp_path):
    X = ["a small cat sat", "a large dog lay", "the small cat lay", "the large dog sat"] * 6
    model = Classifier(units=3, epochs=1, bidirectional=False, max_words=300, **options).fit(X, ["cat", "dog"] * 12)
    found = both(model, tmp_path, [*X[:5], "a hippopotamus", ""])
    if options["level"] == "char":
        stream, state = model.stream(2), found.start(2)
        for symbols in zip("cat", "dog", strict=True):
            said, state = found.step(symbols, state)
            np.testing.assert_array_equal(said, stream.step(symbols))


def test_sequences_of_symbols(tmp_path):
    X = [list("gattaca"), list("ccgg"), list("tata")] * 8
    both(Classifier(units=3, epochs=1).fit(X, ["yes", "no", "no"] * 8), tmp_path, X[:3])


@pytest.mark.parametrize("level", ["char", "word", "subword"])
def test_a_writer_reads_and_writes_text(level, tmp_path):
    text = "the cat sat on the mat\nthe dog sat on the log\n" * 20
    model = Writer(units=6, layers=1, epochs=1, level=level, max_words=300).fit(text)
    net = loaded(model, tmp_path)
    assert isinstance(net, runtime.Writer)
    prompt = "the dog\n" if level == "word" else "the dog"
    numbers = net.encode(prompt)
    assert net.decode(numbers[:, 0]).strip() == prompt.strip()
    begun = np.concatenate([[[net.vocabulary.end]], numbers])
    np.testing.assert_allclose(np.exp(net.run(begun)[-1, 0]), model.model_.probabilities(prompt), **CLOSE)
    if level == "char":
        with pytest.raises(ValueError, match="the model has never seen the character 'Ω'"):
            net.encode("Ω")


SERIES = np.sin(np.arange(120) / 3) + np.random.default_rng(0).normal(0, 0.1, 120)


@pytest.mark.parametrize(
    "options",
    [
        {"model": "lstm", "ensemble": 2},
        {"model": "gru", "layers": 2, "combine": False},
        {"model": "seq2seq", "layers": 2, "cell": "gru"},
        {"model": "segrnn", "distribution": "student-t", "combine": False},
    ],
)
def test_a_forecaster(options, tmp_path):
    values = np.stack([SERIES, 3 + 2 * SERIES[::-1]], axis=1)
    model = Forecaster(units=4, epochs=2, horizon=5, season=6, **options).fit(values[:110])
    found = loaded(model, tmp_path)
    assert isinstance(found, runtime.Forecaster)
    assert (found.horizon, found.names, found.shares) == (5, ["y0", "y1"], model.model_.plan.quantiles)
    learner, random = model.model_.learner, np.random.default_rng(1)
    features = learner.inputs.features
    for runner, network in zip(learner.runners, learner.networks, strict=True):
        if options["model"] in ("lstm", "gru"):
            x = random.normal(size=(7, 3, features)).astype(np.float32)
            expected = network(torch.from_numpy(x)).detach().numpy()
            np.testing.assert_allclose(runner.network.run(x)[..., 0], expected, **CLOSE)
        else:
            given = [random.normal(size=(3, n, f)) for n, f in ((learner.plan.lookback, features), (5, 0))]
            given = [*(each.astype(np.float32) for each in given), np.array([1, 0, 1])]
            expected = network(*map(torch.from_numpy, given)).detach().numpy()
            np.testing.assert_allclose(runner(*given), expected, **CLOSE)
    np.testing.assert_array_equal(found.run().swapaxes(0, 1), model.predict_quantiles())
    np.testing.assert_array_equal(found.run(12, level=[80]).swapaxes(0, 1), model.predict_quantiles(h=12, level=[80]))
    np.testing.assert_array_equal(found.paths(3, seed=4).transpose(0, 2, 1), model.predict(samples=3, seed=4))
    stream = model.stream()
    for row in values[110:113]:
        said = stream.step(row)
    median = found.shares.index(0.5)
    np.testing.assert_allclose(found.after(values[110:113].T).run()[..., median].T, said, rtol=0.2, atol=0.2)
    one = found
    for row in values[110:113]:
        one = one.after(row[:, None])
    np.testing.assert_array_equal(one.run()[..., median].T, said)
    with pytest.raises(ValueError, match=r"expected finite numbers \(2, h\), the next rows, got \(3, 2\)"):
        found.after(values[:3])


@pytest.mark.parametrize("options", [{"cell": "lstm", "layers": 2}, {"cell": "rnn"}])
def test_networks_side_by_side_say_what_they_say_alone(options):
    model = Forecaster(model="lstm", units=4, epochs=1, ensemble=3, horizon=5, season=6, **options)
    model = replace(model.fit(SERIES).model_, linear=None, share=1.0)
    ends = np.array([len(model.tails[0].values) - n for n in range(6)])
    many = model.forecast(model.tails, ends, np.zeros(6, np.int64))  # each network for itself
    few = [model.forecast(model.tails, ends[n : n + 1], np.zeros(1, np.int64))[0] for n in range(6)]
    np.testing.assert_allclose(few, many, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["classify", "forecast-steps", "forecast-windows", "tag", "write-lines", "write-words"]
)
def test_models_of_former_versions(name):
    folder = Path(__file__).parents[1] / "jobs" / "former"
    said, found = json.loads((folder / "said.json").read_text())[name], runtime.load(folder / f"{name}.safetensors")
    waves = np.sin(np.arange(60.0))
    if name == "classify":
        np.testing.assert_allclose(found.run(waves[:5, None, None])[0], said[0], rtol=1e-5)
    elif name == "tag":
        columns = [[["P", "V", "N"], ["N", "V"]]]
        assert found.tag([["it", "was", "Oslo"], ["Anna", "is"]], columns) == said
    elif name == "write-lines":
        likely = np.exp(found.run(np.concatenate([[[found.vocabulary.end]], found.encode("it w")]))[-1, 0])
        np.testing.assert_allclose(likely, said[1], rtol=1e-5)
    elif name.startswith("forecast"):
        np.testing.assert_allclose(found.run()[0], said, rtol=1e-5)
    else:
        assert found.decode([found.vocabulary.symbols.numbers["it"]]) == "it"
