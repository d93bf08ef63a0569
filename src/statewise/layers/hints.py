"""What a refused call most likely meant: which axis is read as what, and the change that makes it fit.

The texts of the refusals are torch.nn's; these sentences stand below them. They are found from shapes alone. A change
is named only where the call would go through with it: each is tried, alone or with one of another argument, on tensors
that have a shape and no numbers, and the code that is shown is the code that was tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

REFUSALS = (AttributeError, TypeError, ValueError, RuntimeError)
Shape = tuple[int, ...]
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
Change = tuple[tuple[Any, ...], ...]
"""Methods of a tensor, each with its arguments, one after the other."""


def explained(error: Exception, hint: str) -> Exception:
    """An error of the same type, with ``hint`` below its text, and as an attribute, where there is one."""
    if not hint or type(error) not in REFUSALS:
        return error
    told = type(error)(f"{error}\n{hint}").with_traceback(error.__traceback__)
    told.hint = hint  # type: ignore[attr-defined]
    return told


def for_layer(layer: Any, input: Any, hx: Any, lengths: Any = None, reset: Any = None) -> str:
    """The sentence for a call of a layer; empty where its shapes don't tell what was meant."""
    packed = isinstance(input, PackedSequence)
    data = input.data if packed else input
    if not isinstance(data, Tensor):
        return _no_tensor(data)
    if not data.is_floating_point():
        return _symbols(data, layer.input_size)
    rows = None
    if packed:
        rows = int(input.batch_sizes[0]) if len(input.batch_sizes) else 0
        lengths = None  # whose refusal says it
    call = _Call(tuple(data.shape), batch_first=bool(layer.batch_first), rows=rows)
    call = call._replace(lengths=_Rows.of("lengths", lengths), reset=_Rows.of("reset", reset))
    return _LayerHint(layer, call).with_states(hx)


def for_cell(cell: Any, input: Any, hx: Any) -> str:
    """The sentence for a call of a cell; empty where its shapes don't tell what was meant."""
    if isinstance(input, PackedSequence):
        return f"A cell reads one step, (N, I): packed rows are for the layer, {_layer_of(cell)}."
    if not isinstance(input, Tensor):
        return _no_tensor(input)
    if not input.is_floating_point():
        return _symbols(input, cell.input_size)
    return _CellHint(cell, _Call(tuple(input.shape))).with_states(hx)


def for_model(error: Exception) -> str:
    """The sentence for a module that has such layers in it and can't be run."""
    said = str(error)
    if said.endswith("must be Tensor, not tuple") or said.startswith("'tuple' object has no attribute"):
        return (
            "A recurrent layer returns (output, h_n), and what stands after it in torch.nn.Sequential reads one tensor:"
            " put a module of your own around it whose forward returns layer(x)[0]."
        )
    return ""


class _Rows(NamedTuple):
    """``lengths`` or ``reset``, by their shape; and what else tells whether they serve."""

    name: str
    shape: Shape
    dtype: torch.dtype
    most: int = 0  # the largest of lengths

    @staticmethod
    def of(name: str, value: Any) -> _Rows | None:
        """None where there are none, or none that torch can read."""
        if value is None:
            return None
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            return None
        name = (
            name
            if isinstance(value, Tensor) or (name == "lengths" and _is_counts(value))
            else f"torch.as_tensor({name})"
        )
        most = int(tensor.max()) if tensor.numel() and not tensor.is_complex() and not tensor.is_meta else 0
        return _Rows(name, tuple(tensor.shape), tensor.dtype, most)

    def ways(self, wanted: Shape, changes: Sequence[Change], cast: Change) -> Iterator[tuple[str, _Rows]]:
        """The code of each change by which these come to the shape ``wanted``; ``cast`` is needed at the end too."""
        for change in changes:
            if _changed(self.shape, change) == wanted and (change or cast):
                yield _code(self.name, (*change, *cast)), self._replace(shape=wanted)


