"""The parts of a classifier: batches without padding, scaling, heads that look at no padding, scores, splits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from statewise.jobs import InputError
from statewise.jobs.config import choices, hints_of
from statewise.jobs.data.split import grouped_split, share_held_out, stratified_split
from statewise.jobs.experiment import verdict
from statewise.jobs.tasks.classify.baselines import baselines, flattened, summary
from statewise.jobs.tasks.classify.batches import Batches
from statewise.jobs.tasks.classify.config import ClassifyConfig
from statewise.jobs.tasks.classify.examples import Examples
from statewise.jobs.tasks.classify.network import Network, outputs_of
from statewise.jobs.tasks.classify.pictures import confusion_matrix as draw_confusion
from statewise.jobs.tasks.classify.report import loss_line
from statewise.jobs.tasks.classify.result import ClassResult
from statewise.jobs.tasks.classify.scaler import Scaler
from statewise.jobs.tasks.classify.sequences import Sequences, segmented
from statewise.jobs.tasks.classify.targets import Classes
from statewise.jobs.tasks.classify.training import SequenceTask

LENGTHS = [5, 1, 63, 7]
THREE = Classes(("a", "b", "c"))
CELLS, HEADS = (choices(hints_of(ClassifyConfig)[name]) for name in ("cell", "head"))


def shape(cell, units, layers, bidirectional, head, dropout=0.2):
    return ClassifyConfig(
        cell=cell, units=units, layers=layers, bidirectional=bidirectional, head=head, dropout=dropout
    )


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return [random.normal(size=(t, 3)) for t in LENGTHS]


@pytest.fixture
def batches(arrays):
    sequences = Sequences.of(arrays)
    return Batches(Sequences(sequences.steps.astype(np.float32), sequences.lengths))


# Sequences


def test_sequences_come_back_as_they_were(arrays):
    sequences = Sequences.of(arrays)
    assert len(sequences) == 4
    for ours, theirs in zip(sequences, arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    chosen = sequences.select(np.array([2, 0, 2]))
    for ours, row in zip(chosen, (2, 0, 2), strict=True):
        np.testing.assert_array_equal(ours, arrays[row])


def test_padded_and_equal_blocks(arrays):
    block = np.full((4, 63, 3), np.nan)
    for row, array in enumerate(arrays):
        block[row, : len(array)] = array
    padded = Sequences.padded(block, np.array(LENGTHS))
    np.testing.assert_array_equal(padded.steps, np.concatenate(arrays))
    equal = Sequences.equal(np.arange(24.0).reshape(2, 4, 3))
    np.testing.assert_array_equal(equal[1], np.arange(12.0, 24.0).reshape(4, 3))
    assert (equal.usual_length, padded.usual_length) == (4, 6)


def test_the_place_of_a_step():
    sequences = Sequences.of([np.zeros((t, 1)) for t in LENGTHS])
    assert [sequences.row_of(step) for step in (0, 4, 5, 6, 68, 69, 75)] == [
        (0, 0),
        (0, 4),
        (1, 0),
        (2, 0),
        (2, 62),
        (3, 0),
        (3, 6),
    ]


def test_segments_end_with_their_sequence():
    steps = np.arange(20.0).reshape(10, 2)
    sequences = Sequences(steps, np.array([5, 1, 4]))
    found = segmented(sequences, 2)
    assert found.lengths.tolist() == [3, 1, 2]
    rows = [[0, 1], [2, 3], [4, 4], [5, 5], [6, 7], [8, 9]]  # the last step of an odd number is repeated
    np.testing.assert_array_equal(found.steps, steps[rows].reshape(6, 4))
    assert segmented(sequences, 1) is sequences


def test_a_batch_holds_its_sequences(arrays, batches):
    for x, lengths in (batches.take(torch.tensor([3, 1, 0])), Sequences.of(arrays).block(np.array([3, 1, 0]))):
        assert x.shape == (7, 3, 3)  # as long as the longest of these three
        assert lengths.tolist() == [7, 1, 5]
        for place, row in enumerate((3, 1, 0)):
            np.testing.assert_allclose(x[: LENGTHS[row], place], arrays[row], rtol=1e-6)


def test_a_batch_of_equal_sequences_has_no_lengths():
    sequences = Sequences.equal(np.arange(40.0).reshape(5, 4, 2))
    for x, lengths in (Batches(sequences).take(torch.tensor([4, 2])), sequences.block(np.array([4, 2]))):
        assert lengths is None
        np.testing.assert_array_equal(x[:, 0], sequences[4])
        np.testing.assert_array_equal(x[:, 1], sequences[2])


# Scaling


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_each_channel_gets_mean_0_and_spread_1(dtype):
    steps = np.random.default_rng(0).integers(0, 200, (500, 3)).astype(dtype) * np.array([1, 1, 0], dtype) + 7
    sequences = Sequences(steps.astype(dtype), np.array([200, 300]))
    scaled = Scaler.fitted(sequences, "channel").encoded(sequences).steps
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 0], atol=1e-5)  # a constant stays one


def test_all_channels_together():
    steps = np.random.default_rng(0).normal([1, 5], [1, 3], (500, 2))
    scaler = Scaler.fitted(Sequences(steps, np.array([500])), "all")
    np.testing.assert_allclose(scaler.mean, steps.mean())
    np.testing.assert_allclose(scaler.scale, steps.std())


def test_no_scaling():
    steps = np.random.default_rng(0).normal(3, 2, (50, 2))
    sequences = Sequences(steps, np.array([50]))
    np.testing.assert_array_equal(Scaler.fitted(sequences, "none").encoded(sequences).steps, steps.astype(np.float32))


def test_large_numbers_keep_their_small_differences():
    steps = 1.7e9 + np.arange(100.0)[:, None]  # seconds since 1970: float32 can't tell them apart
    sequences = Sequences(steps, np.array([100]))
    scaled = Scaler.fitted(sequences, "channel").encoded(sequences).steps
    np.testing.assert_allclose(np.diff(scaled[:, 0]), np.diff(scaled[:, 0])[0], rtol=1e-3)
    assert scaled.std() == pytest.approx(1, abs=1e-4)


def test_gaps_carry_the_value_before_or_the_mean():
    nan = np.nan
    steps = np.array([[nan, 1], [2, nan], [nan, nan], [nan, 5], [4, nan]])
    sequences = Sequences(steps, np.array([3, 2]))
    scaler = Scaler.fitted(sequences, "channel")
    np.testing.assert_allclose(scaler.mean, [3, 3])
    filled = scaler.encoded(sequences).steps * scaler.scale + scaler.mean
    np.testing.assert_allclose(filled, [[3, 1], [2, 1], [2, 1], [3, 5], [4, 5]], rtol=1e-6)


# The network


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_gives_the_same_alone_and_among_longer_ones(cell, bidirectional, head, batches):
    network = Network(None, 3, 4, shape(cell, 5, 2, bidirectional, head)).double().eval()
    batches.steps = batches.steps.double()
    x, lengths = batches.take(torch.arange(4))
    together = network(x, lengths)
    for row, steps in enumerate(LENGTHS):
        alone = network(x[:steps, row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("head", HEADS)
def test_what_lies_past_the_end_changes_nothing_and_gets_no_gradient(head, batches):
    network = Network(None, 3, 4, shape("lstm", 5, 1, True, head)).eval()
    x, lengths = batches.take(torch.arange(4))
    past = torch.arange(len(x))[:, None] >= lengths
    other = torch.where(past[:, :, None], torch.tensor(1e6), x).requires_grad_()
    logits = network(other, lengths)
    assert torch.equal(logits, network(x, lengths))
    (gradient,) = torch.autograd.grad(logits.square().sum(), other)
    assert not gradient[past].any()
    assert gradient[~past].any()


def test_the_heads_are_what_they_are_called():
    x = torch.randn(6, 2, 3)
    for head, summary_of in (
        ("last", lambda steps, last: last),
        ("mean", lambda steps, last: steps.mean(0)),
        ("max", lambda steps, last: steps.amax(0)),
    ):
        network = Network(None, 3, 4, shape("lstm", 5, 1, True, head)).eval()
        steps, (h_n, _) = network.recurrent(x)
        expected = network.output(summary_of(steps, torch.cat([h_n[0], h_n[1]], dim=1)))
        torch.testing.assert_close(network(x), expected)


def test_packed_as_for_cudnn_it_is_the_same(batches, monkeypatch):
    network = Network(None, 3, 4, shape("gru", 5, 2, True, "mean")).eval()
    x, lengths = batches.take(torch.arange(4))
    expected = network(x, lengths)
    monkeypatch.setattr(Network, "packs", lambda self, x: True)
    torch.testing.assert_close(network(x, lengths), expected)


def test_all_at_once_is_as_one_by_one(batches, monkeypatch):
    network = Network(None, 3, 4, shape("gru", 5, 1, True, "attention")).eval()
    monkeypatch.setattr("statewise.jobs.tasks.classify.network.STEPS_AT_ONCE", 20)  # one, two, and one longer than that
    together = outputs_of(network, batches)
    for row in range(4):
        alone = network(*batches.take(torch.tensor([row])))[0].double()
        torch.testing.assert_close(together[row], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cell": "lstmm"}, "cell: expected one of lstm, gru, rnn, got 'lstmm'"),
        ({"head": "first"}, "head: expected one of last, mean, max, attention"),
        ({"units": 0}, "units: expected a whole number of at least 1, got 0"),
        ({"layers": 1.5}, "layers: expected a whole number of at least 1, got 1.5"),
        ({"dropout": 1.0}, "dropout: expected a number of at least 0 and below 1, got 1.0"),
    ],
)
def test_shapes_that_make_no_network(arguments, said):
    with pytest.raises(InputError, match=said):
        ClassifyConfig(**arguments)


# Training


def test_class_weights_make_every_class_weigh_the_same():
    targets = np.array([0, 0, 0, 1, 2, 2])
    weights = THREE.balanced(targets).numpy()
    np.testing.assert_allclose(np.bincount(targets, weights[targets]), [2, 2, 2])


def test_the_loss_is_weighted_by_class_and_its_terms_add_up(batches):
    network = Network(None, 3, 3, shape("gru", 5, 1, False, "mean", 0.0))
    targets = np.array([0, 1, 2, 2])
    weights = torch.tensor([0.5, 2.0, 3.0])
    task = SequenceTask(network, THREE, batches, targets, None, weights)
    rows = torch.tensor([3, 0, 1])
    loss, terms = task.loss(network, rows)
    log_p = network(*batches.take(rows)).log_softmax(-1)
    expected = -(3.0 * log_p[0, 2] + 0.5 * log_p[1, 0] + 2.0 * log_p[2, 1])
    torch.testing.assert_close(loss, expected)
    assert terms == 5.5
    task = SequenceTask(network, THREE, batches, targets, None)
    loss, terms = task.loss(network, rows)
    torch.testing.assert_close(loss, -(log_p[0, 2] + log_p[1, 0] + log_p[2, 1]))
    assert terms == 3.0
    task = SequenceTask(network, THREE, batches, targets, None, None, 0.3)
    smooth = 0.7 * loss - 0.3 * log_p.mean(1).sum()  # 0.3 of the target over all classes alike
    torch.testing.assert_close(task.loss(network, rows)[0], smooth)


def test_validation_is_of_the_part_held_out(batches):
    network = Network(None, 3, 3, shape("gru", 5, 1, False, "mean")).eval()
    targets = np.array([0, 1, 2, 2])
    scores = SequenceTask(network, THREE, batches, targets, (batches, targets)).validate()
    log_p = outputs_of(network, batches).log_softmax(-1)
    assert scores["loss"] == pytest.approx(float(-log_p[range(4), targets].mean()))
    smoothed = SequenceTask(network, THREE, batches, targets, (batches, targets), None, 0.3).validate()["loss"]
    assert smoothed == pytest.approx(0.7 * scores["loss"] - 0.3 * float(log_p.mean()))
    weighted = SequenceTask(
        network, THREE, batches, targets, (batches, targets), torch.tensor([1.0, 2.0, 0.5])
    ).validate()["loss"]
    of_each = -log_p[range(4), targets].numpy()
    assert weighted == pytest.approx(np.average(of_each, weights=[1, 2, 0.5, 0.5]))
    assert scores["accuracy"] == pytest.approx(float((log_p.argmax(1).numpy() == targets).mean()))
    assert SequenceTask(network, THREE, batches, targets, None).validate() == {}


def test_epochs_and_validation_follow_the_size():
    config = ClassifyConfig(batch=32)
    assert [config.decided(rows, 1).epochs for rows in (10, 320, 1600, 60000)] == [300, 200, 40, 12]
    assert [share_held_out(None, rows) for rows in (100, 499, 500)] == [0, 0, 0.1]
    assert ClassifyConfig(epochs=7).decided(10, 1).epochs == 7
    assert share_held_out(0.0, 1000) == 0
    assert [config.decided(9, length).segment for length in (1, 64, 65, 100, 251, 784)] == [1, 1, 2, 3, 8, 24]
    assert ClassifyConfig(segment=5).decided(9, 10).segment == 5
    assert [config.decided(9, 784, image=image).scaling for image in (False, True)] == ["channel", "all"]
    assert config.decided(9, 784, image=True).segment == 1


def test_what_float32_has_no_number_for_is_refused():
    sequences = Sequences.of([np.array([[1.0, 2.0], [3.0, 1e50]])])
    with pytest.raises(InputError, match=r"1e\+50 is too large beside the scale of its channel, 1$"):
        Scaler.fitted(sequences, "none").encoded(sequences)
    assert np.isfinite(Scaler.fitted(sequences, "channel").encoded(sequences).steps).all()
    with pytest.raises(InputError, match=r"1 is too large beside the scale of its channel, 1e-300"):
        Scaler(np.zeros(2), np.array([1e-300, 1.0])).encoded(Sequences.of([np.ones((1, 2))]))


# Splits and scores


def test_a_split_is_stratified_seeded_and_takes_no_whole_class():
    targets = np.array([0] * 50 + [1] * 10 + [2] * 2 + [3])
    kept, held = stratified_split(targets, 0.2, seed=1)
    assert sorted([*kept, *held]) == list(range(63))
    assert np.bincount(targets[held], minlength=4).tolist() == [10, 2, 1, 0]
    assert np.array_equal(stratified_split(targets, 0.2, seed=1)[1], held)
    assert not np.array_equal(stratified_split(targets, 0.2, seed=2)[1], held)
    assert len(stratified_split(targets, 0.0, seed=1)[1]) == 0


@pytest.mark.parametrize("classes", [None, np.repeat([0, 1, 1, 2, 2, 2], 20)])
def test_groups_are_held_out_as_a_whole(classes):
    groups = np.random.default_rng(0).integers(0, 25, 120) * 7
    groups[:20] += 1000 * (np.arange(20) % 2)
    kept, held = grouped_split(groups, 0.2, 1, classes)
    assert sorted([*kept, *held]) == list(range(120))
    assert not set(groups[kept]) & set(groups[held])
    assert 0.1 < len(held) / 120 < 0.3
    if classes is not None:
        shares = np.bincount(classes[held], minlength=3) / np.bincount(classes)
        assert (abs(shares - 0.2) < 0.15).all()
    assert np.array_equal(grouped_split(groups, 0.2, 1, classes)[1], held)
    assert not np.array_equal(grouped_split(groups, 0.2, 2, classes)[1], held)
    assert len(grouped_split(groups, 0.0, 1, classes)[1]) == 0


def test_no_group_is_held_out_that_is_all_of_a_class():
    groups, classes = np.array([0] * 9 + [1] * 9), np.array([0] * 9 + [1] * 9)
    assert len(grouped_split(groups, 0.5, 0, classes)[1]) == 0
    assert len(grouped_split(groups, 0.5, 0)[1]) == 9


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 200)
    probabilities = random.dirichlet(np.ones(5), 200)  # of a fifth class there is nothing
    result = ClassResult("GRU", Classes(tuple("abcde")), truth, probabilities)
    predicted = probabilities.argmax(1)
    assert result.score.decides == accuracy_score(truth, predicted)
    np.testing.assert_array_equal(result.confusion, confusion_matrix(truth, predicted, labels=range(5)))
    expected = precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=0)
    ours = np.array([[s.precision, s.recall, s.f1, s.count] for s in result.by_label]).T
    np.testing.assert_allclose(ours, np.array(expected))
    assert result.score.measured["f1"] == pytest.approx(expected[2].mean())
    assert result.log_loss == pytest.approx(log_loss(truth, probabilities, labels=range(5)))
    mistakes = result.mistakes()
    assert len(mistakes) == (predicted != truth).sum()
    assert np.all(np.diff(probabilities[mistakes].max(1)) <= 0)


def test_the_interval_of_an_accuracy():
    truth = np.zeros(100, np.int64)
    probabilities = np.tile([1.0, 0.0], (100, 1))
    probabilities[:10] = [0.0, 1.0]
    low, high = ClassResult("GRU", Classes(("a", "b")), truth, probabilities).interval
    assert (low, high) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))  # Wilson 1927 at 90 of 100


def test_the_verdict_names_what_the_model_loses_to():
    model, more, less = ("GRU", 0.9), ("nearest", 0.95), ("frequent", 0.2)
    lost = "The GRU loses in accuracy (90.00 %) to nearest (95.00 %)."
    assert verdict(model, [less, more], "accuracy") == (lost, False)
    text, good = verdict(model, [less], "accuracy")
    assert good
    assert text == "The GRU beats the best baseline, frequent: accuracy 90.00 % against 20.00 %."
    assert not verdict(model, [("same", 0.9)], "accuracy")[1]


def test_the_least_that_the_loss_can_be():
    assert loss_line(Classes(tuple("abcdefghi")), 0.1) == "cross entropy with labels smoothed by 0.1, at least 0.48"
    assert loss_line(Classes(tuple("abcdefghi")), 0.0) == "cross entropy"


def test_what_is_most_often_confused():
    truth = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.eye(3)[[1, 1, 0, 1, 2, 2]]
    assert (
        ClassResult("GRU", THREE, truth, probabilities).ending()
        == "Most often taken: a for b (2 times), b for c (once)."
    )


def test_a_confusion_matrix_of_many_classes_is_drawn():
    truth = np.arange(150)
    svg = draw_confusion(ClassResult("GRU", Classes(tuple(f"class <{i}>" for i in truth)), truth, np.eye(150)))
    assert svg.startswith("<svg")
    assert "class &lt;0&gt;" in svg


# Baselines


def test_a_sequence_in_a_few_numbers(arrays):
    found = summary(Sequences.of(arrays))
    for row, array in enumerate(arrays):
        moves = np.abs(np.diff(array, axis=0)).sum(0) / len(array)
        parts = [array.mean(0), array.std(0), array.min(0), array.max(0), array[0], array[-1], moves]
        np.testing.assert_allclose(found[row], np.concatenate([[len(array)], *parts]), rtol=1e-4, atol=1e-5)


def test_sequences_at_one_length(arrays):
    flat, _ = flattened(Sequences.of(arrays), Sequences.of(arrays))
    length = int(np.median(LENGTHS))
    for row, array in enumerate(arrays):
        expected = [
            np.interp(np.linspace(0, len(array) - 1, length), np.arange(len(array)), array[:, channel])
            for channel in range(3)
        ]
        np.testing.assert_allclose(flat[row].reshape(length, 3), np.stack(expected, 1), rtol=1e-4, atol=1e-5)


def test_baselines_learn_what_is_easy_and_say_when_they_saw_a_part(monkeypatch):
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    sequences = Sequences.of([random.normal(target, 0.1, (random.integers(3, 9), 2)) for target in targets])
    examples = Examples("toy", "toy", sequences, [str(target) for target in targets])
    told = Scaler.fitted(sequences, "channel"), THREE, examples, targets, examples
    found = {name: THREE.measured(targets, said)["accuracy"] for name, said in baselines(*told)}
    assert found == {
        "most frequent class": pytest.approx(1 / 3),
        "logistic regression on mean, spread, ends of each channel": 1.0,
        "MiniROCKET": 1.0,
        "nearest neighbour": 1.0,
        "nearest neighbour by DTW": 1.0,
    }
    monkeypatch.setattr("statewise.jobs.tasks.classify.baselines.NEIGHBOUR_COST", 30 * 60 * 2 * 5)
    monkeypatch.setattr("statewise.jobs.tasks.classify.baselines.ROCKET_COST", 3e6)
    monkeypatch.setattr("statewise.jobs.tasks.classify.baselines.DTW_RAGGED_COST", 60 * 30 * 8 * 8 * 2)
    found = dict(baselines(*told))
    names = list(found)
    assert "of 60)" in names[3]
    assert names[2] == "MiniROCKET (left out, it takes too long)"
    assert found[names[2]] is None
    assert names[4] == "nearest neighbour by DTW (30 of 60)"
    pixels = dataclasses.replace(examples, picture=(2, 4))
    names = [name for name, _ in baselines(*told[:2], pixels, targets, pixels)]
    assert names[1] == "logistic regression on pixels"
    assert len(names) == 3
