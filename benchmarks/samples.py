"""Which samples count: those around which the machine ran at its usual speed. Pure arithmetic, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

# A reference time this much over the case's lower quartile means that something else took the core,
TOLERANCE = 1.10
# and one this much over the lowest quartile of all cases so far that the whole case was disturbed.
DRIFT = 1.30


@dataclass(frozen=True, slots=True)
class Probe:
    """Seconds of the reference product, called a few times: the fastest tells the peak, the slowest a disturbance."""

    fastest: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One repetition: seconds a call of each side, and the reference product before the first and after every one."""

    times: tuple[float, ...]
    reference: tuple[Probe, ...]

    @property
    def slowest(self) -> float:
        """The worst of the reference times."""
        return max(probe.slowest for probe in self.reference)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the clean samples of a case say; times in seconds."""

    times: tuple[float, ...]  # of the sides in their order, statewise's first
    reference: float
    clean: int
    taken: int
    quartile: float  # lower quartile of the reference times
    disturbed: bool = False  # too few clean samples: the machine was busy

    @property
    def ours(self) -> float:
        """The first side's time."""
        return self.times[0]

    @property
    def theirs(self) -> float:
        """The second side's time."""
        return self.times[1]

    @property
    def ratio(self) -> float:
        """How many times as long the second side takes."""
        return self.theirs / self.ours


def lower_quartile(samples: Sequence[Sample]) -> float:
    """Of the reference times."""
    times = [probe.slowest for s in samples for probe in s.reference]
    return quantiles(times, n=4, method="inclusive")[0]


def clean(samples: Sequence[Sample], usual: float) -> list[Sample]:
    """The samples whose reference times are all near the case's lower quartile and not far from the ``usual`` one."""
    limit = min(TOLERANCE * lower_quartile(samples), DRIFT * usual)
    return [s for s in samples if s.slowest <= limit]


def summarize(samples: Sequence[Sample], usual: float, *, at_least: int) -> Summary:
    """The medians over the clean samples, or over the ``at_least`` calmest where fewer are clean."""
    calm = clean(samples, usual)
    disturbed = len(calm) < at_least
    kept = sorted(samples, key=lambda s: s.slowest)[:at_least] if disturbed else calm
    return Summary(
        times=tuple(map(median, zip(*(s.times for s in kept), strict=True))),
        reference=median(probe.fastest for s in kept for probe in s.reference),
        clean=len(calm),
        taken=len(samples),
        quartile=lower_quartile(samples),
        disturbed=disturbed,
    )