class _Call(NamedTuple):
    """A call by its shapes alone."""

    input: Shape
    states: tuple[Shape, ...] | None = None
    lengths: _Rows | None = None
    reset: _Rows | None = None
    batch_first: bool = False
    rows: int | None = None  # N of a PackedSequence, whose data is the input


class _Try(NamedTuple):
    """A call with something changed, and the sentence for that; the call as it is has none."""

    call: _Call
    said: str = ""


class _Hint:
    """The search, which the layers and the cells share."""

    def __init__(self, module: Any, call: _Call) -> None:
        self.module, self.call = module, call
        self.size = int(module.input_size)

    def with_states(self, hx: Any) -> str:
        """The sentence for the call with ``hx``."""
        if hx is None:
            return self.said()
        told = [(said, self.call._replace(states=tuple(states))) for said, states in self.containers(hx)]
        found = [(changes, said, call) for said, call in told for changes in self._fewest(call)]
        if found:
            _, said, self.call = min(found, key=lambda each: each[0])
            return f"{said} {self.said()}".strip()
        if told and not told[0][0]:
            self.call = told[0][1]
            return self.said()
        if isinstance(self, _LayerHint) and self.module._is_list:
            return ""  # the refusal has the whole form
        letters = self.module._stack.cell.states
        names = ", ".join(f"{letter}_0" for letter in letters)
        if isinstance(self, _LayerHint) and self.call.lengths is None and _is_counts(hx):
            self.call = self.call._replace(lengths=_Rows.of("lengths", hx))
            if any(self._fitting(self.call)):
                return (
                    f"The second argument is hx, the states: lengths are given by name, lengths=. {self.said()}".strip()
                )
            self.call = self.call._replace(lengths=None)
        if len(letters) == 1:
            return f"{self.module._title} has one state, {names}, a tensor. Without hx it begins at 0."
        return f"{self.module._title} has {len(letters)} states: ({names}), a tuple. Without hx all begin at 0."

    def containers(self, hx: Any) -> Iterator[tuple[str, list[Shape]]]:
        """What of ``hx`` may be meant by the states: a sentence, none where it is as it should be, and their shapes."""
        title, letters = self.module._title, self.module._stack.cell.states
        count = len(letters)
        names = ", ".join(f"{letter}_0" for letter in letters)
        several = isinstance(hx, (tuple, list))
        if isinstance(hx, Tensor) and count == 1 and hx.is_floating_point():
            yield "", [tuple(hx.shape)]
        elif several and len(hx) == count > 1 and all(isinstance(s, Tensor) for s in hx):
            yield "", [tuple(s.shape) for s in hx]
        if several and count == 1 and hx and isinstance(hx[0], Tensor):
            yield f"{title} has one state, h, which is given as a tensor: hx[0].", [tuple(hx[0].shape)]
        if several and len(hx) == 2 and isinstance(hx[0], (Tensor, PackedSequence)) and len(_shapes(hx[1])) == count:
            yield "This is what a layer returns, (output, states): hx[1] are the states.", _shapes(hx[1])
        if isinstance(hx, Tensor) and count > 1:
            if hx.dim() > 1 and len(hx) == count:
                each = [tuple(hx.shape[1:])] * count
                yield f"{title} has {count} states, ({names}), each a tensor of its own: tuple(hx).", each
            zeros = ", torch.zeros_like(h_0)" * (count - 1)
            said = (
                f"{title} has {count} states: ({names}), a tuple. With h_0 alone, the other begins at 0: (h_0{zeros})."
            )
            yield said, [tuple(hx.shape)] * count

    def said(self) -> str:
        """The sentences of the smallest change that makes the call fit, or else what the axes mean."""
        found = sorted(self._fitting(self.call), key=lambda each: each[0])
        if not found:
            return self.meaning()
        fewest = found[0][0]
        if fewest == 0:  # it is something else than a shape that doesn't fit
            return ""
        # Of several as small the first two, unless both come to the same call.
        alike = {call: said for changes, said, call in reversed(found) if changes == fewest}
        first, *others = [said for _, said, call in found if alike.get(call) == said]
        read = self.read()
        return " ".join([first, *[f"Or else: {said.removeprefix(read).lstrip(' .,:')}" for said in others[:1]]])

    def _fewest(self, call: _Call) -> list[int]:
        """How many changes make ``call`` fit; none where nothing does."""
        return sorted(changes for changes, *_ in self._fitting(call))[:1]

    def _fitting(self, call: _Call) -> Iterator[tuple[int, str, _Call]]:
        for read in self.inputs(call):
            for begun in self.states(read.call):
                for ragged, cut in product(self.lengths(begun.call), self.resets(begun.call)):
                    call = begun.call._replace(lengths=ragged.call.lengths, reset=cut.call.reset)
                    if self.fits(call):
                        told = [each.said for each in (read, begun, ragged, cut) if each.said]
                        yield len(told), " ".join(told), call

    def read(self) -> str:
        """What the call's input is read as, or should be."""
        raise NotImplementedError

    def fits(self, call: _Call) -> bool:
        raise NotImplementedError

    def meaning(self) -> str:
        raise NotImplementedError

    def inputs(self, call: _Call) -> Iterator[_Try]:
        raise NotImplementedError

    def wanted(self, call: _Call) -> list[Shape] | None:
        """The shapes that the states must have; None where the input tells none."""
        raise NotImplementedError

    def ways_of_states(self, call: _Call, wanted: Shape) -> Iterator[tuple[str, Change]]:
        raise NotImplementedError

    def states(self, call: _Call) -> Iterator[_Try]:
        """The call as it is; and with the states that don't fit brought to the shape that they must have."""
        yield _Try(call)
        wanted = None if call.states is None else self.wanted(call)
        if wanted is None or call.states is None or len(wanted) != len(call.states):
            return
        if len(wanted) > len(self.module._stack.cell.states):  # a tensor a layer, whose refusal names it
            return
        wrong = [k for k, (s, w) in enumerate(zip(call.states, wanted, strict=True)) if s != w]
        if not wrong:
            return
        names = [f"{letter}_0" for letter in self.module._stack.cell.states]
        for why, change in self.ways_of_states(call, wanted[wrong[0]]):
            if all(_changed(call.states[k], change) == wanted[k] for k in wrong):
                more = "".join(f", and {_code(names[k], change)}" for k in wrong[1:])
                yield _Try(call._replace(states=tuple(wanted)), f"{why}{_code(names[wrong[0]], change)}{more}.")

    def lengths(self, call: _Call) -> Iterator[_Try]:
        """Of a cell there are none."""
        yield _Try(call)

    def resets(self, call: _Call) -> Iterator[_Try]:
        """Of a cell there are none."""
        yield _Try(call)


