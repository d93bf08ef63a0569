"""Resets: between two of them lies a sequence of its own, so a row with resets is several rows.

Ragged rows cost their real steps and no more, so resets cost nothing in the kernels, which know nothing of them; more
rows that are shorter fill a step better than a few long ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import Arguments, Results


def initial_states(a: Arguments) -> Sequence[Tensor]:
    """``a.initial`` for every row: (L*D, N, .) each, or (N, .) of a single step."""
    assert a.initial is not None
    if a.batch_sizes is None and a.x.dim() == 2:
        return [s.expand(a.x.size(0), -1) for s in a.initial]
    n = a.x.size(1) if a.batch_sizes is None else int(a.batch_sizes[0]) if a.batch_sizes.numel() else 0
    return [s.unsqueeze(1).expand(-1, n, -1) for s in a.initial]


class _Segments(NamedTuple):
    """The segments by descending length, K of them, and S steps of all of them together."""

    row: Tensor  # (K,), of the batch
    start: Tensor  # (K,), the first step
    batch_sizes: Tensor  # of the packed segments
    place: Tensor  # (S,), where each packed step is among the caller's
    first: Tensor  # (N,), each row's first segment; of a row without steps any
    last: Tensor  # (N,)
    empty: Tensor  # (N,), the rows without steps
    goes_on: Tensor  # (2, K), which begin with the state that the row began with: forwards, backwards


def by_segments(a: Arguments, run: Callable[[Arguments], Results | None]) -> Results | None:
    """``run`` without ``a.reset``, over rows that end where the state is set back; None where ``run`` gives that."""
    packed = a.batch_sizes is not None
    if not packed and a.x.dim() == 2:
        return run(a._replace(state=_restarted(a), reset=None, initial=None))
    s = _segments(a)
    steps = a.x if packed else a.x.flatten(0, 1)  # (T*N, I) or (S, I)

    def packed_steps(t: Tensor) -> Tensor:
        return (t if packed else t.flatten(0, 1)).index_select(0, s.place)

    results = run(
        a._replace(
            x=steps.index_select(0, s.place),
            state=_starts(a, s),
            masks=[packed_steps(mask) for mask in a.masks],
            lengths=None,
            batch_sizes=s.batch_sizes,
            reset=None,
            initial=None,
            recurrent_masks=[mask.index_select(0, s.row) for mask in a.recurrent_masks],
            rows=s.row if a.rows is None else a.rows.index_select(0, s.row),
            starts=s.start,
        )
    )
    if results is None:
        return None

    def back(t: Tensor, axis: int) -> Tensor:
        """Packed steps along ``axis`` as the caller has them, zeros past a row's end."""
        count = steps.size(0)
        if s.place.numel() == count:
            order = torch.empty_like(s.place)
            order[s.place] = torch.arange(count)
            t = t.index_select(axis, order)
        else:
            shape = [*t.shape[:axis], count, *t.shape[axis + 1 :]]
            t = t.new_zeros(shape).index_copy(axis, s.place, t)
        return t if packed else t.unflatten(axis, (a.x.size(0), a.x.size(1)))

    output, finals, passed = (
        results[0],
        results[1 : 1 + len(a.stack.cell.states)],
        results[1 + len(a.stack.cell.states) :],
    )
    return back(output, 0), *_finals(a, s, finals), *[back(t, 1) for t in passed]


def _restarted(a: Arguments) -> Sequence[Tensor] | None:
    """The states of a single step, set back where ``a.reset`` (N,) says so."""
    if a.state is None:
        return None if a.initial is None else initial_states(a)
    assert a.reset is not None
    reset = a.reset.unsqueeze(-1)
    fresh: Sequence[Tensor | int] = [0] * len(a.state) if a.initial is None else initial_states(a)
    return [torch.where(reset, new, s) for new, s in zip(fresh, a.state, strict=True)]


