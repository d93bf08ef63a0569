"""``report.html``: what a run did and what came of it, as one page that needs nothing else, renewed while it trains."""

from __future__ import annotations

from .charts import loss_curve, to_svg
from .page import Block, Heading, LiveReport, Note, Page, Picture, Table, Text, Word, Words

__all__ = [
    "Block",
    "Heading",
    "LiveReport",
    "Note",
    "Page",
    "Picture",
    "Table",
    "Text",
    "Word",
    "Words",
    "loss_curve",
    "to_svg",
]
