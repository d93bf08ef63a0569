"""Cells in a module's own loops, explained from what hooks see: its numbers are shown, and the claims are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import statewise
from drawn import check_places
from statewise.explaining.explanation import Explanation

CELLS = [
    nn.RNNCell(3, 5, nonlinearity="relu"),
    nn.LSTMCell(3, 5),
    nn.GRUCell(3, 5, bias=False),
    statewise.LSTMCell(3, 5),
    statewise.RecurrentCell("slstm", 3, 4, num_heads=2),
]


class Loop(nn.Module):
    """A module whose forward is ``run(cell or cells, x)``."""

    def __init__(self, run: Callable[..., Any], *cells: nn.Module, **others: nn.Module) -> None:
        super().__init__()
        self.run = run
        for k, cell in enumerate(cells):
            self.add_module("cell" if len(cells) == 1 else f"cell{k}", cell)
        self.parts = cells
        for name, part in others.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Any:
        return self.run(x, *self.parts, **{k: v for k, v in self.named_children() if not k.startswith("cell")})


def h_of(state: Any) -> Tensor:
    return state if isinstance(state, Tensor) else state[0]


def plain(x: Tensor, cell: nn.Module) -> Tensor:
    state, found = None, []
    for x_t in x:
        state = cell(x_t, state)
        found.append(h_of(state))
    return torch.stack(found)


def stacked(x: Tensor, below: nn.Module, above: nn.Module) -> Tensor:
    return plain(plain(x, below), above)


def in_step(x: Tensor, below: nn.Module, above: nn.Module) -> Tensor:
    low = high = None
    for x_t in x:
        low = below(x_t, low)
        high = above(h_of(low), high)
    return h_of(high)


def forgetful(x: Tensor, cell: nn.Module) -> Tensor:
    return torch.stack([h_of(cell(x_t)) for x_t in x])


def begun_anew(x: Tensor, cell: nn.Module) -> Tensor:
    state = None
    for t, x_t in enumerate(x):
        state = cell(x_t, None if t == 2 else state)
    return h_of(state)


def two_at_a_time(x: Tensor, cell: nn.Module) -> Tensor:
    """Two sequences by one cell, step by step."""
    one = other = None
    for x_t in x:
        one, other = cell(x_t, one), cell(-x_t, other)
    return h_of(one) - h_of(other)


def the_same_twice(x: Tensor, cell: nn.Module) -> Tensor:
    """Two sequences that can't be told apart by their numbers."""
    one = other = None
    for x_t in x:
        one, other = cell(x_t, one), cell(x_t, other)
    return h_of(one) + h_of(other)


def decoded(x: Tensor, encoder: nn.Module, decoder: nn.Module, output: nn.Module) -> Tensor:
    """The decoder reads what it has said, as numbers without a gradient."""
    state, said, found = None, x[0] * 0, []
    for x_t in x:
        state = encoder(x_t, state)
    for _ in range(4):
        state = decoder(said, state)
        said = nn.functional.one_hot(output(h_of(state)).argmax(1), 3).to(x.dtype)
        found.append(said)
    return torch.stack(found)


def explained(run: Callable[..., Any], *cells: nn.Module, steps: int = 6, **others: nn.Module) -> Explanation:
    x = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(0), dtype=next(cells[0].parameters()).dtype)
    return statewise.explain(Loop(run, *cells, **others), x)


def titled(found: Explanation, begin: str) -> Any:
    return next(table for table in found.tables if table.title.startswith(begin))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_loop_is_its_layer(cell: nn.Module) -> None:
    """Shapes, parameters with their reasons, costs, and that a layer with the same weights computes the same."""
    found = explained(plain, cell)
    h = cell.hidden_size
    rows = {row[0]: row for row in titled(found, "The loop over cell, called 6 times: T = 6, N = 2, I = 3").rows}
    assert rows["x_t"][1] == "(N, I) = (2, 3)"
    assert rows["h_t"][1] == f"(N, H) = (2, {h})"
    assert "handed on from step to step, at first zeros" in rows["h_t"][2]
    learnt = {row[0]: row[1:] for row in titled(found, "What cell learns").rows}
    for name, parameter in cell.named_parameters():
        assert learnt[name][:2] == [str(tuple(parameter.shape)), f"{parameter.numel():,}"]
        assert learnt[name][2]
    products = sum(p.numel() for p in cell.parameters() if p.dim() == 2)
    assert titled(found, "What a step of cell costs").rows[0][0] == f"{2 * products:,} FLOP"
    assert [(r.code.startswith("torch.stack(h) == layer("), r.held) for r in found.relations] == [
        (True, True),
        (False, True),
    ]
    assert found.notes[0].startswith("Nothing that cell reads depends on what it has put out, so statewise.")
    check_places(found.pictures[0])
    assert [t.text for t in found.pictures[0].texts].count("cell") == 3  # the first two and the last
    assert len(found.pictures) == 2


