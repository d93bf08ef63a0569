"""Puts measured tables between their markers in pages written by hand, so that nobody types a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def markers(name: str) -> tuple[str, str]:
    """Between which lines the section of that name stands."""
    return f"<!-- {name}:start -->", f"<!-- {name}:end -->"


def replace_section(text: str, section: str, name: str) -> str:
    """``text`` with ``section`` between the markers; ValueError unless each of them stands there once, in order."""
    start, end = markers(name)
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected {start} once and {end} once after it")
    before, rest = text.split(start)
    return f"{before}{start}\n{section.strip()}\n{end}{rest.split(end)[1]}"


def renew(sections: Mapping[str, str], pages: Iterable[Path] = PAGES) -> None:
    """Renew the sections in every page that has a place for them.

    ValueError where a place is unclear, or a section has none; then all pages are as they were.
    """
    renewed: dict[Path, str] = {}
    placed = set()
    for path in pages:
        text = path.read_text(encoding="utf-8")
        for name in (name for name in sections if any(marker in text for marker in markers(name))):
            try:
                text = renewed[path] = replace_section(text, sections[name], name)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            placed.add(name)
    if lost := sorted(set(sections) - placed):
        raise ValueError(f"no page has a place for {', '.join(lost)}: expected {markers(lost[0])[0]}")
    for path, text in renewed.items():
        path.write_text(text, encoding="utf-8")
