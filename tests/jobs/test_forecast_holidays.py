"""``--holidays``: what a country's holidays do to a series is learnt, and known of the rows to come."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast import holiday
from statewise.jobs.tasks.forecast.ahead import reaching
from statewise.jobs.tasks.forecast.grid import find_grid

pytest.importorskip("holidays")
ROWS = 800


def of(days, country="DE"):
    when = days.to_numpy().astype("datetime64[us]")
    labels = [str(day) for day in when.astype("datetime64[D]")]
    grid = find_grid(when, labels, [np.arange(len(when))])
    return holiday.cells(country, grid, grid.places("", "", when, labels, np.arange(len(when))))


def test_days_weeks_and_hours():
    told = of(pd.date_range("2024-12-23", periods=6))
    assert list(told) == ["holiday (DE)", "day before a holiday (DE)", "day after a holiday (DE)"]
    assert [column.tolist() for column in told.values()] == [
        [0, 0, 1, 1, 0, 0],  # the 25th and the 26th
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0],
    ]
    assert of(pd.date_range("2024-12-16", periods=3, freq="7D"))["holiday (DE)"].tolist() == [0, 2, 1]
    assert of(pd.date_range("2024-05-01", periods=2, freq="MS"))["holiday (DE)"].tolist() == [3, 0]
    assert of(pd.date_range("2024-12-24 22:00", periods=4, freq="h"))["holiday (DE)"].tolist() == [0, 0, 1, 1]
    assert of(pd.date_range("2024-01-06", periods=2), "DE-BY")["holiday (DE-BY)"].tolist() == [1, 0]  # Epiphany


def frame(rows=ROWS):
    days = pd.date_range("2022-01-01", periods=rows)
    noise = np.random.default_rng(0).normal(size=rows)
    return pd.DataFrame({"ds": days, "y": 100 + noise - 40 * of(days)["holiday (DE)"]})


def test_a_network_reads_them_of_rows_that_nobody_told_of(tmp_path):
    forecaster = Forecaster(holidays="DE", model="seq2seq", horizon=4, lookback=7, units=4, epochs=1, season=7)
    ahead = forecaster.fit(frame()).predict(h=6)
    assert ahead["ds"].iloc[-1] == pd.Timestamp("2022-01-01") + pd.Timedelta(days=ROWS + 5)
    model = forecaster.model_
    assert [column.name for column in model.known.columns] == list(holiday.names("DE"))
    far = reaching(model, model.tails[0], 40)
    first = pd.Timestamp("2022-01-01") + pd.Timedelta(days=ROWS)
    expected = of(pd.date_range(first, periods=40))["holiday (DE)"]
    column = model.known.columns[0]
    np.testing.assert_allclose(far.known[-40:, 0] * column.spread + column.mean, expected, atol=1e-12)
    assert expected.sum() > 0
    pd.testing.assert_frame_equal(forecaster.predict(frame(), h=6), ahead)
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(h=6), ahead)
    step = forecaster.stream().step(100.0)
    pd.testing.assert_frame_equal(
        step, forecaster.predict(pd.concat([frame(), frame(ROWS + 1).tail(1).assign(y=100.0)]))
    )


@pytest.mark.slow
def test_what_they_do_is_learnt():
    known, after = frame(1400), frame(1600)
    missed = {}
    for country in (None, "DE"):
        alone = {"model": "lstm", "combine": False, "ensemble": 1}
        forecaster = Forecaster(holidays=country, horizon=14, season=7, epochs=40, **alone).fit(known)
        found = [forecaster.predict(after.head(cut)) for cut in range(1400, 1586, 14)]
        both = pd.concat(found).merge(after, on="ds")
        holidays = of(both["ds"].dt.normalize())["holiday (DE)"] > 0
        missed[country] = (both["y"] - both["statewise"]).abs()[holidays].mean()
    assert missed["DE"] < 0.5 * missed[None]


def test_what_cannot_be():
    with pytest.raises(InputError, match="--holidays XX: expected the code of a country or of a part of one, such as"):
        Forecaster(holidays="XX").fit(frame(60))
    with pytest.raises(InputError, match="--holidays DE: expected a column of dates, the rows have none"):
        Forecaster(holidays="DE").fit(frame(60)[["y"]])