class _LayerHint(_Hint):
    """For ``RecurrentLayer``."""

    def containers(self, hx: Any) -> Iterator[tuple[str, list[Shape]]]:
        if not self.module._is_list:
            yield from super().containers(hx)
            return
        letters, layers = len(self.module._stack.cell.states), self.module.num_layers
        nested = [hx] if letters == 1 else hx
        shapes = [_shapes(own) for own in nested] if isinstance(nested, (tuple, list)) else []
        if [len(own) for own in shapes] == [layers] * letters:
            yield "", [shape for own in shapes for shape in own]
        if [len(own) for own in shapes] == [letters] * layers and letters > 1:
            turned = [shape for own in zip(*shapes, strict=True) for shape in own]
            yield "The states are outermost, and the layers within: tuple(zip(*hx)).", turned

    def _rows(self, call: _Call) -> int | None:
        """N; None of one sequence without a batch."""
        if call.rows is not None:
            return call.rows
        return call.input[0 if call.batch_first else 1] if len(call.input) == 3 else None

    def _steps(self, call: _Call) -> int:
        return call.input[1 if call.batch_first and len(call.input) == 3 else 0]

    def fits(self, call: _Call) -> bool:
        ranks = (2,) if call.rows is not None else (2, 3)
        if len(call.input) not in ranks or call.input[-1] != self.size:
            return False
        n = self._rows(call)
        if call.states is not None and list(call.states) != self.wanted(call):
            return False
        lengths, reset = call.lengths, call.reset
        if lengths is not None and (
            lengths.shape != (n,) or lengths.dtype not in WHOLE or lengths.most > self._steps(call)
        ):
            return False
        return reset is None or (reset.shape == call.input[:-1] and reset.dtype is torch.bool)

    def wanted(self, call: _Call) -> list[Shape] | None:
        if len(call.input) not in (2, 3):
            return None
        n = self._rows(call)
        batch = () if n is None else (n,)
        sizes = self.module._state_sizes
        return [(self.module._depth, *batch, size) for size in sizes]

    def _axes(self, call: _Call) -> str:
        names = ("T", "I") if len(call.input) == 2 else ("N", "T", "I") if call.batch_first else ("T", "N", "I")
        return _axes(("S", "I") if call.rows is not None else names, call.input)

    def read(self) -> str:
        """What the call's input is read as, or should be."""
        rank = len(self.call.input)
        if rank in (2, 3):
            alone = ", one sequence without a batch" if rank == 2 and self.call.rows is None else ""
            return f"The input is read as {self._axes(self.call)}{alone}"
        order = "(N, T, I)" if self.call.batch_first else "(T, N, I)"
        return f"A layer reads (T, I), one sequence, or {order}, several, with I = {self.size}"

    def meaning(self) -> str:
        call, read = self.call, self.read()
        if call.states is not None and len(call.states) != len(self.module._state_sizes):
            return ""
        if len(call.input) not in (2, 3):
            return f"{read}."
        if call.input[-1] != self.size:
            return f"{read}, and the layer was made with input_size={self.size}."
        n = self._rows(call)
        if call.states is not None and list(call.states) != self.wanted(call):
            return self._meaning_of_states(call.states, self.wanted(call) or [])
        if call.lengths is not None and call.lengths.shape != (n,) and n is not None:
            return f"{read}: lengths are one for each of the N = {n} rows."
        if call.reset is not None and call.reset.shape != call.input[:-1]:
            return f"{read}, and reset has all axes of it but the last: {call.input[:-1]}."
        return f"{read}."

    def _meaning_of_states(self, states: Sequence[Shape], wanted: Sequence[Shape]) -> str:
        state, expected = next((s, w) for s, w in zip(states, wanted, strict=True) if s != w)
        said = self._state(expected)
        if self._rows(self.call) is None:
            return f"{self.read()}. {said}."
        if len(state) != 3:
            return f"{said}."
        if state[::2] == expected[::2]:
            return (
                f"{said}, and this one has {state[1]} rows. Is the last batch of the data a smaller one? Begin its "
                "rows without hx, or leave it out: DataLoader(drop_last=True)."
            )
        if state[1:] == expected[1:]:
            return f"{said}: one of each of {self._depths()}."
        if state[:2] == expected[:2]:
            made = f"hidden_size={self.module.hidden_size}"
            if p := self.module.proj_size:
                made += f" and proj_size={p}: only the state that is put out, h, is projected"
            return f"{said}, since the layer was made with {made}."
        return f"{said}."

    def _state(self, expected: Shape) -> str:
        """What the axes of a state are."""
        depth, *batch, size = expected
        name = "P" if self.module.proj_size and size != self.module.hidden_size else "H"
        order = f"({'D' if self.module._is_list else 'L*D'}, {'N, ' * len(batch)}{name})"
        return f"A state is {order} = {(depth, *batch, size)}{', whether batch_first or not' * len(batch)}"

    def _depths(self) -> str:
        layers = 1 if self.module._is_list else self.module.num_layers
        if not self.module.bidirectional:
            return f"{layers} layer{'s' * (layers > 1)}"
        several = f"{layers} layers, two of each layer" if layers > 1 else "one layer's directions"
        return f"{several}, forward and backward"

    def inputs(self, call: _Call) -> Iterator[_Try]:
        yield _Try(call)
        if call.rows is not None:
            return
        read, rank, size = self.read(), len(call.input), self.size
        if rank == 3:
            other = call._replace(batch_first=not call.batch_first)
            yield _Try(other, f"{read}: did you mean batch_first={other.batch_first}?")
        for why, change in self._ways(call.input, call.batch_first):
            shape = _changed(call.input, change)
            if shape is not None and shape[-1:] == (size,):
                new = call._replace(input=shape)
                yield _Try(new, f"{read}{why}{_code('input', change)} is {self._axes(new)}.")

    def _ways(self, shape: Shape, batch_first: bool) -> Iterator[tuple[str, Change]]:
        """What an input of this shape may be, the likeliest first: words for it, and how a layer reads it."""
        rank, size = len(shape), self.size
        rows, steps = (0, 1) if batch_first else (1, 0)
        if rank == 1:
            if size == 1:
                yield f". {shape[0]} steps of one number: ", (("unsqueeze", -1),)
            yield ". One step: ", (("unsqueeze", 0),)
        elif rank == 2 and shape[-1] != size:
            if size == 1:
                yield (
                    ". A single feature has an axis too, and such numbers are (T, N) or (N, T): ",
                    (("unsqueeze", -1),),
                )
            if shape[0] == size:
                yield f". The features belong into the last axis, and axis 0 has {size}: ", (("movedim", 0, -1),)
            if shape[-1] == size * size and size > 1:  # an image that was flattened
                each = (("unflatten", -1, (size, size)),)
                yield f". Rows of {size} times {size} numbers: ", each if batch_first else (*each, ("transpose", 0, 1))
        elif rank == 2:
            yield f". One step of each of {shape[0]} rows: ", (("unsqueeze", steps),)
            yield ". A batch of one sequence: ", (("unsqueeze", rows),)
        elif rank == 3 and shape[-1] != size:
            said = f". The features belong into the last axis, and axis {{}} has {size}: "
            if shape[1] == size:  # as convolutions have them, (N, I, T)
                yield said.format(1), (("transpose", 1, 2),) if batch_first else (("permute", 2, 0, 1),)
            if shape[0] == size:
                yield said.format(0), (("movedim", 0, -1),)
        elif rank == 4:
            order = () if batch_first else (("transpose", 0, 1),)
            if shape[1] == 1:
                yield ". Images (N, 1, height, width), row by row: ", (("squeeze", 1), *order)
            if shape[1] * shape[3] == size:
                each = (("transpose", 1, 2), ("flatten", 2), *order)
                yield ". Images (N, channels, height, width), row by row: ", each
            if shape[2] * shape[3] == size:
                yield ". The features of a step in one axis: ", (("flatten", 2),)

    def ways_of_states(self, call: _Call, wanted: Shape) -> Iterator[tuple[str, Change]]:
        depth, n, size = wanted[0], self._rows(call), wanted[-1]
        said = f"{self._state(wanted)}: "
        if n is None:
            yield f"{self.read()}, whose states have no N: ", (("squeeze", 1),)
            yield said, (("unsqueeze", 0),)
            return
        yield said, (("transpose", 0, 1),)
        yield said, (("unsqueeze", 0),)
        yield said, (("unsqueeze", 1),)
        yield f"{said[:-2]}. The same for all rows: ", (("expand", -1, n, -1),)
        yield f"{said[:-2]}. One axis for layers and directions: ", (("flatten", 0, 1),)
        yield (
            f"{said[:-2]}. The numbers of all layers side by side: ",
            (("unflatten", -1, (depth, size)), ("transpose", 0, 1)),
        )
        yield (
            f"{said[:-2]}. States of both directions, for a layer of one; their sum: ",
            (("unflatten", 0, (depth, 2)), ("sum", 1)),
        )

    def lengths(self, call: _Call) -> Iterator[_Try]:
        yield _Try(call)
        lengths, n = call.lengths, self._rows(call)
        if lengths is None or n is None or len(call.input) != 3:
            return
        t = self._steps(call)
        read = f"Lengths are how many of each row's T = {t} steps count, whole numbers (N,) = ({n},): "
        mask = len(lengths.shape) == 2 and lengths.most <= 1
        changes: list[Change] = [(("sum", 1),), (("sum", 0),)] if mask else [(), (("squeeze", -1),), (("squeeze", 0),)]
        cast: Change = (("long",),) if lengths.dtype.is_floating_point else ()
        for change in changes:
            for code, new in lengths.ways((n,), [change], cast):
                new = new._replace(dtype=torch.int64, most=lengths.shape[change[0][1]] if mask else new.most)
                yield _Try(call._replace(lengths=new), f"{read}{'of a mask ' * mask}{code}.")
        if lengths.shape == (n,) and lengths.most > t:
            cut = f"Rows that were cut after they had been counted: torch.as_tensor(lengths).clamp(max={t})."
            yield _Try(call._replace(lengths=lengths._replace(most=t)), f"{self.read()}. {cut}")

    def resets(self, call: _Call) -> Iterator[_Try]:
        yield _Try(call)
        reset, wanted = call.reset, call.input[:-1]
        if reset is None:
            return
        order = ("S",) if call.rows is not None else ("T",) if len(wanted) == 1 else ("T", "N")
        said = (
            f"reset is True where a new sequence begins, {_axes(order[::-1] if call.batch_first else order, wanted)}: "
        )
        changes: list[Change] = [
            (),
            (("transpose", 0, 1),),
            (("squeeze", -1),),
            (("unsqueeze", 0),),
            (("unsqueeze", 1),),
        ]
        cast: Change = () if reset.dtype is torch.bool else (("bool",),)
        for code, new in reset.ways(wanted, changes, cast):
            yield _Try(call._replace(reset=new._replace(dtype=torch.bool)), f"{said}{code}.")