def _segments(a: Arguments) -> _Segments:
    assert a.reset is not None
    if a.batch_sizes is None:
        t, n = a.x.shape[:2]
        lengths = torch.full((n,), t) if a.lengths is None else a.lengths
        at = torch.arange(t) * n  # where each step's rows begin
        border = a.reset
    else:
        sizes = a.batch_sizes
        t, n = sizes.numel(), int(sizes[0]) if sizes.numel() else 0
        lengths = (sizes.unsqueeze(0) > torch.arange(n).unsqueeze(1)).sum(1)  # (N,)
        at = sizes.cumsum(0) - sizes
        border = torch.zeros(t, n, dtype=torch.bool)
        border[torch.arange(n) < sizes.unsqueeze(1)] = a.reset
    begins = (border | (torch.arange(t) == 0).unsqueeze(1)) & (torch.arange(t).unsqueeze(1) < lengths)  # (T, N)
    row, start = begins.t().nonzero(as_tuple=True)  # row by row, in order of time
    is_last = torch.ones_like(row, dtype=torch.bool)
    is_last[:-1] = row[1:] != row[:-1]
    end = torch.where(is_last, lengths[row], start.roll(-1))
    length, order = (end - start).sort(descending=True, stable=True)
    goes_on = torch.stack([(start == 0) & ~(border[0, row] if t else start < 0), is_last])[:, order]
    placed = torch.empty_like(order)
    placed[order] = torch.arange(order.numel())
    counts = torch.bincount(row, minlength=n)  # segments of each row
    last = counts.cumsum(0) - 1
    row, start = row[order], start[order]
    longest = int(length[0]) if length.numel() else 0
    inside = torch.arange(longest).unsqueeze(1) < length  # (T', K)
    times = (torch.arange(longest).unsqueeze(1) + start)[inside]
    place = at[times] + row.expand(longest, -1)[inside]
    some = placed if placed.numel() else torch.zeros(1, dtype=torch.int64)
    pick = some[(last - counts + 1).clamp(0, some.numel() - 1)], some[last.clamp(0, some.numel() - 1)]
    return _Segments(row, start, inside.sum(1), place, *pick, counts == 0, goes_on)


def _of_directions(a: Arguments, forward: Tensor, backward: Tensor) -> Tensor:
    """Of each of L*D layers and directions one of the two: (L*D, ...)."""
    both = torch.stack([forward, backward])[: a.stack.directions]
    return both.repeat(a.stack.num_layers, *[1] * forward.dim())


def _starts(a: Arguments, s: _Segments) -> Sequence[Tensor] | None:
    """The states that the segments begin with, each (L*D, K, .)."""
    if a.state is None and a.initial is None:
        return None
    count = s.row.numel()
    fresh: Sequence[Tensor | int]
    fresh = [0] * len(a.stack.cell.states) if a.initial is None else [i.unsqueeze(1) for i in a.initial]
    if a.state is None:
        return [f.expand(-1, count, -1) for f in fresh if isinstance(f, Tensor)]
    goes_on = _of_directions(a, *s.goes_on).unsqueeze(-1)  # (L*D, K, 1)
    return [torch.where(goes_on, h.index_select(1, s.row), f) for h, f in zip(a.state, fresh, strict=True)]


def _finals(a: Arguments, s: _Segments, finals: Sequence[Tensor]) -> list[Tensor]:
    """Of each row the state that its last segment ends with, in the order in which a direction reads."""
    begun: Sequence[Tensor | int] = [0] * len(finals)
    if a.state is not None or a.initial is not None:
        begun = a.state or initial_states(a)
    pick = _of_directions(a, s.last, s.first)  # (L*D, N)
    found = []
    for final, start in zip(finals, begun, strict=True):
        if final.size(1):
            own = final.gather(1, pick.unsqueeze(-1).expand(-1, -1, final.size(2)))
        else:
            own = final.new_zeros(final.size(0), pick.size(1), final.size(2))
        found.append(torch.where(s.empty.unsqueeze(-1), start, own) if bool(s.empty.any()) else own)
    return found
