"""The interactive page: a small recurrent layer over its steps, and of each number what it was computed from.

One file that loads nothing: the cells as data (``description.py``), what the page does with them (the ``.js`` files, in
the order of ``SCRIPTS``), lit-html, which draws it, and a policy that lets a browser run this and nothing else.
"""

from .build import cut_down, page

__all__ = ["cut_down", "page"]
