"""Puts measured tables between their markers in a page written by hand, so that nobody types a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

START = "<!-- bench:start -->"
END = "<!-- bench:end -->"


def markers(name: str) -> tuple[str, str]:
    """Between which lines the section of that name stands."""
    return START.replace("bench", name), END.replace("bench", name)


def replace_section(text: str, section: str, name: str = "bench") -> str:
    """``text`` with ``section`` between the markers; ValueError unless each of them stands there once, in order."""
    before, _, after = split(text, name)
    start, end = markers(name)
    return f"{before}{start}\n{section.strip()}\n{end}{after}"


def split(text: str, name: str = "bench") -> tuple[str, str, str]:
    """What stands before, between and after the markers."""
    start, end = markers(name)
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected {start} once and {end} once after it")
    before, rest = text.split(start)
    section, after = rest.split(end)
    return before, section, after


def sections_in(path: Path, names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that the file has a place for; ValueError where it has none, or an unclear one."""
    text = path.read_text(encoding="utf-8")
    found = [name for name in names if any(marker in text for marker in markers(name))]
    try:
        for name in found or names[:1]:
            split(text, name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return found


def write_section(path: Path, section: str, name: str = "bench") -> None:
    """Renew the section in the file at ``path``."""
    write_sections(path, {name: section})


def write_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Renew those of the sections that the file at ``path`` has a place for."""
    names = sections_in(path, tuple(sections))
    text = path.read_text(encoding="utf-8")
    for name in names:
        text = replace_section(text, sections[name], name)
    path.write_text(text, encoding="utf-8")
