"""Cases and their records: operations, ratios, means, the share of peak, tables, the file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars
import pytest

from benchmarks.case import CELLS, FORWARD, THREADS, TRAINING, Case, Shape
from benchmarks.kinds import bench
from benchmarks.record import Record, Results, by_case, mean_and_range, pivot

SMALL, LARGE = Shape(2, 3, 4, 5, 1), Shape(20, 30, 40, 50, 1)


def result(
    ratio: float,
    *,
    cell: str = "LSTM",
    shape: Shape = SMALL,
    mode: str = FORWARD,
    threads: int = 1,
    name: str = "",
    disturbed: bool = False,
) -> Record:
    case = Case(cell, shape, mode, threads, name)
    peak = 4 * case.flops / 1e6  # GFLOP/s, so that a quarter of peak is reached in a millisecond
    return Record(case, "torch.nn", ratio * 1000, ratio, peak=peak, disturbed=disturbed, samples=(1.0, 2.0))


def test_every_combination_once() -> None:
    every = list(bench.plain(bench.SHAPES, THREADS))
    assert len(every) == len(set(every)) == 3 * 11 * 2 * 2


@pytest.mark.parametrize(("cell", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_flops_count_the_matrix_products(cell: str, gates: int) -> None:
    case = Case(cell, Shape(T=5, N=3, I=7, H=11, L=1), FORWARD, 1)
    from_input, from_state = gates * 11 * 7, gates * 11 * 11  # elements of the two weights
    assert case.flops == 2 * (5 * 3) * (from_input + from_state)


def test_upper_layers_read_hidden_units_and_training_takes_three_times_forward() -> None:
    one, two = (Case("LSTM", Shape(2, 3, 50, 10, layers), FORWARD, 1).flops for layers in (1, 2))
    assert two - one == Case("LSTM", Shape(2, 3, 10, 10, 1), FORWARD, 1).flops
    assert Case("LSTM", Shape(2, 3, 50, 10, 2), TRAINING, 1).flops == 3 * two


def test_a_shape_reads_as_it_prints() -> None:
    for shape in bench.SHAPES:
        assert Shape.parse(str(shape)) == shape


@pytest.mark.parametrize("text", ["1,2,3,4", "1,2,3,4,0", "1,2,3,4,5,6", "a,b,c,d,e", ""])
def test_a_bad_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"five positive|invalid literal"):
        Shape.parse(text)


def test_the_share_of_peak_and_the_limit() -> None:
    one = result(2.0)
    assert one.peak_fraction == pytest.approx(0.25)
    assert one.limit == pytest.approx(8.0)


def test_the_mean_of_ratios_is_geometric() -> None:
    assert mean_and_range([result(2.0), result(0.5)]) == "**1.0** (0.5 to 2.0)"


def test_pivot() -> None:
    entries = [(["a", "x"], "one", "1"), (["a", "y"], "two", "2"), (["a", "x"], "two", "3")]
    assert pivot(entries, "", "b").splitlines() == [
        "|  | b | one | two |",
        "| --- | --- | ---: | ---: |",
        "| a | x | 1 | 3 |",
        "| a | y | - | 2 |",
    ]


def test_means_have_a_row_a_mode_and_a_column_a_thread_count() -> None:
    found = bench.sections([result(2.0), result(8.0, shape=LARGE), result(3.0, threads=2)])
    assert found["bench"].splitlines()[0].endswith("| 1 thread | 2 threads |")
    assert found["bench"].splitlines()[2:] == ["| LSTM, forward | **4.0** (2.0 to 8.0) | **3.0** (3.0 to 3.0) |"]
    assert found["limits"].splitlines()[2:] == ["| LSTM, forward | **4.0** of 16 | **3.0** of 12 |"]


def test_shapes_have_a_table_for_each_cell_and_a_dash_where_nothing_was_measured() -> None:
    records = [result(2.0), result(3.0, shape=LARGE, threads=2), result(9.0, cell="GRU")]
    lstm, gru = bench.sections(records)["shapes"].split("### GRU")
    assert lstm.splitlines()[4:6] == [
        "| 2,3,4,5,1 | **2.00**, 25%, 8.0 | - |",
        "| 20,30,40,50,1 | - | **3.00**, 25%, 12 |",
    ]
    assert "**9.00**" in gru


def test_everyday_calls_have_a_mean_of_their_own_and_no_limit() -> None:
    found = bench.sections([result(3.0), result(0.5, name="packed"), result(8.0, name="cell", mode=TRAINING)])
    assert found["bench"].splitlines()[-1] == "| LSTM, everyday calls | **2.0** (0.5 to 8.0) |"
    assert len(found["limits"].splitlines()) == 3


def test_everyday_calls_are_told_one_by_one_and_together() -> None:
    records = [
        result(0.5, name="packed", threads=2),
        result(8.0, name="packed", threads=2, cell="GRU", disturbed=True),
        result(2.0, name="cell", mode=TRAINING),
    ]
    lines = bench.sections(records)["everyday"].splitlines()
    assert lines[:2] == [
        "- 2 threads: geometric mean **2.00** over 2; lowest 0.50 (LSTM, packed, forward); 1 under 1.0",
        "- 1 thread: geometric mean **2.00** over 1; lowest 2.00 (LSTM, cell, forward+backward); 0 under 1.0",
    ]
    assert lines[3].endswith("| mode | LSTM, 2 threads | GRU, 2 threads | LSTM, 1 thread |")
    assert lines[5:] == [
        "| packed | 2,3,4,5,1 | forward | **0.50** | **8.00** (busy) | - |",
        "| cell | 2,3,4,5,1 | forward+backward | - | - | **2.00** |",
    ]


def test_a_file_reads_as_it_was_written_and_is_a_frame(tmp_path: Path) -> None:
    records = [result(2.0), result(3.0, name="packed", disturbed=True)]
    path = tmp_path / "new" / "b.json"
    Results("bench", {"processor": "none"}, records).write(path)
    found = Results.read(path)
    assert (found.kind, found.machine, found.records) == ("bench", {"processor": "none"}, records)
    rows = json.loads(path.read_text(encoding="utf-8"))["records"]
    frame = polars.DataFrame(rows)
    assert frame["ratio"].to_list() == [2.0, 3.0]
    assert (rows[0]["T"], rows[0]["cell"], rows[1]["name"], rows[1]["disturbed"]) == (2, "LSTM", "packed", True)
    assert all(math.isfinite(v) for v in rows[0].values() if isinstance(v, float))


@pytest.mark.parametrize("text", ["{}", '{"kind": "bench", "machine": {}, "records": [{}]}', "[]", "nothing"])
def test_what_is_no_file_of_a_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        Results.read(tmp_path / "b.json")


def test_the_published_figures_can_be_read_and_name_every_case_once() -> None:
    from benchmarks.__main__ import FOLDER, KINDS

    for path in FOLDER.glob("*.json"):
        found = Results.read(path)
        assert path.stem == found.kind in KINDS
        assert sum(map(len, by_case(found.records).values())) == len(found.records)
    assert {case.cell for case in by_case(Results.read(FOLDER / "bench.json").records)} == set(CELLS)
