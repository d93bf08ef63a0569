"""The figures as markdown: one table of means for the README, and for the page limits and every shape too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .results import Mean, Result, geometric_mean, means


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; the first row is its head, the columns after the first align right."""
    head, *body = rows
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def means_table(figures: Iterable[Mean]) -> str:
    """A row for each cell and mode, a column for each thread count: the mean and, in brackets, the range."""
    return _by_mode("torch.nn time / statewise time", figures, _range)


def limits_table(figures: Iterable[Mean]) -> str:
    """The same with the mean ratio and, beside it, the mean of the limits, where there are limits."""
    return _by_mode("reached, of what is possible", (m for m in figures if m.limit is not None), _reached)


def _by_mode(title: str, figures: Iterable[Mean], show: Callable[[Mean], str]) -> str:
    figures = list(figures)
    counts = sorted({m.threads for m in figures})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for m in figures:
        rows.setdefault((m.cell, m.mode), {})[m.threads] = show(m)
    head = [title, *map(_threads, counts)]
    return markdown(
        [head, *([f"{cell}, {mode}", *(row.get(c, "-") for c in counts)] for (cell, mode), row in rows.items())]
    )


def shapes_table(results: Iterable[Result], cell: str) -> str:
    """One cell: a row for each shape, a column for each mode and thread count: ratio, share of peak, limit."""
    figures = {(r.case.shape, r.case.mode, r.case.threads): r for r in results if r.case.cell == cell}
    columns = list(dict.fromkeys((mode, count) for _, mode, count in figures))
    columns.sort(key=lambda column: (len(column[0]), column[1]))  # forward comes before forward+backward
    head = ["T,N,I,H,L", *(f"{mode}, {_threads(count)}" for mode, count in columns)]
    shapes = dict.fromkeys(shape for shape, _, _ in figures)
    return markdown([head, *([str(s), *(_figure(figures.get((s, *column))) for column in columns)] for s in shapes)])


def everyday_table(results: Iterable[Result]) -> str:
    """A row for each call, shape and mode, a column for each cell and thread count: the ratio."""
    rows: dict[tuple[str, str, str], dict[tuple[str, int], str]] = {}
    for r in results:
        row = rows.setdefault((r.case.call, str(r.case.shape), r.case.mode), {})
        row[r.case.cell, r.case.threads] = f"**{r.ratio:.2f}**{_mark(r)}"
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = ["call", "T,N,I,H,L", "mode", *(f"{cell}, {_threads(count)}" for cell, count in columns)]
    return markdown([head, *([*key, *(row.get(column, "-") for column in columns)] for key, row in rows.items())])


def everyday_summary(results: Iterable[Result]) -> str:
    """A line for each thread count: over all cells and calls the mean, the lowest, and which are below 1."""
    by_threads: dict[int, list[Result]] = {}
    for r in results:
        by_threads.setdefault(r.case.threads, []).append(r)
    return "\n".join(f"- {_threads(count)}: {_everyday(group)}" for count, group in by_threads.items())


def _everyday(results: Sequence[Result]) -> str:
    mean = geometric_mean([r.ratio for r in results])
    lowest = min(results, key=lambda r: r.ratio)
    below = sum(r.ratio < 1 for r in results)
    return (
        f"geometric mean **{mean:.2f}** over {len(results)}; lowest {lowest.ratio:.2f} "
        f"({lowest.case.cell}, {lowest.case.call}, {lowest.case.mode}); {below} under 1.0"
    )


def page(results: Sequence[Result], machine: str) -> str:
    """The whole page: the means, then every shape, then the everyday calls."""
    everyday = [r for r in results if r.case.call]
    plain = [r for r in results if not r.case.call]
    cells = dict.fromkeys(r.case.cell for r in plain)
    parts = [
        "# statewise against torch.nn",
        f"Written by `python -m benchmarks` on {machine}.",
        "Each figure is torch.nn's time divided by statewise's: 2.0 means half the time. The float32 results of both "
        "were compared with float64 before the clock started. `forward` runs under `torch.no_grad()`; "
        "`forward+backward` computes the gradients of the inputs and of every weight.",
        "## Geometric means over the shapes and over the everyday calls (lowest to highest)",
        means_table(means(results)),
        "## How far to the limit",
        "The limit is the ratio that would be reached if statewise's matrix products ran at the peak measured beside "
        "them and all else took no time: torch.nn's time times peak, divided by the products' operations. No kernel "
        "that does these products in float32 gets past it on this machine. The table has geometric means over the "
        "shapes; small shapes, in which hardly any time goes into products, raise the limit's.",
        limits_table(means(results)),
    ]
    for cell in cells:
        parts += [f"## {cell}", shapes_table(plain, cell)]
    if everyday:
        parts += [
            "## Everyday calls",
            "What the plain shapes leave out, as programs call it, each with all three cells: "
            "cells, which are given their state, both directions, dropout in training, ragged rows of T/4 to T steps "
            "(PackedSequence on both sides; `lengths=` beside torch's packing, layer and padding), states given, x "
            "without a batch axis, wide layers, bfloat16. The oracle is torch.nn in float64 here too.",
            everyday_summary(everyday),
            everyday_table(everyday),
        ]
    parts.append(
        "T time steps, N rows, I input features, H hidden units, L layers. Behind the ratio stand the share of peak "
        "and the limit as above. The share compares the rate of "
        "statewise's matrix products, with all else that it does counted in their time, with the rate of a "
        "512 x 512 x 512 sgemm (the faster of MKL's and oneDNN's) timed beside every sample on as many threads. "
        "`(busy)` stands where other processes left too few undisturbed samples."
    )
    return "\n\n".join(parts) + "\n"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _range(mean: Mean) -> str:
    return f"**{mean.ratio:.1f}** ({mean.lowest:.1f} to {mean.highest:.1f})"


def _reached(mean: Mean) -> str:
    assert mean.limit is not None
    return f"**{mean.ratio:.1f}** of {brief(mean.limit)}"


def brief(figure: float) -> str:
    """With as many digits as a reader needs: 2.4, 24, 240."""
    return f"{figure:.1f}" if figure < 9.95 else f"{figure:.0f}"


def _figure(result: Result | None) -> str:
    if not result:
        return "-"
    return f"**{result.ratio:.2f}**, {result.peak_fraction:.0%}, {brief(result.limit)}{_mark(result)}"


def _mark(result: Result) -> str:
    return " (busy)" if result.summary.disturbed else ""
