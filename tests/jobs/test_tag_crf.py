"""The conditional random field and Viterbi's algorithm, against all sequences of tags written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from statewise.jobs.tasks.tag.crf import CRF, NEVER, log_sum, plain_log_sum, score
from statewise.jobs.tasks.tag.decoding import best, marginals, n_best, total

LENGTHS = (4, 2, 2, 1)
K = 3


def packed(lengths=LENGTHS):
    """Sizes, and of every row the places of its steps."""
    sizes = torch.tensor([sum(length > t for length in lengths) for t in range(lengths[0])])
    starts = sizes.cumsum(0) - sizes
    return sizes, [[int(starts[t]) + row for t in range(length)] for row, length in enumerate(lengths)]


def padded(lengths, emissions, between, first, last):
    """What decoding.py takes: scores (T, N, K), lengths and moves."""
    found = np.full((max(lengths), len(lengths), K), 1e6)
    for row, places in enumerate(packed(lengths)[1]):
        found[: len(places), row] = emissions[places]
    moves = np.zeros((K + 1, K + 1))
    moves[:K, :K], moves[K, :K], moves[:K, K] = between, first, last
    return found, np.array(lengths), moves


def scores(k=K):
    torch.manual_seed(0)
    shapes = [(sum(LENGTHS), k), (k, k), (k,), (k,)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def of_path(path, places, emissions, between, first, last):
    own = sum(emissions[place, tag] for place, tag in zip(places, path, strict=True))
    return own + sum(between[a, b] for a, b in itertools.pairwise(path)) + first[path[0]] + last[path[-1]]


def all_paths(places, *all_scores):
    paths = list(itertools.product(range(K), repeat=len(places)))
    return paths, torch.stack([of_path(path, places, *all_scores) for path in paths])


@pytest.mark.parametrize("way", [log_sum, plain_log_sum])
def test_the_sum_over_all_tags_and_its_gradients(way):
    sizes, rows = packed()
    given = scores()
    ours = way(given[0], sizes, *given[1:])
    theirs = torch.stack([all_paths(places, *given)[1].logsumexp(0) for places in rows])
    torch.testing.assert_close(ours, theirs)
    weights = torch.arange(1.0, 5.0, dtype=torch.float64)
    for a, b in zip(
        torch.autograd.grad(ours @ weights, given), torch.autograd.grad(theirs @ weights, given), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_the_score_of_given_tags_and_its_gradients():
    sizes, rows = packed()
    given = scores()
    tags = torch.tensor([0, 2, 1, 1, 2, 0, 1, 0, 2])
    ours = score(given[0], sizes, tags, *given[1:])
    theirs = sum(of_path([int(tags[p]) for p in places], places, *given) for places in rows)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, given), torch.autograd.grad(theirs, given), strict=True):
        torch.testing.assert_close(a, b)


def test_the_best_tags():
    given = [s.detach() for s in scores()]
    found = best(*padded(LENGTHS, *given))
    for row, places in enumerate(packed()[1]):
        paths, values = all_paths(places, *given)
        assert tuple(found[: len(places), row].tolist()) == paths[int(values.argmax())]


def constrained():
    """1 may not follow 0, nor 2 be first, nor 1 last."""
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    allowed[0, 1] = allowed[K, 2] = allowed[1, K] = False
    crf = CRF(K, allowed).double()
    torch.manual_seed(1)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return [torch.randn(sum(LENGTHS), K, dtype=torch.float64), *(s.detach() for s in crf.scores())]


@pytest.mark.parametrize("given", [scores, constrained])
def test_the_probability_of_each_tag_over_all_tags_of_the_others(given):
    given = [s.detach() for s in given()]
    found = marginals(*padded(LENGTHS, *given))
    for row, places in enumerate(packed()[1]):
        paths, values = all_paths(places, *given)
        weights = values.softmax(0)
        np.testing.assert_allclose(found[: len(places), row].sum(1), np.ones(len(places)), rtol=1e-12)
        assert total(*padded(LENGTHS, *given))[row] == pytest.approx(float(values.logsumexp(0)), rel=1e-12)
        for step in range(len(places)):
            expected = [sum(w for path, w in zip(paths, weights, strict=True) if path[step] == tag) for tag in range(K)]
            np.testing.assert_allclose(found[step, row], torch.stack(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("count", [1, 2, 5, 30, 100])
@pytest.mark.parametrize("given", [scores, constrained])
def test_the_n_best_sequences(given, count):
    given = [s.detach() for s in given()]
    found, tags = n_best(*padded(LENGTHS, *given), count)
    assert (found.shape, tags.shape) == ((len(LENGTHS), count), (LENGTHS[0], len(LENGTHS), count))
    for row, places in enumerate(packed()[1]):
        paths, values = all_paths(places, *given)
        order = [place for place in values.argsort(descending=True).tolist() if values[place] > NEVER / 2][:count]
        expected = values[order]
        np.testing.assert_allclose(found[row, : len(order)], expected, rtol=1e-12, atol=0)
        assert (found[row, len(order) :] < NEVER / 2).all()  # what may not be, and what there is not
        ours = [tuple(tags[: len(places), row, rank].tolist()) for rank in range(len(order))]
        assert ours == [paths[place] for place in order]


def test_probabilities_add_up_to_one():
    sizes = torch.ones(3, dtype=torch.int64)
    torch.manual_seed(0)
    crf = CRF(K).double()
    torch.nn.init.normal_(crf.between)
    emissions = torch.randn(3, K, dtype=torch.float64)
    paths = itertools.product(range(K), repeat=3)
    with torch.no_grad():
        total = sum(float((-crf(emissions, sizes, torch.tensor(path))).exp()) for path in paths)
    assert total == pytest.approx(1)


def test_what_is_not_allowed_does_not_come():
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    allowed[0, 1] = allowed[K, 2] = allowed[1, K] = False  # 1 after 0, 2 at first, 1 at last
    crf = CRF(K, allowed)
    sizes, _ = packed((5,))
    emissions = torch.full((5, K), -1.0)
    emissions[[0, 1, 2, 3, 4], [2, 0, 1, 1, 1]] = 5.0
    found = best(*padded((5,), emissions, *(each.detach() for each in crf.scores())))[:, 0].tolist()
    assert found[0] != 2
    assert found[-1] != 1
    assert (0, 1) not in itertools.pairwise(found)
    loss = crf(emissions, sizes, torch.tensor([0, 0, 2, 1, 0]))
    loss.backward()
    assert float(loss.detach()) < -NEVER / 2
    assert torch.isfinite(crf.between.grad).all()
    assert crf.between.grad[0, 1] == 0


@pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (7, 7), (40, 23, 23, 1)])
def test_both_ways_are_the_same(lengths):
    sizes, _ = packed(lengths)
    torch.manual_seed(0)
    shapes = [(sum(lengths), 9), (9, 9), (9,), (9,)]
    given = [(5 * torch.randn(shape)).requires_grad_() for shape in shapes]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    weights = torch.rand(len(lengths))
    ours = log_sum(given[0], sizes, *given[1:])
    theirs = plain_log_sum(exact[0], sizes, *exact[1:])
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-6)
    (ours @ weights).backward()
    (theirs @ weights.double()).backward()
    for a, b in zip(given, exact, strict=True):
        expected = torch.zeros_like(b) if b.grad is None else b.grad  # of rows of one step nothing is between
        torch.testing.assert_close(a.grad.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("apart", [90.0, 600.0, 5000.0])
def test_scores_far_apart_are_not_lost(apart):
    """Only ways through a tag that is hardly likely are allowed, so its part must not vanish in the scaling."""
    emissions = torch.zeros(3, 2, requires_grad=True)
    given = [emissions + torch.tensor([[0.0, 0.0], [apart, 0.0], [0.0, 0.0]])]
    given += [torch.tensor([[NEVER, 0.0], [NEVER, 0.0]]), torch.tensor([NEVER, 0.0]), torch.zeros(2)]
    found = log_sum(given[0], torch.ones(3, dtype=torch.int64), *given[1:])
    found.sum().backward()
    assert float(found.detach()) == pytest.approx(0.0, abs=1e-4)
    torch.testing.assert_close(emissions.grad, torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))
