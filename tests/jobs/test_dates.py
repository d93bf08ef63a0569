"""Dates as people write them: each form is read, told from the others, and written again."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from statewise.jobs.data.dates import PLAIN, form_of, looks_like_dates, read, written

QUARTERS = [datetime(2019 + n // 4, 1 + 3 * (n % 4), 1) for n in range(9)]
MONTHS = [datetime(2019 + n // 12, 1 + n % 12, 1) for n in range(15)]
WEEKS = [datetime(2019, 12, 16) + timedelta(days=7 * n) for n in range(9)]  # ISO's year isn't the calendar's at first
DAYS = [datetime(2019, 12, 28) + timedelta(days=n) for n in range(40)]
HOURS = [datetime(2019, 12, 28) + timedelta(hours=5 * n) for n in range(40)]
SECONDS = [datetime(2019, 12, 28) + timedelta(seconds=1801 * n) for n in range(60)]

FORMS = {
    "2020-03": MONTHS, "2020/03": MONTHS, "Mar 2020": MONTHS, "March 2020": MONTHS,
    "2020Q1": QUARTERS, "2020-Q1": QUARTERS, "2020-W01": WEEKS, "2020W01": WEEKS, "2020-W01-1": DAYS,
    "2020-01-31": DAYS, "2020/01/31": DAYS, "31.01.2020": DAYS, "01/31/2020": DAYS, "31/01/2020": DAYS,
    "1/31/2020": DAYS, "31.1.2020": DAYS, "31 Jan 2020": DAYS, "20200131": DAYS,
    "2020-01-31 15:00": HOURS, "2020-01-31T15:00": HOURS, "1/31/2020 3:00 PM": HOURS, "01/31/2020 03:00 PM": HOURS,
    "2020-01-31 15:00:01": SECONDS, "2020-01-31T15:00:01": SECONDS, "1/31/2020 3:00:01 PM": SECONDS,
}  # fmt: skip
PATTERNS = {
    "2020-03": "%Y-%m", "2020/03": "%Y/%m", "Mar 2020": "%b %Y", "March 2020": "%B %Y",
    "2020Q1": "%YQ{q}", "2020-Q1": "%Y-Q{q}", "2020-W01": "%G-W%V", "2020W01": "%GW%V", "2020-W01-1": "%G-W%V-%u",
    "2020-01-31": "%Y-%m-%d", "2020/01/31": "%Y/%m/%d", "31.01.2020": "%d.%m.%Y", "01/31/2020": "%m/%d/%Y",
    "31/01/2020": "%d/%m/%Y", "1/31/2020": "{m}/{d}/%Y", "31.1.2020": "{d}.{m}.%Y", "31 Jan 2020": "%d %b %Y",
    "20200131": "%Y%m%d", "2020-01-31 15:00": "%Y-%m-%d %H:%M", "2020-01-31T15:00": "%Y-%m-%dT%H:%M",
    "1/31/2020 3:00 PM": "{m}/{d}/%Y {h}:%M %p", "01/31/2020 03:00 PM": "%m/%d/%Y %I:%M %p",
    "2020-01-31 15:00:01": "%Y-%m-%d %H:%M:%S", "2020-01-31T15:00:01": "%Y-%m-%dT%H:%M:%S",
    "1/31/2020 3:00:01 PM": "{m}/{d}/%Y {h}:%M:%S %p",
}  # fmt: skip


def by_python(time: datetime, pattern: str) -> str:
    pattern = pattern.replace("{q}", str((time.month + 2) // 3)).replace("{h}", time.strftime("%I").lstrip("0"))
    return time.strftime(pattern.replace("{m}", str(time.month)).replace("{d}", str(time.day)))


def micro(times: list[datetime]) -> np.ndarray:
    return np.array(times, dtype="datetime64[us]")


@pytest.mark.parametrize("example", FORMS)
def test_a_form_is_read_and_written_again(example):
    cells = [by_python(time, PATTERNS[example]) for time in FORMS[example]]
    column = pl.Series("t", cells)
    assert looks_like_dates(column)
    assert read(column).to_list() == FORMS[example]
    form = form_of(cells, micro(FORMS[example]), daily=example[-3:] not in ("000", ":00", ":01", " PM"))
    later = [time + timedelta(days=364) for time in FORMS[example][:1]]
    assert written(micro(FORMS[example]), *form) == cells
    assert written(micro(later), *form) == [by_python(later[0], PATTERNS[example])]


@pytest.mark.parametrize("between", ["", " "])
def test_offsets_are_taken_off_hours(between):
    """Clocks that change: an hour is there twice, and is told by its offset."""
    times = [datetime(2020, 10, 24, 22) + timedelta(hours=n) for n in range(6)]
    cells = [
        f"{time + timedelta(hours=summer):%Y-%m-%d %H:%M:%S}{between}+0{summer}:00"
        for time, summer in zip(times, (2, 2, 2, 1, 1, 1), strict=True)
    ]
    assert read(pl.Series("t", cells)).to_list() == times
    assert form_of(cells, micro(times), daily=False) == (PLAIN, "+00:00")
    assert read(pl.Series("t", [f" {cell} " for cell in cells])).to_list() == times
    assert read(pl.Series("t", ["2020-01-01T00:00Z", "2020-01-01T06:30-0530"])).to_list() == [
        datetime(2020, 1, 1), datetime(2020, 1, 1, 12)
    ]  # fmt: skip


def test_hours_with_an_offset_keep_their_form():
    """What is written are the hours of UTC, in the form that those of the zone had."""
    times = [datetime(2020, 10, 24, 22) + timedelta(hours=n) for n in range(6)]
    cells = [f"{time + timedelta(hours=2):%Y-%m-%dT%H:%M}+0200" for time in times]
    form = form_of(cells, micro(times), daily=False)
    assert form == ("%Y-%m-%dT%H:%M", "+0000")
    assert written(micro(times[:1]), *form) == ["2020-10-24T22:00+0000"]


def test_days_of_a_zone_are_those_of_its_clocks():
    cells = ["2020-10-24 00:00:00+02:00", "2020-10-25 00:00:00+02:00", "2020-10-26 00:00:00+01:00"]
    days = [datetime(2020, 10, n) for n in (24, 25, 26)]
    assert read(pl.Series("t", cells)).to_list() == days
    assert form_of(cells, micro(days), daily=True) == (PLAIN, "+01:00")
    assert read(pl.Series("t", cells), daily=False).to_list()[1] == datetime(2020, 10, 24, 22)


def test_the_whole_column_says_whether_the_day_comes_first():
    first = [f"{time:%d/%m/%Y}" for time in MONTHS]
    assert read(pl.Series("t", first)).to_list() == MONTHS
    assert form_of(first, micro(MONTHS), daily=True) == ("%d/%m/%Y", "")


def test_what_is_in_no_form_is_written_plainly():
    times = [datetime(2020, 1, 1, 0, 0, 0, 500_000)]
    assert form_of(["2020-01-01 00:00:00.5"], micro(times), daily=False) == (PLAIN, "")
    assert read(pl.Series("t", ["2020-01-01", None, "soon"])).to_list() == [datetime(2020, 1, 1), None, None]
