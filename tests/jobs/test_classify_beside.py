"""What stands beside a classifier's network: MiniROCKET's features, ridge regression, the distance by time warping."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as TheirRidge

from statewise.jobs import Classifier, InputError, Regressor
from statewise.jobs.tasks.classify import dtw, neighbours
from statewise.jobs.tasks.classify.beside import Beside
from statewise.jobs.tasks.classify.config import ClassifyConfig
from statewise.jobs.tasks.classify.model import Model
from statewise.jobs.tasks.classify.ridge import ridge
from statewise.jobs.tasks.classify.rocket import KERNELS, Rocket
from statewise.jobs.tasks.classify.sequences import Sequences
from statewise.jobs.tasks.classify.targets import Classes, Labels, Number

TWO = Classes(("a", "b"))


def sequences_of(arrays):
    return Sequences.of([np.asarray(a, np.float32) for a in arrays])


def some(lengths, channels=1, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=(t, channels)) for t in lengths]


# MiniROCKET


def test_the_kernels_are_the_84_of_the_paper():
    assert KERNELS.shape == (84, 9)
    assert len({tuple(kernel) for kernel in KERNELS}) == 84
    assert all(sorted(kernel) == [-1] * 6 + [2] * 3 for kernel in KERNELS.tolist())


def matrix(rocket, sequences):
    found = np.full((len(sequences), rocket.count), np.nan)
    for rows, features in rocket.parts(sequences):
        found[rows] = features
    return found


def written_out(rocket, x):
    """The features of one sequence x (T, I), by loops and in float64."""
    t, found = len(x), np.zeros(tuple(rocket.heights.shape))
    begin = 0
    for place, (dilation, count) in enumerate(zip(rocket.dilations.tolist(), rocket.counts.tolist(), strict=True)):
        weights = rocket.kernels[place].reshape(84, -1, 9)
        for kernel in range(84):
            said = [
                sum(
                    weights[kernel, channel, i] * x[step + (i - 4) * dilation, channel]
                    for channel in range(x.shape[1])
                    for i in range(9)
                    if 0 <= step + (i - 4) * dilation < t
                )
                for step in range(t)
            ]
            if not rocket.padded and 8 * dilation < t and (kernel - place) % 2:
                said = said[4 * dilation : t - 4 * dilation]
            for column in range(begin, begin + count):
                found[kernel, column] = np.mean(np.array(said) > float(rocket.heights[kernel, column]))
        begin += count
    return found.ravel()


@pytest.mark.parametrize(("lengths", "channels"), [([12] * 5, 1), ([12] * 5, 3), ([12, 5, 1, 9], 2), ([3, 3], 1)])
def test_features_are_what_the_paper_says(lengths, channels, monkeypatch):
    monkeypatch.setattr("statewise.jobs.tasks.classify.rocket.FEATURES", 84 * 3)
    monkeypatch.setattr("statewise.jobs.tasks.classify.rocket.AT_ONCE", 84 * 24)  # two sequences at a time
    arrays = some(lengths, channels)
    sequences = sequences_of(arrays)
    rocket = Rocket.of(sequences)
    features = matrix(rocket, sequences)
    assert features.shape == (len(lengths), 84 * 3)
    for row, array in enumerate(arrays):
        np.testing.assert_allclose(features[row], written_out(rocket, array.astype(np.float32)), atol=1e-5)
    weights = np.random.default_rng(0).normal(size=(rocket.count, 2)).astype(np.float32)
    np.testing.assert_allclose(rocket.times(sequences, weights), features.astype(np.float64) @ weights, rtol=1e-9)


def test_a_level_changes_no_feature_where_no_zeros_are_seen_and_a_scale_none():
    sequences = sequences_of(some([40] * 6))
    other = Sequences(sequences.steps * 3, sequences.lengths)
    np.testing.assert_allclose(matrix(Rocket.of(other), other), matrix(Rocket.of(sequences), sequences), atol=1e-6)


# Ridge regression


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [3, 60])
def test_ridge_regression_is_scikit_learns_and_each_row_is_left_out(columns, weighted):
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (25, columns)).astype(np.float32)
    y = np.stack([x[:, 0] * 2 + random.normal(size=25), random.normal(size=25)], 1)
    counts = random.uniform(0.1, 3, 25).astype(np.float32) if weighted else np.ones(25, np.float32)
    weights, bias, left_out = ridge(x, y, counts if weighted else None)
    counts = counts / counts.mean()
    mean = np.average(x, 0, counts)
    z = (x - mean) / np.sqrt(np.average((x - mean) ** 2, 0, counts))
    chosen = []
    for penalty in np.logspace(-3, 6, 19):
        said = []
        for row in range(25):
            others = np.delete(np.arange(25), row)
            model = TheirRidge(penalty).fit(z[others], y[others], counts[others])
            said.append(model.predict(z[row : row + 1])[0])
        lost = ((np.array(said) - y) ** 2).mean(1) @ counts
        chosen.append((lost, penalty, said))
    _, penalty, said = min(chosen, key=lambda each: each[0])
    np.testing.assert_allclose(left_out, said, rtol=1e-3, atol=1e-3)
    theirs = TheirRidge(penalty).fit(z, y, counts).predict(z)
    np.testing.assert_allclose(x @ weights + bias, theirs, rtol=1e-3, atol=1e-3)


def test_rows_of_a_group_are_left_out_together():
    random = np.random.default_rng(3)
    groups = random.integers(0, 6, 25)
    x = (random.random((25, 40)) + groups[:, None] / 6).astype(np.float32)
    y = random.normal(size=(25, 2)) + groups[:, None]
    counts = random.uniform(0.5, 2, 25)
    counts /= counts.mean()
    _, _, left_out = ridge(x, y, counts, groups)
    z = (x - np.average(x, 0, counts)) / np.sqrt(np.average((x - np.average(x, 0, counts)) ** 2, 0, counts))

    def without(penalty):
        said = np.empty_like(y)
        for group in range(6):
            out = groups == group
            said[out] = TheirRidge(penalty).fit(z[~out], y[~out], counts[~out]).predict(z[out])
        return said

    expected = min(map(without, np.logspace(-3, 6, 19)), key=lambda said: ((said - y) ** 2).mean(1) @ counts)
    np.testing.assert_allclose(left_out, expected, rtol=1e-3, atol=1e-3)
    _, _, alone = ridge(x, y, counts, np.arange(25))
    np.testing.assert_array_equal(alone, ridge(x, y, counts)[2])


# Dynamic time warping


def by_the_book(a, b, window):
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            if abs(i - j) <= window:
                step = ((a[i] - b[j]) ** 2).sum()
                table[i + 1, j + 1] = step + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


@pytest.mark.parametrize("window", [0, 1, 3, 40, None])
@pytest.mark.parametrize(("lengths", "channels"), [([7] * 4, 1), ([7] * 4, 2), ([5, 1, 13, 8], 3), ([1, 1], 1)])
def test_distances_are_those_of_the_table(lengths, channels, window, monkeypatch):
    monkeypatch.setattr(dtw, "AT_ONCE", 60)
    ours, theirs = some(lengths, channels), some(lengths[:3][::-1], channels, seed=1)
    found = dtw.distances(sequences_of(ours), sequences_of(theirs), window)
    bound = window if window is not None and len(set(lengths)) == 1 else 100
    expected = [[by_the_book(a, b, bound) for b in theirs] for a in ours]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def bumps(count=40, noise=0.05):
    random = np.random.default_rng(0)
    found, values = [], np.arange(count) % 2
    for value in values:  # one bump or two, anywhere
        x = random.normal(0, noise, 50)
        for place in random.choice(40, 1 + value, replace=False):
            x[place : place + 5] += 1
        found.append(x[:, None])
    return sequences_of(found), values


@pytest.mark.parametrize("lookings", [1, 30])
def test_what_is_too_far_is_given_up(lookings, monkeypatch):
    monkeypatch.setattr(dtw, "LOOKS", lookings)
    monkeypatch.setattr(dtw, "AT_ONCE", 500)
    sequences, _ = bumps()
    far = dtw.distances(sequences, sequences, 5)
    rows, others = np.divmod(np.arange(far.size), len(sequences))
    most = np.random.default_rng(1).permutation(far.ravel())
    found = dtw.of_pairs(sequences, sequences, rows, others, 5, most)
    given_up = np.isinf(found)
    np.testing.assert_array_equal(found[~given_up], far.ravel()[~given_up])
    assert (far.ravel()[given_up] >= most[given_up]).all()
    assert given_up.any() == (lookings > 1)


@pytest.mark.parametrize("window", [0, 1, 4, 7, 60, None])
@pytest.mark.parametrize(("lengths", "channels"), [([9] * 30, 1), ([9] * 30, 3), ([5, 1, 13] * 10, 2), ([1] * 5, 1)])
def test_the_nearest_is_that_of_all_tables(lengths, channels, window):
    ours, theirs = (sequences_of(some(lengths, channels, seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(
        neighbours.nearest(ours, theirs, window), dtw.distances(ours, theirs, window).argmin(1)
    )
    itself = np.arange(len(theirs))
    far = dtw.distances(theirs, theirs, window)
    np.fill_diagonal(far, np.inf)
    np.testing.assert_array_equal(neighbours.nearest(theirs, theirs, window, itself), far.argmin(1))


def test_few_pairs_go_through_a_table(monkeypatch):
    sequences, _ = bumps(noise=0.01)
    counted, of_pairs = [], dtw.of_pairs
    monkeypatch.setattr(dtw, "of_pairs", lambda *given: counted.append(len(given[2])) or of_pairs(*given))
    neighbours.nearest(sequences, sequences, 2, np.arange(40))
    assert sum(counted) < 40 * 40 / 4


def test_the_window_is_the_one_that_finds_most(monkeypatch):
    sequences, values = bumps()
    window = neighbours.chosen_window(sequences, TWO, values)
    assert window in neighbours.windows(sequences)
    right = {}
    for each in neighbours.windows(sequences):
        found = dtw.distances(sequences, sequences, each)
        np.fill_diagonal(found, np.inf)
        right[each] = (values[found.argmin(1)] == values).mean()
    assert window == max(right, key=lambda w: (right[w], -w))
    monkeypatch.setattr(neighbours, "WINDOW_COST", neighbours.WINDOW_COST / 1000)  # coarser ones then
    assert neighbours.chosen_window(sequences, TWO, values) in neighbours.windows(sequences)
    assert window > 0


# Both together


def test_the_network_counts_where_it_helps_and_not_else():
    random = np.random.default_rng(0)
    values = random.integers(0, 2, 200)
    good = np.eye(2)[values] * 2 - 1
    noise = random.normal(size=(200, 2))
    beside = Beside(None, None, None)
    alone = beside.settled(TWO, good + 0.3 * noise, noise, values)
    assert (alone.share, alone.linear > 1) == (0.0, True)
    both = beside.settled(TWO, noise, 3 * good, values)
    assert both.share > 0
    numbers = random.normal(size=200)
    says = numbers[:, None]
    assert beside.settled(Number(), 0 * says, says, numbers).share == 1.0
    assert beside.settled(Number(), says, 0 * says, numbers).share == 0.0


def test_it_is_no_surer_than_its_rows_allow():
    values = np.arange(30) % 2
    scores = np.eye(2)[values] * 2 - 1  # all right
    said = TWO.of_scores(scores, scores, values)
    np.testing.assert_allclose(said.max(1), 1 - 1 / 32, atol=5e-3)  # Laplace's rule of succession


def test_it_is_decided_by_the_data():
    def decided(rows=100, length=50, image=False, **told):
        return ClassifyConfig(**told).decided(rows, length, image=image).minirocket

    assert decided()
    assert not any([decided(19), decided(4001), decided(length=8), decided(4000, 501), decided(image=True)])
    assert not decided(bidirectional=False)  # such a network is to be read step by step
    assert decided(rows=5, minirocket=True)
    assert not decided(minirocket=False)


def test_few_rows_are_told_apart_with_it_and_come_back_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("statewise.jobs.tasks.classify.rocket.FEATURES", 84 * 8)
    random = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = np.sin(np.arange(30) * (1 + 0.2 * y[:, None]) + random.uniform(0, 6, (24, 1))) + random.normal(0, 0.3, (24, 30))
    classifier = Classifier(units=4, epochs=3).fit(X, y)
    beside = classifier.model_.beside
    assert (beside.share, beside.linear > 1) == (0.0, True)
    assert classifier.score(X, y) == 1.0
    assert {record["fit"] for record in classifier.history_} == {"all"}  # too few to tell what a network is worth
    classifier.save(tmp_path / "model.safetensors")
    again = Classifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    mixed = dataclasses.replace(classifier.model_, beside=dataclasses.replace(beside, share=0.5))
    mixed.save(tmp_path / "mixed.safetensors")
    sequences = Sequences.equal(X[:, :, None])
    assert not np.allclose(mixed.predict(sequences), classifier.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(
        Model.load(tmp_path / "mixed.safetensors").predict(sequences), mixed.predict(sequences)
    )
    with pytest.raises(InputError, match="needs whole sequences"):
        dataclasses.replace(mixed, config=dataclasses.replace(mixed.config, bidirectional=False)).start(1)
    weights = dict(classifier.model_.network.named_parameters())
    before = weights["output.weight"].detach().clone()
    classifier.partial_fit(X, y)
    assert classifier.model_.beside is not None
    assert not torch.equal(before, classifier.model_.network.output.weight)


def test_weights_are_those_of_the_rows(monkeypatch):
    monkeypatch.setattr("statewise.jobs.tasks.classify.rocket.FEATURES", 84 * 2)
    random = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = np.cumsum(random.normal(0.3 * y[:, None], 1, (40, 20)), axis=1)
    raw = Sequences.equal(X[:, :, None])
    y[:20] = 0
    thrice = 1 + 2 * y
    for weights, balance, mean in ((thrice, False, 0.0), (None, True, 0.0), (None, False, -0.5)):
        model = Classifier(units=2, epochs=1, balance=balance).fit(X, y, sample_weight=weights).model_
        said = model.beside.scores(model.encoder.encoded(raw))[:, 1]
        # A ridge regression's mean is that of what it is to say, -1 and 1, as they weigh.
        assert np.average(said, weights=thrice if mean == 0 else None) == pytest.approx(mean, abs=1e-4)


def test_numbers_and_several_labels_too(monkeypatch):
    monkeypatch.setattr("statewise.jobs.tasks.classify.rocket.FEATURES", 84 * 8)
    random = np.random.default_rng(0)
    phase = random.uniform(0.5, 1.5, 40)
    X = np.sin(np.arange(30) * phase[:, None]) + random.normal(0, 0.1, (40, 30))
    regressor = Regressor(units=4, epochs=2).fit(X, 7 + phase)
    assert regressor.score(X, 7 + phase) > 0.9
    assert {record["fit"] for record in regressor.history_} == {"half 1", "half 2", "all"}
    labels = np.stack([phase > 1, phase > 1.2], 1).astype(int)
    classifier = Classifier(units=4, epochs=2).fit(X, labels)
    assert isinstance(classifier.model_.target, Labels)
    assert len(classifier.model_.target.thresholds) == 2  # told from what was left out
    assert (classifier.predict(X) == labels).mean() > 0.9
