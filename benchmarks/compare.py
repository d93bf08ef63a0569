"""Whether a change made anything slower: two runs of one kind, case by case.

A case fails where both say so: the median is more than ``SLOWER`` of the old one, and Welch's t-test finds the new
samples longer. The medians alone would fail on a small case that jumps by chance, the test alone on a hundredth of a
microsecond. The test is one-sided, with ``CHANCE`` divided by the number of tests (Bonferroni), so that of a hundred
comparisons of equal code one fails by chance, however many cases they have.

Each sample counts in units of the reference product beside its case, so that a machine that is slower today, in a
slower clock or as another one's neighbour, fails nothing. Disturbed cases are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from scipy.stats import ttest_ind

from .case import Case
from .record import Record, Results
from .sides import OURS

SLOWER = 1.10
CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """One side of a case before and after."""

    case: Case
    side: str
    ratio: float  # of the medians, new over old
    chance: float  # of samples that differ so much if nothing is slower

    def fails(self, tests: int) -> bool:
        """Whether it is slower, as one of so many tests."""
        return self.ratio > SLOWER and self.chance < CHANCE / tests

    def __str__(self) -> str:
        return f"{self.case} {self.side}: {self.ratio - 1:+.0%} (p = {self.chance:.1g})"


def changes(old: Results, new: Results) -> list[Change]:
    """Of statewise's sides that both have with samples. ValueError where the runs are of different kinds."""
    if old.kind != new.kind:
        raise ValueError(f"expected two runs of one kind, got {old.kind} and {new.kind}")
    before = {(r.case, r.side): _samples(r) for r in old.records}
    pairs = [(r, before.get((r.case, r.side), []), _samples(r)) for r in new.records if r.side in OURS]
    return [Change(r.case, r.side, median(b) / median(a), _welch(a, b)) for r, a, b in pairs if min(len(a), len(b)) > 1]


def _welch(old: list[float], new: list[float]) -> float:
    return float(ttest_ind(new, old, equal_var=False, alternative="greater").pvalue)


def _samples(record: Record) -> list[float]:
    """In units of the reference product; none of a disturbed case."""
    return [] if record.disturbed else [sample * (record.peak or 1.0) for sample in record.samples]


def compare(old: Results, new: Results) -> int:
    """Print what changed; 1 where anything fails, 2 where there is nothing to compare, else 0."""
    found = changes(old, new)
    failed = [change for change in found if change.fails(len(found))]
    print(*sorted(map(str, failed)), sep="\n") if failed else None
    faster = sum(change.ratio < 1 / SLOWER for change in found)
    print(f"{len(found)} compared: {len(failed)} slower, {faster} faster by more than {SLOWER - 1:.0%}")
    if not found:
        print("nothing to compare: no case of statewise's has undisturbed samples in both")
        return 2
    return int(bool(failed))
