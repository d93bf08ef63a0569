"""The ``.ts`` archives of timeseriesclassification.com: a header of ``@`` lines, then a line for each sequence, its
channels apart by ``:``, its values by ``,``, the label last. A missing value is ``?``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....data.content import plain_name
from ....errors import InputError
from ..config import Layout
from ..examples import Examples
from ..sequences import Sequences

Array = NDArray[np.float64]


def is_ts(path: Path, beginning: bytes) -> bool:
    """Whether the file is named so, or has the line that opens the data."""
    return ".ts" in path.suffixes or b"\n@data" in beginning.lower()


def read(path: Path, content: bytes, layout: Layout) -> Examples:
    """The sequences, and their labels unless the header says that there are none."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text in UTF-8, the file holds something else") from None
    header, begin = _header(path, lines)
    labelled = header.get("classlabel", header.get("targetlabel", "true")).lower().startswith("true")
    blocks: list[Array] = []
    labels: list[str] = []
    for number, line in enumerate(lines[begin:], begin + 1):
        if not line.strip() or line.startswith("#"):
            continue
        *parts, label = line.strip().split(":") if labelled else (*line.strip().split(":"), "")
        blocks.append(_block(f"{path}, line {number}", parts, layout.gaps))
        if labelled:
            labels.append(label.strip())
        if blocks[-1].shape[1] != blocks[0].shape[1]:
            raise InputError(
                f"{path}, line {number}: {blocks[-1].shape[1]} channels, the first sequence has {blocks[0].shape[1]}"
            )
        if labelled and (not labels[-1] or "," in labels[-1]):
            raise InputError(f"{path}, line {number}: expected a label after the last ':'; is the line cut short?")
    if not blocks:
        raise InputError(f"{path}: no sequences after the line @data")
    _check_header(path, header, blocks, labels if labelled else [])
    sequences = Sequences.of(blocks)
    name = header.get("problemname") or plain_name(path)
    return Examples(name, str(path), sequences, labels or None)


def _header(path: Path, lines: list[str]) -> tuple[dict[str, str], int]:
    """What the ``@`` lines say, their names in small letters, and the place of the first line of data."""
    header: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        if not name.startswith("@"):
            raise InputError(f"{path}, line {number}: expected a line of the header or @data, got {line[:40]!r}")
        if name.lower() == "@data":
            break
        header[name[1:].lower()] = value.strip()
    else:
        raise InputError(f"{path}: no line @data; is the file cut short?")
    if header.get("timestamps", "false").lower() == "true":
        raise InputError(f"{path}: has time stamps in its data; expected equal steps, @timeStamps false")
    return header, number


def _block(where: str, parts: list[str], gaps: str) -> Array:
    """One sequence (T, I) from the text of its channels."""
    if not parts:
        raise InputError(f"{where}: expected values, ':' and a label")
    channels = [_values(f"{where}, channel {index}", part, gaps) for index, part in enumerate(parts, 1)]
    for index, values in enumerate(channels, 1):
        if len(values) != len(channels[0]):
            raise InputError(f"{where}, channel {index}: {len(values)} values, channel 1 has {len(channels[0])}")
    return np.stack(channels, axis=1)


def _values(where: str, text: str, gaps: str) -> Array:
    cells = text.split(",")
    if "?" in text or "nan" in text.lower():
        if gaps != "carry":
            place = next((i for i, cell in enumerate(cells, 1) if cell.strip().lower() in ("?", "nan")), None)
            if place is not None:
                raise InputError(f"{where}, step {place}: the value is missing; --gaps carry takes the value before it")
        cells = ["nan" if cell.strip() == "?" else cell for cell in cells]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        bad = next((i, cell) for i, cell in enumerate(cells, 1) if not _is_number(cell))
        raise InputError(f"{where}, step {bad[0]}: expected a number, got {bad[1][:40]!r}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_header(path: Path, header: dict[str, str], blocks: list[Array], labels: list[str]) -> None:
    """Refuse a file that doesn't keep what its header says, since then one of both is wrong."""
    dimensions = header.get("dimensions") or header.get("dimension") or ("1" if _says(header, "univariate") else "")
    if dimensions.isdecimal() and int(dimensions) != blocks[0].shape[1]:
        raise InputError(f"{path}: its header speaks of {dimensions} channels, the data has {blocks[0].shape[1]}")
    if _says(header, "equallength") and len({len(block) for block in blocks}) > 1:
        raise InputError(f"{path}: its header says that all sequences are of equal length, they are not")
    named = header.get("classlabel", "").split()[1:]
    for row, label in enumerate(labels, 1):
        if named and label not in named:
            raise InputError(f"{path}: sequence {row}: the label {label!r} isn't among those of the header")


def _says(header: dict[str, str], name: str) -> bool:
    return header.get(name, "false").lower() == "true"
