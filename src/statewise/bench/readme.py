"""Puts the measured table between its two markers in the README, so that nobody types a figure."""

from __future__ import annotations

from pathlib import Path

START = "<!-- bench:start -->"
END = "<!-- bench:end -->"


def replace_section(text: str, section: str) -> str:
    """``text`` with ``section`` between the markers; ValueError unless each of them stands there once, in order."""
    before, _, after = split(text)
    return f"{before}{START}\n{section.strip()}\n{END}{after}"


def split(text: str) -> tuple[str, str, str]:
    """What stands before, between and after the markers."""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"expected {START} once and {END} once after it")
    before, rest = text.split(START)
    section, after = rest.split(END)
    return before, section, after


def read_section(path: Path) -> str:
    """The section in the file at ``path``; ValueError where the markers are not as they should be."""
    try:
        return split(path.read_text(encoding="utf-8"))[1].strip()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_section(path: Path, section: str) -> None:
    """Renew the section in the file at ``path``."""
    read_section(path)
    path.write_text(replace_section(path.read_text(encoding="utf-8"), section), encoding="utf-8")
