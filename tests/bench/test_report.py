"""What a run leaves behind: each file it was asked for, and no other."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Report


def test_every_form_is_written(tmp_path: Path) -> None:
    one, other = tmp_path / "README.md", tmp_path / "performance.md"
    one.write_text("<!-- bench:start --><!-- bench:end -->", encoding="utf-8")
    other.write_text("<!-- limits:start --><!-- limits:end --><!-- bench:start --><!-- bench:end -->", encoding="utf-8")
    report = Report({"a": 1}, {"bench": "means", "limits": "far"}, "page", {"p.svg": lambda path: path.touch()})
    report.write(tmp_path / "new" / "b.json", tmp_path / "b.md", [one, other], tmp_path / "plots")
    assert json.loads((tmp_path / "new" / "b.json").read_text(encoding="utf-8")) == {"a": 1}
    assert (tmp_path / "b.md").read_text(encoding="utf-8") == "page"
    assert one.read_text(encoding="utf-8") == "<!-- bench:start -->\nmeans\n<!-- bench:end -->"
    assert "\nfar\n" in other.read_text(encoding="utf-8")
    assert "\nmeans\n" in other.read_text(encoding="utf-8")
    assert (tmp_path / "plots" / "p.svg").exists()


def test_what_is_not_wanted_is_not_written(tmp_path: Path) -> None:
    Report({}, {}, pictures={"p.svg": lambda path: path.touch()}).write(None, None, (), None)
    assert not list(tmp_path.iterdir())
