"""A case with its figures, and what many of them say together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

from .cases import Case
from .samples import Summary

EVERYDAY = "everyday calls"


@dataclass(frozen=True, slots=True)
class Result:
    """One measured case. Peak is the sgemm that ran beside its samples, on as many threads."""

    case: Case
    summary: Summary
    peak: float  # floating point operations a second

    @property
    def ratio(self) -> float:
        """How many times as long torch.nn takes."""
        return self.summary.ratio

    @property
    def peak_fraction(self) -> float:
        """The share of peak at which statewise does its matrix products, everything else it does included."""
        return self.case.flops / self.summary.ours / self.peak

    @property
    def limit(self) -> float:
        """The ratio that would be reached if the matrix products ran at peak and all else took no time."""
        return self.summary.theirs * self.peak / self.case.flops

    @property
    def shares(self) -> dict[str, float]:
        """Of a plain call alone, whose operations are counted: how near it comes to peak and how far it could go."""
        if self.case.call:
            return {}
        return {"peak_fraction": round(self.peak_fraction, 4), "limit": round(self.limit, 3)}

    def __str__(self) -> str:
        s = self.summary
        peak = f"{self.peak_fraction:4.0%} of peak  " if self.shares else ""
        return (
            f"{self.case} statewise {s.ours * 1e6:9.0f} us  torch.nn {s.theirs * 1e6:9.0f} us  ratio {s.ratio:6.2f}  "
            f"{peak}({s.clean} of {s.taken} samples clean)"
        )

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            **self.case.as_dict(),
            "statewise_us": round(self.summary.ours * 1e6, 2),
            "torch_us": round(self.summary.theirs * 1e6, 2),
            "ratio": round(self.ratio, 3),
            **self.shares,
            "peak_gflops": round(self.peak / 1e9, 1),
            "clean_samples": self.summary.clean,
            "samples": self.summary.taken,
            "disturbed": self.summary.disturbed,
        }


@dataclass(frozen=True, slots=True)
class Mean:
    """The ratios and limits of one cell, mode and thread count over all shapes, or the ratios of its everyday calls."""

    cell: str
    mode: str  # or EVERYDAY, whose modes are taken together
    threads: int
    ratio: float  # geometric mean
    lowest: float
    highest: float
    limit: float | None  # geometric mean

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        figures = {"ratio": self.ratio, "lowest": self.lowest, "highest": self.highest, "limit": self.limit}
        rounded = {name: round(figure, 3) for name, figure in figures.items() if figure is not None}
        return {"cell": self.cell, "mode": self.mode, "threads": self.threads, **rounded}


def geometric_mean(values: Sequence[float]) -> float:
    """The mean for ratios: that of 2 and 1/2 is 1."""
    return exp(sum(map(log, values)) / len(values))


def means(results: Iterable[Result]) -> list[Mean]:
    """One mean for each cell, mode (or all everyday calls) and thread count, in the order in which they first occur."""
    groups: dict[tuple[str, str, int], list[Result]] = {}
    for r in results:
        groups.setdefault((r.case.cell, EVERYDAY if r.case.call else r.case.mode, r.case.threads), []).append(r)
    return [_mean(key, group) for key, group in groups.items()]


def _mean(key: tuple[str, str, int], group: Sequence[Result]) -> Mean:
    ratios = [r.ratio for r in group]
    limit = None if key[1] == EVERYDAY else geometric_mean([r.limit for r in group])
    return Mean(*key, geometric_mean(ratios), min(ratios), max(ratios), limit)
