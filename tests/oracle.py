"""What the layers are held against: torch.nn in float64, and how far from it a result may be.

Letters as in ``statewise.stack``. A "result" is a flat list of tensors: output, states, gradients.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import statewise

LAYERS = ("RNN", "LSTM", "GRU")
CELLS = ("RNNCell", "LSTMCell", "GRUCell")


def pair(kind: str, *args: Any, **kwargs: Any) -> tuple[nn.Module, nn.Module]:
    """torch.nn's module and statewise's, with the same weights."""
    theirs, ours = getattr(nn, kind)(*args, **kwargs), getattr(statewise, kind)(*args, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def flat(result: Any) -> list[Tensor]:
    """The tensors of a module's result, in order; a PackedSequence stands for its data."""
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, Tensor):
        return [result]
    return [t for part in result for t in flat(part)]


def gradients(outputs: Sequence[Tensor], leaves: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of sum(output * cotangent) for all leaves; zeros where there is no connection."""
    loss = sum((o * c.to(o.dtype)).sum() for o, c in zip(outputs, cotangents, strict=True))
    if not isinstance(loss, Tensor) or not loss.requires_grad:  # no row has any step
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(loss, list(leaves), allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)]


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What came of a call: the type and message of what it raised, or ("returned",); then the warnings' messages.

    Of a message what is torch.nn's: below that a layer says what the call most likely meant.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            ended: tuple[Any, ...] = ("returned",)
        except Exception as error:
            ended = (type(error), str(error).removesuffix(f"\n{getattr(error, 'hint', None)}"))
    return (*ended, [(w.category, str(w.message)) for w in caught])


def over_lengths(layer: nn.Module, x: Tensor, hx: Sequence[Tensor] | None, lengths: Sequence[int]) -> list[Tensor]:
    """``layer``, of torch.nn and time-major, over rows of different lengths, by packing those that have any step.

    ``x`` is (T, N, I), each state (L*D, N, .). Rows of length 0 give zeros and their initial state.
    """
    t, n = x.shape[:2]
    rows = [i for i in range(n) if lengths[i] > 0]
    depth = layer.num_layers * (2 if layer.bidirectional else 1)
    width = layer.proj_size or layer.hidden_size
    if hx is None:
        sizes = (width, layer.hidden_size)[: 2 if isinstance(layer, nn.LSTM) else 1]
        hx = [x.new_zeros(depth, n, size) for size in sizes]
    output = x.new_zeros(t, n, width * (2 if layer.bidirectional else 1))
    if not rows:
        return [output, *hx]
    some = torch.tensor(rows)
    packed = pack_padded_sequence(x[:, some], [lengths[i] for i in rows], enforce_sorted=False)
    start = [h[:, some] for h in hx]
    data, final = layer(packed, start[0] if len(start) == 1 else tuple(start))
    padded, _ = pad_packed_sequence(data, total_length=t)
    states = [h.index_copy(1, some, f) for h, f in zip(hx, flat(final), strict=True)]
    return [output.index_copy(1, some, padded), *states]


def worst(actual: Tensor, oracle: Tensor) -> float:
    """The largest absolute difference; infinity for a NaN that the oracle has not."""
    if oracle.numel() == 0:
        return 0.0
    difference = (actual.detach().double() - oracle.detach()).abs()
    return float(torch.where(difference.isnan(), torch.inf, difference).max())


def is_close_to_float64(
    actual: Sequence[Tensor], oracle: Sequence[Tensor], peer: Callable[[], Iterable[Tensor]]
) -> list[str]:
    """Complaints about ``actual``, none if all is well.

    float32 passes where its error is at most twice that of ``peer()``, torch's own float32, or 3e-6 of the largest
    value; float64 where it is at most 1e-12 of the largest value or ten times the spread of ``peer()``, torch's own
    float64 for an input one unit in the last place away.
    """
    bad = []
    others: list[Tensor] | None = None
    assert len(actual) == len(oracle)
    for k, (a, o) in enumerate(zip(actual, oracle, strict=True)):
        assert o.dtype == torch.float64
        if a.shape != o.shape:
            bad.append(f"result {k}: shape {tuple(a.shape)}, expected {tuple(o.shape)}")
            continue
        largest = float(o.detach().abs().max()) if o.numel() else 0.0
        factor, slack = (2.0, 3e-6) if a.dtype == torch.float32 else (10.0, 1e-12)
        error = worst(a, o)
        if error <= slack * largest:
            continue
        if others is None:
            others = list(peer())
        allowed = factor * worst(others[k], o)
        if not error <= allowed:
            bad.append(
                f"result {k} {tuple(a.shape)}: off by {error:.3g}; allowed {max(allowed, slack * largest):.3g}, "
                f"largest value {largest:.3g}"
            )
    return bad


def assert_close_to_float64(
    actual: Sequence[Tensor], oracle: Sequence[Tensor], peer: Callable[[], Iterable[Tensor]] = list
) -> None:
    """AssertionError with the complaints of ``is_close_to_float64``; without ``peer`` only the fixed bounds count."""
    bad = is_close_to_float64(actual, oracle, peer if peer is not list else lambda: [o.detach() for o in oracle])
    assert not bad, "\n".join(bad)
