"""What a run leaves behind, whatever it measured: the figures, the sections of pages, the pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .readme import write_sections


@dataclass(frozen=True, slots=True)
class Report:
    """The same figures in every form."""

    content: dict[str, Any]  # the JSON file's
    sections: dict[str, str]  # markdown by the name of its markers
    page: str = ""  # a whole page of markdown
    pictures: dict[str, Callable[[Path], None]] = field(default_factory=dict)  # by file name, what draws it

    def write(self, json_path: Path | None, page: Path | None, pages: Iterable[Path], plots: Path | None) -> None:
        """Write what is wanted: the figures, the whole page, the sections in ``pages``, the pictures in ``plots``."""
        for folder in {path.parent for path in (json_path, page) if path} | ({plots} if plots else set()):
            folder.mkdir(parents=True, exist_ok=True)
        if json_path:
            json_path.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        if page:
            page.write_text(self.page, encoding="utf-8")
        for path in pages:
            write_sections(path, self.sections)
        if plots:
            for name, draw in self.pictures.items():
                draw(plots / name)
