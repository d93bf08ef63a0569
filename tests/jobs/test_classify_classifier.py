"""``Classifier`` keeps scikit-learn's conventions, and comes back from its file to the bit."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from statewise.jobs import Classifier, InputError, Regressor
from statewise.jobs.data.split import grouped_split, stratified_split
from statewise.jobs.tasks.classify import training
from statewise.jobs.tasks.classify.sequences import Sequences

QUICK = {"units": 8, "epochs": 15, "learning_rate": 0.02}

# What of scikit-learn's own checks does not apply, and why.
NOT_OURS = {
    "check_dataframe_column_names_consistency": "the columns of a frame are steps, which have no names",
    "check_sample_weight_equivalence_on_dense_data": "a sequence of weight 2 is in one batch, one given twice in two",
}


@parametrize_with_checks([Classifier(**QUICK)], expected_failed_checks=lambda _: NOT_OURS)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def waves(n=40, seed=0, channels=1):
    """Sequences of 5 to 12 steps, rising or falling, and which it is."""
    random = np.random.default_rng(seed)
    y = np.array(["rising", "falling"])[random.permutation(np.arange(n) % 2)]
    slopes = np.where(y == "rising", 1.0, -1.0)
    lengths = random.integers(5, 13, n)
    X = [
        slope * np.linspace(-1, 1, t)[:, None] + random.normal(0, 0.2, (t, channels))
        for slope, t in zip(slopes, lengths, strict=True)
    ]
    return X, y


@pytest.fixture(scope="module")
def trained():
    X, y = waves()
    return Classifier(**QUICK).fit(X, y)


def test_it_learns_sequences_of_different_lengths(trained):
    X, y = waves(seed=1)
    assert trained.score(X, y) == 1.0
    assert trained.classes_.tolist() == ["falling", "rising"]
    assert trained.n_features_in_ == 1
    probabilities = trained.predict_proba(X)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    assert trained.history_[-1]["epoch"] == 15


def test_all_forms_of_the_same_sequences_are_the_same():
    random = np.random.default_rng(0)
    block = random.normal(size=(12, 6, 1))
    y = np.arange(12) % 3
    forms = [block, block[:, :, 0], list(block), list(block[:, :, 0]), block.tolist(), block[:, :, 0].tolist()]
    expected = Classifier(units=4, epochs=2).fit(block, y)
    for X in forms:
        classifier = Classifier(units=4, epochs=2).fit(X, y)
        np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(block))


def test_cross_validation_and_search_take_lists_of_sequences():
    X, y = waves()
    assert cross_val_score(Classifier(**QUICK), X, y, cv=2).mean() > 0.9
    search = GridSearchCV(Classifier(**QUICK), {"head": ["last", "mean"], "cell": ["gru"]}, cv=2).fit(X, y)
    assert search.best_params_["cell"] == "gru"


def test_it_stands_at_the_end_of_a_pipeline():
    X, y = waves(60)
    block = np.stack([np.interp(np.linspace(0, 1, 8), np.linspace(0, 1, len(x)), x[:, 0]) for x in X])
    assert make_pipeline(StandardScaler(), Classifier(**QUICK)).fit(block[:40], y[:40]).score(block[40:], y[40:]) > 0.9


@pytest.mark.parametrize("labels", [["a", "b"], [3, 7], [True, False], [np.int8(1), np.int8(-1)]])
def test_labels_come_back_as_they_were_given(labels, tmp_path):
    X, y = waves()
    given = np.where(y == "rising", *(np.array(label) for label in labels))
    classifier = Classifier(units=4, epochs=1).fit(X, given)
    assert classifier.predict(X).dtype == given.dtype
    classifier.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    assert loaded.classes_.dtype == given.dtype
    np.testing.assert_array_equal(loaded.classes_, classifier.classes_)


def test_an_array_of_another_width_is_refused_but_not_a_list_of_other_lengths(tmp_path):
    block = np.random.default_rng(0).normal(size=(12, 6))
    classifier = Classifier(units=4, epochs=1).fit(block, np.arange(12) % 3)
    classifier.save(tmp_path / "model")
    for either in (classifier, Classifier.load(tmp_path / "model")):
        with pytest.raises(InputError, match="X has 5 features, but Classifier is expecting 6 features as input"):
            either.predict(block[:, :5])
        assert either.predict(list(block[:, :5])).shape == (12,)
        assert either.predict(block[:, :5, None]).shape == (12,)


@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_save_and_load_give_the_same_bits(cell, head, tmp_path):
    X, y = waves(channels=3)
    before = Classifier(cell=cell, head=head, units=5, layers=2, bidirectional=False, epochs=1).fit(X, y)
    before.save(tmp_path / "a")
    after = Classifier.load(tmp_path / "a")
    np.testing.assert_array_equal(before.predict_proba(X), after.predict_proba(X))
    np.testing.assert_array_equal(before.predict(X), after.predict(X))
    after.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert after.get_params()["cell"] == cell
    assert after.get_params()["layers"] == 2


def test_segments_are_read_at_once_and_come_back_from_the_file(tmp_path):
    X, y = waves(channels=3)
    before = Classifier(units=5, segment=4, epochs=1).fit(X, y)
    assert before.model_.network.recurrent.input_size == 12
    before.save(tmp_path / "a")
    np.testing.assert_array_equal(before.predict_proba(X), Classifier.load(tmp_path / "a").predict_proba(X))


def test_a_pickled_or_cloned_one_is_the_same(trained):
    X, _ = waves(seed=1)
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.predict_proba(X), trained.predict_proba(X))
    assert clone(trained).get_params() == trained.get_params()


def test_the_same_seed_gives_the_same_bits_and_leaves_the_caller_his_random_numbers():
    X, y = waves()
    before = torch.random.get_rng_state()
    one, two, other = (Classifier(units=4, epochs=2, random_state=seed).fit(X, y) for seed in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_balance_helps_a_rare_class():
    random = np.random.default_rng(0)
    y = (np.arange(300) % 15 == 0).astype(int)
    X = random.normal(size=(300, 6)) + 0.9 * y[:, None]
    plain, balanced = (
        Classifier(units=4, epochs=8, learning_rate=0.02, dropout=0.0, balance=balance).fit(X, y)
        for balance in (False, True)
    )
    found = [(c.predict(X)[y == 1] == 1).mean() for c in (plain, balanced)]
    assert found[1] > found[0]


def test_the_best_weights_of_the_part_held_out_are_kept():
    X, _ = waves(60)
    y = np.random.default_rng(1).integers(0, 2, 60)  # nothing to learn, so the longer the worse
    how = {"epochs": 6, "learning_rate": 0.1, "schedule": "constant", "smoothing": 0.0, "minirocket": False}
    classifier = Classifier(units=8, validation_share=0.3, **how).fit(X, y)
    losses = [record["validation"]["loss"] for record in classifier.history_ if "validation" in record]
    assert len(losses) == 6
    assert min(losses) < 0.9 * losses[-1]  # or this test would tell nothing
    targets = np.searchsorted(classifier.classes_, y)
    _, rows = stratified_split(targets, 0.3, 0)
    p = classifier.model_.predict(Sequences.of(X).select(rows))
    loss = -np.log(p[np.arange(len(rows)), targets[rows]]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_no_group_is_learnt_from_and_validated_with():
    X, y = waves(60)
    groups = [f"recording {row // 3}" for row in range(60)]
    _, held = grouped_split(np.arange(60) // 3, 0.3, 0, np.unique(y, return_inverse=True)[1])
    assert 0 < len(held) < 30
    changed = [100 * x + 7 if row in held else x for row, x in enumerate(X)]
    how = {"units": 4, "epochs": 1, "validation_share": 0.3, "minirocket": False}
    before, after, alone = (
        Classifier(**how).fit(data, y, groups=of).model_
        for data, of in ((X, groups), (changed, groups), (changed, None))
    )
    np.testing.assert_array_equal(before.encoder.mean, after.encoder.mean)
    assert (before.encoder.mean != alone.encoder.mean).any()


def test_without_a_part_held_out_halves_and_rows_left_out_are_groups(monkeypatch):
    X, y = waves(40)
    groups, parts, left_out = np.arange(40) // 4, [], []
    fitted = training.Beside.fitted
    monkeypatch.setattr(training.Beside, "fitted", lambda kind, given: left_out.append(given) or fitted(kind, given))
    of = training.ClassifyProblem.task
    monkeypatch.setattr(training.ClassifyProblem, "task", lambda self, net: parts.append(self.groups) or of(self, net))
    Classifier(units=4, epochs=1, minirocket=True).fit([np.tile(x, (2, 1))[:12] for x in X], y, groups=groups)
    assert not set(parts[0]) & set(parts[1])
    assert len(parts[0]) + len(parts[1]) == len(parts[2]) == 40
    np.testing.assert_array_equal(left_out[0].groups, groups)
    # Where a class is one group there are no halves, and the linear model says it alone.
    model = (
        Classifier(units=4, epochs=1, minirocket=True)
        .fit([np.tile(x, (2, 1))[:12] for x in X], y, groups=np.unique(y, return_inverse=True)[1])
        .model_
    )
    assert model.beside.share == 0


@pytest.mark.parametrize(
    ("groups", "said"),
    [([1] * 30, "groups: expected at least two, all sequences are of 1"), ([1, 2], "expected one of each of 30")],
)
def test_groups_that_cannot_be_used(groups, said):
    X, y = waves(30)
    with pytest.raises(InputError, match=said):
        Classifier(**FULL).fit(X, y, groups=groups)


def test_what_is_held_out_is_not_trained_on():
    X, y = waves(60)
    _, rows = stratified_split(np.unique(y, return_inverse=True)[1], 0.3, 0)
    changed = [100 * x + 7 if row in rows else x for row, x in enumerate(X)]
    before, after = (Classifier(units=4, epochs=1, validation_share=0.3).fit(data, y).model_ for data in (X, changed))
    np.testing.assert_array_equal(before.encoder.mean, after.encoder.mean)
    for name, weight in before.network.state_dict().items():
        assert torch.equal(weight, after.network.state_dict()[name])


def test_gaps_are_refused_or_carried():
    X, y = waves()
    X[3][2, 0] = np.nan
    with pytest.raises(InputError, match=r"sequence 4, step 3, channel 1: expected a finite number, .* missing"):
        Classifier(**QUICK).fit(X, y)
    classifier = Classifier(**QUICK, gaps="carry").fit(X, y)
    test, truth = waves(seed=1)
    test[0][1:3] = np.nan
    assert classifier.score(test, truth) > 0.9


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([np.ones((3, 1)), np.ones((2, 2))], [0, 1], "sequence 2 has 2 channels, sequence 1 has 1"),
        ([np.ones((3, 1)), np.ones((0, 1))], [0, 1], "sequence 2 has no steps"),
        ([np.ones(3), np.ones((2, 2, 2))], [0, 1], r"sequence 2: expected an array \(T, I\) or \(T,\), got one of"),
        ([np.ones(3), np.array(["a"])], [0, 1], "sequence 2: .* of numbers: could not convert"),
        ([], [], "expected at least one sequence"),
        ([1.0, 2.0], [0, 1], "got a list of single numbers"),
        (np.ones((2, 3, 4, 5)), [0, 1], r"got an array of shape \(2, 3, 4, 5\)"),
        (np.ones((2, 3)), [0, 1, 1], "expected a label for each of 2 sequences, got 3"),
        (np.ones((2, 3)), [1, 1], "only one class"),
        (np.full((2, 3), np.inf), [0, 1], "sequence 1, step 1, channel 1: expected a finite number, got inf"),
    ],
)
def test_what_cannot_be_trained_on(X, y, said):
    with pytest.raises(InputError, match=said):
        Classifier().fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cell": "transformer"}, "cell: expected one of"),
        ({"scaling": "minmax"}, "scaling: expected one of channel, all, none, got 'minmax'"),
        ({"gaps": "zero"}, "gaps: expected one of refuse, carry, got 'zero'"),
        ({"validation_share": 1.0}, "validation_share: expected a number of at least 0 and below 1"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number above 0"),
        ({"device": "abacus"}, "device 'abacus' can't be used"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, said):
    X, y = waves(8)
    with pytest.raises(InputError, match=said):
        Classifier(**arguments).fit(X, y)


def test_other_channels_than_those_it_was_trained_on(trained):
    with pytest.raises(InputError, match="the model reads 1 channel, the sequences have 2"):
        trained.predict(np.ones((3, 4, 2)))


# The file


@pytest.fixture
def file(trained, tmp_path):
    trained.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def rewrite(path, change):
    """The same file with another header."""
    with safe_open(path, "pt") as opened:
        header = json.loads(opened.metadata()["statewise"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, metadata={"statewise": json.dumps(header)})


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole"):
        Classifier.load(file)


def test_a_file_of_another_job_or_a_later_format_is_refused(file):
    rewrite(file, lambda header, _: header.update(format=99, version="9.0"))
    with pytest.raises(InputError, match=r"of format 99, written by statewise 9\.0"):
        Classifier.load(file)
    rewrite(file, lambda header, _: header.update(kind="forecast model"))
    with pytest.raises(InputError, match="expected a classification model, the file holds a forecast model"):
        Classifier.load(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda content, tensors: content.pop("classes"),
        lambda content, tensors: content.update(classes=["only one"]),
        lambda content, tensors: content["config"].update(units=10**12),
        lambda content, tensors: content["config"].update(layers=10**9),
        lambda content, tensors: content["config"].update(cell="os.system"),
        lambda content, tensors: content["config"].update(unknown=1),
        lambda content, tensors: content.update(channels=10**12),
        lambda content, tensors: content.update(config=3),
        lambda content, tensors: content.update(notes=3),
        lambda content, tensors: tensors.pop("network.output.bias"),
        lambda content, tensors: tensors.pop("scaler.mean"),
        lambda content, tensors: tensors.update({"scaler.scale": torch.ones(2, dtype=torch.float64)}),
    ],
)
def test_a_damaged_header_is_refused_in_one_line(file, change):
    rewrite(file, lambda header, tensors: change(header["content"], tensors))
    with pytest.raises(InputError, match="damaged classification model") as caught:
        Classifier.load(file)
    assert "\n" not in str(caught.value)


def test_labels_of_a_type_that_is_none_are_refused_with_the_file(file):
    rewrite(file, lambda header, _: header["content"]["notes"].update(dtype="<U99999999999"))
    with pytest.raises(InputError, match=r"model\.safetensors: a damaged classification model: "):
        Classifier.load(file)


FULL = {
    "minirocket": False,
    "units": 4,
    "epochs": 6,
    "batch": 500,
    "dropout": 0.0,
    "scaling": "none",
    "validation_share": 0.0,
}


@pytest.mark.parametrize("more", [{}, {"smoothing": 0.0, "balance": True}])
def test_a_weight_counts_as_often_as_that_many_sequences(more):
    """In batches of all sequences, where the two are the same sum."""
    X, y = waves(30)
    weights = np.random.default_rng(0).integers(0, 4, 30)
    if more:  # balance counts sequences, so the classes must have as many either way
        weights = np.full(30, 3)
    weighted = Classifier(**FULL, **more).fit(X, y, sample_weight=weights)
    repeated = Classifier(**FULL, **more).fit([X[i] for i in np.repeat(np.arange(30), weights)], np.repeat(y, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-4)
    assert weighted.history_[-1]["loss"] == pytest.approx(repeated.history_[-1]["loss"], rel=1e-4)
    plain = Classifier(**FULL, **more).fit(X, y)
    same = np.allclose(weighted.predict_proba(X), plain.predict_proba(X), rtol=1e-3)
    assert same == bool(more)  # where all weigh the same, it is as if none did


@pytest.mark.parametrize("weights", [np.zeros(30), np.ones(29), -np.ones(30), ["a"] * 30, np.full(30, np.nan), 1.0])
def test_weights_that_cannot_be_used(weights):
    X, y = waves(30)
    with pytest.raises(InputError, match="sample_weight: expected 30 numbers of at least 0, not all zero, got "):
        Classifier(**FULL).fit(X, y, sample_weight=weights)


def test_the_first_of_several_parts_says_which_classes_will_come(tmp_path):
    X, y = waves(30)
    rising = np.flatnonzero(y == "rising")
    classifier = Classifier(**FULL).partial_fit([X[i] for i in rising], y[rising], classes=["falling", "rising"])
    assert classifier.classes_.tolist() == ["falling", "rising"]
    before = classifier.predict_proba(X)[:, 0]
    classifier.set_params(epochs=20, learning_rate=0.02).partial_fit(X, y)
    assert (classifier.predict_proba(X)[y == "falling", 0] > before[y == "falling"]).all()
    with pytest.raises(InputError, match=r"y: expected the classes \['falling', 'rising'\], got .*'still'"):
        classifier.partial_fit(X[:2], ["rising", "still"])
    with pytest.raises(InputError, match=r"classes: expected \['falling', 'rising'\], those of the first call"):
        classifier.partial_fit(X, y, classes=["falling", "rising", "still"])
    with pytest.raises(InputError, match="the model reads 1 channel, the sequences have 2"):
        classifier.partial_fit([np.zeros((4, 2))] * 2, ["rising", "falling"])
    with pytest.raises(InputError, match=r"eval_set: expected the classes .*, got .*'still'"):
        classifier.fit(X, y, eval_set=(X[:2], ["rising", "still"]))
    with pytest.raises(InputError, match=r"eval_set: expected a pair \(X, y\), got "):
        classifier.fit(X, y, eval_set=X)


def test_what_is_learnt_later_keeps_the_scale_of_the_first(tmp_path):
    X, y = waves(30)
    Classifier(units=4, epochs=1).fit(X, y).save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    mean = loaded.model_.encoder.mean.copy()
    loaded.partial_fit([x + 100 for x in X], y)
    np.testing.assert_array_equal(loaded.model_.encoder.mean, mean)


# Several labels, and numbers


def several(n=60, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 8, 2)) + 3 * random.integers(0, 2, (n, 1, 2))
    return X, (X.mean(1) > 1.5).astype(np.int64)


def test_several_labels_of_each_sequence():
    X, y = several()
    classifier = Classifier(**QUICK).fit(X, y, eval_set=several(20, 1))
    assert classifier.classes_.tolist() == [0, 1]
    said = classifier.predict_proba(X)
    assert said.shape == (60, 2)
    assert not np.allclose(said.sum(1), 1)  # each for itself
    thresholds = classifier.model_.target.thresholds
    np.testing.assert_array_equal(classifier.predict(X), said >= np.array(thresholds))
    assert classifier.score(X, y) > 0.9  # all labels of a sequence
    classifier.partial_fit(*several(20, 2))
    with pytest.raises(InputError, match=r"y: expected labels \('n', 2\), got an array of shape \(60, 3\)"):
        classifier.partial_fit(X, np.column_stack([y, y[:, :1]]))


def test_a_number_of_each_sequence(tmp_path):
    X, _ = several()
    y = 1000 + 50 * X[:, :, 0].mean(1)
    regressor = Regressor(**QUICK).fit(X, y, eval_set=(X[:10], y[:10]))
    assert regressor.score(X, y) > 0.9
    assert set(regressor.history_[-1]["validation"]) == {"loss", "rmse"}
    regressor.save(tmp_path / "model.safetensors")
    again = Regressor.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    assert again.get_params()["units"] == 8
    with pytest.raises(InputError, match="Classifier can't read a model of the task regression"):
        Classifier.load(tmp_path / "model.safetensors")
    with pytest.raises(TypeError):
        Regressor(balance=True)


@parametrize_with_checks([Regressor(units=4, epochs=2)], expected_failed_checks=lambda _: NOT_OURS)
def test_the_checks_of_scikit_learn_for_numbers(estimator, check):
    check(estimator)
