"""`make docs`: the pages become a site without a warning, and what is public has its place there."""

from __future__ import annotations

import re
import subprocess
import sys
from inspect import isclass, isfunction
from pathlib import Path

import pytest

import statewise
import statewise.jobs
from statewise import runtime

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    reference = (tmp_path / "api.html").read_text()
    for module in (statewise, statewise.jobs, runtime):
        for name in module.__all__:
            if isclass(found := getattr(module, name)) or isfunction(found):
                assert f'id="{module.__name__}.{name}"' in reference, f"{module.__name__}.{name}"


PAGES = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^ *(```+|~~~+).*?^ *\1 *$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a link may name of a page: its headings, as GitHub and MyST make names of them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each).lower()) for each in headings)
    return {each.strip().replace(" ", "-") for each in plain}


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_links_lead_somewhere(page):
    """Files and headings of the repository; what lies outside can't be asked for, so that is of the right form."""
    for link in links_of(re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"\w+:", link):
            assert re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[\w./~%#?=&+-]*)?", link), link
            continue
        file, _, heading = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not heading or target.suffix != ".md" or heading in anchors(target) or target.name == "api.md", link


def test_every_page_is_told_of_to_language_models():
    """``llms.txt`` has a line for every page, or for the index of its folder."""
    told = (DOCS / "llms.txt").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS) for path in DOCS.rglob("*.md")]
    missing = {
        page.as_posix() for page in pages if not {str(page), str(page.parent / "index.md")} & set(links_of(told))
    }
    assert missing == {"index.md"}
