"""Fit the linear tagger, and settle how much it and the network count beside each other.

Each is trained alone, since either learns its sentences by heart and would leave the other nothing. They err in
different places: the network has seen what is far off, the linear one knows what is rare by its neighbours, its ending
and its shape. The scores of both are added, each times a number by which the least is lost on the validation part, with
another that is added for the tag of what is in no span; the loss is convex in the three, so there is one best choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from . import crf
from .corpus import Corpus
from .cues import cues
from .linear import Linear, found_in
from .network import Network
from .packed import Packed

SEEN, MOST_WEIGHTS = 2, 1 << 21  # words that a cue must be seen at; numbers in the table
DECAY, ITERATIONS, MEMORY = 0.1, 50, 6  # of the sum of squares; of L-BFGS at most; the steps that it remembers
HALF = 0.5  # what each counts where there is nothing to settle it by

Floats = NDArray[np.float64]


def fitted(corpus: Corpus, packed: Packed, network: Network) -> tuple[Linear, list[Tensor]] | None:
    """A linear tagger that has learnt ``corpus``, which is ``packed``, and the parameters of a CRF of its own.

    It has the loss of ``network``, and no such parameters where that has no CRF. None where no cue is seen twice.
    """
    from scipy.sparse import csr_array

    assert packed.targets is not None
    places, sizes = packed.places(np.arange(len(packed)))
    tags, steps = network.output.out_features, torch.from_numpy(sizes)
    asked = cues(corpus.words, corpus.features)[places]  # (S, J)
    known, seen = np.unique(asked, return_counts=True)
    kept = np.flatnonzero(seen >= SEEN)
    known = np.sort(known[kept[np.argsort(-seen[kept], kind="stable")][: MOST_WEIGHTS // tags]])
    if not len(known):
        return None
    columns, there = found_in(known, asked)
    entries = np.ones(there.sum(), np.float32), columns[there].astype(np.int32), np.append(0, there.sum(1).cumsum())
    at = csr_array(entries, shape=(packed.tokens, len(known)))  # (S, F)
    back, targets = at.T.tocsr(), torch.from_numpy(packed.targets[places])

    def lost(weights: Floats, *moves: Floats) -> tuple[float, list[Floats]]:
        emissions, *paths = (torch.from_numpy(a).requires_grad_() for a in (at @ weights.astype(np.float32), *moves))
        loss = _lost(network, emissions.double(), steps, targets, paths)
        slope, *others = torch.autograd.grad(loss, [emissions, *paths])
        return loss.item(), [back @ slope.numpy(), *(other.numpy() for other in others)]

    shapes = [(len(known), tags), *(tuple(each.shape) for each in _paths(network))]
    weights, *moves = _least(lost, [np.zeros(shape) for shape in shapes], DECAY)
    return Linear(known, weights.astype(np.float32)), [torch.from_numpy(values) for values in moves]


def join(
    network: Network, linear: Linear, moves: Sequence[Tensor], held: Packed | None, outside: int | None = None
) -> Linear:
    """``linear`` as far as it counts beside ``network``, whose own scores are changed to what they count there.

    That is settled on ``held``, whose ``beside`` are the scores of ``linear`` and become those of the result. ``moves``
    belong to ``linear``; where the network has a CRF both have one then. ``outside`` is the number of the tag of what
    is in no span.
    """
    own, alone, more = (HALF, HALF, 0.0) if held is None else _weighed(network, moves, held, outside)
    with torch.no_grad():
        network.output.weight.mul_(own)
        network.output.bias.mul_(own)
        if outside is not None:
            network.output.bias[outside] += more
        for tensor, other in zip(_paths(network), moves, strict=True):
            tensor.copy_(own * tensor + alone * other)
    if held is not None and held.beside is not None:
        held.beside = np.float32(alone) * held.beside
    return linear.times(alone)


def _weighed(
    network: Network, moves: Sequence[Tensor], held: Packed, outside: int | None
) -> tuple[float, float, float]:
    """What the network and the linear tagger count, and what is added for ``outside``: by the loss on ``held``.

    Training on spans that it comes to know by heart leaves a tagger too sure that what it doesn't know is none.
    """
    batch = held.take(np.arange(len(held)))
    targets, beside = batch.targets, batch.beside
    assert targets is not None
    assert beside is not None
    with torch.no_grad():
        ours = network(batch._replace(beside=None)), *_paths(network)
    pairs = [(a.detach().double(), b.double()) for a, b in zip(ours, (beside, *moves), strict=True)]
    there = torch.zeros(network.output.out_features, dtype=torch.float64)
    if outside is not None:
        there[outside] = 1.0

    def lost(counts: Floats) -> tuple[float, list[Floats]]:
        numbers = torch.from_numpy(counts).requires_grad_()
        emissions, *paths = (numbers[0] * a + numbers[1] * b for a, b in pairs)
        loss = _lost(network, emissions + numbers[2] * there, batch.sizes, targets, paths)
        return loss.item(), [torch.autograd.grad(loss, numbers)[0].numpy()]

    own, alone, more = _least(lost, [np.array([HALF, HALF, 0.0])])[0].tolist()
    return own, alone, more


def _paths(network: Network) -> list[Tensor]:
    """The parameters of the CRF, none where there is none."""
    return list(network.crf.parameters()) if network.crf is not None else []


def _lost(network: Network, emissions: Tensor, sizes: Tensor, targets: Tensor, moves: Sequence[Tensor]) -> Tensor:
    """The loss of ``network`` by other ``emissions`` (S, K), packed, and other parameters of its CRF."""
    if network.crf is None:
        return cross_entropy(emissions, targets, reduction="sum")
    return crf.lost(emissions, sizes, targets, *network.crf.masked(*moves))


def _least(
    lost: Callable[..., tuple[float, Sequence[Floats]]], begin: Sequence[Floats], decay: float = 0.0
) -> list[Floats]:
    """The arrays, of the sizes of ``begin``, by which least is ``lost``, half their squares times ``decay`` with it.

    ``lost`` gives the gradients as well.
    """
    from scipy.optimize import minimize

    borders = np.cumsum([each.size for each in begin])[:-1]

    def apart(numbers: Floats) -> list[Floats]:
        return [part.reshape(each.shape) for part, each in zip(np.split(numbers, borders), begin, strict=True)]

    def objective(numbers: Floats) -> tuple[float, Floats]:
        loss, slopes = lost(*apart(numbers))
        slope = np.concatenate([part.ravel() for part in slopes], dtype=np.float64)
        return loss + decay / 2 * float(numbers @ numbers), slope + decay * numbers

    start = np.concatenate([each.ravel() for each in begin])
    options = {"maxiter": ITERATIONS, "maxcor": MEMORY}
    return apart(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x)
