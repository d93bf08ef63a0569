"""How a file is to be read: which column has the words, the tags, the features. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS, CONLLU = "columns", "CoNLL-U"


@dataclass(frozen=True)
class Layout:
    """Columns by number, from 1, or by name where the format has names; those of CoNLL-U do."""

    words: str | None = None
    """None: FORM or, where columns have no names, the first."""
    tag: str | None = None
    """None: UPOS or, where columns have no names, the last."""
    features: tuple[str, ...] = ()
    format: str | None = None
    """Of the file that the numbers are about: ``columns`` or ``CoNLL-U``; None: any."""

    def over(self, other: Layout) -> Layout:
        """This layout with what ``other`` says where this one says nothing."""
        return Layout(
            self.words or other.words,
            self.tag or other.tag,
            self.features or other.features,
            self.format or other.format,
        )
