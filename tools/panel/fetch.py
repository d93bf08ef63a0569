"""The panel's sets, fetched and brought into one form.

``sets.csv`` names every file by repository, commit and SHA-256; a file that differs is refused. What is kept has the
columns id, time and y, without rows where y is missing; ``time`` counts rows where the source has no dates.
"""

from __future__ import annotations

import csv
import hashlib
import io
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SERIES, ROWS = 60, 6000  # at most: of a set, evenly spread in the order of their names; of a series, the last ones
OFFSETS = {"M": "MS", "Q": "QS", "W": "7D"}
SEEN = {"airline", "transformer-1", "m4-hourly", "taylor", "sunspots"}
"""Sets, or neighbours of sets, that the jobs' defaults were made with: never reported as unseen."""
LICENCES = {
    "vincentarelbundock/Rdatasets": "repository GPL-3; data of R packages from CRAN, each under its own licence",
    "unit8co/darts": "repository Apache-2.0",
    "facebook/prophet": "repository MIT",
    "Nixtla/transfer-learning-time-series": "as stated in the repository's LICENSE",
    "jbrownlee/Datasets": "none stated",
    "Mcompetitions/M4-methods": "none stated",
    "brunoklein99/deepar": "none stated",
    "datasets/natural-gas": "data of a US authority, public domain",
    "marcopeix/TimeSeriesForecastingInPython": "Apache-2.0",
    "numenta/NAB": "MIT",
    "selva86/datasets": "none stated",
}


@dataclass(frozen=True)
class Source:
    """A line of ``sets.csv``: where a set is, and which columns are what."""

    name: str
    repository: str
    commit: str
    path: str
    sha256: str
    frequency: str  # M, Q, W, or one of pandas; row: no dates
    horizon: int
    time: str  # empty where there are no dates
    value: str  # *: every column is a series; rows: every line is one
    id: str  # columns joined by +
    group: str = ""  # last: gathered when the defaults stood

    @property
    def half(self) -> str:
        """``dev``: settings are chosen on it; ``report``: kept apart. By the name's hash, before any experiment.

        ``last``: gathered later than the two halves, and measured once.
        """
        if self.group:
            return self.group
        odd = hashlib.sha256(self.name.encode()).digest()[0] % 2
        return "dev" if odd or self.name in SEEN else "report"

    @property
    def url(self) -> str:
        """Where anybody can get the file."""
        path = urllib.parse.quote(self.path)
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{path}"


def sources() -> list[Source]:
    """All sets."""
    with (Path(__file__).parent / "sets.csv").open(newline="") as file:
        return [Source(**{**row, "horizon": int(row["horizon"])}) for row in csv.DictReader(file)]  # type: ignore[arg-type]


def fetch(source: Source, copies: Path | None = None) -> bytes:
    """The file, from the net or from ``copies``/repository/path; ValueError where it isn't the one named."""
    if copies is not None:
        content = (copies / source.repository / source.path).read_bytes()
    else:
        with urllib.request.urlopen(source.url, timeout=60) as answer:
            content = answer.read()
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise ValueError(f"{source.name}: {source.url} is not the file that sets.csv names")
    return bytes(content)


def tidy(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Long form: id, time, y; missing values left out, at most ``SERIES`` series of the last ``ROWS`` rows."""
    table = table.reset_index(drop=True)
    if source.value == "rows":
        long = table.set_index(source.id).T.melt(var_name="id", value_name="y")
        long["y"] = pd.to_numeric(long["y"])
        long = long.dropna()
    elif source.value == "*":
        numbers = table.drop(columns=[c for c in ("rownames", source.time) if c in table])
        long = numbers.melt(var_name="id", value_name="y", ignore_index=False)  # an index that finds the times again
    else:
        columns = source.id.split("+") if source.id else []
        ids = table[columns].astype(str).agg(" ".join, axis=1) if columns else "y"
        long = pd.DataFrame({"id": ids, "y": table[source.value]})
    if source.time:
        times = pd.Series(np.asarray(_times(table[source.time], source)), table.index)
        long["time"] = times.loc[long.index].to_numpy()
    long = long.dropna()
    if not source.time:
        long["time"] = long.groupby("id").cumcount()
    long = long.groupby(["id", "time"], as_index=False)["y"].mean().sort_values(["id", "time"])
    lengths = long.groupby("id").size()
    names = lengths.index[lengths >= max(lengths.max() // 2, 4 * source.horizon)]
    chosen = names[np.unique(np.linspace(0, len(names) - 1, SERIES).astype(int))]
    return long[long["id"].isin(chosen)].groupby("id").tail(ROWS)[["id", "time", "y"]].reset_index(drop=True)


def _times(column: pd.Series, source: Source) -> pd.Series:
    """Dates, from whatever way of writing them."""
    text = column.astype(str)
    if source.frequency in "MQ" and pd.api.types.is_numeric_dtype(column):  # years with a fraction
        months = (column * 12).round().astype(int)
        return pd.to_datetime({"year": months // 12, "month": months % 12 + 1, "day": 1})
    if source.frequency == "Q":
        if text.str.contains("Q").all():
            return pd.PeriodIndex(text.str.replace(" ", ""), freq="Q").to_timestamp()
        return pd.PeriodIndex(pd.to_datetime(text), freq="Q").to_timestamp()
    if text.str.contains("W").all():
        return pd.to_datetime(text.str.replace(" ", "-") + "-1", format="%G-W%V-%u")
    if source.frequency == "M":
        return pd.to_datetime(text, format="mixed").dt.to_period("M").dt.to_timestamp()
    return pd.to_datetime(text, format="mixed", utc=True).dt.tz_localize(None)


def kept(source: Source, folder: Path, copies: Path | None = None) -> Path:
    """The set in its one form, ``folder``/name.csv: fetched once."""
    file = folder / f"{source.name}.csv"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tidy(pd.read_csv(io.BytesIO(fetch(source, copies))), source).to_csv(file, index=False)
    return file
