"""What Sphinx makes the pages of: `make docs`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

project = "statewise"
author = "statewise developers"
release = re.search(r'"(.+)"', (HERE.parent / "src/statewise/_version.py").read_text())[1]  # type: ignore[index]
copyright = "statewise developers, BSD-3-Clause"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["colon_fence", "html_image"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # a page may begin below a heading of another depth
    "ref.python",  # a hint of a type is found where it is public and where it is at home
]
nitpicky = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "statewise"
html_show_sphinx = False
html_extra_path = ["llms.txt"]

# The programs in examples/gallery run when the pages are made, if they have changed since: docs/gallery is what comes
# of them. `-D plot_gallery=0` leaves them out while other pages are worked on.
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d_",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "first_notebook_cell": "# pip install 'statewise[jobs]'\n%matplotlib inline",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 600,  # times of this machine say nothing to a reader
}


def setup(app: Any) -> None:
    app.connect("source-read", _files_by_name)
    app.connect("build-finished", _interactive_page)


def _files_by_name(app: Any, page: str, source: list[str]) -> None:
    """A link to a file of the repository that is no page becomes the file's name."""

    def named(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link[2]))
        return link[0] if target.startswith("docs/") else f"{link[1]} (`{target}`)"

    source[0] = re.sub(r"\[([^]]*)\]\((\.\./[^)]*)\)", named, source[0])


def _interactive_page(app: Any, error: Exception | None) -> None:
    """The page that the front page has a window for."""
    if error is None and app.builder.format == "html":
        from statewise.explaining.page import page

        (Path(app.outdir) / "explorer.html").write_text(page(), encoding="utf-8")