class _CellHint(_Hint):
    """For ``SingleStep``."""

    def fits(self, call: _Call) -> bool:
        if len(call.input) not in (1, 2) or call.input[-1] != self.size:
            return False
        return call.states is None or list(call.states) == self.wanted(call)

    def wanted(self, call: _Call) -> list[Shape] | None:
        if len(call.input) not in (1, 2):
            return None
        return [(*call.input[:-1], self.module.hidden_size)] * len(self.module._stack.cell.states)

    def read(self) -> str:
        shape = self.call.input
        if len(shape) not in (1, 2):
            return f"A cell reads one step, (N, I) or (I,), with I = {self.size}"
        return f"The input is read as {_axes(('N', 'I')[2 - len(shape) :], shape)}"

    def meaning(self) -> str:
        call = self.call
        if len(call.input) not in (1, 2):
            return f"{self.read()}."
        read = self.read()
        if call.input[-1] != self.size:
            return f"{read}, and the cell was made with input_size={self.size}."
        (wanted, *_) = self.wanted(call) or [()]
        return f"{read}, and a state is {_axes(('N', 'H')[2 - len(wanted) :], wanted)}."

    def inputs(self, call: _Call) -> Iterator[_Try]:
        yield _Try(call)
        shape, size = call.input, self.size
        if len(shape) == 3 and shape[-1] == size:
            kind = _layer_of(self.module)
            for at, names, one in ((0, ("T", "N", "I"), "input[t]"), (1, ("N", "T", "I"), "input[:, t]")):
                step = call._replace(input=(*shape[:at], *shape[at + 1 :]))
                said = f"{self.read()}. {_axes(names, shape)} are {shape[at]} steps"
                if at == 0 or not self.fits(call._replace(input=shape[1:])):
                    yield _Try(step, f"{said}: call it with {one} for each t, or use the layer, {kind}.")
        elif len(shape) in (1, 2) and shape[-1] != size:
            read = self.read()
            if size == 1:
                unit = (("unsqueeze", -1),)
                said = f"{read}. A single feature has an axis too: {_code('input', unit)}."
                yield _Try(call._replace(input=(*shape, 1)), said)
            if len(shape) == 2 and shape[0] == size:
                said = f"{read}. The features belong into the last axis, and axis 0 has {size}: input.movedim(0, -1)."
                yield _Try(call._replace(input=shape[::-1]), said)

    def ways_of_states(self, call: _Call, wanted: Shape) -> Iterator[tuple[str, Change]]:
        assert call.states is not None
        shape = next(s for s, w in zip(call.states, self.wanted(call) or (), strict=True) if s != w)
        said = f"A state of a cell is {_axes(('N', 'H')[2 - len(wanted) :], wanted)}"
        if len(shape) == 3 and shape[0] == 1:
            layer = _axes(("L*D", "N", "H"), shape)
            said = f"{said}, without the L*D in front that a layer's has. Of {layer} it is "
            yield said, (("__getitem__", 0),)
            return
        yield f"{said}: ", (("squeeze", 0),)
        yield f"{said}: ", (("unsqueeze", 0),)
        yield f"{said}: ", (("transpose", 0, 1),)
        yield f"{said}. The same for all rows: ", (("expand", *wanted[:-1], -1),)


