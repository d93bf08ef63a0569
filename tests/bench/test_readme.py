"""The README's measured section is replaced, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from statewise.bench.readme import END, START, replace_section, write_section


def test_only_the_section_changes() -> None:
    text = f"before\n{START}\nold\n{END}\nafter\n"
    assert replace_section(text, "\nnew\n\n") == f"before\n{START}\nnew\n{END}\nafter\n"


def test_twice_is_the_same_as_once() -> None:
    once = replace_section(f"{START}{END}", "table")
    assert replace_section(once, "table") == once


@pytest.mark.parametrize("text", ["", START, END, f"{END}{START}", f"{START}{START}{END}", f"{START}{END}{END}"])
def test_unclear_markers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bench:start"):
        replace_section(text, "table")


def test_a_refusal_names_the_file_and_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md"):
        write_section(path, "table")
    assert path.read_text(encoding="utf-8") == "no markers"


def test_the_projects_readme_has_the_markers() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    replace_section(readme.read_text(encoding="utf-8"), "table")
