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
    long: bool | None = None
    """Whether a row is a step, and not a sequence; None: where ids repeat."""
    labelled: bool = True
    """Whether a column named as ``label`` has to be there."""
    pixels: bool = False
    """Whether images are read pixel by pixel instead of row by row."""
    gaps: str = "refuse"
    """What a missing value is: an error (``refuse``), or the value before it in its sequence (``carry``)."""

    def __post_init__(self) -> None:
        if self.gaps not in GAPS:
            raise ValueError(f"gaps: expected one of {', '.join(GAPS)}, got {self.gaps!r}")
