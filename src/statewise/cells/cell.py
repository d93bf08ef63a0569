"""What a recurrent cell is: the one description from which everything else about it follows.

A description says nothing about speed, devices, time loops or layers: those belong to the kernels, the reference and
the layers, and are the same for every cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[Any, Any, Any, Any, tuple[Any, ...]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Vector:
    """A weight that holds a number for each unit: a peephole, IndRNN's u, an additional bias.

    Attributes:
        name: of the parameter, ``{name}_l0`` and so on in a layer, and of what ``step`` finds on ``w``.
        parts: the letters that it has a part for: the parameter is (``len(parts)`` * H,) and ``step`` reads
            ``w.name.i``. Default: none, the parameter is (H,) and ``step`` reads ``w.name``.
        initial: the value that it begins with. Default: drawn as torch.nn draws all weights, from -1/sqrt(H) to
            1/sqrt(H).
    """

    name: str
    parts: Sequence[str] = ()
    initial: float | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """One of a layer's parameters, as ``Cell.weights`` lists them.

    Attributes:
        name: in torch.nn's words, without the layer's suffix: ``weight_ih``.
        kind: ``"input"`` (n*H, I), ``"recurrent"`` (n*H, P), ``"vector"`` (n*H,) or ``"projection"`` (P, H).
        parts: what the rows belong to, n letters; none for one part without a name.
        initial: see ``Vector``.
    """

    name: str
    kind: str
    parts: tuple[str, ...] = ()
    initial: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A recurrent cell. Cells are found by name: one that is made takes the place of another of its name.

    ``step(ops, x, r, w, state) -> state`` is one time step in plain operations. ``ops`` has them (``sigmoid``,
    ``tanh``, ``relu``, ``exp``, ``log``, ``softplus``, ``logsigmoid``, ``maximum``, ``minimum``, ``abs``, ``sqrt``,
    and ``where(a, b, c)``: b where a isn't 0, else c); the operators ``+ - * /`` work on all values. ``x.i`` is the
    share of the input in gate i, W_ih x_t + b_ih, and ``r.i`` that of the state before, W_hh h + b_hh; ``w`` has the
    vectors and what normalises; ``state`` are the states before the step. Every value is (N, H), and every one of the
    states is returned.

    Attributes:
        name: how kernels, model files and messages call it.
        gates: a letter (or word) for each gate, in the order in which their rows are stacked in the weights.
        states: a letter each, ``"h"`` first: the output.
        step: the equations.
        recurrent: the gates that have rows in ``weight_hh``; none for a cell without a recurrent product, where ``r``
            is None. Default: all.
        late: those of ``recurrent`` whose product doesn't read h but what ``step`` gives it: ``r.n(reset * h)``.
        vectors: the weights with a number for each unit.
        norms: what is normalised over the units of a row (Ba et al., 2016; epsilon 1e-5): ``"x"`` all gates' W_ih x_t,
            ``"r"`` all gates' W_hh h, both before the bias is added and times a gain (``weight_norm_ih``,
            ``weight_norm_hh``); another letter is a state's, which ``step`` normalises by ``w.norm_c(c)``, with gain
            and bias (``weight_norm_c``, ``bias_norm_c``).
        norm_groups: the gates whose products are normalised together, a group each. Default: all in one.
        heads: which weights are block-diagonal, with ``num_heads`` blocks, as the layer says: ``""`` none, ``"h"``
            ``weight_hh``, ``"xh"`` both. A block's columns are its units' alone: (n*H, H/heads).
        biases: ``"xh"``: ``bias_ih`` and ``bias_hh``, as torch.nn; ``"x"``: one for each gate. Default: the former
            where there is a recurrent product.

    Raises:
        ValueError: the description contradicts itself; the message says where.
        Exception: what ``step`` raised when it was traced, such as AttributeError for an operation that isn't in
            ``ops``, with a word on what it may do.
    """

    name: str
    gates: Sequence[str]
    states: Sequence[str]
    step: Step
    recurrent: Sequence[str] | None = None
    late: Sequence[str] = ()
    vectors: tuple[Vector, ...] = ()
    norms: Sequence[str] = ()
    norm_groups: Sequence[Sequence[str]] = ()
    heads: str = ""
    biases: str = ""
    # Whether h itself goes from step to step beside what W_hh reads of it, as in the GRU's z * h.
    carries_h: bool = field(init=False)
    key: str = field(init=False)  # what a graph that was compiled knows it by: see ``cells.register``

    def __post_init__(self) -> None:
        from .registry import register
        from .symbols import trace

        def default(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if self.recurrent is None:
            default("recurrent", self.gates)
        self._check()
        if not self.biases:
            default("biases", "xh" if self.recurrent else "x")
        default("carries_h", trace(self).reads_h or not self.recurrent)
        default("key", register(self))

    def _check(self) -> None:
        """ValueError for a description that contradicts itself."""

        def refuse(expected: str, got: Any) -> None:
            raise ValueError(f"cell {self.name}: Expected {expected}, got {got!r}")

        if not isinstance(self.name, str) or not self.name or "#" in self.name:
            raise ValueError(f"cell: Expected name to be some letters without a '#', got {self.name!r}")
        gates, recurrent, late = tuple(self.gates), tuple(self.recurrent or ()), tuple(self.late)
        if not gates or len(set(gates)) < len(gates):
            refuse("gates to be different letters, one at least", self.gates)
        if not self.states or len(set(self.states)) < len(self.states):
            refuse("states to be different letters, one at least", self.states)
        if not set(recurrent) <= set(gates):
            refuse(f"recurrent to be among the gates {self.gates!r}", self.recurrent)
        if not set(late) <= set(recurrent):
            refuse(f"late to be among the recurrent gates {recurrent!r}", self.late)
        if self.biases not in ("", "x", "xh"):
            refuse("biases to be 'x' or 'xh'", self.biases)
        if self.heads not in ("", "h", "xh") or (self.heads and not recurrent):
            refuse("heads to be '', 'h' or 'xh', with a recurrent product", self.heads)
        if self.norms and (self.heads or late):
            refuse("no norms beside heads or late products, which the kernels don't normalise", self.norms)
        if not set(self.norms) <= {"x", "r", *tuple(self.states)[1:]} or ("r" in self.norms and not recurrent):
            refuse("norms to be among 'x', 'r' and the letters of states beside the first", self.norms)
        if self.norm_groups and tuple(gate for group in self.norm_groups for gate in group) != gates:
            refuse(f"norm_groups to cut the gates {self.gates!r} into runs", self.norm_groups)
        names = [w.name for w in self.weights(True, True)]
        if len(set(names)) < len(names):
            refuse("weights of different names", names)

    def weights(self, bias: bool = True, projection: bool = False) -> tuple[Weight, ...]:
        """A layer's parameters in their order: W_ih, W_hh, b_ih, b_hh, vectors, norms, W_hr, if there are such.

        Args:
            bias: whether the layer has biases. Default: True.
            projection: whether its state is projected. Default: False.
        """
        recurrent = tuple(self.recurrent or ())
        found = [Weight("weight_ih", "input", tuple(self.gates))]
        if recurrent:
            found.append(Weight("weight_hh", "recurrent", recurrent))
        if bias:
            found.append(Weight("bias_ih", "vector", tuple(self.gates)))
        if bias and recurrent and self.biases == "xh":
            found.append(Weight("bias_hh", "vector", recurrent))
        found += [Weight(v.name, "vector", tuple(v.parts), v.initial) for v in self.vectors]
        for norm in [n for n in ("x", "r", *self.states) if n in self.norms]:
            if norm == "x":
                found.append(Weight("weight_norm_ih", "vector", tuple(self.gates), 1.0))
            elif norm == "r":
                found.append(Weight("weight_norm_hh", "vector", recurrent, 1.0))
            else:
                found.append(Weight(f"weight_norm_{norm}", "vector", (), 1.0))
                found.append(Weight(f"bias_norm_{norm}", "vector", (), 0.0))
        if projection:
            found.append(Weight("weight_hr", "projection"))
        return tuple(found)

    def __deepcopy__(self, memo: dict[int, Any]) -> Cell:
        return self  # and not the latest of its name, as from a file

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name, never by its equations."""
        from .registry import by_name

        return by_name, (self.name,)
