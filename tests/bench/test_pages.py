"""The measured sections of the pages are replaced, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pages
from benchmarks.__main__ import FOLDER, KINDS
from benchmarks.record import Results

START, END = pages.markers("bench")


def test_only_the_section_changes() -> None:
    text = f"before\n{START}\nold\n{END}\nafter\n"
    assert pages.replace_section(text, "\nnew\n\n", "bench") == f"before\n{START}\nnew\n{END}\nafter\n"


def test_twice_is_the_same_as_once() -> None:
    once = pages.replace_section(f"{START}{END}", "table", "bench")
    assert pages.replace_section(once, "table", "bench") == once


@pytest.mark.parametrize("text", ["", START, END, f"{END}{START}", f"{START}{START}{END}", f"{START}{END}{END}"])
def test_unclear_markers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bench:start"):
        pages.replace_section(text, "table", "bench")


def test_each_section_finds_its_places(tmp_path: Path) -> None:
    one, other = tmp_path / "1.md", tmp_path / "2.md"
    one.write_text("<!-- a:start -->old<!-- a:end -->\n<!-- c:start --><!-- c:end -->", encoding="utf-8")
    other.write_text("<!-- a:start --><!-- a:end --><!-- b:start --><!-- b:end -->", encoding="utf-8")
    pages.renew({"a": "new", "b": "too"}, [one, other])
    assert one.read_text(encoding="utf-8") == "<!-- a:start -->\nnew\n<!-- a:end -->\n<!-- c:start --><!-- c:end -->"
    assert "new" in other.read_text(encoding="utf-8")
    assert "too" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["nothing", "<!-- a:start --><!-- a:end --><!-- b:start -->", "<!-- a:start --><!-- a:end -->"]
)
def test_a_section_without_a_clear_place_is_refused_and_leaves_all_pages(tmp_path: Path, text: str) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("<!-- a:start --><!-- a:end -->", encoding="utf-8")
    bad.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="b:start"):
        pages.renew({"a": "new", "b": "new"}, [good, bad])
    assert "new" not in good.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.published])
def test_what_is_published_has_a_place_in_a_page_and_stands_there(kind: str) -> None:
    """So that a run doesn't end, after minutes, with figures that have no place."""
    results = Results.read(FOLDER / f"{kind}.json")
    texts = [path.read_text(encoding="utf-8") for path in pages.PAGES]
    for name, section in KINDS[kind].sections(results.records).items():
        found = [text for text in texts if pages.markers(name)[0] in text]
        assert found
        for text in found:
            assert f"{pages.markers(name)[0]}\n{section}\n" in text, "python -m benchmarks render"