def _axes(names: Sequence[str], shape: Shape) -> str:
    """``(T, N, I) = (10, 3, 26)``."""
    return f"({', '.join(names)}{',' * (len(names) == 1)}) = {tuple(shape)}"


def _changed(shape: Shape, change: Change) -> Shape | None:
    """The shape that ``change`` gives; None where torch can't do that with it."""
    value = torch.empty(shape, device="meta")
    try:
        for method, *args in change:
            value = getattr(value, method)(*args)
    except (IndexError, RuntimeError):
        return None
    return tuple(value.shape)


def _code(name: str, change: Change) -> str:
    """``change`` of the tensor ``name``, as one writes it."""
    for method, *args in change:
        if method == "__getitem__":
            (at,) = args
            places = at if isinstance(at, tuple) else (at,)
            name += f"[{', '.join(':' if isinstance(p, slice) else str(p) for p in places)}]"
        else:
            name += f".{method}({', '.join(map(str, args))})"
    return name


# Arguments that are of another kind


def _no_tensor(input: Any) -> str:
    if hasattr(input, "__array__"):
        return "A layer reads tensors: torch.as_tensor(input, dtype=torch.float32)."
    if not isinstance(input, (list, tuple)) or not input:
        return ""
    if isinstance(input, tuple) and len(input) == 2 and isinstance(input[0], (Tensor, PackedSequence)):
        state = input[1]
        states = isinstance(state, tuple) or (isinstance(state, Tensor) and state.dim() == input[0][0].dim() + 1)
        if states or isinstance(input[0], PackedSequence):
            return "This is what a recurrent layer returns, (output, h_n): the next one reads the output, input[0]."
    if all(isinstance(x, Tensor) for x in input):
        return "Sequences of several lengths are read with statewise's lengths=, or as torch's pack_sequence(input)."
    return ""


def _symbols(input: Tensor, size: int) -> str:
    """Integers: either numbers of symbols, or measurements that were read as integers."""
    if input.dim() and input.shape[-1] == size:
        return "Measurements that come as integers: input.float()."
    return (
        f"Numbers of symbols, {input.dtype}, have no order that a layer could read: torch.nn.Embedding(symbols, {size})"
        f" in front gives each a vector, torch.nn.functional.one_hot(input, {size}).float() its place among {size}."
    )


def _is_counts(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 1 and not value.is_floating_point()
    return isinstance(value, (tuple, list)) and bool(value) and all(isinstance(v, int) for v in value)


def _shapes(hx: Any) -> list[Shape]:
    if isinstance(hx, Tensor):
        return [tuple(hx.shape)]
    return [shape for s in hx for shape in _shapes(s)] if isinstance(hx, (tuple, list)) else []


def _layer_of(cell: Any) -> str:
    return type(cell).__name__.removeprefix("Frozen").removeprefix("Accelerated").removesuffix("Cell")
