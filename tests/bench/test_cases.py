"""Cases: which there are, and how many operations they count."""

from __future__ import annotations

import pytest

from benchmarks.cases import CELLS, FORWARD, MODES, SHAPES, THREADS, TRAINING, Case, Shape, cases


def test_every_combination_once() -> None:
    every = list(cases(CELLS, SHAPES, MODES, THREADS))
    assert len(every) == len(set(every)) == 3 * 11 * 2 * 2


@pytest.mark.parametrize(("cell", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_flops_count_the_matrix_products(cell: str, gates: int) -> None:
    case = Case(cell, Shape(T=5, N=3, I=7, H=11, L=1), FORWARD, 1)
    from_input, from_state = gates * 11 * 7, gates * 11 * 11  # elements of the two weights
    assert case.flops == 2 * (5 * 3) * (from_input + from_state)


def test_upper_layers_read_hidden_units() -> None:
    one, two = (Case("LSTM", Shape(2, 3, 50, 10, layers), FORWARD, 1).flops for layers in (1, 2))
    assert two - one == Case("LSTM", Shape(2, 3, 10, 10, 1), FORWARD, 1).flops


def test_training_takes_three_times_forward() -> None:
    shape = Shape(4, 2, 3, 5, 2)
    assert Case("GRU", shape, TRAINING, 1).flops == 3 * Case("GRU", shape, FORWARD, 1).flops


def test_a_shape_reads_as_it_prints() -> None:
    for shape in SHAPES:
        assert Shape.parse(str(shape)) == shape


@pytest.mark.parametrize("text", ["1,2,3,4", "1,2,3,4,0", "1,2,3,4,5,6", "a,b,c,d,e", ""])
def test_a_bad_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"five positive|invalid literal"):
        Shape.parse(text)
