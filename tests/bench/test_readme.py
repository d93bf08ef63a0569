"""The README's measured section is replaced, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.readme import END, START, replace_section, sections_in, write_section, write_sections


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


def test_each_section_finds_its_place(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "<!-- sweep:start -->old<!-- sweep:end -->\n<!-- peers:start --><!-- peers:end -->", encoding="utf-8"
    )
    write_sections(path, {"limits": "none", "sweep": "new"})
    assert path.read_text(encoding="utf-8") == (
        "<!-- sweep:start -->\nnew\n<!-- sweep:end -->\n<!-- peers:start --><!-- peers:end -->"
    )


def test_a_page_with_half_a_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"{START}{END}<!-- sweep:start -->", encoding="utf-8")
    assert sections_in(path, ("bench",)) == ["bench"]
    with pytest.raises(ValueError, match="sweep:end"):
        sections_in(path, ("bench", "sweep"))


def test_the_page_about_performance_has_all_the_markers() -> None:
    names = ("bench", "limits", "sweep", "peers")
    assert sections_in(Path(__file__).parents[2] / "docs" / "performance.md", names) == list(names)
