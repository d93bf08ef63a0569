"""What ``statewise forecast`` says on the terminal and draws: steps and rows in words, legends beside the curves."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from statewise import cli
from statewise.jobs.report import charts
from statewise.jobs.tasks.forecast import picture
from statewise.jobs.tasks.forecast.backtest import Score
from statewise.jobs.training import progress

QUICK = ["--ensemble", "1", "--epochs", "1", "--horizon", "4", "--season", "1", "--out", "run"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(columns=1, rows=96):
    times = np.datetime64("2020-01-01T00:00") + np.arange(rows) * np.timedelta64(30, "m")
    values = np.random.default_rng(0).normal(size=(rows, columns)).round(3)
    names = [f"c{n}" for n in range(columns)]
    lines = [f"{str(t).replace('T', ' ')},{','.join(map(str, row))}" for t, row in zip(times, values, strict=True)]
    Path("data.csv").write_text("\n".join([",".join(["when", *names]), *lines]) + "\n")
    return names


def test_steps_that_have_a_number_are_counted_with_it(capsys):
    written()
    assert cli.main(["forecast", "data.csv", *QUICK]) == 0
    assert capsys.readouterr().out.startswith("data: c0, 4 x 30 minutes ahead\n")
    assert "4 x 30 minutes ahead" in Path("run/report.html").read_text()


def test_rows_are_counted_as_the_table_has_them(capsys):
    names = written(columns=17)
    assert cli.main(["forecast", "data.csv", "--target", *names, *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "  training    56 rows of each",
        "  validation  12 rows of each",
        "  test        28 rows of each",
    ]


def test_series_of_several_lengths_have_their_sum_too(capsys):
    Path("rows.csv").write_text(
        "\n".join(
            [
                ",".join(f"t{n}" for n in range(60)),
                *(",".join(str((n * n) % 11) if n < length else "" for n in range(60)) for length in (40, 60)),
            ]
        )
        + "\n"
    )
    assert cli.main(["forecast", "rows.csv", "--layout", "rows", *QUICK]) == 0
    assert "  test        12 to 18 rows of each, 30 in all" in capsys.readouterr().out


def test_help_tells_the_defaults_that_do_not_depend_on_the_model(capsys):
    with pytest.raises(SystemExit):
        cli.main(["forecast", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--device NAME cpu, cuda, cuda:1 (default: cpu)" in said
    assert "--seed N of all random numbers (default: 0)" in said
    assert "--batch N rows in a batch (default: by the model)" in said


def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with closing(progress.Bar("training LSTM")) as shown:
        shown.plan(400)
        for _ in range(400):
            clock[0] += 0.5
            shown.tick()
    assert capsys.readouterr().err.splitlines() == [f"training LSTM: {n} of 400 updates" for n in (120, 240, 360)]


def scores():
    """A model that is as good as the seasonal naive forecast at every step, persistence and drift near each other."""
    rows = {"LSTM": 2.0, "persistence": 5.0, "seasonal naive (12)": 2.0, "drift": 5.1, "linear (25 rows)": 3.0}
    return [
        Score(name, 1, mae, 1, 1, 1, 1, 1, 0.8, 1, (mae,) * 12, tuple(mae + n / 10 for n in range(12)), (1.0,))
        for name, mae in rows.items()
    ]


def boxes(figure: Figure):
    """Where the axes of ``figure`` and their legends are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [
        (axes.patch.get_window_extent(renderer), axes.get_legend().get_window_extent(renderer)) for axes in figure.axes
    ]


def test_legends_stand_beside_the_curves():
    figure = picture.step_figure(scores())
    for axes, legend in boxes(figure):
        assert not axes.overlaps(legend)
        assert figure.bbox.contains(legend.x0, legend.y0)
        assert figure.bbox.contains(legend.x1 - 1, legend.y1 - 1)


def test_lines_that_lie_on_each_other_can_be_told_apart():
    lines = picture.step_figure(scores()).axes[0].lines
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == len(lines)
    model, *baselines = lines
    assert all(
        line.get_zorder() > model.get_zorder() and line.get_linewidth() < model.get_linewidth() for line in baselines
    )
    assert all(line._dash_pattern[1] for line in baselines)  # so that the model's line shows through


def test_the_rows_of_a_part_are_not_written_over_the_legend():
    figure = charts.new_figure(height=3.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="a long name of the network, median")
    picture._beside_split(axes, 0.3, 8640, 2880)
    charts.legend_outside(axes, above=picture.ABOVE)
    ((_, legend),) = boxes(figure)
    renderer = figure.canvas.get_renderer()
    assert not any(text.get_window_extent(renderer).overlaps(legend) for text in axes.texts)


def test_the_picture_of_a_run_is_drawn(capsys):
    written()
    assert cli.main(["forecast", "data.csv", *QUICK]) == 0
    assert Path("run/forecast.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("run/metrics.json").read_text())["series"] == 1


def test_what_was_chosen_is_said_on_the_terminal_and_in_the_report(capsys):
    written()
    assert cli.main(["forecast", "data.csv", *QUICK]) == 0
    out, page = capsys.readouterr().out, Path("run/report.html").read_text()
    for said in (
        "  season      none found\n",
        "  scale       values as they are",
        "  inputs      lags ",
        "  trained     ",
    ):
        assert out.count(said) == page.count(said) == 1