def test_the_layer_that_is_named_is_the_layer() -> None:
    """What the relation calls ``layer`` can be made and given the weights."""
    cell = nn.RNNCell(3, 5, nonlinearity="relu")
    meaning = explained(plain, cell).relations[0].meaning
    layer = eval(meaning.split(" is ")[1].split(" with ")[0], {"statewise": statewise})
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = torch.randn(6, 2, 3)
    torch.testing.assert_close(layer(x)[0], plain(x, cell))


def test_what_computes_otherwise_fails() -> None:
    """A cell that is a GRU by its class alone."""

    class Odd(nn.GRUCell):
        def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
            return super().forward(input, hx) * 1.01

    found = explained(plain, Odd(3, 5))
    assert [relation.held for relation in found.relations] == [False, False]
    assert "FAILS" in str(found)


@pytest.mark.parametrize("run", [stacked, in_step])
def test_cells_above_one_another(run: Any) -> None:
    """Layer by layer or step by step, it is the same: the second reads the first's h."""
    found = explained(run, nn.LSTMCell(3, 5), statewise.GRUCell(5, 4), steps=3)
    assert [relation.held for relation in found.relations] == [True] * 4
    assert all("depends on what it has put out, so" in note for note in found.notes)
    texts = [text.text for text in found.pictures[0].texts]
    for step in range(3):
        assert texts.count(f"h[{step}] (2, 5)") == 1  # on its way into the other
        assert texts.count(f"h[{step}] (2, 4)") == 1
    check_places(found.pictures[0])


def test_what_is_fed_back_is_found() -> None:
    """Through argmax too, where there is no gradient; of the encoder not."""
    found = explained(decoded, nn.LSTMCell(3, 5), nn.LSTMCell(3, 5), output=nn.Linear(5, 3))
    first, second = found.notes
    assert first.startswith("Nothing that cell0 reads")
    assert second.startswith("What cell1 reads depends on what it has put out")
    assert all(relation.held for relation in found.relations)
    assert len([line for line in found.pictures[0].lines if line.kind == "backward"]) == 3
    check_places(found.pictures[0])


def test_a_state_that_is_never_handed_on() -> None:
    """Is a mistake, and said to be one."""
    found = explained(forgetful, nn.LSTMCell(3, 5))
    assert "it remembers nothing" in found.notes[0]
    assert all(relation.held for relation in found.relations)
    assert "in 6 runs of 1 step each" in found.relations[0].meaning
    check_places(found.pictures[0])


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (begun_anew, "2 runs of 2 to 4 steps"),
        (two_at_a_time, "2 runs of 6 steps"),
        (the_same_twice, "2 runs of 6 steps"),
    ],
)
def test_several_runs(run: Any, said: str) -> None:
    """Each is tried as a sequence of its own; those at the same time are drawn below one another."""
    found = explained(run, nn.GRUCell(3, 5))
    assert [relation.held for relation in found.relations] == [True, True]
    assert said in found.relations[0].meaning
    assert "are 2 runs" in found.notes[0]
    assert len({box.y for box in found.pictures[0].boxes}) == (1 if run is begun_anew else 2)
    check_places(found.pictures[0])


def test_one_call_many_calls_and_rows_without_a_batch() -> None:
    """One call has no loop, of many the first hundred are looked at."""
    once = explained(lambda x, cell: cell(x[0]), nn.LSTMCell(3, 5))
    assert (once.relations, once.notes) == ([], [])
    assert titled(once, "The loop over cell, called once")
    long = explained(plain, nn.GRUCell(3, 5).double(), steps=103)
    assert long.notes[0] == "Of the 103 calls of cell the first 100 were looked at."
    assert [relation.held for relation in long.relations] == [True, True]
    single = statewise.explain(Loop(plain, statewise.LSTMCell(3, 5)), torch.randn(4, 3))
    assert titled(single, "The loop over cell").rows[0][1] == "(I,) = (3,)"
    assert [relation.held for relation in single.relations] == [True, True]
    for found in (once, long, single):
        check_places(found.pictures[0])


def test_states_changed_in_place_and_passed_by_name() -> None:
    """What was handed on then counts, whatever becomes of the tensor."""

    def run(x: Tensor, cell: nn.Module) -> Tensor:
        state = torch.ones(2, 5)
        for x_t in x:
            state = cell(input=x_t, hx=state)
        return state.zero_()

    found = explained(run, nn.GRUCell(3, 5), steps=2)
    assert found.relations[0].code == "torch.stack(h) == layer(torch.stack(x), h_0[None])[0]"
    assert [relation.held for relation in found.relations] == [True, True]
    assert "h_0" in [text.text for text in found.pictures[0].texts]


def test_the_module_is_left_as_it_was() -> None:
    """Its mode, its hooks, and torch's random numbers."""
    model = Loop(plain, nn.LSTMCell(3, 5)).train()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    statewise.explain(model, torch.zeros(2, 2, 3))
    assert model.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_text_is_80_columns_wide() -> None:
    """And the page well-formed."""
    found = explained(decoded, nn.LSTMCell(3, 5), nn.LSTMCell(3, 5), output=nn.Linear(5, 3))
    assert max(map(len, str(found).splitlines())) <= 80
    assert "tried on the numbers of this run" in str(found)
    assert "tried on the numbers of this run" in found._repr_html_()
