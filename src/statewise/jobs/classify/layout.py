"""How files are to be read, which a model remembers. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

GAPS = ("refuse", "carry")


@dataclass(frozen=True)
class Layout:
    """How sequences lie in files. Column names are those of CSV and Parquet files and of frames."""

    id: str | None = None
    label: str | None = None
    time: str | None = None
    channels: tuple[str, ...] | None = None
    pixels: bool = False
    """Whether images are read pixel by pixel instead of row by row."""
    gaps: str = "refuse"
    """What a missing value is: an error (``refuse``), or the value before it in its sequence (``carry``)."""
