"""What was found, as docs/programs.json keeps it and as docs/programs.md shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks import machine
from benchmarks.record import pivot

from . import program
from .measure import Carried, Figure

LITTLE = 1.2  # a gain below this is explained
Records = Mapping[str, Mapping[str, Any]]

_HEAD = """# Other people's programs

Written by `make programs`. Each program is installed from the package index into an environment of its own. Its model
is built with torch.nn's layers and copied, and the copy goes through `statewise.accelerate`. The input is synthetic, of
a size that its users have; weights are random but where a package carries them (Resemblyzer's).

Before the clock starts, every output, and in training every parameter's gradient, is compared with the same model in
float64: the accelerated one may be off by twice what torch.nn's own float32 is, or by 3e-6 of the largest value (the
gate of `python -m benchmarks`). Dropout is on in training, and the same seed draws the same masks. Then both run in one
process in turns, as [performance.md](performance.md) says; `forward+backward` computes the gradient of every parameter
that takes one.

The two columns on the right are of the recurrent layers alone: the calls that the program makes of them, made again
with nothing else around them, in the same rounds. The share is what they are of the whole program's time with torch.nn,
the gain torch.nn's time over statewise's in them alone. `(busy)` stands where other processes left too few
undisturbed samples."""

_CARRIED_HEAD = """# Other people's networks in the runtime

These programs bring their weights. `statewise.read_weights` reads the recurrent layers, a few lines of `tools/programs`
put the rest around them as ops of the [runtime](runtime.md), and that stands beside the program itself, as it was
installed, on one thread each. Before the clock starts the outputs are compared: *apart* is the largest difference of
any number (float32's rounding; of the sounds' numbers none may differ)."""


def page(records: Records) -> str:
    """All of docs/programs.md."""
    good = {name: record for name, record in records.items() if record.get("figures")}
    parts = [_HEAD, *(_section(name, record) for name, record in good.items())]
    parts.append(f"## Where a program gains less than {LITTLE}\n\n" + _explanations(good))
    if carried := {name: record for name, record in records.items() if record.get("cases")}:
        parts += [_CARRIED_HEAD, *(_section(name, record) for name, record in carried.items())]
    if left := [f"- {name}: {record['left_out']}" for name, record in records.items() if "left_out" in record]:
        parts.append("## Left out\n\n" + "\n".join(left))
    return "\n\n".join(parts) + "\n"


def figures_of(record: Mapping[str, Any]) -> list[Figure]:
    """As they were measured."""
    return [Figure(**figure) for figure in record["figures"]]


def _section(name: str, record: Mapping[str, Any]) -> str:
    return f"## {record['version']}\n\n{program(name).WORK}.\n\n{table_of(record)}\n\n{_measured_on(record)}"


def _measured_on(record: Mapping[str, Any]) -> str:
    return f"Measured on {machine.sentence(record['machine'])}."


def table_of(record: Mapping[str, Any]) -> str:
    """What was measured of a program, accelerated or carried over."""
    if "cases" not in record:
        return table(figures_of(record))
    return pivot(_carried_entries(Carried(**case) for case in record["cases"]), "case")


def _carried_entries(cases: Iterable[Carried]) -> Iterator[tuple[list[str], str, str]]:
    for c in cases:
        yield [c.case], "the program", f"{c.theirs * 1e3:.2f} ms"
        yield [c.case], "statewise.runtime", f"{c.ours * 1e3:.2f} ms"
        yield [c.case], "program / runtime", _ratio(c)
        yield [c.case], "apart", f"{c.apart:.0e}" if c.apart else "0"


def table(figures: Iterable[Figure]) -> str:
    """A row for each mode and number of threads."""
    return pivot(_entries(figures), "mode", "threads")


def _entries(figures: Iterable[Figure]) -> Iterator[tuple[list[str], str, str]]:
    for f in figures:
        row = [f.mode, str(f.threads)]
        yield row, "torch.nn", f"{f.theirs * 1e3:.1f} ms"
        yield row, "statewise", f"{f.ours * 1e3:.1f} ms"
        yield row, "torch.nn / statewise", _ratio(f)
        yield row, "layers' share", f"{f.share:.0%}"
        yield row, "layers' gain", f"{f.layers_ratio:.2f}"


def _ratio(figure: Figure | Carried) -> str:
    return f"**{figure.ratio:.2f}**" + (" (busy)" if figure.disturbed else "")


def _explanations(records: Records) -> str:
    lines = [
        f"- {name}, {f.mode}, threads {f.threads}: {_ratio(f)}. {blame(f)}"
        for name, record in records.items()
        for f in figures_of(record)
        if f.ratio < LITTLE
    ]
    return "\n".join(lines) or "Nowhere."


def blame(figure: Figure) -> str:
    """Whether a small gain is the recurrent layers' doing, or that of all else."""
    f = figure
    share, gain = f"The layers are {f.share:.0%} of the time", f"alone they gain {f.layers_ratio:.2f}"
    if (1 - f.share) * LITTLE > 1:
        return f"{share}: were they to take none, the program would gain {1 / (1 - f.share):.2f}. It is the rest."
    if f.layers_ratio < LITTLE:
        return f"{share}, and {gain}. It is the layers."
    return f"{share}, and {gain}, which the rest dilutes."
