"""The comparison as markdown, losses included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..table import markdown
from . import OURS, PEERS
from .measure import PeerResult

GROUPS = {
    "single steps": "One step of one row, the state carried from call to call, called from Python",
    "sequences": "Whole sequences, without gradients",
    "training": "Forward and backward, to the input and every weight",
}


def section(results: Sequence[PeerResult], versions: dict[str, str], machine: str) -> str:
    """All tables, the losses, the versions."""
    threads = sorted({r.case.threads for r in results})
    on = " and ".join("1 thread" if count == 1 else f"{count} threads" for count in threads)
    parts = [
        "Microseconds a call, and in brackets that time divided by statewise's (the lower of its own two): over 1 "
        f"statewise is faster. On {on} of {machine}.",
    ]
    for group, title in GROUPS.items():
        if rows := [r for r in results if r.group == group]:
            parts += [f"### {title}", table(rows)]
    parts += ["### Where another library is faster: its time over statewise's", losses(results)]
    parts.append("Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    return "\n\n".join(parts)


def table(results: Sequence[PeerResult]) -> str:
    """A row for each case, a column for each library that has a figure in any of them."""
    names = [name for name in PEERS if any(name in r.ways for r in results)]
    head = ["cell T,N,I,H", *names]
    return markdown([head, *([_label(r), *(_figure(r, name) for name in names)] for r in results)])


def losses(results: Iterable[PeerResult]) -> str:
    """One line for each case in which another library is faster, with the share of our time that it takes."""
    lines = []
    for r in results:
        faster = sorted((ratio, name) for name, ratio in r.ratios.items() if ratio < 1)
        if faster:
            who = ", ".join(f"{name} {ratio:.2f} ({r.ways[name].name})" for ratio, name in faster)
            lines.append((faster[0][0], f"- {_label(r)}, {r.group}: {who}"))
    if not lines:
        return "Nowhere in these tables."
    return "\n".join(line for _, line in sorted(lines))


def _label(result: PeerResult) -> str:
    s = result.case.shape
    mark = " (busy)" if result.summary.disturbed else ""
    return f"{result.case.cell} {s.T},{s.N},{s.I},{s.H}{mark}"


def _figure(result: PeerResult, name: str) -> str:
    if name not in result.ways:
        return "-"
    time = _microseconds(result.seconds[name])
    if name in OURS:
        return f"**{time}**" if result.seconds[name] == result.best_of_ours else time
    return f"{time} ({result.ratios[name]:.2f})"


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}" if seconds < 1e-4 else f"{seconds * 1e6:,.0f}"
